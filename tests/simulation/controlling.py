"""The controller's runs: what starts them, what kills them, and the rooms that they work in."""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager

from redis_fargate.aws.tasks import Observed
from redis_fargate.controller import reconcile as loop_of_runs
from redis_fargate.controller.ports import Rooms
from redis_fargate.controller.result import Result
from redis_fargate.controller.settings import Settings
from redis_fargate.nodes import execute as steps_on_nodes
from redis_fargate.nodes import polling, waiting
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.errors import RedisFargateError
from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.slots import SlotRanges
from redis_fargate.topology.spec import OnDataLoss, Policy, Spec
from redis_fargate.topology.steps import NodeStep, Phase, Step, Unprotect
from redis_fargate.topology.view import Member, Task, View

from .clock import Clock, VirtualLoop
from .ecs import Service
from .network import Network
from .state import State, Table
from .wire import Fuse, Killed, Wire

RUN_S = 150.0
"""What a run is given."""
TICK_S = 60.0
TICK_LATE_S = 5.0
"""EventBridge's schedules keep to the minute, and not to the second."""


class ModelNodes:
    """The port ``Nodes``, with all that is behind it but the wire."""

    def __init__(self, wire: Wire) -> None:
        self._connections = Connections(ConnectionSettings(), wire.connect)

    async def observe(self, tasks: Sequence[Task], moving: SlotRanges) -> tuple[Member, ...]:
        return await observe(tasks, self._connections, moving)

    async def execute(self, steps: Sequence[NodeStep], time_left_s: float) -> None:
        await steps_on_nodes.execute(steps, self._connections, time_left_s)

    async def check_spare(self, steps: Sequence[Unprotect]) -> None:
        await steps_on_nodes.check_spare(steps, self._connections)

    def settings_kept(self, steps: Iterable[Step]) -> AbstractAsyncContextManager[None]:
        return steps_on_nodes.settings_kept(steps, self._connections)

    async def close(self) -> None:
        await self._connections.__aexit__(None, None, None)


class Tasks:
    """The port ``TaskSource``."""

    def __init__(self, service: Service, fuse: Fuse) -> None:
        self._service = service
        self._fuse = fuse

    def observe(self) -> Observed:
        self._fuse.burn(writing=False)
        return self._service.observe()

    def protect(self, arns: Sequence[str], lasts_s: float) -> tuple[str, ...]:
        self._fuse.burn(writing=True)
        return self._service.protect(arns, lasts_s)


class Controller:
    """Is woken by events and ticks, some of which get lost, come twice, or late."""

    def __init__(
        self,
        loop: VirtualLoop,
        net: Network,
        rng: random.Random,
        spec: Spec,
        note: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._net = net
        self._rng = rng
        self._note = note
        self.table = Table(loop)
        self.service: Service
        self.unreliable = True
        """Whether runs may be killed, and events lost."""
        self.stopped = False
        self._fuses: list[Fuse] = []
        self.running = 0
        self.runs = 0
        self.last: Result | None = None
        self.on_data_loss = rng.choice(tuple(OnDataLoss))
        self.set_spec(spec)

    def set_spec(self, spec: Spec) -> None:
        policy = Policy(form_patience_s=60.0, on_data_loss=self.on_data_loss)
        self.settings = Settings("c", "c", "s", "n", "d", "t", spec, policy)

    def event(self) -> None:
        """Something has changed, of which EventBridge tells."""
        times = self._rng.choices((0, 1, 2), (0.1, 0.8, 0.1))[0] if self.unreliable else 1
        for _ in range(times):
            late_s = self._rng.choice((0.2, 1.0, 5.0)) * self._rng.random()
            self._loop.call_later(late_s, self._begin)

    def tick(self) -> None:
        self._loop.call_later(TICK_S, self.tick)
        if not self.unreliable or self._rng.random() > 0.1:
            self._loop.call_later(self._rng.random() * TICK_LATE_S, self._begin)

    def _begin(self) -> None:
        if self.stopped:
            return
        fuse = Fuse()
        self._fuses.append(fuse)
        if self.unreliable and self._rng.random() < 0.1:
            fuse.left = self._rng.choice((1, 3, 10, 30)) * self._rng.random()
        self._loop.create_task(self._run(fuse))

    async def _run(self, fuse: Fuse) -> None:
        try:
            await self.run(fuse)
        except Exception as error:  # noqa: BLE001 - whatever it is, the history ends with it
            self._loop.end_with(error)

    async def abandon(self) -> None:
        """Let all runs die where they are."""
        self.stopped = True
        for fuse in self._fuses:
            fuse.blown = True
        while self.running:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(1)

    async def run(self, fuse: Fuse) -> Result | None:
        """One invocation; None if it died."""
        self.runs += 1
        self.running += 1
        owner = f"run {self.runs}"
        nodes = ModelNodes(Wire(self._net, fuse))
        rooms = Rooms(Tasks(self.service, fuse), State(self.table, fuse), nodes)
        try:
            result = await loop_of_runs.reconcile(
                self.settings, rooms, owner=owner, deadline_s=self._loop.now_s + RUN_S
            )
        except Killed:
            self._note(owner, "is killed")
            return None
        except RedisFargateError as error:
            self._note(owner, str(error))
            return None
        finally:
            self.running -= 1
            await nodes.close()
        done = "; ".join(step.step for step in result.done)
        said = " ".join((result.verdict, *result.waiting, *result.refusals))
        self._note(owner, f"{result.outcome.value}: {done or 'nothing done'}. {said}")
        self.last = result
        return result


@contextmanager
def virtual_time(loop: VirtualLoop, checked: Callable[[View, Plan], None]) -> Iterator[None]:
    """Make the controller's loop live by the virtual clock, and have all its plans checked.

    It looks again less often than it really does, which costs only virtual time.
    """

    def planned(view: View, spec: Spec, policy: Policy, without: Collection[Phase] = ()) -> Plan:
        made = plan(view, spec, policy, without)
        checked(view, made)
        return made

    replaced = (
        (loop_of_runs, "time", Clock(loop)),
        (loop_of_runs, "plan", planned),
        (loop_of_runs, "_PAUSE_S", 1.0),
        (polling, "FIRST_PAUSE_S", 0.1),
        (waiting, "SLOWEST_PAUSE_S", 1.0),
        (polling.attempts, "__defaults__", (1.0,)),
    )
    kept = [(where, name, getattr(where, name)) for where, name, _ in replaced]
    for where, name, value in replaced:
        setattr(where, name, value)
    try:
        yield
    finally:
        for where, name, value in kept:
            setattr(where, name, value)
