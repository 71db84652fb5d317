"""SHAPE: roles and slots go to where they are wanted, and nothing is lost by it.

By planned failovers, moves of replicas, and at last moves of slots. One at a time but for the
latter: the next look sees what came of it. Every step brings a measure down that no other step
raises, so that no plan undoes an earlier one: masters on an old task definition, then other nodes
on one that are still needed, then masters that are missing, then masters in crowded zones, then the
difference between the most and the fewest replicas of a master, then slots that are not where they
belong.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from redis_fargate.topology import balancing
from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.masters import Masters, masters
from redis_fargate.topology.protecting import shard_keepers
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import (
    AwaitHealthy,
    AwaitMigrations,
    Failover,
    FailoverMode,
    Phase,
    Replicate,
    Reset,
    Step,
)

_MOST_APART = 1
"""Two masters' numbers of replicas, and two zones' numbers of masters, may differ by so much."""


def steps(fleet: Fleet, spec: Spec, policy: Policy) -> tuple[Step, ...]:
    """The next step, and a wait for what comes of it; or none.

    First what servers have begun by themselves, for a run that has died or lost patience, has to
    end: it changes who has which slots. Only a cluster that is well is worked on.
    A replica without a link is on its way: who acted on it would act on what is about to change.
    """
    if moving := tuple(live.ref for live in fleet.lives if live.node.migrations):
        return (AwaitMigrations(moving, "Who has which slots is known when they have arrived."),)
    cast = masters(fleet, spec, policy)
    unwell = any(not live.node.cluster_ok for live in fleet.masters)
    if unwell or any(
        not replica.node.replication.link_up
        for master in (*cast.final, *cast.leaving)
        for replica in fleet.followers(master)
    ):
        return ()
    roles: Iterator[Failover | Replicate | Reset] = chain(
        _to_current_tasks(fleet),
        _to_shards_of_old_tasks(fleet, spec),
        _to_more_masters(fleet, cast, spec),
        _to_other_zones(fleet, cast),
        _to_poorer_masters(fleet, cast, spec),
    )
    for step in roles:
        if isinstance(step, Reset):
            return (step,)
        touched = {step.node.id, step.master_id if isinstance(step, Failover) else step.master.id}
        shard = tuple(
            live.ref
            for live in fleet.running
            if touched & {live.node.id, live.node.master_id} and not fleet.is_cut_off(live)
        )
        return step, AwaitHealthy(shard, "A replica counts when it has its data.", Phase.SHAPE)
    if _is_scaled_in(fleet, spec):
        return ()
    return balancing.steps(fleet, cast, spec, policy)


def _is_scaled_in(fleet: Fleet, spec: Spec) -> bool:
    """Whether ECS is to run fewer tasks than are wanted: one of the two numbers is out of date.

    It protects no more tasks than it is to run, and stops new ones first: with all their slots.
    """
    desired = fleet.view.desired_count
    return desired is not None and desired < spec.task_count


def _to_current_tasks(fleet: Fleet) -> Iterator[Failover]:
    per_zone = Counter(live.task.zone for live in fleet.masters)
    for master in fleet.masters:
        heirs = _heirs(fleet, master)
        if heirs and not fleet.is_current(master):
            heir = min(heirs, key=lambda live: (per_zone[live.task.zone], live.task.id))
            why = f"Task {master.task.id} runs an old task definition, and {heir.task.id} does not."
            yield _swap(master, heir, fleet.masters, why)


def _to_shards_of_old_tasks(fleet: Fleet, spec: Spec) -> Iterator[Replicate]:
    """New tasks that a shard can spare free old ones of another, whom ECS waits for."""
    keepers = shard_keepers(fleet, spec)
    old = {
        node_id: sum(not fleet.is_current(live) for live in kept)
        for node_id, kept in keepers.items()
    }
    poor = max(
        fleet.masters, key=lambda live: (old.get(live.node.id, 0), live.task.id), default=None
    )
    if poor is None or not old.get(poor.node.id):
        return
    spare = [
        live
        for kept in keepers.values()
        for live in fleet.followers(kept[0])
        if live not in kept and fleet.is_current(live)
    ]
    if spare:
        mover = min(
            spare,
            key=lambda live: (
                fleet.is_cut_off(live),
                live.task.zone == poor.task.zone,
                live.task.id,
            ),
        )
        why = f"The shard of {poor} needs tasks on an old task definition, and can have this one."
        yield Replicate(mover.ref, poor.ref, why, Phase.SHAPE)


def _to_more_masters(fleet: Fleet, cast: Masters, spec: Spec) -> Iterator[Reset]:
    """Replicas that are more than wanted become the masters that are missing."""
    followers = {master.node.id: fleet.followers(master) for master in cast.final}
    replicas = sum(map(len, followers.values()))
    if not cast.lacking or replicas <= spec.replica_count:
        return
    per_zone = Counter(live.task.zone for live in cast.final)
    rich = max(cast.final, key=lambda live: (len(followers[live.node.id]), live.task.id))
    convert = min(
        followers[rich.node.id],
        key=lambda live: (
            fleet.is_cut_off(live),
            not fleet.is_current(live),
            per_zone[live.task.zone],
            live.task.id,
        ),
    )
    why = (
        f"{spec.master_count} masters are wanted and {cast.lacking} are missing, and there are "
        f"{replicas} replicas, {spec.replica_count} wanted."
    )
    yield Reset(convert.ref, rich.ref, why)


def _to_other_zones(fleet: Fleet, cast: Masters) -> Iterator[Failover]:
    per_zone = Counter(live.task.zone for live in cast.final)
    for master in cast.staying:
        for heir in _heirs(fleet, master):
            crowd, room = per_zone[master.task.zone], per_zone[heir.task.zone]
            if crowd - room > _MOST_APART:
                why = f"{crowd} masters are in {master.task.zone}, {room} in {heir.task.zone}."
                yield _swap(master, heir, fleet.masters, why)


def _to_poorer_masters(fleet: Fleet, cast: Masters, spec: Spec) -> Iterator[Replicate]:
    # What is more than wanted is ECS' to stop, and may be about to.
    enough = spec.replica_count // spec.master_count
    followers = {master.node.id: fleet.followers(master) for master in cast.final}
    by_wealth = sorted(cast.final, key=lambda live: (len(followers[live.node.id]), live.task.id))
    if not by_wealth:
        return
    poor, rich = by_wealth[0], by_wealth[-1]
    have, most = len(followers[poor.node.id]), len(followers[rich.node.id])
    surplus = sum(map(len, followers.values())) > spec.replica_count
    if most - have > _MOST_APART and (have < enough or not surplus):
        mover = min(
            followers[rich.node.id],
            key=lambda live: (
                fleet.is_cut_off(live),
                live.task.zone == poor.task.zone,
                live.task.zone != rich.task.zone,
                live.task.id,
            ),
        )
        why = f"{poor} has {have} replicas, and {rich} has {most}."
        yield Replicate(mover.ref, poor.ref, why, Phase.SHAPE)


def _heirs(fleet: Fleet, master: Live) -> list[Live]:
    """Its replicas that may take its place: it has to hear them, and most masters to vote."""
    return [
        live
        for live in fleet.followers(master)
        if fleet.is_current(live)
        and fleet.hear_each_other(master, live)
        and not fleet.is_cut_off(live)
    ]


def _swap(master: Live, heir: Live, masters: Iterable[Live], why: str) -> Failover:
    refs = tuple(live.ref for live in masters)
    return Failover(heir.ref, master.node.id, FailoverMode.PLANNED, (), refs, why, Phase.SHAPE)
