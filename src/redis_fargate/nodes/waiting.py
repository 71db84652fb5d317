"""Waiting until nodes agree with each other, and until all is well."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from redis_fargate.nodes.connection import Connections, NodeConnection
from redis_fargate.nodes.errors import NodeLoading, NodeUnreachable, StepFailed
from redis_fargate.nodes.forming import MEET_AGAIN_S, introduce, missing_peers, node_table
from redis_fargate.nodes.parse import NodeTable, parse_cluster_ok, parse_info, parse_replication
from redis_fargate.nodes.polling import SLOWEST_PAUSE_S, attempts, together
from redis_fargate.topology.slots import SlotRanges, count, described, normalized, uncontested
from redis_fargate.topology.steps import AwaitAgreement, AwaitHealthy, NodeRef

_NAMED_IN_MESSAGES = 5
_MET_AT_ONCE = 3
"""How many missing peers a node is reminded of at a time: gossip does the rest."""

Look: TypeAlias = Callable[[NodeConnection], Awaitable[str]]
"""Asks a node; returns what it still lacks, as half a sentence, or nothing."""
Repair: TypeAlias = Callable[[NodeConnection], Awaitable[None]]
"""Helps a node that has lacked something for a while."""


async def await_agreement(
    step: AwaitAgreement, connections: Connections, patience_s: float
) -> None:
    """Wait until every node has every other in its table, with the slots that that one claims.

    Of two claims to a slot the newer one counts: the nodes tell it to the other's owner.

    Raises:
        StepFailed: they did not get there in time; says who lacks what.

    """
    tables = await together(_table(node, connections, patience_s) for node in step.nodes)
    claims = uncontested(
        {table.myself.id: (table.myself.config_epoch, table.myself.slots) for table in tables}
    )
    claimed = count(normalized(piece for slots in claims.values() for piece in slots))

    async def look(connection: NodeConnection) -> str:
        # Cheaper for both sides than the whole table, which is read once it can be complete.
        info = parse_info(str(await connection.call("CLUSTER", "INFO")))
        known, assigned = int(info["cluster_known_nodes"]), int(info["cluster_slots_assigned"])
        if known < len(step.nodes):
            return f"knows {known} of {len(step.nodes)} nodes"
        if assigned < claimed:
            return f"knows the owners of {assigned} of {claimed} slots"
        return _disagreement(await node_table(connection), step.nodes, claims)

    async def repair(connection: NodeConnection) -> None:
        missing = missing_peers(await node_table(connection), step.nodes)
        if missing:
            await introduce(connection, missing[:_MET_AT_ONCE], connections)

    await _await_all(step.nodes, connections, patience_s, look, repair)


async def await_healthy(step: AwaitHealthy, connections: Connections, patience_s: float) -> None:
    """Wait until every node says that all is well, and every replica's link is up.

    Raises:
        StepFailed: they did not get there in time; says who lacks what.

    """

    async def look(connection: NodeConnection) -> str:
        cluster, info = map(
            parse_info,
            map(str, await connection.pipeline(("CLUSTER", "INFO"), ("INFO", "replication"))),
        )
        if not parse_cluster_ok(cluster):
            return (
                f"says cluster_state:{cluster['cluster_state']} with "
                f"{cluster['cluster_slots_ok']} slots served and "
                f"{cluster['cluster_known_nodes']} nodes known"
            )
        replication = parse_replication(info)
        if replication.link_up is False:
            return f"has no link to its master at {replication.master_address}"
        return ""

    await _await_all(step.nodes, connections, patience_s, look, repair_link)


async def repair_link(connection: NodeConnection) -> None:
    """Free a replica whose link is stuck to an address that its master has left.

    It tries that address for ever, although its table has the right one; telling it its
    own master again makes it look.
    """
    table = await node_table(connection)
    master = table.peer(table.myself.master_id or "")
    if master is None:
        return
    replication = parse_replication(parse_info(str(await connection.call("INFO", "replication"))))
    if not replication.link_up and replication.master_address != master.address:
        await connection.call("CLUSTER", "REPLICATE", master.id)


async def _table(node: NodeRef, connections: Connections, patience_s: float) -> NodeTable:
    silence: NodeUnreachable | NodeLoading | None = None
    async for _ in attempts(patience_s):
        try:
            return await node_table(await connections.to(node))
        except (NodeUnreachable, NodeLoading) as error:  # busy with meeting all the others
            silence = error
    raise StepFailed(f"{node} does not tell whom it knows: {silence}")


def _disagreement(
    table: NodeTable, nodes: Sequence[NodeRef], claims: Mapping[str, SlotRanges]
) -> str:
    if missing := missing_peers(table, nodes):
        return f"does not know {_some(missing)}"
    for peer in table.peers:
        if peer.slots != claims.get(peer.id, peer.slots):
            return (
                f"believes that {peer.address} owns the slots {described(peer.slots) or '(none)'}, "
                f"which itself says {described(claims[peer.id]) or '(none)'}"
            )
    return ""


async def _await_all(
    nodes: Sequence[NodeRef],
    connections: Connections,
    patience_s: float,
    look: Look,
    repair: Repair,
) -> None:
    # In large fleets on few processors, frequent questions would take from the servers
    # the very time that they need to agree.
    slowest_s = max(SLOWEST_PAUSE_S, 0.002 * len(nodes))
    repair_every_s = max(MEET_AGAIN_S, 0.025 * len(nodes))

    async def wait_for(node: NodeRef) -> str:
        lacks = "was not asked"
        repair_at_s = repair_every_s
        async for waited_s in attempts(patience_s, slowest_s):
            try:
                connection = await connections.to(node)
                lacks = await look(connection)
                if lacks and waited_s >= repair_at_s:
                    repair_at_s = waited_s + repair_every_s
                    await repair(connection)
            except (NodeUnreachable, NodeLoading) as error:  # it may be back before the deadline
                lacks = f"does not answer ({error})"
            if not lacks:
                return ""
        return f"{node} {lacks}"

    lacking = [lack for lack in await together(map(wait_for, nodes)) if lack]
    if lacking:
        raise StepFailed(
            f"After {patience_s:g} s, {len(lacking)} of {len(nodes)} nodes are not there yet: "
            f"{_some(lacking, '; ')}."
        )


def _some(things: Sequence[object], separator: str = ", ") -> str:
    named = separator.join(map(str, things[:_NAMED_IN_MESSAGES]))
    more = len(things) - _NAMED_IN_MESSAGES
    return f"{named}{separator}and {more} more" if more > 0 else named
