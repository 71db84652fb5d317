"""SHAPE: roles go to where they are wanted, by planned failovers and moves of replicas alone.

One at a time: the next look sees what came of it. Every step brings a measure down that no other
step raises, so that no plan undoes an earlier one: masters on an old task definition, then other
nodes on one that are still needed, then masters in crowded zones, then the difference between the
most and the fewest replicas of a master.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.protecting import is_current, shard_keepers
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import AwaitHealthy, Failover, FailoverMode, Phase, Replicate

_MOST_APART = 1
"""Two masters' numbers of replicas, and two zones' numbers of masters, may differ by so much."""


def steps(fleet: Fleet, spec: Spec) -> tuple[Failover | Replicate | AwaitHealthy, ...]:
    """The next step, and a wait for what comes of it; or none.

    Only a cluster that is well is worked on.
    A replica without a link is on its way: who acted on it would act on what is about to change.
    """
    masters = [live for live in fleet.lives if live.node.slots]
    followers = {
        master.node.id: [live for live in fleet.running if live.node.master_id == master.node.id]
        for master in masters
    }
    unwell = any(not live.node.cluster_ok for live in masters)
    if unwell or any(
        not live.node.replication.link_up for shard in followers.values() for live in shard
    ):
        return ()
    candidates: Iterator[Failover | Replicate] = chain(
        _to_current_tasks(fleet, masters, followers),
        _to_shards_of_old_tasks(fleet, masters, followers, spec),
        _to_other_zones(fleet, masters, followers),
        _to_poorer_masters(masters, followers, spec),
    )
    for step in candidates:
        touched = {step.node.id, step.master_id if isinstance(step, Failover) else step.master.id}
        shard = tuple(
            live.ref for live in fleet.running if touched & {live.node.id, live.node.master_id}
        )
        return step, AwaitHealthy(shard, "A replica counts when it has its data.", Phase.SHAPE)
    return ()


def _to_current_tasks(
    fleet: Fleet, masters: list[Live], followers: Mapping[str, list[Live]]
) -> Iterator[Failover]:
    per_zone = Counter(live.task.zone for live in masters)
    for master in masters:
        heirs = [live for live in followers[master.node.id] if is_current(fleet, live)]
        if heirs and not is_current(fleet, master):
            heir = min(heirs, key=lambda live: (per_zone[live.task.zone], live.task.id))
            why = f"Task {master.task.id} runs an old task definition, and {heir.task.id} does not."
            yield _swap(master, heir, masters, why)


def _to_shards_of_old_tasks(
    fleet: Fleet, masters: list[Live], followers: Mapping[str, list[Live]], spec: Spec
) -> Iterator[Replicate]:
    """New tasks that a shard can spare free old ones of another, whom ECS waits for."""
    keepers = shard_keepers(fleet, spec)
    old = {
        node_id: sum(not is_current(fleet, live) for live in kept)
        for node_id, kept in keepers.items()
    }
    poor = max(masters, key=lambda live: (old.get(live.node.id, 0), live.task.id), default=None)
    if poor is None or not old.get(poor.node.id):
        return
    spare = [
        live
        for node_id, kept in keepers.items()
        for live in followers[node_id]
        if live not in kept and is_current(fleet, live)
    ]
    if spare:
        mover = min(spare, key=lambda live: (live.task.zone == poor.task.zone, live.task.id))
        why = f"The shard of {poor} needs tasks on an old task definition, and can have this one."
        yield Replicate(mover.ref, poor.ref, why, Phase.SHAPE)


def _to_other_zones(
    fleet: Fleet, masters: list[Live], followers: Mapping[str, list[Live]]
) -> Iterator[Failover]:
    per_zone = Counter(live.task.zone for live in masters)
    for master in masters:
        for heir in followers[master.node.id]:
            crowd, room = per_zone[master.task.zone], per_zone[heir.task.zone]
            if crowd - room > _MOST_APART and is_current(fleet, heir):
                why = f"{crowd} masters are in {master.task.zone}, {room} in {heir.task.zone}."
                yield _swap(master, heir, masters, why)


def _to_poorer_masters(
    masters: list[Live], followers: Mapping[str, list[Live]], spec: Spec
) -> Iterator[Replicate]:
    # What is more than wanted is ECS' to stop, and may be about to.
    enough = spec.replica_count // spec.master_count
    by_wealth = sorted(masters, key=lambda live: (len(followers[live.node.id]), live.task.id))
    if not by_wealth:
        return
    poor, rich = by_wealth[0], by_wealth[-1]
    have, most = len(followers[poor.node.id]), len(followers[rich.node.id])
    surplus = sum(map(len, followers.values())) > spec.replica_count
    if most - have > _MOST_APART and (have < enough or not surplus):
        mover = min(
            followers[rich.node.id],
            key=lambda live: (
                live.task.zone == poor.task.zone,
                live.task.zone != rich.task.zone,
                live.task.id,
            ),
        )
        why = f"{poor} has {have} replicas, and {rich} has {most}."
        yield Replicate(mover.ref, poor.ref, why, Phase.SHAPE)


def _swap(master: Live, heir: Live, masters: Iterable[Live], why: str) -> Failover:
    voters = tuple(live.ref for live in masters)
    return Failover(heir.ref, master.node.id, FailoverMode.PLANNED, (), voters, why, Phase.SHAPE)
