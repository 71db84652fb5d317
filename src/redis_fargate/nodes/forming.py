"""The steps that make a cluster of blank nodes. None of them can lose data."""

from collections.abc import Sequence

from redis_fargate.nodes.connection import Command, Connections, NodeConnection
from redis_fargate.nodes.errors import CommandRefused, PreconditionFailed, StepFailed
from redis_fargate.nodes.parse import NodeTable, parse_nodes
from redis_fargate.nodes.polling import attempts, together
from redis_fargate.topology.slots import SlotRanges, described, subtract
from redis_fargate.topology.steps import AddSlots, ChangeSettings, Meet, NodeRef, SetConfigEpoch
from redis_fargate.topology.view import Role

MEET_AGAIN_S = 1.0
"""A handshake that found nobody expires after max(node timeout, 1 s)."""


async def node_table(connection: NodeConnection) -> NodeTable:
    """Ask a node for its table."""
    return parse_nodes(str(await connection.call("CLUSTER", "NODES")))


async def change_settings(step: ChangeSettings, connections: Connections) -> None:
    """CONFIG SET what differs.

    Raises:
        StepFailed: the node took the command, and has another value all the same.

    """
    connection = await connections.to(step.node)
    wanted = dict(step.settings)
    for name, value in (await settings_of(connection, tuple(wanted))).items():
        if wanted[name] == value:
            del wanted[name]
    if not wanted:
        return
    await connection.pipeline(*(("CONFIG", "SET", name, value) for name, value in wanted.items()))
    seen = await settings_of(connection, tuple(wanted))
    if seen != wanted:
        raise StepFailed(f"{step.node} was told CONFIG SET {wanted}, and has {seen}.")


async def settings_of(connection: NodeConnection, names: tuple[str, ...]) -> dict[str, str]:
    """CONFIG GET, of those that the server has."""
    replies = await connection.pipeline(*(("CONFIG", "GET", name) for name in names))
    return {
        name: str(reply[1])
        for name, reply in zip(names, replies, strict=True)
        if isinstance(reply, list) and reply
    }


async def set_config_epoch(step: SetConfigEpoch, connections: Connections) -> None:
    """CLUSTER SET-CONFIG-EPOCH.

    Raises:
        PreconditionFailed: the node has an epoch already, or knows somebody.

    """
    connection = await connections.to(step.node)
    table = await node_table(connection)
    if table.myself.config_epoch == step.epoch:
        return
    if table.myself.config_epoch or table.peers:
        raise PreconditionFailed(
            f"Expected {step.node} to have no config epoch and to know nobody; it has epoch "
            f"{table.myself.config_epoch} and knows {len(table.peers)} others."
        )
    await connection.call("CLUSTER", "SET-CONFIG-EPOCH", step.epoch)
    seen = (await node_table(connection)).myself.config_epoch
    if seen != step.epoch:
        raise StepFailed(f"{step.node} was given config epoch {step.epoch}, and has {seen}.")


async def add_slots(step: AddSlots, connections: Connections) -> None:
    """CLUSTER ADDSLOTSRANGE for the slots that the node does not serve yet.

    Raises:
        PreconditionFailed: the node is a replica, or knows of an owner of one of the slots.

    """
    connection = await connections.to(step.node)
    table = await node_table(connection)
    missing = subtract(step.slots, table.myself.slots)
    if not missing:
        return
    if table.myself.role is not Role.MASTER:
        raise PreconditionFailed(
            f"Expected {step.node} to be a master that can be given slots; it is a replica of "
            f"{table.myself.master_id}."
        )
    for peer in table.peers:
        left = subtract(missing, peer.slots)
        if left != missing:
            raise PreconditionFailed(
                f"Expected the slots {described(missing)} to be nobody's before {step.node} takes "
                f"them; by its table node {peer.id} at {peer.address} owns "
                f"{described(subtract(missing, left))}."
            )
    await _claim(connection, missing)
    seen = subtract(step.slots, (await node_table(connection)).myself.slots)
    if seen:
        raise StepFailed(f"{step.node} was given slots, and does not serve {described(seen)}.")


async def _claim(connection: NodeConnection, slots: SlotRanges) -> None:
    bounds = [bound for piece in slots for bound in (piece.first, piece.last)]
    try:
        await connection.call("CLUSTER", "ADDSLOTSRANGE", *bounds)
    except CommandRefused as refusal:
        if not refusal.unknown_command:
            raise
        # Redis 6.2
        each = [slot for piece in slots for slot in range(piece.first, piece.last + 1)]
        await connection.call("CLUSTER", "ADDSLOTS", *each)


async def meet(step: Meet, connections: Connections, patience_s: float) -> None:
    """CLUSTER MEET, repeated until the node has all peers in its table.

    Raises:
        PreconditionFailed: what answers at a peer's address is not the node that was observed.
        StepFailed: a handshake did not succeed in time.

    """
    connection = await connections.to(step.node)
    waiting = missing_peers(await node_table(connection), step.peers)
    meet_at_s = 0.0
    async for waited_s in attempts(patience_s):
        if not waiting:
            return
        if waited_s >= meet_at_s:
            await introduce(connection, waiting, connections)
            meet_at_s = waited_s + MEET_AGAIN_S
        waiting = missing_peers(await node_table(connection), waiting)
    if waiting:
        raise StepFailed(
            f"{step.node} was told to meet {', '.join(map(str, waiting))}, and does not know "
            f"them after {patience_s:g} s. Can their bus ports (port + 10000) be reached?"
        )


def missing_peers(table: NodeTable, peers: Sequence[NodeRef]) -> tuple[NodeRef, ...]:
    """Those of ``peers`` that are not in the table at their true addresses."""
    known = {
        (peer.id, peer.address)
        for peer in table.peers
        if not peer.in_handshake and "noaddr" not in peer.flags
    }
    me = table.myself.id
    return tuple(peer for peer in peers if peer.id != me and (peer.id, peer.address) not in known)


async def introduce(
    connection: NodeConnection, peers: tuple[NodeRef, ...], connections: Connections
) -> None:
    """Send CLUSTER MEET for each peer, after making sure who answers at its address.

    Raises:
        PreconditionFailed: somebody else does. Meeting a node of another cluster merges the two,
            and one of them loses data.

    """
    await together(_same_node(peer, connections) for peer in peers)
    commands: list[Command] = [("CLUSTER", "MEET", peer.address, peer.port) for peer in peers]
    await connection.pipeline(*commands)


async def _same_node(peer: NodeRef, connections: Connections) -> None:
    """Make sure that the connection, which knows who answers on it, still stands."""
    connection = await connections.to(peer)
    seen = await connection.call("CLUSTER", "MYID")
    if seen != peer.id:
        raise PreconditionFailed(f"Expected node {peer.id} at {peer}, and found {seen!r}.")
