"""Moving slots, with their keys, from one master to another while clients use them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from redis_fargate.nodes import moving_keys
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.contact import check_contact, check_giver
from redis_fargate.nodes.errors import CommandRefused, PreconditionFailed
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.moving_atomically import await_ended, hides_keys, offered
from redis_fargate.nodes.pacing import Pacer
from redis_fargate.nodes.parse import NodeTable
from redis_fargate.nodes.polling import attempts, together
from redis_fargate.topology.slots import (
    SlotRanges,
    common,
    described,
    from_numbers,
    numbers,
    subtract,
)
from redis_fargate.topology.steps import AwaitMigrations, CloseSlots, MoveSlots, OpenSlots
from redis_fargate.topology.view import Role

SLICE_S = 5.0
"""After so long a wave of moves ends, so that the next look sees what else has happened."""
_NEWS_S = 2.0
"""For so long it is waited until a target has heard its source's epoch; the next look waits on."""


async def move_slots(
    steps: Sequence[MoveSlots], connections: Connections, time_left_s: float
) -> None:
    """Move what can be moved in one slice; the next plan has the rest.

    Raises:
        PreconditionFailed: a node is no master; the source does not own what it is to give away;
            one of the two does not know the other; another has been elected in the source's place,
            or may be; or the target has no contact with the cluster.
        StepFailed: a server did not do its part, such as for want of memory.
        StillMoving: a slot has so much data that it is not through yet.

    """
    ends_s = asyncio.get_running_loop().time() + min(SLICE_S, time_left_s)
    pacers: dict[str, Pacer] = {}
    turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def move(step: MoveSlots) -> None:
        pacer = pacers.setdefault(step.source.id, Pacer(step.pace))
        await _move(step, connections, pacer, turns[step.target.id], ends_s)

    await together(map(move, steps))


async def _move(
    step: MoveSlots, connections: Connections, pacer: Pacer, turn: asyncio.Lock, ends_s: float
) -> None:
    atomic = await offered(step, connections, turn)
    if atomic:
        await atomic.await_jobs(ends_s)  # of a run that has died
    slots = await _left(step, connections)
    if not slots:
        return
    if not step.resumed and not (atomic and atomic.drops_old_keys):
        await _drop_old_keys(step, slots, connections)
    if atomic and not step.resumed:
        await atomic.move(slots, pacer, ends_s)
    else:
        await moving_keys.move(step, slots, connections, pacer, ends_s)


async def _left(step: MoveSlots, connections: Connections) -> SlotRanges:
    """See that the move can be made; what of it is left to do."""
    source, target = await _tables(step, connections)
    trouble = ""
    left = subtract(step.slots, target.myself.slots)
    in_flight = from_numbers(
        open_slot.slot for table in (source, target) for open_slot in table.open_slots
    )
    known = source.peer(step.target.id), target.peer(step.source.id)
    if source.myself.role is not Role.MASTER or target.myself.role is not Role.MASTER:
        trouble = "one of them is a replica"
    elif foreign := subtract(left, source.myself.slots):
        trouble = f"{step.source} does not own the slots {described(foreign)}"
    elif not step.resumed and (begun := common(left, in_flight)):
        trouble = f"the slots {described(begun)} are in flight, and keys of theirs on either side"
    elif None in known or known[0] is None or known[0].address != step.target.address:
        trouble = "they do not know each other, or not at their present addresses"
    elif _is_behind(target, source):
        trouble = f"{step.target} has not heard of the newest config epoch of {step.source} yet"
    if trouble:
        raise PreconditionFailed(
            f"Expected to move the slots {described(step.slots)} from {step.source} to "
            f"{step.target}; {trouble}. Nothing was moved."
        )
    both = [await connections.to(node) for node in (step.source, step.target)]
    await check_contact(both[1])
    await check_giver(step, *both)
    if not target.myself.slots:
        await _copy_functions(step, connections)
    return left


async def _tables(step: MoveSlots, connections: Connections) -> tuple[NodeTable, NodeTable]:
    """What the source and the target know, once the target has heard the source's epoch."""
    both = await together(map(connections.to, (step.source, step.target)))
    async for _ in attempts(_NEWS_S):
        source, target = await together(map(node_table, both))
        if not _is_behind(target, source):
            break
    return source, target


def _is_behind(target: NodeTable, source: NodeTable) -> bool:
    """Whether the epoch that a target gives itself with the slots may be no newer.

    It takes the one after the highest that it knows. The source would take the slots back by its
    own, and the target delete the keys that it has just been given.
    """
    known = target.peer(source.myself.id)
    return known is not None and known.config_epoch < source.myself.config_epoch


async def _drop_old_keys(step: MoveSlots, slots: SlotRanges, connections: Connections) -> None:
    """Delete what the target has of slots that are not its own, and that nobody serves.

    It may have stayed from a former life, and must not come to life again with the slot. Clients do
    not ask the target for it before the slot is in flight. That the target is not the owner after
    all, its own answer to IMPORTING says: nothing is deleted unless it is OK.
    """
    target = await connections.bulk(step.target)
    every = tuple(numbers(slots))
    hidden = await hides_keys(target)
    if hidden:
        await target.pipeline(
            *(("CLUSTER", "SETSLOT", slot, "IMPORTING", step.source.id) for slot in every)
        )
    counts = await target.pipeline(*(("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in every))
    for slot in (slot for slot, keys in zip(every, counts, strict=True) if keys):
        await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", step.source.id)
        names = await target.call("CLUSTER", "GETKEYSINSLOT", slot, 2**31 - 1)
        await target.pipeline(
            *(
                word
                for name in (names if isinstance(names, list) else [])
                for word in (("ASKING",), ("UNLINK", name))
            ),
            ("CLUSTER", "SETSLOT", slot, "STABLE"),
        )
    if hidden:
        await target.pipeline(*(("CLUSTER", "SETSLOT", slot, "STABLE") for slot in every))


async def _copy_functions(step: MoveSlots, connections: Connections) -> None:
    """A master's replicas have its functions; a new master has to be given them once."""
    source, target = await connections.bulk(step.source), await connections.bulk(step.target)
    try:
        dump = await source.call("FUNCTION", "DUMP")
    except CommandRefused as refusal:
        if not refusal.unknown_command:
            raise
        return  # Redis 6.2
    if isinstance(dump, bytes):
        await target.call("FUNCTION", "RESTORE", dump, "REPLACE")


async def await_migrations(
    step: AwaitMigrations, connections: Connections, time_left_s: float
) -> None:
    """Wait for one slice.

    Raises:
        StillMoving: slots are on their way when it is over.

    """
    ends_s = asyncio.get_running_loop().time() + min(SLICE_S, time_left_s)
    nodes = await together(map(connections.to, step.nodes))
    await together(await_ended(node, ends_s) for node in nodes)


async def open_slots(step: OpenSlots, connections: Connections) -> None:
    """CLUSTER SETSLOT IMPORTING.

    Raises:
        CommandRefused: the node owns a slot by now, or does not know the owner.

    """
    connection = await connections.to(step.node)
    await connection.pipeline(
        *(("CLUSTER", "SETSLOT", slot, "IMPORTING", step.owner_id) for slot in numbers(step.slots))
    )


async def close_slots(step: CloseSlots, connections: Connections) -> None:
    """CLUSTER SETSLOT STABLE, where the slots are in flight and no keys of theirs are.

    Raises:
        PreconditionFailed: the node has keys in a slot that it does not own.

    """
    connection = await connections.to(step.node)
    table = await node_table(connection)
    wanted = common(step.slots, from_numbers(each.slot for each in table.open_slots))
    foreign = tuple(numbers(subtract(wanted, table.myself.slots)))
    counts = await connection.pipeline(*(("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in foreign))
    if any(counts):
        raise PreconditionFailed(
            f"Expected {step.node} to have no key of the slots {described(from_numbers(foreign))}, "
            f"which are another's; it has {sum(map(int, map(str, counts)))}. Nothing was closed."
        )
    await connection.pipeline(*(("CLUSTER", "SETSLOT", slot, "STABLE") for slot in numbers(wanted)))
