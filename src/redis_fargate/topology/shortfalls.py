"""What a formed cluster still lacks, and that no phase of the plan can bring about by itself."""

from collections.abc import Iterator

from redis_fargate.topology import balancing, elections
from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.losses import heirs, loss, silent_heir, silent_taker
from redis_fargate.topology.masters import masters
from redis_fargate.topology.refusing import described_trouble
from redis_fargate.topology.slots import count, described
from redis_fargate.topology.spec import OnDataLoss, Policy, Spec
from redis_fargate.topology.view import Role


def shortfalls(fleet: Fleet, spec: Spec, policy: Policy) -> tuple[str, ...]:
    """Why the cluster is not as wanted, a sentence each; empty if it is."""
    return (
        *_tasks(fleet, spec),
        *_losses(fleet, policy),
        *_shape(fleet, spec, policy),
        *_moves(fleet, spec, policy),
        *_unwell(fleet),
    )


def _tasks(fleet: Fleet, spec: Spec) -> Iterator[str]:
    members = fleet.view.members
    running = sum(1 for member in members if member.task.running)
    if running != spec.task_count:
        yield f"{running} tasks run and {spec.task_count} are wanted: ECS starts and stops them."
    elif len(members) > running:
        yield f"{len(members) - running} more tasks are starting or stopping."
    yield from map(described_trouble, fleet.silent)


def _losses(fleet: Fleet, policy: Policy) -> Iterator[str]:
    elected = {election.master_id for election in elections.pending(fleet)}
    lost = loss(fleet)
    for entry in fleet.entries:
        if entry.stranger:
            yield (
                f"{entry} at {entry.address} seems to answer, but ECS lists no such task: it is "
                "forgotten as soon as the nodes agree that it failed."
            )
        elif entry.gone and entry.slots and (heirs(fleet, entry) or entry.id in elected):
            (heir, *_) = heirs(fleet, entry) or fleet.replicas(entry.id)
            awaited = silent_heir(fleet, entry) or silent_taker(fleet)
            yield (
                f"{entry} is gone and owned the slots {described(entry.slots)}: its replica {heir} "
                "has to be elected in its place"
                + (
                    ", once whoever may have more of its data answers or is gone."
                    if awaited
                    else "."
                )
            )
    if lost is not None and not all(entry.id in elected for entry in lost.owners):
        yield f"{lost} " + (
            'They stay unserved, as on_data_loss says: set it to "rebuild_empty" to have them '
            "served without data."
            if policy.on_data_loss is OnDataLoss.HALT
            else "They are served again as soon as a master can take them."
        )


def _shape(fleet: Fleet, spec: Spec, policy: Policy) -> Iterator[str]:
    owners = sum(1 for live in fleet.lives if live.node.slots)
    owners += sum(1 for entry in fleet.entries if entry.slots)
    if owners != spec.master_count:
        yield f"{owners} masters own slots and {spec.master_count} are wanted."
    wanted = spec.replica_count // spec.master_count
    for live in masters(fleet, spec, policy).final:
        have = len(fleet.followers(live))
        if have < wanted:
            yield (
                f"{live} has {have} of {wanted} replicas: the next task that starts becomes one, "
                "or another master's replica does that can be spared."
            )


def _moves(fleet: Fleet, spec: Spec, policy: Policy) -> Iterator[str]:
    cast = masters(fleet, spec, policy)
    full = balancing.overfilled(cast, spec)
    left = sum(count(slots) for _, _, slots in balancing.wanted(cast, spec))
    if left:
        yield f"{left} slots have yet to move to the masters that they belong to."
    for node_id, lacking_bytes in full.items():
        yield (
            f"{fleet.by_id[node_id]} lacks {lacking_bytes / 2**20:.0f} MiB of memory for the slots "
            "that it is to get, so they stay where they are: give the tasks more memory, or have "
            "more masters."
        )


def _unwell(fleet: Fleet) -> Iterator[str]:
    for live in fleet.running:
        node = live.node
        master = fleet.by_id.get(node.master_id or "")
        if fleet.is_banned(live):
            yield (
                f"{live} came back when the other nodes had just been told to forget it: they do "
                "not keep it before that is a minute ago."
            )
        elif fleet.is_cut_off(live):
            yield f"{live} and too many masters do not hear each other on the cluster bus."
        elif node.peers and not node.cluster_ok:
            yield f"{live} says that the cluster is down."
        elif node.role is Role.REPLICA and not node.replication.link_up:
            yield f"{live} has no link to its master yet."
        elif master is not None and not fleet.hear_each_other(live, master):
            yield f"{live} and its master do not hear each other on the cluster bus."
        elif node.open_slots:
            yield f"{live} has slots in flight: {len(node.open_slots)}."
        elif node.role is Role.MASTER and node.keys and not node.slots:
            yield f"{live} holds {node.keys} keys but no slot: it is left alone."
