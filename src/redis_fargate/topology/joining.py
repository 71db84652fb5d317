"""JOIN: bring tasks that came later into the formed cluster, as replicas where they do most.

A shard that is about to elect a new master loses a replica by that, and its new master cannot
be followed yet. So the newcomers that are due to it then are met, and kept for it until then.
"""

from collections.abc import Sequence

from redis_fargate.topology import elections, gossip
from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.forming import direct_meetings
from redis_fargate.topology.placement import place
from redis_fargate.topology.slots import described, normalized
from redis_fargate.topology.steps import (
    AwaitAgreement,
    AwaitHealthy,
    Meet,
    Phase,
    Replicate,
    Step,
)
from redis_fargate.topology.view import Role


def steps(fleet: Fleet) -> tuple[Step, ...]:
    """What brings every running node into the cluster, and every free one behind a master."""
    residents, newcomers = _sides(fleet)
    masters = [live for live in residents if live.node.slots]
    if not masters:
        return ()
    meetings = _meetings(fleet, residents, newcomers)
    replications = _replications(fleet, residents, newcomers, masters)
    together = tuple(live.ref for live in (*residents, *newcomers) if live.task.running)
    awaited = tuple(step.node for step in replications)
    result: list[Step] = [*meetings]
    if meetings:
        result.append(
            AwaitAgreement(together, "A replica has to know its master, and its slots.", Phase.JOIN)
        )
    result.extend(replications)
    if awaited and _whole(fleet, residents):
        result.append(AwaitHealthy(awaited, "A replica counts when it has its data.", Phase.JOIN))
    return tuple(result)


def waiting(fleet: Fleet) -> tuple[str, ...]:
    """Why the nodes that are still free, where there are no steps to take, are kept so."""
    residents, _ = _sides(fleet)
    free = [live.task.id for live in residents if _free(fleet, live)]
    slots = [piece for election in elections.pending(fleet) for piece in election.slots]
    if not free or not slots:
        return ()
    sentence = (
        f"{len(free)} new tasks ({', '.join(free)}) wait for the election of a new master for the "
        f"slots {described(normalized(slots))}, which lacks a replica then."
    )
    return (sentence,)


def _whole(fleet: Fleet, residents: Sequence[Live]) -> bool:
    """Whether a node that joins can come to say ok: it does not while a shard is lost."""
    lost = any(entry.slots and not entry.staying for entry in fleet.entries)
    return not lost and all(live.node.cluster_ok for live in residents)


def _sides(fleet: Fleet) -> tuple[tuple[Live, ...], tuple[Live, ...]]:
    """The nodes that are part of the cluster, and the running ones that are not yet."""
    if not fleet.components:
        return (), ()
    residents, *others = fleet.components
    return residents, tuple(live for group in others for live in group if live.task.running)


def _meetings(
    fleet: Fleet, residents: Sequence[Live], newcomers: Sequence[Live]
) -> tuple[Meet, ...]:
    if not newcomers:
        return direct_meetings(fleet, Phase.JOIN)
    hosts = [live for live in residents if live.task.running] or list(residents)
    healthy = [live for live in hosts if live.node.cluster_ok] or hosts
    introductions = gossip.introductions(
        [live.ref for live in newcomers], [live.ref for live in healthy]
    )
    why = "A task that came later gets to know the cluster."
    return tuple(Meet(node, peers, why, Phase.JOIN) for node, peers in introductions.items())


def _replications(
    fleet: Fleet,
    residents: Sequence[Live],
    newcomers: Sequence[Live],
    masters: Sequence[Live],
) -> tuple[Replicate, ...]:
    heirs = {election.master_id: election.heir for election in elections.pending(fleet)}
    leaders = {live.node.id: live for live in masters} | heirs
    elected = {heir.node.id for heir in heirs.values()}
    free = [live for live in (*residents, *newcomers) if _free(fleet, live)]
    attached = {
        live.task.id: leaders[live.node.master_id].task.id
        for live in residents
        if live.task.running and live.node.master_id in leaders and live.node.id not in elected
    }
    members = {live.task.id: live for live in (*leaders.values(), *free)}
    members.update((live.task.id, live) for live in residents if live.task.id in attached)
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
        if task_id not in attached or _stale_link(members[task_id], members[master])
    )


def _free(fleet: Fleet, live: Live) -> bool:
    """Whether a node serves no shard, and holds nothing that a new role would cost."""
    if not live.task.running or live.node.slots or live.node.keys or live.node.open_slots:
        return False
    if live.node.role is Role.MASTER:
        return True
    # Not with a master that is gone and still owns slots: that one's replicas elect a successor.
    master = fleet.by_id.get(live.node.master_id or "")
    if master is not None:
        return not master.node.slots
    return not any(entry.id == live.node.master_id and entry.slots for entry in fleet.entries)


def _stale_link(replica: Live, master: Live) -> bool:
    """Whether a replica still follows an address that its master has left."""
    link = replica.node.replication
    return link.link_up is False and link.master_address not in (
        None,
        master.task.address,
        master.node.address,
    )
