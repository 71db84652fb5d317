"""Which nodes are to be masters: those that stay, those that come, those that leave.

Nothing of it is remembered between two looks. So what was chosen once has to be chosen again: a
master that has begun to leave has the fewest slots, one that has begun to come has replicas.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.losses import loss
from redis_fargate.topology.placement import place
from redis_fargate.topology.slots import ALL_SLOTS, SLOT_COUNT, count, subtract
from redis_fargate.topology.spec import OnDataLoss, Policy, Spec


@dataclass(frozen=True, slots=True)
class Masters:
    """All masters that were observed, and are one or are to be one."""

    staying: tuple[Live, ...]
    leaving: tuple[Live, ...]
    """Their slots are to go to others."""
    coming: tuple[Live, ...]
    """Empty nodes that are to get slots."""
    lacking: int
    """How many more are wanted, for which there is no empty node."""

    @property
    def final(self) -> tuple[Live, ...]:
        """Those that own slots in the end."""
        return (*self.staying, *self.coming)


def masters(fleet: Fleet, spec: Spec, policy: Policy) -> Masters:
    """Say who is to be a master, in order of task id.

    Those that are lost are replaced where what they served is to be served again.
    """
    owners = fleet.masters
    lost = loss(fleet) if policy.on_data_loss is OnDataLoss.REBUILD_EMPTY else None
    unseen = [
        entry
        for entry in fleet.entries
        if (lost is None or entry not in lost.owners) and subtract(entry.slots, fleet.served)
    ]
    known = (*fleet.served, *(piece for entry in unseen for piece in entry.slots))
    if lost is None and subtract(ALL_SLOTS, known):
        return Masters(owners, (), (), 0)  # some owned slots that nobody has heard of
    surplus = len(owners) + len(unseen) - spec.master_count
    if surplus > 0 and unseen:
        return Masters(owners, (), (), 0)  # who is to leave, is chosen among all
    if surplus > 0:
        staying, leaving = _parted(fleet, owners, len(owners) - surplus)
        return Masters(staying, leaving, (), 0)
    coming = _chosen(fleet, owners, -surplus)
    return Masters(owners, (), coming, -surplus - len(coming))


def _parted(
    fleet: Fleet, owners: Sequence[Live], staying_count: int
) -> tuple[tuple[Live, ...], tuple[Live, ...]]:
    staying = list(owners)
    fair = SLOT_COUNT / len(owners)
    while len(staying) > staying_count:
        crowd = Counter(live.task.zone for live in staying)
        staying.remove(
            min(
                staying,
                key=lambda live, crowd=crowd: (  # type: ignore[misc]  # mypy loses its type
                    2 * count(live.node.slots) > fair,
                    live.task.running,
                    len(fleet.followers(live)),
                    -crowd[live.task.zone],
                    count(live.node.slots),
                    live.task.id,
                ),
            )
        )
    return tuple(staying), tuple(live for live in owners if live not in staying)


def _chosen(fleet: Fleet, owners: Sequence[Live], wanted: int) -> tuple[Live, ...]:
    """As many empty nodes: those with replicas first, then where they spread masters best."""
    empty = sorted(
        (live for live in fleet.running if live.node.empty),
        key=lambda live: (not fleet.is_current(live), live.task.id),
    )
    chosen = [live for live in empty if fleet.followers(live)][:wanted]
    free = [live for live in empty if live not in chosen]
    current = [live for live in free if fleet.is_current(live)]
    if len(chosen) + len(current) >= wanted:
        free = current
    wanted = min(wanted, len(chosen) + len(free))
    if not wanted:
        return ()
    known = {live.task.id: live for live in (*owners, *chosen, *free)}
    placement = place(
        {task_id: live.task.zone for task_id, live in known.items()},
        len(owners) + wanted,
        masters=[live.task.id for live in (*owners, *chosen)],
    )
    return tuple(
        known[task_id] for task_id in placement if all(known[task_id] is not o for o in owners)
    )
