"""RESCUE, before it is needed: masters of whose config epoch most masters have not heard.

A master that is given slots, or takes them, gives itself the next epoch without a vote. If it was
cut off just then, those that it does not reach elect a replica in its place, and what clients
write there must stay. So that one has to have the newer claim when the old one comes back: Redis
settles equal ones by the node ids, and gives who has the lower one the newest epoch of all.
"""

from collections.abc import Iterator

from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.steps import AdvanceEpoch, Outrank
from redis_fargate.topology.view import Role


def steps(fleet: Fleet) -> tuple[AdvanceEpoch | Outrank, ...]:
    """Let elections to come have a newer epoch; then nobody else the same."""
    unheard = [live for live in fleet.masters if not _is_heard(fleet, live)]
    advances = tuple(step for live in unheard for step in _advances(fleet, live))
    return advances or tuple(step for live in unheard for step in _separations(fleet, live))


def _is_heard(fleet: Fleet, master: Live) -> bool:
    epoch = master.node.config_epoch
    heard = sum(fleet.believed_epoch(other, master) >= epoch for other in fleet.masters)
    return 2 * heard > len(fleet.masters)


def _advances(fleet: Fleet, master: Live) -> Iterator[AdvanceEpoch]:
    """For its replicas. One epoch more where another has the same: BUMPEPOCH then gives a newer."""
    epoch = master.node.config_epoch
    used = epoch + bool(_rivals(fleet, master))
    behind = [
        live
        for live in fleet.running
        if live.node.role is Role.REPLICA and live.node.current_epoch < used
    ]
    behind.sort(key=lambda live: live.node.master_id != master.node.id)
    if behind and behind[0].node.master_id == master.node.id:
        why = f"Most masters have not heard that {master} gave itself the config epoch {epoch}."
        yield AdvanceEpoch(tuple(live.ref for live in behind), used, why)


def _separations(fleet: Fleet, master: Live) -> Iterator[Outrank]:
    for rival in _rivals(fleet, master):
        if not fleet.is_overrated(rival) and not fleet.is_cut_off(rival):
            why = f"{master} has the same config epoch, and would get a newer one for it."
            yield Outrank(rival.ref, master.ref, why)


def _rivals(fleet: Fleet, master: Live) -> list[Live]:
    """Those of the same epoch who would keep it; no matter to a master without replicas."""
    return [
        live
        for live in fleet.masters
        if live.node.config_epoch == master.node.config_epoch
        and live.node.id > master.node.id
        and fleet.followers(master)
    ]
