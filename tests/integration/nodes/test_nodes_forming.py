"""Clusters of all shapes form on real servers, and others agree that they have."""

import asyncio
from dataclasses import replace

from checking import assert_as_wanted, assert_others_agree, assert_serves
from reconciling import Reconciler, tasks_of
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.execute import execute
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.polling import attempts
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import Meet, NodeRef, Phase, Replicate
from redis_fargate.topology.view import Member
from servers import Fleet
from until import until

SHAPES = [Spec(3, 3), Spec(1, 1), Spec(2, 2), Spec(3, 0), Spec(3, 6), Spec(5, 5)]


def test_clusters_of_all_shapes_form(fleet: Fleet) -> None:
    """At the same time: the first two seconds of every new server pass with waiting."""
    groups = [fleet.start(spec.task_count) for spec in SHAPES]
    reconcilers = [
        Reconciler(tasks_of(group), spec) for group, spec in zip(groups, SHAPES, strict=True)
    ]

    async def form() -> list[Plan]:
        return await asyncio.gather(*(reconciler.run() for reconciler in reconcilers))

    assert asyncio.run(form()) == [Plan()] * len(SHAPES)

    for group, reconciler in zip(groups, reconcilers, strict=True):
        assert_as_wanted(reconciler.members, reconciler.spec)
        assert_others_agree(fleet, group[-1])
        assert_serves(group[-1])


def test_a_cluster_with_a_password_forms(fleet: Fleet) -> None:
    servers = fleet.start(4, requirepass="open sesame", masterauth="open sesame")
    settings = ConnectionSettings(password="open sesame")
    reconciler = Reconciler(tasks_of(servers), Spec(2, 2), settings)

    assert asyncio.run(reconciler.run()) == Plan()

    assert_as_wanted(reconciler.members, Spec(2, 2))
    assert_others_agree(fleet, servers[0], "open sesame")


def test_late_tasks_join_and_dead_ones_are_forgotten(fleet: Fleet) -> None:
    quick = {"cluster-node-timeout": "2000", "repl-diskless-sync-delay": "0"}
    config = {name.replace("-", "_"): value for name, value in quick.items()}
    servers = fleet.start(3, **config)
    reconciler = Reconciler(tasks_of(servers), Spec(3, 0))
    assert asyncio.run(reconciler.run()) == Plan()

    servers += fleet.start(3, **config)
    reconciler.tasks, reconciler.spec = tasks_of(servers), Spec(3, 3)
    assert asyncio.run(reconciler.run()) == Plan()
    assert_as_wanted(reconciler.members, Spec(3, 3), quick)

    replica = next(m.task.id for m in reconciler.members if m.node and m.node.master_id)
    victim = next(server for server in servers if server.task_id == replica)
    victim.kill()
    servers.remove(victim)
    servers += fleet.start(1, **config)
    reconciler.tasks = tasks_of(servers)

    async def until_forgotten() -> tuple[Member, ...]:
        # The others have to notice that it is dead.
        async for _ in attempts(30):
            waits = (await reconciler.run()).waiting
            members = await _observed(reconciler)
            known = {peer.id for m in members if m.node for peer in m.node.peers}
            if not waits and known == {m.node.id for m in members if m.node}:
                break
        return members

    assert_as_wanted(asyncio.run(until_forgotten()), Spec(3, 3), quick)
    assert_others_agree(fleet, servers[0])


def test_an_observation_tells_what_the_node_tells(fleet: Fleet) -> None:
    servers = fleet.start(4, maxmemory="123mb")
    reconciler = Reconciler(tasks_of(servers), Spec(2, 2))
    asyncio.run(reconciler.run())
    assert_serves(servers[0])

    # Names come last in gossip: Redis 7.0 sends them only to whom it knows to read them.
    hostnames = {server.task_id for server in servers}
    members: tuple[Member, ...] = ()

    def named() -> bool:
        nonlocal members
        members = asyncio.run(_observed(reconciler))
        return all(_hostnames(member) == hostnames for member in members)

    until(named)
    version = fleet.program.name.replace("-", " ")
    addresses = {m.node.id: m.node.address for m in members if m.node}
    keys = 0
    for member in members:
        node = member.node
        assert node
        assert node.version.startswith(version)
        assert node.hostname == member.task.id
        assert node.address == member.task.address
        assert node.max_memory_bytes == 123 * 1024 * 1024
        assert node.used_memory_bytes > 0
        assert all(not peer.flags and peer.connected for peer in node.peers)
        keys += node.keys if node.master_id is None else 0
        master = addresses.get(node.master_id or "")
        assert node.replication.master_address == master
    assert keys == 10_000


def _hostnames(member: Member) -> set[str]:
    assert member.node
    return {member.node.hostname, *(peer.hostname for peer in member.node.peers)}


async def _observed(reconciler: Reconciler) -> tuple[Member, ...]:
    async with Connections(reconciler.settings) as connections:
        return await observe(reconciler.tasks, connections)


def test_every_step_of_a_formed_cluster_is_done_already(fleet: Fleet) -> None:
    """Steps are idempotent: taking them again changes nothing, and is no error."""
    servers = fleet.start(2)
    reconciler = Reconciler(tasks_of(servers), Spec(1, 1))
    asyncio.run(reconciler.run())
    before = [_timeless(member) for member in reconciler.members]
    refs = {
        member.node.master_id is None: NodeRef(
            member.node.id, member.node.address, member.node.port, member.task.id
        )
        for member in reconciler.members
        if member.node
    }
    master, replica = refs[True], refs[False]

    async def again() -> None:
        async with Connections(reconciler.settings) as connections:
            await execute([Meet(master, (replica,), "", Phase.FORM)], connections)
            await execute([Replicate(replica, master, "", Phase.FORM)], connections)

    asyncio.run(again())

    assert [_timeless(member) for member in asyncio.run(_observed(reconciler))] == before


def _timeless(member: Member) -> Member:
    assert member.node
    replication = replace(member.node.replication, offset=0)
    return replace(member, node=replace(member.node, replication=replication, used_memory_bytes=0))
