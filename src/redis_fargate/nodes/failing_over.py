"""Failovers. While a master lives, any but a planned one loses writes that it has acknowledged."""

import asyncio
from contextlib import suppress

from redis_fargate.nodes.connection import Connections, NodeConnection
from redis_fargate.nodes.contact import check_contact
from redis_fargate.nodes.copies import checked
from redis_fargate.nodes.errors import (
    CommandRefused,
    NodeLoading,
    NodeUnreachable,
    PreconditionFailed,
    StepFailed,
)
from redis_fargate.nodes.forgetting import check_silent
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.parse import NodeTable, parse_info, parse_replication
from redis_fargate.nodes.polling import attempts, together
from redis_fargate.nodes.replicating import NO_FAILOVER
from redis_fargate.topology.errors import RedisFargateError
from redis_fargate.topology.slots import SlotRanges, common, described
from redis_fargate.topology.steps import Failover, FailoverMode, NodeRef
from redis_fargate.topology.view import Replication, Role, advances

_FAILOVER_S = 5.0
"""After this, Redis itself gives a manual failover up (CLUSTER_MF_TIMEOUT)."""


async def fail_over(
    step: Failover, connections: Connections, patience_s: float, turn: asyncio.Lock
) -> None:
    """CLUSTER FAILOVER, until the node is the master.

    ``turn`` is for those that are made at the same time. A master votes once in an epoch, and two
    candidates that choose the same one may both get too few votes, and have to wait.

    Raises:
        PreconditionFailed: the node is no replica of that master; a planned failover would find no
            link; for one without the master, that one still answers, another replica has more of
            its data, or, in a takeover, another master serves the slots.
        StepFailed: the node did not become a master in time.

    """
    connection = await connections.to(step.node)
    table = await _table_of_replica(step, connection)
    if table is None:
        return
    if step.mode is not FailoverMode.PLANNED:
        await _check_gone(step, table, connections)
        await _check_most_advanced(step, table, connections)
    if step.mode is not FailoverMode.TAKEOVER:
        await _await_voters(step, connections, patience_s)
    async with turn:
        table = await _table_of_replica(step, connection)  # the turns before may have taken long
        if table is None:
            return
        if step.mode is FailoverMode.PLANNED:
            await _check_link(step, connections)
            await _await_claim(step, connections, patience_s)
        if step.mode is FailoverMode.TAKEOVER:
            await _check_unserved(step, table, connections)
        try:
            await _promote(step, connection, connections, patience_s)
        except StepFailed:
            if step.mode is FailoverMode.FORCE:
                await _silence_rivals(step, table, connection, connections)
            raise


async def _table_of_replica(step: Failover, connection: NodeConnection) -> NodeTable | None:
    """See that the node follows that master still; None if it is a master already."""
    table = await node_table(connection)
    if table.myself.role is Role.MASTER:
        return None
    if table.myself.master_id != step.master_id:
        raise PreconditionFailed(
            f"Expected {step.node} to be a replica of {step.master_id}; its master is "
            f"{table.myself.master_id or '(none)'}. Nothing was changed."
        )
    return table


async def _promote(
    step: Failover, connection: NodeConnection, connections: Connections, patience_s: float
) -> None:
    how = () if step.mode is FailoverMode.PLANNED else (step.mode.value.upper(),)
    await connection.call("CLUSTER", "FAILOVER", *how)
    async for _ in attempts(min(patience_s, _FAILOVER_S)):
        table = await node_table(connection)
        if table.myself.role is Role.MASTER and (
            step.mode is not FailoverMode.PLANNED or await _stepped_down(step, connections)
        ):
            return
    raise StepFailed(
        f"{step.node} was told to take the place of its master {step.master_id} "
        f"({step.mode.value}), and is still its replica after {_FAILOVER_S:g} s: most of "
        "the masters have to answer it."
    )


async def _silence_rivals(
    step: Failover, table: NodeTable, connection: NodeConnection, connections: Connections
) -> None:
    """Keep the other replicas from elections of their own, until they follow the next master.

    A master that votes for one votes for none of its rivals for two node timeouts, and who lacks
    votes asks again after four. So each can have what the others lack, for half an hour and more.
    Nobody is silenced for a node that most masters do not hear, nor whose data is told from
    another shard's only by its being free to be elected.
    """
    gone = table.peer(step.master_id)
    slots = gone.slots if gone else ()

    async def silence(rival: NodeRef) -> None:
        with suppress(RedisFargateError):
            if (await _copy(rival, slots, (), connections, barred=True)).offset:
                await (await connections.to(rival)).call("CONFIG", "SET", NO_FAILOVER, "yes")

    with suppress(PreconditionFailed):
        await check_contact(connection, (step.master_id,))
        await together(map(silence, step.rivals))


async def _check_unserved(step: Failover, table: NodeTable, connections: Connections) -> None:
    """Refuse to take from a master what it serves: a takeover's claim is newer than any."""
    gone = table.peer(step.master_id)
    opened = await together(map(connections.to, step.masters))
    for master, other in zip(step.masters, await together(map(node_table, opened)), strict=True):
        if taken := common(other.myself.slots, gone.slots if gone else ()):
            raise PreconditionFailed(
                f"Expected nobody to serve what {step.node} believes that its master "
                f"{step.master_id} owned; {master} serves {described(taken)}. Nothing was changed."
            )


async def _await_voters(step: Failover, connections: Connections, patience_s: float) -> None:
    """Wait until most masters would vote, and for a planned failover all of them.

    Its own master ignores a replica that it does not know yet, and who refuses a vote is not
    asked again for long.
    """

    async def knows(voter: NodeRef) -> bool:
        try:
            entry = (await node_table(await connections.to(voter))).peer(step.node.id)
        except (NodeUnreachable, NodeLoading, PreconditionFailed):
            return False
        return entry is not None and entry.master_id == step.master_id

    known, count = 0, len(step.masters)
    needed = count if step.mode is FailoverMode.PLANNED else count // 2 + bool(count)
    async for _ in attempts(patience_s):
        known = sum(await together(map(knows, step.masters)))
        if known >= needed:
            return
    raise StepFailed(
        f"{known} of {count} masters know {step.node} as a replica of {step.master_id} after "
        f"{patience_s:g} s, and {needed} have to before it can take its place."
    )


async def _stepped_down(step: Failover, connections: Connections) -> bool:
    """Whether the former master, which may be the last to hear of it, claims no slots any more."""
    for master in step.masters:
        if master.id == step.master_id:
            return not (await node_table(await connections.to(master))).myself.slots
    return True


async def _replication(node: NodeRef, connections: Connections) -> Replication:
    connection = await connections.to(node)
    return parse_replication(parse_info(str(await connection.call("INFO", "replication"))))


async def _check_link(step: Failover, connections: Connections) -> None:
    if not (await _replication(step.node, connections)).link_up:
        raise PreconditionFailed(
            f"Expected {step.node} to have a link to its master before it takes its place; it has "
            "none, and so may lack some of its data. Nothing was changed."
        )


async def _await_claim(step: Failover, connections: Connections, patience_s: float) -> None:
    """Wait until the replica knows what its master claims, and by which config epoch.

    It claims what it knows, with the next epoch that it knows of. Were its master given slots just
    now, that might be its master's own, and neither would yield. It may know of a newer one: a node
    tells its master's while it is a replica, and Redis 7.0 may elect it with an older one again.
    """
    master = next((each for each in step.masters if each.id == step.master_id), None)
    if master is None:
        return
    replica, other = await together(map(connections.to, (step.node, master)))
    async for _ in attempts(patience_s):
        table, true = await together(map(node_table, (replica, other)))
        believed = table.peer(master.id)
        if (
            believed is not None
            and believed.slots == true.myself.slots
            and believed.config_epoch >= true.myself.config_epoch
        ):
            return
    raise StepFailed(
        f"{step.node} does not know after {patience_s:g} s which slots its master {master} owns, "
        "and has to before it can take its place."
    )


async def _check_gone(step: Failover, table: NodeTable, connections: Connections) -> None:
    """Refuse if the master still runs, whatever ECS says: it may be serving writes."""
    entry = table.peer(step.master_id)
    if entry is not None:
        await check_silent(entry, connections)


async def _check_most_advanced(step: Failover, table: NodeTable, connections: Connections) -> None:
    master = table.peer(step.master_id)
    slots = master.slots if master else ()
    nodes = (step.node, *step.rivals)
    copies = await together(_copy(node, slots, step.on_their_way, connections) for node in nodes)
    if not copies[0].offset:
        raise PreconditionFailed(
            f"Expected {step.node} to have a copy of its master's data; it never had a whole one. "
            "Nothing was changed."
        )
    reached = advances(copies)
    first = reached.index(max(reached))
    if reached[first] > reached[0]:
        raise PreconditionFailed(
            f"Expected {step.node} to have the most of its master's data; it is at offset "
            f"{copies[0].offset} of the stream {copies[0].stream}, and {nodes[first]} at "
            f"{copies[first].offset} of {copies[first].stream}. Nothing was changed."
        )


async def _copy(
    node: NodeRef,
    slots: SlotRanges,
    on_their_way: SlotRanges,
    connections: Connections,
    *,
    barred: bool = False,
) -> Replication:
    """What a replica has; nothing if it has been lost meanwhile, or serves another."""
    try:
        replication = await _replication(node, connections)
        if slots:
            connection = await connections.to(node)
            barred = barred or "nofailover" in (await node_table(connection)).myself.flags
            replication = await checked(replication, connection, slots, on_their_way, barred=barred)
    except (NodeUnreachable, CommandRefused):
        return Replication(offset=0)
    return replication
