"""REFUSE: what is not safe to judge, and so must not be acted upon."""

from collections.abc import Iterator

from redis_fargate.topology.fleet import Fleet, Live, holds_something
from redis_fargate.topology.slots import (
    ALL_SLOTS,
    SlotRanges,
    count,
    described,
    normalized,
    subtract,
)
from redis_fargate.topology.spec import OnDataLoss, Policy
from redis_fargate.topology.view import Marker, Member, Role, Trouble

_REMEDIES = {
    Trouble.UNREACHABLE: (
        "does not answer. If it does not come up by itself, look at its log and at the security "
        "groups between controller and tasks, or stop the task so that ECS replaces it"
    ),
    Trouble.AUTHENTICATION: (
        "refuses the password. Give the tasks and the controller the same secret, and replace "
        "the tasks that were started with another one"
    ),
    Trouble.NOT_CLUSTER_MODE: (
        "is not in cluster mode. Remove cluster-enabled from redis_config and replace the task"
    ),
    Trouble.LOADING: "is still loading its data set. Wait, or stop the task if it never ends",
    Trouble.WRONG_TASK: (
        "says that it belongs to another task: addresses are reused, and this may be another "
        "cluster's node. Check who runs at that address, or stop the task so that ECS replaces it"
    ),
}


def refusals(fleet: Fleet, policy: Policy) -> tuple[str, ...]:
    """Why nothing may be done, a sentence each: which task, what is wrong, what to do."""
    if fleet.view.marker is Marker.FORMED:
        return (*_total_loss(fleet, policy), *_strangers_outside(fleet), *_two_clusters(fleet))
    return (
        *map(described_trouble, fleet.silent),
        *_strangers(fleet),
        *(_misplaced(fleet) if fleet.forming else _unmarked(fleet)),
    )


def described_trouble(member: Member) -> str:
    """What is wrong with a task that could not be observed, and what to do about it."""
    trouble = member.trouble or Trouble.UNREACHABLE
    where = f"Task {member.task.id} ({member.task.address or 'no address yet'})"
    detail = f" ({member.detail.rstrip('.')})" if member.detail else ""
    return f"{where} {_REMEDIES[trouble]}{detail}."


def all_is_lost(fleet: Fleet) -> bool:
    """Whether every node of a formed cluster is there, and none has any part of it."""
    traces = any(
        holds_something(live) or live.node.role is Role.REPLICA or not live.task.running
        for live in fleet.lives
    )
    return (
        fleet.view.marker is Marker.FORMED
        and bool(fleet.running)
        and not traces
        and not fleet.silent
    )


def _total_loss(fleet: Fleet, policy: Policy) -> Iterator[str]:
    if policy.on_data_loss is OnDataLoss.HALT and all_is_lost(fleet):
        yield (
            f"This cluster was formed once, but none of its {len(fleet.running)} running tasks "
            "holds a slot or a key: all data is lost. Restore a snapshot; or, to start empty, "
            'set on_data_loss to "rebuild_empty".'
        )


def _strangers(fleet: Fleet) -> Iterator[str]:
    for entry in fleet.entries:
        if entry.stranger:
            yield (
                f"{entry.known_by[0]} is tied to {entry} at {entry.address}, which answers but is "
                "no task of this service: this is another cluster's node. Check which cluster "
                "uses that address, or stop the task so that ECS replaces it."
            )


def _strangers_outside(fleet: Fleet) -> Iterator[str]:
    """Foreign nodes known to nodes that are not of this cluster (yet)."""
    cluster = {live.node.id for live in fleet.components[0]} if fleet.components else set()
    for entry in fleet.entries:
        if entry.stranger and not any(live.node.id in cluster for live in entry.known_by):
            yield (
                f"{entry.known_by[0]} belongs to another cluster: it is tied to {entry} at "
                f"{entry.address}, which is no task of this service. Stop the task so that ECS "
                "replaces it."
            )


def _two_clusters(fleet: Fleet) -> Iterator[str]:
    halves = [group for group in fleet.components if any(map(holds_something, group))]
    if len(halves) > 1:
        parts = "; ".join(f"{_possession(group)} at {group[0]}" for group in halves)
        yield (
            f"There are {len(halves)} clusters that know nothing of each other and hold data: "
            f"{parts}. Joining them would lose one's data: decide which one stays, and stop "
            "the other one's tasks."
        )


def _misplaced(fleet: Fleet) -> Iterator[str]:
    """What no forming that was interrupted can have left behind."""
    for live in fleet.lives:
        if live.node.keys and not live.node.slots and live.node.role is Role.MASTER:
            yield (
                f"{live} holds {live.node.keys} keys but no slot, so they cannot come from the "
                "forming of this cluster. Save them if they matter, then stop the task so that "
                "ECS replaces it."
            )
    for group in fleet.components:
        for live in group:
            if not live.node.slots:
                continue
            owner = next(
                (
                    other
                    for other in fleet.lives
                    if other is not live
                    and other not in group
                    and subtract(live.node.slots, other.node.slots) != live.node.slots
                ),
                None,
            )
            if owner is not None and owner.task.id > live.task.id:
                yield (
                    f"{live} and {owner} know nothing of each other and serve the same slots: one "
                    "of them is another cluster's node. Find out which, and stop its task so "
                    "that ECS replaces it."
                )


def _unmarked(fleet: Fleet) -> Iterator[str]:
    """Without a marker there is a whole cluster to adopt, or nothing but blank nodes."""
    if fleet.adoptable:
        return
    for live in fleet.lives:
        if not live.node.blank:
            yield (
                f"{live} is not blank ({_possession((live,))}, knows {len(live.node.peers)} other "
                "nodes), but no marker says that this cluster was formed, and it is no part of a "
                f"whole and healthy one ({count(_served(fleet))} of {count(ALL_SLOTS)} slots are "
                "served). Save its data if it matters, then stop the task so that ECS replaces it."
            )


def _served(fleet: Fleet) -> SlotRanges:
    return normalized(piece for live in fleet.lives for piece in live.node.slots)


def _possession(group: tuple[Live, ...]) -> str:
    slots = normalized(piece for live in group for piece in live.node.slots)
    keys = sum(live.node.keys for live in group)
    return f"slots {described(slots) or 'none'}, {keys} keys"
