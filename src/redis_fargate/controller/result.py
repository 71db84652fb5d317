"""What every run ends in; the Lambda returns it as JSON and the command line prints it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, cast

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
    IGNORED = "ignored"  # the event was about another service: nothing was looked at


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
    losses: tuple[str, ...] = ()
    """What was given up in this run: data that no node had any more, a sentence each."""
    lost_slots: int = 0
    """How many slots are served without their data since this run."""
    unserved_slots: int = 0
    """How many slots of a formed cluster no master that answers serves."""
    waiting: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """What is odd and stops nothing, such as an address that Cloud Map has wrong."""
    timings_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds: ``lease``, ``observe``, ``plan``, each phase that acted, and ``total``."""

    def to_dict(self) -> dict[str, Any]:
        """Make the document that JSON can hold: enums as their values, tuples as lists."""
        document = asdict(self)
        document["outcome"] = self.outcome.value
        document["health"] = self.health.value if self.health else None
        return cast("dict[str, Any]", _lists(document))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Result":
        """Read what ``to_dict`` made.

        Raises:
            KeyError, TypeError, ValueError: it was made by something else.

        """
        health = document["health"]
        return cls(
            cluster=document["cluster"],
            outcome=Outcome(document["outcome"]),
            health=Health(health) if health else None,
            verdict=document["verdict"],
            run=document["run"],
            shards=tuple(
                ShardReport(
                    slots=shard["slots"],
                    slot_count=shard["slot_count"],
                    master=NodeReport(**shard["master"]) if shard["master"] else None,
                    replicas=tuple(NodeReport(**replica) for replica in shard["replicas"]),
                )
                for shard in document["shards"]
            ),
            others=tuple(NodeReport(**other) for other in document["others"]),
            plan=tuple(StepReport(**step) for step in document["plan"]),
            done=tuple(StepReport(**step) for step in document["done"]),
            losses=tuple(document["losses"]),
            lost_slots=document["lost_slots"],
            unserved_slots=document["unserved_slots"],
            waiting=tuple(document["waiting"]),
            refusals=tuple(document["refusals"]),
            remarks=tuple(document["remarks"]),
            timings_ms=dict(document["timings_ms"]),
        )


def _lists(value: object) -> object:
    """Replace tuples by lists, which is what they come back as from JSON."""
    if isinstance(value, dict):
        return {key: _lists(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(each) for each in value]
    return value
