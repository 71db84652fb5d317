"""Whether a task can be spared, asked of the servers right before ECS is allowed to stop it."""

from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import PreconditionFailed
from redis_fargate.nodes.moving_atomically import under_way
from redis_fargate.nodes.parse import (
    NodeTable,
    count_keys,
    parse_info,
    parse_nodes,
    parse_replication,
)
from redis_fargate.nodes.polling import together
from redis_fargate.topology.slots import described
from redis_fargate.topology.steps import NodeRef, Unprotect
from redis_fargate.topology.view import Replication, Role


async def check_spare(step: Unprotect, connections: Connections) -> None:
    """See that all that a node has is on the nodes that stay, and that they are well.

    Raises:
        PreconditionFailed: the node has slots, or is getting some; or it has data of a master that
            is none of the keepers; or a keeper does not have it. ECS has been told nothing.
        NodeUnreachable, NodeLoading: one of them does not say.

    """
    (table, keys, _), *kept = await together(
        _look(node, connections) for node in (step.node, *step.keepers)
    )
    if table.myself.slots or table.open_slots:
        raise _refused(step, f"it owns the slots {described(table.myself.slots)}")
    if table.myself.role is Role.MASTER:
        if keys:
            raise _refused(step, f"it is a master with {keys} keys")
        if await under_way(await connections.to(step.node)):
            raise _refused(step, "slots are on their way to it")
        return
    if not step.keepers:
        if keys:
            raise _refused(step, f"it has {keys} keys of a master that does not answer")
        return
    (master, _, _), *replicas = kept
    if table.myself.master_id != master.myself.id or not master.myself.slots:
        raise _refused(step, f"its master is {table.myself.master_id}")
    for keeper, (other, _, replication) in zip(step.keepers[1:], replicas, strict=True):
        if other.myself.master_id != master.myself.id or not replication.link_up:
            raise _refused(step, f"{keeper} is no synchronised replica of the same master")


async def _look(node: NodeRef, connections: Connections) -> tuple[NodeTable, int, Replication]:
    connection = await connections.to(node)
    nodes, info = await connection.pipeline(("CLUSTER", "NODES"), ("INFO",))
    facts = parse_info(str(info))
    return parse_nodes(str(nodes)), count_keys(facts), parse_replication(facts)


def _refused(step: Unprotect, trouble: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"Expected task {step.node.task_id} ({step.node}) to be one that the cluster can spare; "
        f"{trouble}. It stays protected."
    )
