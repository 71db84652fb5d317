"""PROTECT: ECS may stop only the tasks that the cluster can spare.

A task is protected exactly while its node is a master, or one of as many synchronised replicas as
its shard is to have; those on the service's present task definition come first. So a deployment
goes on inside the cluster: new tasks join and synchronise, take over, and only then may the old
ones stop.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from redis_fargate.topology.fleet import Fleet, Live, holds_something
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import Phase, Protect, Release, Unprotect
from redis_fargate.topology.view import Role

LASTS_S = 48 * 3600
"""The longest that ECS takes (API reference, UpdateTaskProtection)."""
RENEWED_S = 36 * 3600
"""Protection is renewed when less of it is left: a controller that is dead for a day leaves
deployments waiting, and no data lost."""


def steps(fleet: Fleet, spec: Spec) -> tuple[Protect | Unprotect, ...]:
    """What makes ECS' protection fit the cluster.

    First what may stop: ECS protects no more tasks of a service than it is to run. Nothing may
    until there are as many masters as wanted.
    """
    keepers = shard_keepers(fleet, spec)
    kept = _kept(fleet, keepers)
    spare = tuple(
        Unprotect(
            live.task.arn,
            live.ref,
            tuple(keeper.ref for keeper in keepers.get(live.node.master_id or "", ())),
            "Nothing would be lost by stopping it.",
        )
        for live in fleet.running
        if live.task.protected_until_s is not None
        and live.task.id not in kept
        and len(keepers) == spec.master_count
        and (
            (fleet.is_free(live) and not live.node.keys)
            or _complete(keepers.get(live.node.master_id or "", ()), spec)
        )
    )
    return (*spare, *_protect(fleet, kept, Phase.PROTECT))


def before_moves(fleet: Fleet, spec: Spec, takers: AbstractSet[str]) -> tuple[Protect, ...]:
    """Protect who is needed now, and those who are to get slots, by their ids, with their replicas.

    To move slots may take hours, and meanwhile somebody may deploy, or scale in again.
    """
    kept = _kept(fleet, shard_keepers(fleet, spec))
    kept |= {live.task.id for live in fleet.running if takers & {live.node.id, live.node.master_id}}
    return _protect(fleet, kept, Phase.SHAPE)


def _kept(fleet: Fleet, keepers: Mapping[str, tuple[Live, ...]]) -> set[str]:
    return {live.task.id for live in chain(*keepers.values(), _sole_holders(fleet))}


def _protect(fleet: Fleet, kept: AbstractSet[str], phase: Phase) -> tuple[Protect, ...]:
    renewed_at_s = fleet.view.observed_at_s + RENEWED_S
    wanting = tuple(
        live.task.arn
        for live in fleet.running
        if live.task.id in kept and (live.task.protected_until_s or 0) < renewed_at_s
    )
    why = "Stopping them would cost data or redundancy."
    return (Protect(wanting, why, phase),) if wanting else ()


def releases(fleet: Fleet) -> tuple[Release, ...]:
    """Protect nobody any more where the service is to run no task: it is being deleted."""
    if fleet.view.desired_count != 0:
        return ()
    arns = tuple(
        member.task.arn
        for member in fleet.view.members
        if member.task.protected_until_s is not None
    )
    return (Release(arns, "The service's desired count is 0."),) if arns else ()


def _complete(keepers: Sequence[Live], spec: Spec) -> bool:
    """Whether a shard has all the synchronised nodes that it is to have at the least."""
    return len(keepers) >= 1 + spec.replica_count // spec.master_count


def shard_keepers(fleet: Fleet, spec: Spec) -> Mapping[str, tuple[Live, ...]]:
    """Node id of each master to those that its shard needs: itself first, then replicas."""
    masters = [live for live in fleet.running if live.node.slots]
    synchronised = {
        master.node.id: sorted(
            (live for live in fleet.followers(master) if live.node.replication.link_up),
            key=lambda live, master=master: (  # type: ignore[misc]  # mypy loses the type of defaults
                not fleet.is_current(live),
                live.task.zone == master.task.zone,
                live.task.id,
            ),
        )
        for master in masters
    }
    each, extra = divmod(spec.replica_count, spec.master_count)
    # The shards that have a replica more than others are those that may keep one more.
    richest = sorted(masters, key=lambda live: (-len(synchronised[live.node.id]), live.task.id))
    return {
        master.node.id: (master, *synchronised[master.node.id][: each + (rank < extra)])
        for rank, master in enumerate(richest)
    }


def _sole_holders(fleet: Fleet) -> Iterator[Live]:
    """Nodes that may have the only copy of something, since their master does not answer."""
    for live in fleet.running:
        if live.node.role is Role.MASTER:
            if holds_something(live):
                yield live
        elif (
            live.node.replication.offset
            and live.node.master_id not in fleet.by_id
            and not fleet.is_free(live)
        ):
            yield live
