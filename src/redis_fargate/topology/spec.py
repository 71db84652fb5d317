"""What is wanted, and within which bounds."""

from dataclasses import dataclass, field
from enum import Enum

from redis_fargate.topology.errors import InvalidSpecError
from redis_fargate.topology.slots import SLOT_COUNT

MAX_TASKS = 500
"""The largest fleet that is planned for, and tested."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The wanted shape of a cluster.

    ``replica_count`` is the total number of replicas, not per master; they spread
    evenly over the masters, so that two masters differ by at most one.

    Raises:
        InvalidSpecError: no Redis Cluster can have this shape; the message says why.

    """

    master_count: int
    replica_count: int

    def __post_init__(self) -> None:
        if self.master_count < 1:
            raise InvalidSpecError(
                f"master_count is {self.master_count}: a cluster needs at least 1 master."
            )
        if self.master_count > SLOT_COUNT:
            raise InvalidSpecError(
                f"master_count is {self.master_count}: there are {SLOT_COUNT} hash slots, and "
                "a master without one does nothing. Use fewer masters."
            )
        if self.replica_count < 0:
            raise InvalidSpecError(
                f"replica_count is {self.replica_count}: use 0 for no replicas, or a positive "
                "number."
            )
        if self.task_count > MAX_TASKS:
            raise InvalidSpecError(
                f"master_count {self.master_count} + replica_count {self.replica_count} makes "
                f"{self.task_count} tasks; clusters of up to {MAX_TASKS} are supported. Use fewer, "
                "larger tasks."
            )

    @property
    def task_count(self) -> int:
        """How many tasks the ECS service should run."""
        return self.master_count + self.replica_count


class OnDataLoss(Enum):
    """What becomes of slots whose data no node holds any more."""

    HALT = "halt"  # nothing: they stay unserved until somebody decides
    REBUILD_EMPTY = "rebuild_empty"  # they are served again, without data


@dataclass(frozen=True, slots=True)
class Pace:
    """How much moving slots may disturb the clients, who wait while keys are handed over.

    A server that hands over slots by itself (Valkey 9) does not make them wait.
    """

    max_latency_ms: float | None = 10.0
    """For how long a command may have to wait for it; None goes as fast as it can. A single key
    that takes longer is handed over all the same."""
    max_bytes_per_s: float | None = None
    """Of data, from each master; None is no limit."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the controller may go about reaching the spec."""

    form_patience_s: float = 120.0
    """How long after the first task ran a cluster waits for all the tasks that are wanted before
    it is formed from fewer."""
    on_data_loss: OnDataLoss = OnDataLoss.HALT
    pace: Pace = field(default_factory=Pace)
