"""How a cluster is doing: the judgement that the result, the metrics and the CLI show."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.slots import (
    ALL_SLOTS,
    SLOT_COUNT,
    SlotRanges,
    count,
    described,
    subtract,
)
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Marker, Member, Role, View


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
    unserved_slots: int = 0
    """How many slots of a formed cluster no master that answers serves."""


def assess(view: View, spec: Spec) -> Assessment:
    """Judge a cluster by what was observed of it."""
    fleet = Fleet(view)
    shards = _shards(fleet)
    placed = {
        member.task.id
        for shard in shards
        for member in (shard.master, *shard.replicas)
        if member is not None
    }
    others = tuple(member for member in view.members if member.task.id not in placed)
    health, verdict = _judged(fleet, spec, shards, others)
    formed = health is not Health.FORMING
    unserved = count(subtract(ALL_SLOTS, fleet.served)) if formed else 0
    return Assessment(health, verdict, shards, others, unserved)


def _shards(fleet: Fleet) -> tuple[Shard, ...]:
    members = {member.task.id: member for member in fleet.view.members}
    owners: dict[str, tuple[Member | None, SlotRanges]] = {
        live.node.id: (members[live.task.id], live.node.slots)
        for live in fleet.lives
        if live.node.slots
    }
    served = [piece for live in fleet.lives for piece in live.node.slots]
    for entry in fleet.entries:
        if lost := subtract(entry.slots, served):
            owners[entry.id] = (None, lost)
    shards = [
        Shard(
            master,
            tuple(members[live.task.id] for live in fleet.lives if live.node.master_id == owner),
            slots,
        )
        for owner, (master, slots) in owners.items()
    ]
    return tuple(sorted(shards, key=lambda shard: shard.slots))


def _judged(
    fleet: Fleet, spec: Spec, shards: tuple[Shard, ...], others: tuple[Member, ...]
) -> tuple[Health, str]:
    if fleet.view.marker is not Marker.FORMED and not fleet.adoptable:
        return Health.FORMING, _forming(fleet, spec)
    if down := tuple(_outages(shards)):
        return Health.DOWN, _worst(down)
    if flawed := tuple(_flaws(fleet, spec, shards, others)):
        return Health.DEGRADED, _worst(flawed)
    zones = {live.task.zone for live in fleet.running}
    replicas = sum(len(shard.replicas) for shard in shards)
    return Health.OK, (
        f"{SLOT_COUNT} slots on {_number(len(shards), 'master')}, "
        f"{_number(replicas, 'replica')} linked, {_number(len(zones), 'zone')}: as wanted."
    )


def _forming(fleet: Fleet, spec: Spec) -> str:
    seen = f"{len(fleet.running)} of {_number(spec.task_count, 'task')}"
    if fleet.view.marker is Marker.FORMING:
        return f"The cluster is being formed: {seen} answer."
    return f"The cluster is not formed yet: {seen} answer."


def _outages(shards: tuple[Shard, ...]) -> Iterator[str]:
    for shard in shards:
        if shard.master is None:
            rest = f"{_number(len(shard.replicas), 'replica')} left"
            yield f"{_name(shard)} has no master that answers, {rest}."
    served = [piece for shard in shards for piece in shard.slots]
    if missing := subtract(ALL_SLOTS, served):
        yield f"Nobody serves the slots {described(missing)}."
    for shard in shards:
        if shard.master and shard.master.node and not shard.master.node.cluster_ok:
            yield f"The master of {_name(shard, start='shard')} says that the cluster is down."


def _flaws(
    fleet: Fleet, spec: Spec, shards: tuple[Shard, ...], others: tuple[Member, ...]
) -> Iterator[str]:
    for shard in shards:
        yield from _shard_flaws(shard, spec.replica_count // spec.master_count)
    for live in fleet.running:
        if live.node.role is Role.REPLICA and not live.node.replication.link_up:
            yield f"The replica in task {live.task.id} has no link to its master."
        elif live.node.peers and not live.node.cluster_ok:
            yield f"The node in task {live.task.id} says that the cluster is down."
    if len(shards) != spec.master_count:
        yield f"{_number(len(shards), 'master')} serve slots: {spec.master_count} wanted."
    for member in others:
        state = member.trouble.value if member.trouble else "in no shard"
        yield f"Task {member.task.id} is {state if member.task.running else 'not running'}."
    replicas = sum(len(shard.replicas) for shard in shards)
    if replicas != spec.replica_count:
        yield f"The cluster has {_number(replicas, 'replica')}: {spec.replica_count} wanted."


def _shard_flaws(shard: Shard, wanted: int) -> Iterator[str]:
    if len(shard.replicas) < wanted:
        has = _number(len(shard.replicas), "replica") if shard.replicas else "no replica"
        yield f"{_name(shard)} has {has}: {wanted} wanted."
    for member in (shard.master, *shard.replicas):
        if member is not None and not member.task.running:
            yield f"Task {member.task.id} of {_name(shard, start='shard')} is stopping."


def _worst(sentences: tuple[str, ...]) -> str:
    """The first sentence, and how many more there are."""
    more = len(sentences) - 1
    return f"{sentences[0]} And {more} more." if more else sentences[0]


def _name(shard: Shard, *, start: str = "Shard") -> str:
    return f"{start} {described(shard.slots)}"


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
