"""JOIN: bring tasks that came later into the formed cluster, as replicas where they do most.

Who is cut off from the others cannot agree with them, and is not waited for.

A shard that is about to elect a new master loses a replica by that, and its new master cannot
be followed yet. So the newcomers that are due to it then are met, and kept for it until then.
"""

from collections.abc import Collection, Sequence

from redis_fargate.topology import elections, gossip
from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.forming import direct_meetings
from redis_fargate.topology.losses import silent_heir
from redis_fargate.topology.masters import masters
from redis_fargate.topology.placement import place
from redis_fargate.topology.slots import described, normalized, subtract
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import (
    AllowFailover,
    AwaitAgreement,
    AwaitHealthy,
    Meet,
    Phase,
    Replicate,
    Step,
)

_SYNCHRONISATION_S = 30.0
"""What a first synchronisation may take, which has begun already. Those that take longer are found
by a later run."""


def steps(fleet: Fleet, spec: Spec, policy: Policy) -> tuple[Step, ...]:
    """What brings every running node into the cluster, and every free one behind a master."""
    residents, newcomers = _sides(fleet)
    cast = masters(fleet, spec, policy)
    if not cast.final and not cast.leaving:
        # Who is to take a place has to hear first by which epoch it was claimed last.
        return direct_meetings(fleet, (live for live in residents if live.task.running), Phase.JOIN)
    # Once they hear the others again they hear of everybody who has come meanwhile, too.
    cut_off = {live.node.id for live in residents if fleet.is_cut_off(live)}
    hearing = tuple(live for live in residents if live.node.id not in cut_off)
    meetings = _meetings(fleet, hearing, newcomers)
    known = {live.node.id for live in (*residents, *newcomers)}
    final = [live for live in cast.final if live.node.id in known]
    together = tuple(live.ref for live in (*hearing, *newcomers) if live.task.running)
    replications = tuple(
        step
        for step in _replications(fleet, final, spec, residents, newcomers)
        if cut_off.isdisjoint({step.node.id, step.master.id})
    )
    # A master that is to get slots serves none before it says ok itself.
    unready = tuple(live.ref for live in cast.coming if live in final and not live.node.cluster_ok)
    awaited = (*(step.node for step in replications), *unready)
    allowed = tuple(
        AllowFailover(live.ref, "It has its master's data now.")
        for live in residents
        if live.task.running and live.node.barred and live.node.replication.link_up is not False
    )
    result: list[Step] = [*allowed, *meetings]
    if meetings:
        result.append(
            AwaitAgreement(together, "A replica has to know its master, and its slots.", Phase.JOIN)
        )
    result.extend(replications)
    if awaited and _whole(fleet, residents):
        result.append(AwaitHealthy(awaited, "They count when they are well.", Phase.JOIN))
    return tuple(result)


def waiting(fleet: Fleet) -> tuple[str, ...]:
    """Why the nodes that are still free, where there are no steps to take, are kept so."""
    residents, _ = _sides(fleet)
    free = [live.task.id for live in residents if live.task.running and fleet.is_free(live)]
    slots = [piece for election in elections.pending(fleet) for piece in election.slots]
    if not free or not slots:
        return ()
    sentence = (
        f"{len(free)} new tasks ({', '.join(free)}) wait for the election of a new master for the "
        f"slots {described(normalized(slots))}, which lacks a replica then."
    )
    return (sentence,)


def synchronisation_s(fleet: Fleet) -> float:
    """How long it is worth waiting for first synchronisations; 0 if none is under way.

    Nobody tells of their end, and then there is more to do. Whoever waited for one may have given
    way to something else, or died.
    """
    pending = any(
        live.node.replication.link_up is False and not live.node.replication.linked_once
        for live in fleet.running
        if live.node.master_id in fleet.by_id
    )
    return _SYNCHRONISATION_S if pending else 0.0


def _whole(fleet: Fleet, residents: Sequence[Live]) -> bool:
    """Whether a node that joins can come to say ok: it does not while a shard is lost."""
    lost = any(entry.slots and not entry.staying for entry in fleet.entries)
    return not lost and all(live.node.cluster_ok for live in residents)


def _sides(fleet: Fleet) -> tuple[tuple[Live, ...], tuple[Live, ...]]:
    """The nodes that are part of the cluster, and the running ones that are not yet."""
    if not fleet.components:
        return (), ()
    residents, *others = fleet.components
    newcomers = (live for group in others for live in group if live.task.running)
    return residents, tuple(live for live in newcomers if not _is_followed(live, fleet))


def _is_followed(newcomer: Live, fleet: Fleet) -> bool:
    """Whether it may be where replicas of a master that is gone look for it.

    They would copy whoever is introduced there, and may be the only ones to have their data: they
    are to take its place first. A replica that does not answer us cannot say where it looks; the
    address is not in anybody's table any more once another node has answered there.
    """
    return any(
        live.node.replication.offset
        and live.node.master_id not in fleet.by_id
        and live.node.replication.master_address == newcomer.task.address
        for live in fleet.lives
    ) or any(
        entry.gone
        and entry.address in {"", newcomer.task.address}
        and subtract(entry.slots, fleet.served)
        and silent_heir(fleet, entry)
        for entry in fleet.entries
    )


def _meetings(
    fleet: Fleet, residents: Sequence[Live], newcomers: Sequence[Live]
) -> tuple[Meet, ...]:
    if not newcomers:
        return direct_meetings(fleet, (live for live in residents if live.task.running), Phase.JOIN)
    hosts = [live for live in residents if live.task.running] or list(residents)
    healthy = [live for live in hosts if live.node.cluster_ok] or hosts
    introductions = gossip.introductions(
        [live.ref for live in newcomers], [live.ref for live in healthy]
    )
    why = "A task that came later gets to know the cluster."
    return tuple(Meet(node, peers, why, Phase.JOIN) for node, peers in introductions.items())


def _replications(
    fleet: Fleet,
    final: Sequence[Live],
    spec: Spec,
    residents: Sequence[Live],
    newcomers: Sequence[Live],
) -> tuple[Replicate, ...]:
    heirs = {election.master_id: election.heir for election in elections.pending(fleet)}
    leaders = {live.node.id: live for live in final} | heirs
    elected = {heir.node.id for heir in heirs.values()}
    attached = {
        live.task.id: leaders[live.node.master_id].task.id
        for live in residents
        if live.task.running and live.node.master_id in leaders and live.node.id not in elected
    }
    if not leaders:
        return ()
    placed = {live.task.id for live in leaders.values()} | attached.keys()
    free = [
        live
        for live in (*residents, *newcomers)
        if live.task.id not in placed and live.task.running and fleet.is_free(live)
    ]
    members = {live.task.id: live for live in (*residents, *newcomers) if live.task.id in placed}
    stale = [task for task, at in attached.items() if _stale_link(members[task], members[at])]
    needed = _needed(fleet, spec, members.values(), free)
    if not needed and not stale:
        return ()
    members.update((live.task.id, live) for live in needed)
    placement = place(
        {task_id: live.task.zone for task_id, live in members.items()},
        len(leaders),
        masters=[live.task.id for live in leaders.values()],
        replicas=attached,
    )
    return tuple(
        Replicate(
            members[task_id].ref,
            members[master].ref,
            f"The master in {members[master].task.zone} has the fewest replicas, and this task is "
            f"in {members[task_id].task.zone}.",
            Phase.JOIN,
        )
        for master, followers in placement.items()
        if members[master].node.id not in elected
        for task_id in followers
        if task_id not in attached or task_id in stale
    )


def _needed(
    fleet: Fleet, spec: Spec, members: Collection[Live], free: Collection[Live]
) -> Collection[Live]:
    """Those who are still wanted: not the masters that have given all their slots away.

    Tasks that stop, or run an old task definition, count for nothing: others are to take their
    places.
    """
    staying = sum(live.task.running and fleet.is_current(live) for live in members)
    wanted = max(0, spec.task_count - staying)
    # What has data is taken in at any rate: as nobody's replica it could never be spared.
    by_use = sorted(
        free,
        key=lambda live: (not live.node.keys, not fleet.is_current(live), live.task.id),
    )
    return by_use[: max(wanted, sum(live.node.keys > 0 for live in free))]


def _stale_link(replica: Live, master: Live) -> bool:
    """Whether a replica still follows an address that its master has left."""
    link = replica.node.replication
    return link.link_up is False and link.master_address not in (
        None,
        master.task.address,
        master.node.address,
    )
