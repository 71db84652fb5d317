"""Removing nodes whose tasks are gone from the tables of those that live."""

import asyncio

from redis_fargate.nodes.connection import Connections, NodeConnection
from redis_fargate.nodes.errors import (
    AuthenticationFailed,
    CommandRefused,
    NodeLoading,
    NodeUnreachable,
    PreconditionFailed,
    StepFailed,
)
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.parse import NodeTable
from redis_fargate.nodes.polling import together
from redis_fargate.topology.slots import described, subtract
from redis_fargate.topology.steps import Forget, NodeRef
from redis_fargate.topology.view import Peer

_SILENCE_S = 0.5
"""Who lives answers within it; the hosts of stopped tasks are gone, and refuse no connection."""


async def forget(step: Forget, connections: Connections) -> None:
    """CLUSTER FORGET on every node that has the entry, once all of them may lose it.

    Nothing is sent before every table has been checked: an entry that only some have
    forgotten comes back by gossip.

    Raises:
        PreconditionFailed: the entry is another task's, owns more slots than the plan says, has
            replicas, or the node behind it still answers.
        StepFailed: an entry is still there.

    """
    opened = await together(connections.to(node) for node in step.nodes)
    tables = await together(map(node_table, opened))
    holders: list[NodeConnection] = []
    by_address: dict[str, Peer] = {}  # not all may have heard of the latest
    for node, connection, table in zip(step.nodes, opened, tables, strict=True):
        entry = table.peer(step.gone_id)
        if table.myself.id == step.gone_id:
            raise PreconditionFailed(f"Node {step.gone_id} cannot be forgotten: {node} is it.")
        if entry:
            _check_entry(step, node, table, entry)
            holders.append(connection)
            by_address[entry.address] = entry
    await together(check_silent(entry, connections) for entry in by_address.values())
    await together(_send(step, connection) for connection in holders)


def _check_entry(step: Forget, node: NodeRef, table: NodeTable, entry: Peer) -> None:
    trouble = ""
    if entry.hostname and step.gone_task_id and entry.hostname != step.gone_task_id:
        trouble = f"it is the entry of task {entry.hostname}"
    elif owned := subtract(entry.slots, step.unassigned):
        trouble = f"it owns the slots {described(owned)}, which forgetting it would unassign"
    elif replicas := [
        peer.address
        for peer in (table.myself, *table.peers)
        if peer.master_id == entry.id and peer.id not in step.also_gone
    ]:
        trouble = f"it is the master of {', '.join(replicas)}"
    if trouble:
        raise PreconditionFailed(
            f"Expected the entry of node {entry.id} (task {step.gone_task_id}) in the table of "
            f"{node} to be of no use to anybody; {trouble}. Nothing was forgotten."
        )


async def check_silent(gone: Peer, connections: Connections) -> None:
    """Refuse if a node that is said to be gone still runs where a table says that it is.

    Nobody is asked for an introduction that is not answered: its id is nobody's, and haste is due.

    Raises:
        PreconditionFailed: it answers at its address.

    """
    if gone.in_handshake or not gone.address:
        return
    try:
        async with asyncio.timeout(_SILENCE_S):
            found_id = await connections.id_at(gone.address)
    except (
        TimeoutError,
        NodeUnreachable,
        NodeLoading,
        AuthenticationFailed,
        CommandRefused,
    ):
        return  # nobody, or somebody else: what was there answered us before
    if found_id == gone.id:
        raise PreconditionFailed(
            f"Expected node {gone.id} to have stopped; it answers at {gone.address}. "
            "Nothing was changed."
        )


async def _send(step: Forget, connection: NodeConnection) -> None:
    try:
        await connection.call("CLUSTER", "FORGET", step.gone_id)
    except CommandRefused as refusal:
        if "unknown node" not in refusal.reply.lower():  # somebody else forgot it meanwhile
            raise
    if (await node_table(connection)).peer(step.gone_id):
        raise StepFailed(f"{connection} was told to forget {step.gone_id}, and still has it.")
