"""COVER: serve slots again of which no node has the data any more.

Only where the policy says that an empty slot is better than none. The nodes that owned them are
forgotten afterwards, and their replicas, which never had a whole copy, follow other masters.
"""

from collections.abc import Iterator

from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.losses import Loss, loss
from redis_fargate.topology.masters import masters
from redis_fargate.topology.shares import shared_out
from redis_fargate.topology.slots import (
    ALL_SLOTS,
    SlotRanges,
    common,
    normalized,
    subtract,
)
from redis_fargate.topology.spec import OnDataLoss, Policy, Spec
from redis_fargate.topology.steps import AdoptSlots, NodeRef, Phase, Reset
from redis_fargate.topology.view import Role


def steps(fleet: Fleet, spec: Spec, policy: Policy) -> tuple[AdoptSlots | Reset, ...]:
    """Give what is lost to the masters, and to the nodes that are to be some, with the fewest.

    Where all is lost, and there are only replicas that never got any of it, they are made blank:
    they form a new cluster then.
    """
    lost = loss(fleet)
    if lost is None or policy.on_data_loss is OnDataLoss.HALT:
        return ()
    candidates = [live for live in masters(fleet, spec, policy).final if live.task.running]
    if not candidates and lost.slots == ALL_SLOTS:
        return tuple(
            Reset(live.ref, None, str(lost), Phase.COVER)
            for live in fleet.running
            if live.node.role is Role.REPLICA and not live.node.keys
        )
    if not all(live in fleet.components[0] for live in candidates):
        return ()  # JOIN comes first: a claim counts where its owner is known
    adopters = [live for live in candidates if _may_adopt(fleet, live)]
    if not adopters:
        return ()
    able = [live for live in adopters if lost.slots == _free(live, lost)]
    shares = shared_out(lost.slots, able) if able else _each_its_own(fleet, lost)
    return tuple(
        AdoptSlots(live.ref, share, lost.gone, _replicas(fleet, live), str(lost))
        for live, share in shares
    )


def _may_adopt(fleet: Fleet, master: Live) -> bool:
    """Whether its claim is the newest, and no replica is about to be elected in its place.

    One that had asked for votes before would be, as lost slots that are adopted lower the number of
    votes that it needs.
    """
    return fleet.knows_the_newest_epoch(master) and not any(
        peer.id == master.node.id and "fail" in peer.flags
        for replica in _heirs(fleet, master)
        for peer in replica.node.peers
    )


def _heirs(fleet: Fleet, master: Live) -> list[Live]:
    return [live for live in fleet.followers(master) if not fleet.is_cut_off(live)]


def _replicas(fleet: Fleet, master: Live) -> tuple[NodeRef, ...]:
    """Those that the others hear, its own first; none if it has none that could be elected."""
    heirs = _heirs(fleet, master)
    others = (
        live
        for live in fleet.running
        if live.node.role is Role.REPLICA
        and live.node.master_id != master.node.id
        and not fleet.is_cut_off(live)
    )
    return tuple(live.ref for live in (*heirs, *others)) if heirs else ()


def _free(live: Live, lost: Loss) -> SlotRanges:
    """What is lost of which a node does not believe that it is a living one's."""
    taken = (piece for peer in live.node.peers if peer.id not in lost.gone for piece in peer.slots)
    return subtract(lost.slots, normalized(taken))


def _each_its_own(fleet: Fleet, lost: Loss) -> Iterator[tuple[Live, SlotRanges]]:
    """Give it back to those who gave it away.

    Nobody has heard of that: who got it ended before, and all others believe that it is still
    whose it was. So a master has it again that may be about to leave; it is moved then.
    """
    left = lost.slots
    for live in fleet.masters:
        share = common(left, _free(live, lost))
        if share and live.task.running and _may_adopt(fleet, live):
            left = subtract(left, share)
            yield live, share
