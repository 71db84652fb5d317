"""Raising a master's config epoch. Against one that lives that would take its slots away."""

from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.contact import check_contact
from redis_fargate.nodes.errors import PreconditionFailed
from redis_fargate.nodes.forgetting import check_silent
from redis_fargate.nodes.forming import node_table
from redis_fargate.topology.steps import BumpEpoch
from redis_fargate.topology.view import Role


async def bump_epoch(step: BumpEpoch, connections: Connections) -> None:
    """CLUSTER BUMPEPOCH, unless the node's claim is newer than that of the one that is gone.

    Raises:
        PreconditionFailed: the node is a replica, or has no slots; the one that is said to be gone
            answers; or the node is out of contact with the others, who may have elected another.

    """
    connection = await connections.to(step.node)
    table = await node_table(connection)
    gone = table.peer(step.gone_id)
    if gone is None or step.gone_epoch < table.myself.config_epoch:
        return
    if table.myself.role is not Role.MASTER or not table.myself.slots:
        raise PreconditionFailed(
            f"Expected {step.node} to be a master with slots before its claim to them is made "
            "newer; it is none. Nothing was changed."
        )
    await check_silent(gone, connections)
    await check_contact(connection, (step.gone_id,))
    await connection.call("CLUSTER", "BUMPEPOCH")
