"""Clusters of all shapes form on real servers, and others agree that they have."""

import asyncio
from dataclasses import replace

import pytest

from checking import assert_as_wanted, assert_others_agree, assert_serves
from reconciling import Reconciler, tasks_of
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.execute import execute
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import Meet, NodeRef, Phase, Replicate
from redis_fargate.topology.view import Member
from servers import Fleet


@pytest.mark.parametrize(
    "spec",
    [Spec(3, 3), Spec(1, 1), Spec(2, 2), Spec(3, 0), Spec(3, 6), Spec(5, 5)],
    ids=lambda spec: f"{spec.master_count}+{spec.replica_count}",
)
def test_a_cluster_forms(fleet: Fleet, spec: Spec) -> None:
    servers = fleet.start(spec.task_count)
    reconciler = Reconciler(tasks_of(servers), spec)

    assert asyncio.run(reconciler.run()) == Plan()

    assert_as_wanted(reconciler.members, spec)
    assert_others_agree(fleet, servers[-1])
    assert_serves(servers[-1])


def test_a_cluster_with_a_password_forms(fleet: Fleet) -> None:
    servers = fleet.start(4, requirepass="open sesame", masterauth="open sesame")
    settings = ConnectionSettings(password="open sesame")
    reconciler = Reconciler(tasks_of(servers), Spec(2, 2), settings)

    assert asyncio.run(reconciler.run()) == Plan()

    assert_as_wanted(reconciler.members, Spec(2, 2))
    assert_others_agree(fleet, servers[0], "open sesame")


def test_late_tasks_join(fleet: Fleet) -> None:
    servers = fleet.start(3)
    reconciler = Reconciler(tasks_of(servers), Spec(3, 0))
    assert asyncio.run(reconciler.run()) == Plan()

    servers += fleet.start(3)
    reconciler.tasks, reconciler.spec = tasks_of(servers), Spec(3, 3)
    assert asyncio.run(reconciler.run()) == Plan()

    assert_as_wanted(reconciler.members, Spec(3, 3))


def test_a_replaced_replica_is_joined_and_its_predecessor_forgotten(fleet: Fleet) -> None:
    servers = fleet.start(6)
    spec = Spec(3, 3)
    reconciler = Reconciler(tasks_of(servers), spec)
    assert asyncio.run(reconciler.run()) == Plan()

    gone = next(m for m in reconciler.members if m.node and m.node.master_id)
    victim = next(server for server in servers if server.task_id == gone.task.id)
    victim.kill()
    servers = [server for server in servers if server is not victim] + fleet.start(1)
    reconciler.tasks = tasks_of(servers)

    async def until_whole() -> None:
        async with asyncio.timeout(60):
            # The dead node's peers have to notice first; that takes a node timeout at most.
            while (await reconciler.run()).waiting:
                await asyncio.sleep(0.1)

    asyncio.run(until_whole())

    assert_as_wanted(reconciler.members, spec)
    assert_others_agree(fleet, servers[0])


def test_an_observation_tells_what_the_node_tells(fleet: Fleet) -> None:
    servers = fleet.start(4, maxmemory="123mb")
    reconciler = Reconciler(tasks_of(servers), Spec(2, 2))
    asyncio.run(reconciler.run())
    assert_serves(servers[0])

    members = asyncio.run(_observed(reconciler))

    name, number = fleet.program.name.split("-") if "-" in fleet.program.name else ("redis", "7.0")
    keys = 0
    for member in members:
        node = member.node
        assert node
        assert node.version.startswith(f"{name} {number}")
        assert node.hostname == member.task.id
        assert node.address == member.task.address
        assert node.max_memory_bytes == 123 * 1024 * 1024
        assert node.used_memory_bytes > 0
        assert {peer.hostname for peer in node.peers} | {node.hostname} == {
            server.task_id for server in servers
        }
        assert all(not peer.flags and peer.connected for peer in node.peers)
        keys += node.keys if node.master_id is None else 0
        master = next(m.node for m in members if m.node and m.node.id == node.master_id or "")if node.master_id else None
        assert node.replication.master_address == (master.address if master else None)
    assert keys == 10_000


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
