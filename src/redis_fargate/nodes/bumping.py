"""Raising epochs. A master's, against one that lives, would take its slots away."""

from collections.abc import Iterable

from redis_fargate.nodes.connection import Connections, NodeConnection
from redis_fargate.nodes.contact import check_contact
from redis_fargate.nodes.errors import PreconditionFailed, StepFailed
from redis_fargate.nodes.forgetting import check_silent
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.parse import parse_info
from redis_fargate.nodes.polling import attempts, together
from redis_fargate.topology.slots import common
from redis_fargate.topology.steps import AdvanceEpoch, BumpEpoch, NodeRef, Outrank
from redis_fargate.topology.view import Role

_NEWS_S = 2.0
"""For so long it is waited until nodes have heard of each other's epochs."""


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


async def advance_epoch(step: AdvanceEpoch, connections: Connections) -> None:
    """Use up an epoch on a replica, unless the first one hears of the master's in time.

    Raises:
        PreconditionFailed: a node is no replica any more.
        StepFailed: none of the nodes could do it.

    """
    first = await connections.to(step.nodes[0])
    async for _ in attempts(_NEWS_S):
        info = parse_info(str(await first.call("CLUSTER", "INFO")))
        if int(info["cluster_current_epoch"]) >= step.epoch:
            return
    if not await use_up_epoch(step.nodes, connections):
        raise StepFailed(
            f"Expected one of {', '.join(map(str, step.nodes))} to use up config epoch "
            f"{step.epoch}; each had the newest that it knows already. An election may choose the "
            "same."
        )


async def use_up_epoch(replicas: Iterable[NodeRef], connections: Connections) -> bool:
    """CLUSTER BUMPEPOCH on one of some replicas, so that an election takes a newer epoch.

    A replica claims nothing by its own epoch: it tells the others only that this one is used. Who
    has the newest epoch that it knows stays as it is, and the next one is asked.

    Returns:
        Whether one did so.

    Raises:
        PreconditionFailed: a node is no replica any more.

    """
    for node in replicas:
        connection = await connections.to(node)
        table = await node_table(connection)
        if table.myself.role is not Role.REPLICA:
            raise PreconditionFailed(
                f"Expected {node} to be a replica before it uses up an epoch; it is a master. "
                "Nothing was changed."
            )
        if await _has_bumped(connection):
            return True
    return False


async def outrank(step: Outrank, connections: Connections) -> None:
    """CLUSTER BUMPEPOCH, unless the master's is the newer one already, or in time.

    Of two that have the same one gets a newer one as soon as it hears of the other ("Redis cluster
    specification", "configEpoch conflicts resolution algorithm").

    Raises:
        PreconditionFailed: the node is a replica, or out of contact with the others, or both say
            that a slot is theirs.
        StepFailed: the node had the newest epoch that it knows already.

    """
    both = await together(map(connections.to, (step.node, step.rival)))
    async for _ in attempts(_NEWS_S):
        one, other = [table.myself for table in await together(map(node_table, both))]
        if one.config_epoch > other.config_epoch:
            return
    if one.role is not Role.MASTER or common(one.slots, other.slots):
        raise PreconditionFailed(
            f"Expected {step.node} to be a master of other slots than {step.rival} before it gets "
            "a newer config epoch; it is none. Nothing was changed."
        )
    await check_contact(both[0], (step.rival.id,))
    async for _ in attempts(_NEWS_S):  # it may have to hear first that a newer one is used up
        if await _has_bumped(both[0]):
            return
    raise StepFailed(
        f"Expected {step.node} to get a newer config epoch than {step.rival}; it had the newest "
        "that it knows already."
    )


async def _has_bumped(connection: NodeConnection) -> bool:
    """CLUSTER BUMPEPOCH, and whether it changed anything: not where the newest is the node's."""
    return str(await connection.call("CLUSTER", "BUMPEPOCH")).startswith("BUMPED")
