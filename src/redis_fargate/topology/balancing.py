"""Moves of slots, as a part of SHAPE: every master gets its share, and those that leave none."""

from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.masters import Masters
from redis_fargate.topology.settling import note
from redis_fargate.topology.shares import transfers
from redis_fargate.topology.slots import SlotRanges, count
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import MoveSlots, NoteMoving, Phase, Step

_FULL = 0.95
"""How much of its memory a master may be filled by slots that come."""


def steps(fleet: Fleet, cast: Masters, spec: Spec, policy: Policy) -> tuple[Step, ...]:
    """All moves that are left to do and can be done, with a note before and after; or none.

    A master gets slots once it has its replicas, so that no key loses its copies by being moved;
    unless all tasks run that are wanted: then the replicas that it lacks are still others', and
    will be its own when those have given up their slots.
    """
    more_come = sum(member.task.running for member in fleet.view.members) < spec.task_count
    full = overfilled(cast, spec)
    enough = spec.replica_count // spec.master_count
    moves = tuple(
        MoveSlots(
            giver.ref,
            taker.ref,
            slots,
            resumed=False,
            pace=policy.pace,
            why=_why(giver, cast),
            phase=Phase.SHAPE,
        )
        for giver, taker, slots in wanted(cast, spec)
        if taker.task.running
        and taker.node.cluster_ok
        and taker.node.id not in full
        and (
            not more_come or len(fleet.followers(taker)) >= min(enough, len(fleet.followers(giver)))
        )
    )
    if not moves:
        return ()
    slots = tuple(piece for step in moves for piece in step.slots)
    done = NoteMoving((), "No slot is in flight any more.", Phase.SHAPE)
    return (*note(fleet, slots, Phase.SHAPE), *moves, done)


def wanted(cast: Masters, spec: Spec) -> tuple[tuple[Live, Live, SlotRanges], ...]:
    """What has to move, from whom to whom, once all masters are there that are wanted."""
    if len(cast.final) != spec.master_count:
        return ()
    return tuple(transfers(cast.final, cast.leaving))


def overfilled(cast: Masters, spec: Spec) -> dict[str, int]:
    """Node id of each master that has no room for what it is to get, to how many bytes it lacks.

    Those that evict have room for everything: that is what they are for.
    """
    coming_bytes: dict[str, float] = {}
    takers = {}
    for giver, taker, slots in wanted(cast, spec):
        if taker.node.max_memory_bytes and not taker.node.evicts:
            share = count(slots) / count(giver.node.slots)
            takers[taker.node.id] = taker.node
            coming_bytes[taker.node.id] = (
                coming_bytes.get(taker.node.id, 0.0) + giver.node.used_memory_bytes * share
            )
    lacking = {
        node_id: coming_bytes[node_id] + node.used_memory_bytes - node.max_memory_bytes * _FULL
        for node_id, node in takers.items()
    }
    return {node_id: int(lacks) for node_id, lacks in lacking.items() if lacks > 0}


def _why(giver: Live, cast: Masters) -> str:
    if giver in cast.leaving:
        return f"{giver} is one master too many."
    return f"{giver} has more slots than its share."
