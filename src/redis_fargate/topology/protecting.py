"""PROTECT: ECS may stop only the tasks that the cluster can spare.

A task is protected exactly while its node is a master, or is getting slots, or is one of as many
synchronised replicas as its shard is to have; those on the service's present task definition come
first. So a deployment goes on inside the cluster: new tasks join and synchronise, take over, and
only then may the old ones stop.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from redis_fargate.topology.fleet import Fleet, Live, holds_something
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import (
    Failover,
    MoveSlots,
    Phase,
    Protect,
    Release,
    Step,
    Unprotect,
)
from redis_fargate.topology.view import Role

LASTS_S = 48 * 3600
"""The longest that ECS takes (API reference, UpdateTaskProtection)."""
RENEWED_S = 36 * 3600
"""Protection is renewed when less of it is left: a controller that is dead for a day leaves
deployments waiting, and no data lost."""


def steps(fleet: Fleet, spec: Spec) -> tuple[Protect | Unprotect, ...]:
    """What makes ECS' protection fit the cluster.

    First what may stop: ECS protects no more tasks of a service than it is to run. Nothing may
    until there are as many masters as wanted; nor where that is too few for all who have the data.
    """
    keepers = shard_keepers(fleet, spec)
    kept = _kept(fleet, keepers, fleet.takers)
    spare = [
        live
        for live in _unneeded(fleet, kept)
        if len(keepers) == spec.master_count
        and (
            (fleet.is_free(live) and not live.node.keys) or _complete(_copies(live, keepers), spec)
        )
    ]
    wanting = sorted(_wanting(fleet, kept), key=lambda live: live.node.role is not Role.MASTER)
    if len(_fitting(fleet, wanting, len(spare))) < len(wanting):
        spare = [live for live in spare if _is_safe(_copies(live, keepers))]
    why = "Nothing would be lost by stopping it."
    let_go = (_unprotect(live, keepers, why) for live in spare)
    return (*let_go, *_protect(wanting, Phase.PROTECT))


def first(fleet: Fleet, spec: Spec, planned: Sequence[Step]) -> tuple[Protect | Unprotect, ...]:
    """Protect who is needed already, and who is to get slots by what is planned, with its replicas.

    As far as ECS takes it: those who are to get slots come first, then masters. What is planned may
    take hours, and meanwhile somebody may deploy, or scale in again. For who is to get moved slots,
    of which nobody else has a copy then, replicas are let go whose shards are protected without
    them. Where there are none the slots come all the same: masters that are to leave would else
    wait for ever.
    """
    getting = {step.target.id for step in planned if isinstance(step, MoveSlots)}
    taking_over = {step.node.id for step in planned if isinstance(step, Failover)}
    takers = fleet.takers | getting | taking_over
    keepers = shard_keepers(fleet, spec)
    kept = _kept(fleet, keepers, takers)
    wanting = sorted(
        _wanting(fleet, kept),
        key=lambda live: (live.node.id not in takers, live.node.role is not Role.MASTER),
    )
    unprotected = [
        live for live in _keepers_to_be(fleet, getting) if live.task.protected_until_s is None
    ]
    lacking = len(unprotected) - len(_fitting(fleet, unprotected))
    spare = [
        _unprotect(live, keepers, "ECS protects no more tasks, and others are to get slots.")
        for live in _unneeded(fleet, kept)
        if _complete(copies := _copies(live, keepers), spec) and _is_safe(copies)
    ][:lacking]
    return (*spare, *_protect(_fitting(fleet, wanting, len(spare)), Phase.PROTECT))


def newly_formed(fleet: Fleet) -> tuple[Protect, ...]:
    """Protect all tasks of a cluster before anybody is told that it is there."""
    everybody = {live.task.id for live in fleet.running}
    return _protect(_fitting(fleet, _wanting(fleet, everybody)), Phase.FORM)


def _unneeded(fleet: Fleet, kept: AbstractSet[str]) -> list[Live]:
    """Those that are protected and need not be; first who is to be replaced in any case."""
    lives = (
        live
        for live in fleet.running
        if live.task.protected_until_s is not None and live.task.id not in kept
    )
    return sorted(lives, key=fleet.is_current)


def _unprotect(live: Live, keepers: Mapping[str, tuple[Live, ...]], why: str) -> Unprotect:
    copies = tuple(keeper.ref for keeper in _copies(live, keepers))
    return Unprotect(live.task.arn, live.ref, copies, why)


def _copies(live: Live, keepers: Mapping[str, tuple[Live, ...]]) -> tuple[Live, ...]:
    """Those of its shard that have what a replica has; none for a master."""
    return keepers.get(live.node.master_id or "", ())


def _kept(
    fleet: Fleet, keepers: Mapping[str, tuple[Live, ...]], takers: AbstractSet[str]
) -> set[str]:
    kept = chain(*keepers.values(), _sole_holders(fleet), _keepers_to_be(fleet, takers))
    return {live.task.id for live in kept}


def _keepers_to_be(fleet: Fleet, takers: AbstractSet[str]) -> Iterator[Live]:
    """Masters that get slots, and their replicas."""
    return (live for live in fleet.running if takers & {live.node.id, live.node.master_id})


def _wanting(fleet: Fleet, kept: AbstractSet[str]) -> list[Live]:
    """Those whose protection is to be set, or renewed."""
    renewed_at_s = fleet.view.observed_at_s + RENEWED_S
    return [
        live
        for live in fleet.running
        if live.task.id in kept and (live.task.protected_until_s or 0) < renewed_at_s
    ]


def _fitting(fleet: Fleet, wanting: Sequence[Live], let_go: int = 0) -> Sequence[Live]:
    """As many as ECS protects, with those that are: no more than the service is to run."""
    if fleet.view.desired_count is None:
        return wanting
    renewed = [live for live in wanting if live.task.protected_until_s is not None]
    new = [live for live in wanting if live.task.protected_until_s is None]
    held = sum(member.task.protected_until_s is not None for member in fleet.view.members)
    return [*renewed, *new[: max(0, fleet.view.desired_count - held + let_go)]]


def _protect(wanting: Iterable[Live], phase: Phase) -> tuple[Protect, ...]:
    arns = tuple(live.task.arn for live in wanting)
    return (Protect(arns, "Stopping them would cost data or redundancy.", phase),) if arns else ()


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


def _is_safe(keepers: Iterable[Live]) -> bool:
    """Whether ECS may stop none of them."""
    return all(live.task.protected_until_s is not None for live in keepers)


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
