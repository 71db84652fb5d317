"""Failovers. While a master lives, any but a planned one loses writes that it has acknowledged."""

from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import (
    CommandRefused,
    NodeUnreachable,
    PreconditionFailed,
    StepFailed,
)
from redis_fargate.nodes.forgetting import check_silent
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.parse import NodeTable, parse_info, parse_replication
from redis_fargate.nodes.polling import attempts, together
from redis_fargate.topology.steps import Failover, FailoverMode, NodeRef
from redis_fargate.topology.view import Replication, Role

_SILENCE_S = 0.5
"""Who lives answers within it; the hosts of stopped tasks are gone, and refuse no connection."""


async def fail_over(step: Failover, connections: Connections, patience_s: float) -> None:
    """CLUSTER FAILOVER, until the node is the master.

    Raises:
        PreconditionFailed: the node is no replica of that master; a planned failover would find no
            link; for one without the master, that one still answers, or another replica has more of
            its data.
        StepFailed: the node did not become a master in time.

    """
    connection = await connections.to(step.node)
    table = await node_table(connection)
    if table.myself.role is Role.MASTER and table.myself.slots:
        return
    if table.myself.master_id != step.master_id:
        raise PreconditionFailed(
            f"Expected {step.node} to be a replica of {step.master_id}; its master is "
            f"{table.myself.master_id or '(none)'}. Nothing was changed."
        )
    if step.mode is FailoverMode.PLANNED:
        await _check_link(step, connections)
    else:
        await _check_gone(step, table, connections)
        await _check_most_advanced(step, connections)
    how = () if step.mode is FailoverMode.PLANNED else (step.mode.value.upper(),)
    await connection.call("CLUSTER", "FAILOVER", *how)
    async for _ in attempts(patience_s):
        myself = (await node_table(connection)).myself
        if myself.role is Role.MASTER and myself.slots:
            return
    raise StepFailed(
        f"{step.node} was told to take the place of its master {step.master_id} "
        f"({step.mode.value}), and is still its replica after {patience_s:g} s: most of the "
        "masters have to answer it, and to know it as that master's replica."
    )


async def _replication(node: NodeRef, connections: Connections) -> Replication:
    connection = await connections.to(node)
    return parse_replication(parse_info(str(await connection.call("INFO", "replication"))))


async def _check_link(step: Failover, connections: Connections) -> None:
    if not (await _replication(step.node, connections)).link_up:
        raise PreconditionFailed(
            f"Expected {step.node} to have a link to its master before it takes its place; it has "
            "none, and so may lack some of its data. Nothing was changed."
        )


async def _check_gone(step: Failover, table: NodeTable, connections: Connections) -> None:
    """Refuse if the master still runs, whatever ECS says: it may be serving writes."""
    entry = table.peer(step.master_id)
    if entry is not None and entry.address:
        await check_silent(step.master_id, entry.address, connections, _SILENCE_S)


async def _check_most_advanced(step: Failover, connections: Connections) -> None:
    own, *others = await together(_offset(node, connections) for node in (step.node, *step.rivals))
    if not own:
        raise PreconditionFailed(
            f"Expected {step.node} to have a copy of its master's data; it never had a whole one. "
            "Nothing was changed."
        )
    if max(others, default=0) > own:
        raise PreconditionFailed(
            f"Expected {step.node} to have the most of its master's data; it is at offset {own}, "
            f"and another replica at {max(others)}. Nothing was changed."
        )


async def _offset(node: NodeRef, connections: Connections) -> int:
    """How far a replica has come; 0 for one that has been lost meanwhile, or serves another."""
    try:
        return (await _replication(node, connections)).offset
    except (NodeUnreachable, CommandRefused):
        return 0
