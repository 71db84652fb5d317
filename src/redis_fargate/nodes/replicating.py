"""Making a node a replica. On a node with data of its own, that would destroy it."""

from redis_fargate.nodes.connection import Connections, NodeConnection
from redis_fargate.nodes.errors import (
    CommandRefused,
    NodeUnreachable,
    PreconditionFailed,
    StepFailed,
)
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.parse import (
    NodeTable,
    count_keys,
    parse_info,
    parse_nodes,
    parse_replication,
)
from redis_fargate.nodes.polling import attempts
from redis_fargate.nodes.waiting import repair_link
from redis_fargate.topology.slots import described
from redis_fargate.topology.steps import AllowFailover, Replicate
from redis_fargate.topology.view import Role

NO_FAILOVER = "cluster-replica-no-failover"


async def allow_failover(step: AllowFailover, connections: Connections) -> None:
    """CONFIG SET cluster-replica-no-failover no, on a replica that has its master's data.

    Raises:
        PreconditionFailed: it has not.

    """
    connection = await connections.to(step.node)
    replication = parse_replication(parse_info(str(await connection.call("INFO", "replication"))))
    if replication.link_up is False:
        raise PreconditionFailed(
            f"Expected {step.node} to have its master's data before Redis may elect it; it has no "
            "link to its master. Nothing was changed."
        )
    await connection.call("CONFIG", "SET", NO_FAILOVER, "no")


async def replicate(step: Replicate, connections: Connections, patience_s: float) -> None:
    """CLUSTER REPLICATE, if the node has nothing to lose.

    A node that is a replica of that master already is only seen to have its link at the
    master's present address.

    Raises:
        PreconditionFailed: the node has keys or slots; or it has keys of a master that does not
            answer, and may hold them alone; or the new master is none.
        StepFailed: the node did not take the master, or does not know it.

    """
    connection = await connections.to(step.node)
    table, keys = await _look(connection)
    if table.myself.master_id == step.master.id:
        await repair_link(connection)
        return
    if table.myself.role is Role.MASTER:
        _check_empty(step, table, keys)
    else:
        if keys:
            await _check_old_master(step, table, connections)
        # Until it is synchronised it has another shard's data or none, and its offset, with which
        # Redis would elect it. AllowFailover ends that.
        await connection.call("CONFIG", "SET", NO_FAILOVER, "yes")
    await _check_new_master(step, connections)
    await _send(step, connection, patience_s)


async def _look(connection: NodeConnection) -> tuple[NodeTable, int]:
    nodes, keyspace = await connection.pipeline(("CLUSTER", "NODES"), ("INFO", "keyspace"))
    return parse_nodes(str(nodes)), count_keys(parse_info(str(keyspace)))


def _check_empty(step: Replicate, table: NodeTable, keys: int) -> None:
    """Refuse a master with anything in it; the server checks keys and slots once more."""
    if keys or table.myself.slots or table.open_slots:
        raise PreconditionFailed(
            f"Expected {step.node} to be empty before it becomes a replica; it has {keys} keys, "
            f"the slots {described(table.myself.slots) or '(none)'} and "
            f"{len(table.open_slots)} open slots. Nothing was changed."
        )


async def _check_old_master(step: Replicate, table: NodeTable, connections: Connections) -> None:
    """Refuse to leave a master that may be dead: then the data is no copy any more."""
    old = table.peer(table.myself.master_id or "")
    if old is None or not old.slots:
        return
    trouble = ""
    try:
        found_id = await connections.id_at(old.address)
    except (NodeUnreachable, CommandRefused) as error:
        trouble = str(error)
    else:
        if found_id != old.id:
            trouble = f"Another node, {found_id}, answers at its address {old.address}."
    if trouble:
        raise PreconditionFailed(
            f"Expected {step.node} to have a living master before it takes another; its master "
            f"{old.id} does not answer, and {step.node} may have the only copy of the slots "
            f"{described(old.slots)}. {trouble}"
        )


async def _check_new_master(step: Replicate, connections: Connections) -> None:
    master = (await node_table(await connections.to(step.master))).myself
    if master.role is not Role.MASTER:
        raise PreconditionFailed(
            f"Expected {step.master} to be a master that {step.node} can replicate; it is a "
            f"replica of {master.master_id}."
        )


async def _send(step: Replicate, connection: NodeConnection, patience_s: float) -> None:
    """Until the node knows its master: a node's table may be a moment behind the others'."""
    refused: CommandRefused | None = None
    async for _ in attempts(patience_s):
        try:
            await connection.call("CLUSTER", "REPLICATE", step.master.id)
        except CommandRefused as refusal:
            if "unknown node" not in refusal.reply.lower():
                raise
            refused = refusal
            continue
        seen = (await node_table(connection)).myself.master_id
        if seen != step.master.id:
            raise StepFailed(
                f"{step.node} was told to replicate {step.master.id}, and its master is "
                f"{seen or '(none)'}."
            )
        return
    raise StepFailed(
        f"{step.node} does not know its future master {step.master} ({step.master.id}) after "
        f"{patience_s:g} s: {refused}"
    )
