"""A service of ECS: tasks come and go, and come back empty at new addresses."""

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import count

from redis_fargate.aws.errors import AwsUnavailable
from redis_fargate.aws.tasks import Observed
from redis_fargate.topology.view import Task

from .clock import EPOCH_S
from .invariants import Broken
from .network import Network
from .replication import leader_of, source_of
from .server import Server, new_id

ZONES = "abc"
OPEN_S = 20.0
"""For so long nobody else gets a task's address: an introduction to it may be open still, and stays
so until it expires where an event is lost. (On AWS nobody else's node can be reached on the bus:
the security group lets members in only.)"""
HAND_OVER_S = 90.0
"""How long a master waits for a replica to hand over to (node/entrypoint.sh)."""
REUSED = 0.1
"""How often a new task gets an address that another one had."""


class Status(Enum):
    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(eq=False)
class EcsTask:
    id: str
    zone: str
    revision: int
    status: Status = Status.PENDING
    address: str | None = None
    started_s: float | None = None
    server: Server | None = None
    protected_until_s: float | None = None

    def __str__(self) -> str:
        return f"task {self.id[:6]} ({self.server or self.status.value})"


class Service:
    """Keeps as many tasks as are desired; rolls new revisions out; leaves protected tasks alone."""

    def __init__(
        self,
        net: Network,
        rng: random.Random,
        desired: int,
        notify: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._net = net
        self._rng = rng
        self._notify = notify
        self._note = note
        self.stopping: Callable[[Collection[Server]], None]
        """Is told whom ECS stops, since it was let."""
        self.desired = desired
        self.revision = 1
        self.tasks: list[EcsTask] = []
        self.throttled_until_s = -1.0
        self.reused = False
        """Whether a task has got another's address, so that replicas may have followed it there."""
        self.working = 0
        """How many things are under way that will change something."""
        self._numbers = count(1)
        self._addresses = _addresses()
        self._freed: dict[str, float] = {}
        """Addresses that tasks have had, and until when."""
        self._stopped: set[str] = set()
        self._family = rng.randrange(4)

    def later(self, least_s: float, most_s: float, act: Callable[[], None]) -> None:
        def acting() -> None:
            self.working -= 1
            act()

        self.working += 1
        self._net.loop.call_later(self._rng.uniform(least_s, most_s), acting)

    # -- what the scheduler does -------------------------------------------------------------------

    def schedule(self) -> None:
        """Start what is missing, and stop what is too much."""
        staying = [task for task in self.tasks if task.status is not Status.STOPPING]
        new = [task for task in staying if task.revision == self.revision]
        at_most = self.desired if len(new) == len(staying) else 2 * self.desired
        for _ in range(min(self.desired - len(new), at_most - len(staying))):
            self._launch()
        running = [task for task in staying if task.status is Status.RUNNING]
        spare = len(running) - self.desired
        surplus = sum(task.revision == self.revision for task in running) - self.desired
        running.sort(key=lambda task: (task.revision == self.revision, self._rng.random()))
        stopped = []
        for task in running:
            current = task.revision == self.revision
            if spare > 0 and not self._protected(task) and (not current or surplus > 0):
                spare -= 1
                surplus -= current
                stopped.append(task.server)
                self.stop(task)
        self.stopping([server for server in stopped if server])

    def _launch(self) -> None:
        number = next(self._numbers)
        staying = [task.zone for task in self.tasks]
        zone = min(ZONES, key=lambda zone: (staying.count(zone), zone))
        task = EcsTask(new_id(self._family, -number)[:32], zone, self.revision)
        self.tasks.append(task)
        self.later(1, 8, lambda: self._run(task, number))

    def _run(self, task: EcsTask, number: int) -> None:
        if task.status is not Status.PENDING:
            self._remove(task)
            return
        reuse = bool(self._freed) and self._rng.random() < REUSED
        self.reused |= reuse
        task.address = next(iter(self._freed)) if reuse else next(self._addresses)
        self._freed.pop(task.address, None)
        task.status = Status.RUNNING
        task.started_s = EPOCH_S + self._net.now_s

        def begin() -> None:
            if task in self.tasks and task.server is None and task.address:
                task.server = self._net.start(new_id(self._family, number), task.address, task.id)
                self._note(f"{task} starts")

        self.later(0, 2, begin)
        self._changed()

    def stop(self, task: EcsTask) -> None:
        """ECS wants it stopped: it gets SIGTERM, and is gone soon after."""
        if task.status is Status.STOPPING:
            return
        self._note(f"{task} is stopped")
        was_pending, task.status = task.status is Status.PENDING, Status.STOPPING
        if not was_pending:
            self.later(0, 4, lambda: self._terminate(task, self._net.now_s + HAND_OVER_S))
        self._changed()

    def _terminate(self, task: EcsTask, until_s: float) -> None:
        """It ends by itself, as a master once it has no replica that is still synchronising."""
        server = task.server
        if server and server.alive and server.me.slots and self._net.now_s < until_s:
            staying = self.staying()
            if any(leader_of(self._net, each) is server for each in staying) and not any(
                source_of(self._net, each) is server for each in staying
            ):
                self.later(0, 1, lambda: self._terminate(task, until_s))
                return
        self.end(task)

    def end(self, task: EcsTask) -> None:
        """The process ends, for whatever reason; ECS notices a little later."""
        if task.server is not None and task.server.alive:
            self._note(f"{task} ends")
            self._net.stop(task.server)
        self.later(0.2, 8, lambda: self._remove(task))

    def _remove(self, task: EcsTask) -> None:
        if task not in self.tasks:
            return
        if task.server is not None and task.server.alive:
            self._net.stop(task.server)
        self.tasks.remove(task)
        self._stopped.add(task.id)
        if task.address:
            self._freed[task.address] = self._net.now_s
        self._changed()

    def _changed(self) -> None:
        self._notify()
        self.later(0.5, 6, self.schedule)

    def give_away(self) -> str | None:
        """The address that was freed last, but not just now, to another service."""
        for address, since_s in reversed(self._freed.items()):
            if self._net.now_s - since_s > OPEN_S:
                self.reused = True
                del self._freed[address]
                return address
        return None

    # -- what a user does ------------------------------------------------------------------------

    def scale(self, desired: int) -> None:
        self.desired = desired
        self.later(0.5, 3, self.schedule)

    def deploy(self) -> None:
        self.revision += 1
        self.later(0.5, 3, self.schedule)

    # -- what the controller sees ------------------------------------------------------------------

    def observe(self) -> Observed:
        if self._net.now_s < self.throttled_until_s:
            raise AwsUnavailable("AWS could not answer for now (ThrottlingException).")
        return Observed(
            tuple(sorted(map(_described, self.tasks), key=lambda task: task.id)),
            stopped=frozenset(self._stopped),
            revision=f"redis:{self.revision}",
            desired_count=self.desired,
        )

    def protect(self, arns: Collection[str], lasts_s: float) -> tuple[str, ...]:
        """UpdateTaskProtection; no more tasks can be protected than are desired."""
        if self._net.now_s < self.throttled_until_s:
            raise AwsUnavailable("AWS could not answer for now (ThrottlingException).")
        blocked = []
        for task in self.tasks:
            if _arn(task) not in arns:
                continue
            others = sum(map(self._protected, self.tasks)) - self._protected(task)
            if not lasts_s:
                task.protected_until_s = None
            elif others < self.desired:
                task.protected_until_s = EPOCH_S + self._net.now_s + lasts_s
            else:
                blocked.append(f"{task}: DEPLOYMENT_BLOCKED")
        self.later(0.5, 6, self.schedule)
        return tuple(blocked)

    def _protected(self, task: EcsTask) -> bool:
        until_s = task.protected_until_s
        return until_s is not None and until_s > EPOCH_S + self._net.now_s

    def check_steady(self) -> None:
        """I4: it runs as many tasks as are desired, all of the present revision."""
        wanted = (Status.RUNNING, self.revision)
        astray = [task for task in self.tasks if (task.status, task.revision) != wanted]
        if astray or len(self.tasks) != self.desired:
            raise Broken(f"I4: {len(self.tasks)} tasks, {self.desired} desired; not so: {astray}")

    def staying(self) -> list[Server]:
        """The servers that are not about to end."""
        staying = (task for task in self.tasks if task.status is not Status.STOPPING)
        return [task.server for task in staying if task.server and task.server.alive]

    def servers(self) -> list[Server]:
        return [task.server for task in self.tasks if task.server and task.server.alive]


def _described(task: EcsTask) -> Task:
    return Task(
        arn=_arn(task),
        id=task.id,
        zone=f"us-east-1{task.zone}",
        address=task.address,
        revision=f"redis:{task.revision}",
        running=task.status is Status.RUNNING,
        started_at_s=task.started_s,
        healthy=True if task.server else None,  # who hangs may go on before it fails its check
        protected_until_s=task.protected_until_s,
    )


def _arn(task: EcsTask) -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task/redis/{task.id}"


def _addresses() -> Iterator[str]:
    for number in count(1):
        yield f"10.0.{number // 250}.{number % 250 + 1}"
