"""Making empty masters: of a replica, and of a master with keys that nobody serves."""

from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import PreconditionFailed, StepFailed
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.moving_atomically import under_way
from redis_fargate.nodes.parse import count_keys, parse_info, parse_nodes
from redis_fargate.topology.slots import SLOT_COUNT, described
from redis_fargate.topology.steps import DropLeftovers, Reset
from redis_fargate.topology.view import Role


async def reset(step: Reset, connections: Connections) -> None:
    """CLUSTER RESET SOFT, of a replica without keys, or whose master answers and has them all.

    Raises:
        PreconditionFailed: it has keys, and is no replica of that master, or that one does not
            serve its shard.
        StepFailed: it is no empty master after that.

    """
    connection = await connections.to(step.node)
    nodes, keyspace = await connection.pipeline(("CLUSTER", "NODES"), ("INFO", "keyspace"))
    myself, keys = parse_nodes(str(nodes)).myself, count_keys(parse_info(str(keyspace)))
    if myself.role is Role.MASTER and not myself.slots:
        return
    trouble = ""
    if myself.role is not Role.REPLICA:
        trouble = f"it is a master with {keys} keys"
    elif keys and (step.master is None or myself.master_id != step.master.id):
        trouble = f"it has {keys} keys of {myself.master_id}"
    elif keys and step.master is not None:
        serving = (await node_table(await connections.to(step.master))).myself
        if serving.role is not Role.MASTER or not serving.slots:
            trouble = f"it has {keys} keys, and its master {step.master} serves no slots"
    if trouble:
        raise PreconditionFailed(
            f"Expected {step.node} to be a replica that can be spared; {trouble}. Nothing was "
            "reset."
        )
    await connection.call("CLUSTER", "RESET", "SOFT")
    table = await node_table(connection)
    if table.myself.role is not Role.MASTER or table.peers:
        raise StepFailed(f"{step.node} was reset, and is still what it was.")


async def drop_leftovers(step: DropLeftovers, connections: Connections) -> None:
    """FLUSHALL, on a master to which no slot belongs, while others serve all of them.

    Raises:
        PreconditionFailed: it is no such master; or some slot is in flight, or on its way to it, or
            served by nobody.

    """
    connection = await connections.to(step.node)
    nodes, info = await connection.pipeline(("CLUSTER", "NODES"), ("CLUSTER", "INFO"))
    table, served = parse_nodes(str(nodes)), int(parse_info(str(info))["cluster_slots_ok"])
    trouble = ""
    if table.myself.role is not Role.MASTER:
        trouble = f"it is a replica of {table.myself.master_id}"
    elif table.myself.slots or table.open_slots:
        trouble = f"it owns the slots {described(table.myself.slots) or '(none)'}, or has some open"
    elif served != SLOT_COUNT:
        trouble = f"only {served} of {SLOT_COUNT} slots are served by others"
    elif await under_way(connection):
        trouble = "slots are on their way to it"
    if trouble:
        raise PreconditionFailed(
            f"Expected {step.node} to be a master whose keys nobody serves; {trouble}. Nothing was "
            "deleted."
        )
    await connection.call("FLUSHALL")
