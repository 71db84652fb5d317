"""Whether nodes are in contact with the others: from one that is not, they may have moved on."""

from collections.abc import Collection

from redis_fargate.nodes.connection import NodeConnection
from redis_fargate.nodes.errors import PreconditionFailed
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.parse import NodeTable, parse_info, parse_nodes, parse_pongs
from redis_fargate.nodes.polling import attempts, together
from redis_fargate.topology.slots import SlotRanges, described, from_numbers, subtract
from redis_fargate.topology.steps import MoveSlots
from redis_fargate.topology.view import Role

_QUESTIONS = (("CLUSTER", "NODES"), ("INFO", "server"), ("CONFIG", "GET", "cluster-node-timeout"))
_FRESH_MS = 2000
"""Every node asks somebody once a second."""
_PATIENCE_S = 3.0
_SURE_S = 1.0
"""For so long a target may know better than its source what others got from that one."""


async def check_contact(node: NodeConnection, gone: Collection[str] = ()) -> None:
    """See that a node has heard of a peer just now, and of a majority of the masters lately.

    A master that is given slots raises its config epoch without asking anybody
    (https://valkey.io/topics/cluster-spec/). If the others cannot hear it, they may elect a replica
    in its place at the same time; it must not win against that one, which has taken writes since.
    Masters that are ``gone``, by their ids, elect nobody.

    Raises:
        PreconditionFailed: it has not, for as long as it takes to be sure.

    """
    async for _ in attempts(_PATIENCE_S):
        nodes, info, setting = await node.pipeline(*_QUESTIONS)
        table = parse_nodes(str(nodes))
        masters = [
            peer
            for peer in (table.myself, *table.peers)
            if peer.role is Role.MASTER and peer.slots and peer.id not in gone
        ]
        if all(peer.myself for peer in masters):
            return
        now_ms = int(parse_info(str(info))["server_time_usec"]) // 1000
        timeout_ms = int(setting[1]) if isinstance(setting, list) else 0
        pongs_ms = parse_pongs(str(nodes))
        ages_ms = {node_id: now_ms - heard_ms for node_id, heard_ms in pongs_ms.items()}
        imported = _imported(table)  # their owner may be gone
        voters = [
            peer.myself or ages_ms[peer.id] < timeout_ms / 2 + _FRESH_MS  # all are asked so often
            for peer in masters
            if subtract(peer.slots, imported)
        ]
        if min(ages_ms.values()) < _FRESH_MS and sum(voters) > len(voters) / 2:
            return
    raise PreconditionFailed(
        f"Expected {node} to be in contact with the cluster; it last heard of a peer "
        f"{min(ages_ms.values()) / 1000:g} s ago, and lately of {sum(voters)} of the {len(voters)} "
        "masters, itself included. Another may have been elected in its place: it gets no slots."
    )


async def check_giver(step: MoveSlots, giver: NodeConnection, taker: NodeConnection) -> None:
    """See that the source of a move has not been replaced, and is not about to be.

    Who is cut off does not hear of that, and takes its replicas for its own. The target's claim to
    its slots would be the newest, and what clients wrote to who replaced it would be lost.

    Raises:
        PreconditionFailed: the target does not hear the source, which has a replica, or believes
            that slots of it are another's.

    """
    trouble = ""
    async for _ in attempts(_SURE_S):
        source, target = await together(map(node_table, (giver, taker)))
        known = target.peer(step.source.id)
        claimed = (*target.myself.slots, *_imported(target), *(known.slots if known else ()))
        heirs = [peer.id for peer in source.peers if peer.master_id == step.source.id]
        if foreign := subtract(source.myself.slots, claimed):
            trouble = f"its slots {described(foreign)} are another's"
        elif known and known.flags & {"fail", "fail?"} and heirs:
            trouble = f"it fails, and {heirs[0]} may have taken its place"
        else:
            return
    raise PreconditionFailed(
        f"Expected {step.source} to be the owner of its slots before {step.target} takes some; by "
        f"that one's table {trouble}. No more slots were moved."
    )


def _imported(table: NodeTable) -> SlotRanges:
    """The slots that a node imports: what it believes of them no message changes."""
    return from_numbers(each.slot for each in table.open_slots if each.importing_from)
