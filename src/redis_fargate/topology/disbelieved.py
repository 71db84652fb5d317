"""RESCUE, before it is needed: masters of which some node does not believe that they own a slot.

Who gave a slot away, and took another one since, has a newer config epoch than who got it. A node
that was cut off meanwhile, and hears that one first, believes that it has them both, and nothing
that the slot's owner says of it: in Redis 7.0 for ever (newer ones look at what is not claimed any
more). As a replica it would claim the slot, were it to take its master's place.
"""

from collections.abc import Iterator

from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.slots import common, described
from redis_fargate.topology.steps import Outrank


def steps(fleet: Fleet) -> tuple[Outrank, ...]:
    """Let each of them have a newer epoch than the one that is believed."""
    return tuple({(step.node.id, step.rival.id): step for step in _steps(fleet)}.values())


def _steps(fleet: Fleet) -> Iterator[Outrank]:
    for believer in fleet.lives:
        for peer in believer.node.peers:
            stale = fleet.given_away(peer)
            for owner in fleet.masters if stale else ():
                slots = common(stale, owner.node.slots)
                older = owner.node.config_epoch < peer.config_epoch
                if (
                    slots
                    and older
                    and not fleet.is_overrated(owner)
                    and not fleet.is_cut_off(owner)
                ):
                    former = fleet.by_id[peer.id]
                    why = f"{believer} believes that its slots {described(slots)} are {former}'s."
                    yield Outrank(owner.ref, former.ref, why)
