"""What a run asks of the rooms below; ``rooms`` fills the ports, and tests fill their own."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from redis_fargate.aws.state import Held, Lease, Remembered
from redis_fargate.aws.tasks import Observed
from redis_fargate.topology.slots import SlotRanges
from redis_fargate.topology.steps import NodeStep, Step, Unprotect
from redis_fargate.topology.view import Member, Task


class TaskSource(Protocol):
    """Where the tasks are listed. Sync: it is called in a thread."""

    def observe(self) -> Observed:
        """List the tasks that have not stopped; see ``aws.tasks.ServiceTasks``."""

    def protect(self, arns: Sequence[str], lasts_s: float) -> tuple[str, ...]:
        """Protect tasks from scale-in, or with 0 no longer; what ECS says against it."""


class State(Protocol):
    """The lease, the marker and the history; see ``aws.state.StateTable``. Sync: as above."""

    def acquire(self, owner: str, lasts_s: float) -> Lease | Held:
        """Take the lease, or tell its holder to look again."""

    def release(self, lease: Lease, *, even_if_dirty: bool) -> bool:
        """Let go of the lease; False if there is reason to look again first."""

    def heed(self, lease: Lease) -> bool:
        """Tell whether there is reason to look again; each reason is told of once."""

    def marker(self) -> Remembered:
        """Read the marker."""

    def begin_forming(
        self, lease: Lease, settings: Mapping[str, Mapping[str, str]], *, again: bool
    ) -> None:
        """Put FORMING in the marker."""

    def finish_forming(self, lease: Lease) -> None:
        """Put FORMED in the marker."""

    def note_moving(self, lease: Lease, slots: SlotRanges) -> None:
        """Write down which slots may be in flight from now on."""

    def note_forgotten(self, lease: Lease, at_s: Mapping[str, float]) -> None:
        """Write down which nodes were forgotten lately: their ids, and when."""

    def record(self, lease: Lease, summary: Mapping[str, str]) -> None:
        """Remember a run."""


class Nodes(Protocol):
    """The Redis nodes, over connections that last as long as the run."""

    async def observe(self, tasks: Sequence[Task], moving: SlotRanges) -> tuple[Member, ...]:
        """Ask every task's node how it is; what keeps a node from answering is its trouble."""

    def settings_kept(self, steps: Iterable[Step]) -> AbstractAsyncContextManager[None]:
        """Put back settings that a plan has changed, if it is cut short inside."""

    async def check_spare(self, steps: Sequence[Unprotect]) -> None:
        """See that tasks can be spared, right before ECS may stop them.

        Raises:
            TemporaryError: one cannot, or does not say.

        """

    async def execute(self, steps: Sequence[NodeStep], time_left_s: float) -> None:
        """Take the steps of one wave.

        Raises:
            TemporaryError, PermanentError: a step failed, or its time ran out.

        """


@dataclass(frozen=True, slots=True)
class Rooms:
    """All ports of a run."""

    tasks: TaskSource
    state: State
    nodes: Nodes
