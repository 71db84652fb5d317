"""What every run ends in; the Lambda returns it as JSON and the command line prints it."""

from dataclasses import dataclass, field
from enum import Enum

from redis_fargate.topology.health import Health


class Outcome(Enum):
    """How a run ended."""

    CONVERGED = "converged"  # the plan is empty: the cluster is as it is wanted
    WAITING = "waiting"  # nothing more can be done until an event or the next tick
    REFUSED = "refused"  # what was seen is not safe to act upon
    OUT_OF_TIME = "out-of-time"  # the invocation's time ran short; the next one continues
    BUSY = "busy"  # another run holds the lease; it was told to look again
    PLANNED = "planned"  # a dry run: the plan was made and nothing was done
    OBSERVED = "observed"  # the status action: seen and judged
    FAILED = "failed"  # a step or a call failed; the next run tries again


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One task and its node, as rows of a table want it."""

    task_id: str
    zone: str
    address: str
    node_id: str
    role: str
    """``master``, ``replica``, ``blank``, or the trouble (``unreachable`` …)."""
    keys: int
    used_memory_bytes: int
    max_memory_bytes: int
    offset: int
    lag_bytes: int | None
    """How far a replica is behind its master; None on masters and where it is not known."""
    link_up: bool | None
    version: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ShardReport:
    """One shard; ``master`` is None where nobody serves it."""

    slots: str
    """As ``0-5460,9000``."""
    slot_count: int
    master: NodeReport | None
    replicas: tuple[NodeReport, ...]


@dataclass(frozen=True, slots=True)
class StepReport:
    """A step of the plan: what (a short sentence), in which phase, why."""

    phase: str
    step: str
    why: str


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a run saw, planned and did."""

    cluster: str
    outcome: Outcome
    health: Health | None
    """None where nothing could be observed."""
    verdict: str
    run: int
    """The lease's fencing number; 0 without a lease (dry runs, status)."""
    shards: tuple[ShardReport, ...] = ()
    others: tuple[NodeReport, ...] = ()
    plan: tuple[StepReport, ...] = ()
    """The last plan made; empty when converged."""
    done: tuple[StepReport, ...] = ()
    waiting: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds per phase: ``observe``, ``plan``, then each phase that acted, and ``total``."""
