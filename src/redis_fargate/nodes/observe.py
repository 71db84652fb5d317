"""Ask all nodes, at once, how they are."""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import replace

from redis_fargate.nodes.connection import Connections, Identity, Reply
from redis_fargate.nodes.copies import checked
from redis_fargate.nodes.errors import (
    AuthenticationFailed,
    CommandRefused,
    NodeLoading,
    NodeUnreachable,
    NotInClusterMode,
)
from redis_fargate.nodes.moving_atomically import under_way
from redis_fargate.nodes.parse import (
    count_keys,
    parse_cluster_ok,
    parse_info,
    parse_nodes,
    parse_replication,
    parse_version,
)
from redis_fargate.topology.slots import SlotRanges, numbers
from redis_fargate.topology.view import (
    FORMING_SETTINGS,
    Member,
    Node,
    Role,
    Task,
    Trouble,
    on_their_way,
)

_QUESTIONS = (
    ("CLUSTER", "NODES"),
    ("CLUSTER", "INFO"),
    ("INFO",),
    *(("CONFIG", "GET", name) for name in FORMING_SETTINGS),
)

_TROUBLES = {
    NodeUnreachable: Trouble.UNREACHABLE,
    NodeLoading: Trouble.LOADING,
    AuthenticationFailed: Trouble.AUTHENTICATION,
    NotInClusterMode: Trouble.NOT_CLUSTER_MODE,
}


async def observe(
    tasks: Iterable[Task], connections: Connections, moving: SlotRanges = ()
) -> tuple[Member, ...]:
    """Join each task with the node inside it, in order of task id.

    ``moving`` are slots that may be in flight: where keys of them are is looked for, too, as it is
    for those that a node calls in flight.

    Takes no longer than the deadlines of one connection and two answers. Never raises
    because of a node: what keeps one from being observed is its member's ``trouble``.
    """
    ordered = sorted(tasks, key=lambda task: task.id)
    members = await asyncio.gather(*(_member(task, connections) for task in ordered))
    nodes = [member.node for member in members if member.node is not None]
    asked = set(numbers(moving)).union(each.slot for node in nodes for each in node.open_slots)
    seen = {node.id for node in nodes}

    async def closer(member: Member) -> Member:
        node = member.node
        if node is not None and node.role is Role.MASTER and asked:
            return await _answered(member.task, _with_strays(node, asked, connections))
        if node is not None and node.role is Role.REPLICA and node.master_id not in seen:
            given = on_their_way(nodes, node.master_id or "")
            return await _answered(member.task, _with_checked_copy(node, given, connections))
        return member

    return tuple(await asyncio.gather(*map(closer, members)))


async def _with_strays(node: Node, asked: set[int], connections: Connections) -> Node:
    """Look for keys in slots that are another master's, and for moves that the server makes."""
    foreign = sorted(asked.difference(numbers(node.slots)))
    connection = await connections.at(node.address)
    migrations = await under_way(connection)
    counts = await connection.pipeline(*(("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in foreign))
    strays = {slot: int(str(keys)) for slot, keys in zip(foreign, counts, strict=True) if keys}
    return replace(node, strays=strays, migrations=migrations)


async def _with_checked_copy(node: Node, given: SlotRanges, connections: Connections) -> Node:
    """See whether a replica whose master was not observed has that one's data."""
    slots = next((peer.slots for peer in node.peers if peer.id == node.master_id), ())
    if not slots:
        return node
    connection = await connections.at(node.address)
    replication = await checked(node.replication, connection, slots, given, barred=node.barred)
    return replace(node, replication=replication)


async def _member(task: Task, connections: Connections) -> Member:
    if task.address is None:
        return _in_trouble(task, Trouble.UNREACHABLE, f"Task {task.id} has no address yet.")
    return await _answered(task, _node(task.address, connections))


async def _answered(task: Task, asking: Awaitable[Node]) -> Member:
    """Make a member of what its node answers, or of what keeps it from answering."""
    try:
        node = await asking
    except tuple(_TROUBLES) as error:
        return _in_trouble(task, _TROUBLES[type(error)], str(error))
    except CommandRefused as refusal:
        return _refused(task, refusal)
    except (ValueError, KeyError) as error:
        return _in_trouble(
            task,
            Trouble.UNREACHABLE,
            f"The node at {task.address} answers what no known version of Redis or Valkey does: "
            f"{error}",
        )
    if node.hostname and node.hostname != task.id:
        return _in_trouble(
            task,
            Trouble.WRONG_TASK,
            f"The node at {task.address} says that it belongs to task {node.hostname}, and ECS "
            f"that the address is task {task.id}'s.",
        )
    return Member(task, node)


def _in_trouble(task: Task, trouble: Trouble, detail: str) -> Member:
    return Member(task, trouble=trouble, detail=detail)


def _refused(task: Task, refusal: CommandRefused) -> Member:
    if refusal.no_permission:
        return _in_trouble(
            task,
            Trouble.AUTHENTICATION,
            f"{refusal}. The controller's user needs +cluster +info +ping, and +config|get "
            "+config|set to form quickly.",
        )
    return _in_trouble(task, Trouble.UNREACHABLE, f"{refusal}.")


async def _node(address: str, connections: Connections) -> Node:
    connection = await connections.at(address)
    replies = await connection.exchange(_QUESTIONS)
    described, *values = replies[:3], *replies[3:]
    for reply in described:
        if isinstance(reply, CommandRefused):
            if "cluster support disabled" in reply.reply:
                await connection.identify()  # raises NotInClusterMode with its sentence
            raise reply
    table = parse_nodes(str(described[0]))
    cluster = parse_info(str(described[1]))
    info = parse_info(str(described[2]))
    myself = table.myself
    connection.identity = Identity(myself.id, myself.hostname)
    return Node(
        id=myself.id,
        address=address,
        port=connection.port,
        role=myself.role,
        master_id=myself.master_id,
        config_epoch=myself.config_epoch,
        current_epoch=int(cluster["cluster_current_epoch"]),
        cluster_ok=parse_cluster_ok(cluster),
        slots=myself.slots,
        open_slots=table.open_slots if table.myself.role is Role.MASTER else (),
        keys=count_keys(info),
        peers=table.peers,
        replication=parse_replication(info),
        hostname=myself.hostname,
        version=parse_version(info),
        used_memory_bytes=int(info["used_memory"]),
        max_memory_bytes=int(info["maxmemory"]),
        settings=dict(pair for value in values if (pair := _setting(value))),
        barred="nofailover" in myself.flags,
        evicts=info.get("maxmemory_policy", "noeviction") != "noeviction",
    )


def _setting(reply: Reply | CommandRefused) -> tuple[str, str] | None:
    """Read CONFIG GET's answer; None where it is forbidden, renamed, or knows no such setting.

    A node whose settings are not known keeps them: forming it only takes longer.
    """
    if isinstance(reply, list) and reply:
        name, value = reply
        return str(name), str(value)
    return None
