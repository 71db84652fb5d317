"""The controller's loop in its smallest form: observe, plan, execute; the marker in memory."""

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from redis_fargate.nodes.connection import Connect, Connections, connect
from redis_fargate.nodes.errors import StillMoving
from redis_fargate.nodes.execute import check_spare, execute, settings_kept
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.protecting import LASTS_S
from redis_fargate.topology.slots import SlotRanges
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import (
    BeginForming,
    FinishForming,
    Forget,
    NoteMoving,
    Protect,
    Unprotect,
)
from redis_fargate.topology.view import Forming, Marker, Member, Task, View
from servers import Server


def tasks_of(servers: Sequence[Server], zones: int = 3) -> tuple[Task, ...]:
    return tuple(
        Task(
            arn=f"arn:aws:ecs:us-east-1:000000000000:task/redis-local/{server.task_id}",
            id=server.task_id,
            zone=f"zone-{'abcdef'[index % zones]}",
            address=server.address,
            revision="redis-local:1",
            running=True,
            started_at_s=0.0,
        )
        for index, server in enumerate(servers)
    )


@dataclass
class Memory:
    """What the state table remembers between runs."""

    marker: Marker = Marker.ABSENT
    forming: Forming | None = None
    stopped: frozenset[str] = frozenset()
    """What ECS remembers: the ids of tasks that have stopped."""
    moving: SlotRanges = ()
    forgotten: dict[str, float] = field(default_factory=dict)

    def view(self, members: tuple[Member, ...]) -> View:
        return View(
            time.time(),
            members,
            self.marker,
            self.forming,
            self.stopped,
            moving=self.moving,
            forgotten=self.forgotten,
        )


class Reconciler:
    def __init__(  # noqa: PLR0913, PLR0917 - most of them have defaults
        self,
        tasks: Sequence[Task],
        spec: Spec,
        settings: ConnectionSettings | None = None,
        memory: Memory | None = None,
        connect: Connect = connect,
        policy: Policy | None = None,
    ) -> None:
        self.tasks = tasks
        self.spec = spec
        self.policy = policy or Policy()
        self.settings = settings or ConnectionSettings()
        self.memory = memory or Memory()
        self.connect = connect
        self.members: tuple[Member, ...] = ()
        self.timings: list[tuple[str, float]] = []

    async def run(self, patience_s: float = 60) -> Plan:
        """Reconcile until the plan has no steps; that plan."""
        async with Connections(self.settings, self.connect) as connections:
            while True:
                made = await self.look(connections)
                if not made.steps:
                    return made
                async with settings_kept(made.steps, connections):
                    with suppress(StillMoving):
                        await self._take(made, connections, patience_s)

    async def form(self) -> None:
        """Take the steps of one plan, without looking again."""
        async with Connections(self.settings, self.connect) as connections:
            made = await self.look(connections)
            async with settings_kept(made.steps, connections):
                await self._take(made, connections, patience_s=120)

    async def look(self, connections: Connections) -> Plan:
        start = time.perf_counter()
        self.members = await observe(self.tasks, connections, self.memory.moving)
        seen = time.perf_counter()
        made = plan(self.memory.view(self.members), self.spec, self.policy)
        self.timings += [("observe", seen - start), ("plan", time.perf_counter() - seen)]
        return made

    async def _take(self, made: Plan, connections: Connections, patience_s: float) -> None:
        for wave in made.waves():
            start = time.perf_counter()
            match wave[0]:
                case BeginForming(settings=settings):
                    self.memory.marker, self.memory.forming = Marker.FORMING, Forming(settings)
                case FinishForming():
                    self.memory.marker, self.memory.forming = Marker.FORMED, None
                case NoteMoving(slots=slots):
                    self.memory.moving = slots
                case Protect():
                    arns = {arn for step in wave for arn in step.task_arns}
                    self._protect(arns, time.time() + LASTS_S)
                case Unprotect():
                    await check_spare(wave, connections)
                    self._protect({step.task_arn for step in wave}, None)
                case Forget():
                    ids = {step.gone_id for step in wave}
                    self.memory.forgotten |= dict.fromkeys(ids, time.time())
                    await execute(wave, connections, patience_s)
                case _:
                    await execute(wave, connections, patience_s)
            self.timings.append((type(wave[0]).__name__, time.perf_counter() - start))

    def _protect(self, arns: Collection[str], until_s: float | None) -> None:
        self.tasks = tuple(
            replace(task, protected_until_s=until_s) if task.arn in arns else task
            for task in self.tasks
        )
