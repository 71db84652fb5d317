"""Ask all nodes, at once, how they are."""

import asyncio
from collections.abc import Iterable

from redis_fargate.nodes.connection import Connections, Identity, NodeConnection, Reply
from redis_fargate.nodes.errors import (
    AuthenticationFailed,
    CommandRefused,
    NodeLoading,
    NodeUnreachable,
    NotInClusterMode,
)
from redis_fargate.nodes.parse import (
    count_keys,
    parse_info,
    parse_nodes,
    parse_replication,
    parse_version,
)
from redis_fargate.topology.view import FORMING_SETTINGS, Member, Node, Task, Trouble

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


async def observe(tasks: Iterable[Task], connections: Connections) -> tuple[Member, ...]:
    """Join each task with the node inside it, in order of task id.

    Takes no longer than the deadlines of one connection and one answer. Never raises
    because of a node: what keeps one from being observed is its member's ``trouble``.
    """
    ordered = sorted(tasks, key=lambda task: task.id)
    return tuple(await asyncio.gather(*(_member(task, connections) for task in ordered)))


async def _member(task: Task, connections: Connections) -> Member:
    if task.address is None:
        return _in_trouble(task, Trouble.UNREACHABLE, f"Task {task.id} has no address yet.")
    try:
        connection = await connections.at(task.address)
        node = await _node(task.address, connection)
    except tuple(_TROUBLES) as error:
        return _in_trouble(task, _TROUBLES[type(error)], str(error))
    except CommandRefused as refusal:
        return _refused(task, refusal)
    except (ValueError, KeyError) as error:
        return _in_trouble(
            task,
            Trouble.UNREACHABLE,
            f"{connection} answers what no known version of Redis or Valkey does: {error}",
        )
    if node.hostname and node.hostname != task.id:
        return _in_trouble(
            task,
            Trouble.WRONG_TASK,
            f"The node at {connection} says that it belongs to task {node.hostname}, and ECS that "
            f"the address is task {task.id}'s.",
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


async def _node(address: str, connection: NodeConnection) -> Node:
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
        cluster_ok=cluster["cluster_state"] == "ok",
        slots=myself.slots,
        open_slots=table.open_slots,
        keys=count_keys(info),
        peers=table.peers,
        replication=parse_replication(info),
        hostname=myself.hostname,
        version=parse_version(info),
        used_memory_bytes=int(info["used_memory"]),
        max_memory_bytes=int(info["maxmemory"]),
        settings=dict(pair for value in values if (pair := _setting(value))),
    )


def _setting(reply: Reply | CommandRefused) -> tuple[str, str] | None:
    """Read CONFIG GET's answer; None where it is forbidden, renamed, or knows no such setting.

    A node whose settings are not known keeps them: forming it only takes longer.
    """
    if isinstance(reply, list) and reply:
        name, value = reply
        return str(name), str(value)
    return None
