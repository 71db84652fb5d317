"""Serving slots again whose data is lost. Where it is not, that would lose it."""

from redis_fargate.nodes.bumping import use_up_epoch
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.contact import check_contact
from redis_fargate.nodes.errors import PreconditionFailed, StepFailed
from redis_fargate.nodes.forgetting import check_silent
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.polling import together
from redis_fargate.topology.slots import common, described, subtract
from redis_fargate.topology.steps import AdoptSlots, NodeRef
from redis_fargate.topology.view import Role


async def adopt_slots(step: AdoptSlots, connections: Connections) -> None:
    """Take slots from nodes that are gone, with a claim that is newer than any.

    As redis-cli adopts slots: DELSLOTS, ADDSLOTS and BUMPEPOCH in one transaction. Those who still
    believe the former owner learn better by the higher epoch.

    Raises:
        PreconditionFailed: the node is a replica; by its table somebody who is not gone owns a
            slot; a former owner answers; the node is out of contact with the others; or one of the
            replicas is none any more, or believes that the node has failed.
        StepFailed: it does not serve the slots.

    """
    connection = await connections.to(step.node)
    table = await node_table(connection)
    slots = subtract(step.slots, table.myself.slots)
    if not slots:
        return
    if table.myself.role is not Role.MASTER:
        trouble = f"it is a replica of {table.myself.master_id}"
    else:
        trouble = next(
            (
                f"by its table {peer.id} at {peer.address} owns {described(owned)}"
                for peer in table.peers
                if peer.id not in step.gone and (owned := common(slots, peer.slots))
            ),
            "",
        )
    if trouble:
        raise PreconditionFailed(
            f"Expected {step.node} to be a master that can serve the slots {described(slots)}, "
            f"whose owners are gone; {trouble}. Nothing was changed."
        )
    await together(check_silent(peer, connections) for peer in table.peers if peer.id in step.gone)
    await check_contact(connection, step.gone)
    await together(_check_replica(replica, step, connections) for replica in step.replicas)
    await use_up_epoch(step.replicas, connections)
    bounds = [bound for piece in slots for bound in (piece.first, piece.last)]
    await connection.pipeline(
        ("MULTI",),
        ("CLUSTER", "DELSLOTSRANGE", *bounds),
        ("CLUSTER", "ADDSLOTSRANGE", *bounds),
        ("CLUSTER", "BUMPEPOCH"),
        ("EXEC",),
    )
    missing = subtract(slots, (await node_table(connection)).myself.slots)
    if missing:
        raise StepFailed(f"{step.node} was given slots, and does not serve {described(missing)}.")


async def _check_replica(replica: NodeRef, step: AdoptSlots, connections: Connections) -> None:
    """See that a replica of the node is not about to be elected, with an older epoch than it got.

    Raises:
        PreconditionFailed: it believes that the node has failed.

    """
    table = await node_table(await connections.to(replica))
    master = table.peer(step.node.id)
    if table.myself.master_id == step.node.id and master and "fail" in master.flags:
        raise PreconditionFailed(
            f"Expected {step.node} to be well before it gets slots; its replica {replica} believes "
            "that it has failed, and may be elected in its place. Nothing was changed."
        )
