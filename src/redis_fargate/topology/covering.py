"""COVER: serve slots again of which no node has the data any more.

Only where the policy says that an empty slot is better than none. The nodes that owned them are
forgotten afterwards, and their replicas, which never had a whole copy, follow other masters.
"""

from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.losses import loss
from redis_fargate.topology.masters import masters
from redis_fargate.topology.shares import shared_out
from redis_fargate.topology.slots import ALL_SLOTS
from redis_fargate.topology.spec import OnDataLoss, Policy, Spec
from redis_fargate.topology.steps import AdoptSlots, Phase, Reset
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
    adopters = [live for live in candidates if fleet.knows_the_newest_epoch(live)]
    if not adopters:
        return ()
    gone = tuple(entry.id for entry in lost.owners)
    return tuple(
        AdoptSlots(live.ref, share, gone, str(lost))
        for live, share in shared_out(lost.slots, adopters)
    )
