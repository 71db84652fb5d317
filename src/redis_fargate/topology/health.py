"""How a cluster is doing: the judgement that the result, the metrics and the CLI show."""

from dataclasses import dataclass
from enum import Enum

from redis_fargate.topology.slots import SlotRanges
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Member, View


class Health(Enum):
    """From best to worst."""

    OK = "ok"  # as wanted: all slots served, all replicas linked, every task in its place
    DEGRADED = "degraded"  # all slots served, but something is missing or astray
    FORMING = "forming"  # not formed yet
    DOWN = "down"  # some slot is served by nobody


@dataclass(frozen=True, slots=True)
class Shard:
    """A master and its replicas; ``master`` is None where its task is gone or unreachable."""

    master: Member | None
    replicas: tuple[Member, ...]
    slots: SlotRanges


@dataclass(frozen=True, slots=True)
class Assessment:
    """The judgement, with what it rests on."""

    health: Health
    verdict: str
    """One sentence that a tired person understands."""
    shards: tuple[Shard, ...]
    """In order of their first slot."""
    others: tuple[Member, ...]
    """Tasks that are in no shard: blank, unreachable, or strangers."""


def assess(view: View, spec: Spec) -> Assessment:
    """Judge a cluster by what was observed of it."""
    raise NotImplementedError
