"""FORGET: take nodes whose task is gone out of everybody's table.

Their addresses will be somebody else's, so they must not stay. But a master that is gone
owns its slots until its successor is elected, and the voters must know it until then.
"""

from collections.abc import Iterator

from redis_fargate.topology.fleet import Entry, Fleet
from redis_fargate.topology.steps import Forget


def steps(fleet: Fleet) -> tuple[Forget, ...]:
    """Forget everybody who is gone, owns nothing and leads nobody, on all who know them."""
    gone = tuple(entry.id for entry in fleet.entries if entry.gone)
    return tuple(_introductions(fleet)) + tuple(
        Forget(
            gone_id=entry.id,
            gone_task_id=entry.task_id,
            nodes=tuple(live.ref for live in entry.known_by),
            why=f"The task of {entry} is gone, and its address will be another's.",
            also_gone=gone,
        )
        for entry in fleet.entries
        if entry.gone and not entry.slots and not _leads(fleet, entry)
    )


def _introductions(fleet: Fleet) -> Iterator[Forget]:
    """Those that are not answered, to tasks that are gone: whoever is there next would answer."""
    addresses = {member.task.address for member in fleet.view.members}
    for live in fleet.lives:
        for peer in live.node.peers:
            if peer.in_handshake and peer.address not in addresses:
                why = f"No task is at {peer.address} any more, and {live} is introduced there."
                yield Forget(peer.id, "", (live.ref,), why)


def _leads(fleet: Fleet, gone: Entry) -> bool:
    return any(live.node.master_id == gone.id for live in fleet.lives) or any(
        entry.master_id == gone.id for entry in fleet.entries if not entry.gone
    )
