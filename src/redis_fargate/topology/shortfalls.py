"""What a formed cluster still lacks, and that no phase of the plan can bring about by itself."""

from collections import Counter
from collections.abc import Iterator

from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.refusing import described_trouble
from redis_fargate.topology.slots import ALL_SLOTS, described, subtract
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Role


def shortfalls(fleet: Fleet, spec: Spec) -> tuple[str, ...]:
    """Why the cluster is not as wanted, a sentence each; empty if it is."""
    return (*_tasks(fleet, spec), *_losses(fleet), *_shape(fleet, spec), *_unwell(fleet))


def _tasks(fleet: Fleet, spec: Spec) -> Iterator[str]:
    members = fleet.view.members
    running = sum(1 for member in members if member.task.running)
    if running != spec.task_count:
        yield f"{running} tasks run and {spec.task_count} are wanted: ECS starts and stops them."
    elif len(members) > running:
        yield f"{len(members) - running} more tasks are starting or stopping."
    for member in members:
        if member.task.running and member.node is None:
            yield described_trouble(member)


def _losses(fleet: Fleet) -> Iterator[str]:
    for entry in fleet.entries:
        if entry.stranger:
            yield (
                f"{entry} at {entry.address} seems to answer, but ECS lists no such task: it is "
                "forgotten as soon as the nodes agree that it failed."
            )
        elif entry.gone and entry.slots:
            heirs = [live for live in fleet.lives if live.node.master_id == entry.id]
            yield f"{entry} is gone and owned the slots {described(entry.slots)}: " + (
                f"its replica {heirs[0]} has to be elected in its place."
                if heirs
                else "no replica of it is left."
            )
    owned = [piece for live in fleet.lives for piece in live.node.slots]
    owned += [piece for entry in fleet.entries for piece in entry.slots]
    if unowned := subtract(ALL_SLOTS, owned):
        yield f"Nobody owns the slots {described(unowned)}."


def _shape(fleet: Fleet, spec: Spec) -> Iterator[str]:
    owners = sum(1 for live in fleet.lives if live.node.slots)
    owners += sum(1 for entry in fleet.entries if entry.slots)
    if owners != spec.master_count:
        yield (
            f"{owners} masters own slots and {spec.master_count} are wanted: moving slots to "
            "change that is not supported yet."
        )
    wanted = spec.replica_count // spec.master_count
    followers = Counter(live.node.master_id for live in fleet.lives)
    for live in fleet.lives:
        if live.node.slots and followers[live.node.id] < wanted:
            yield (
                f"{live} has {followers[live.node.id]} of {wanted} replicas: the next task that "
                "starts becomes one, or another master's replica does that can be spared."
            )


def _unwell(fleet: Fleet) -> Iterator[str]:
    for live in fleet.running:
        node = live.node
        if node.peers and not node.cluster_ok:
            yield f"{live} says that the cluster is down."
        elif node.role is Role.REPLICA and not node.replication.link_up:
            yield f"{live} has no link to its master yet."
        elif node.open_slots:
            yield f"{live} has slots in flight: {len(node.open_slots)}."
        elif node.role is Role.MASTER and node.keys and not node.slots:
            yield f"{live} holds {node.keys} keys but no slot: it is left alone."
