"""What dies or comes back under load heals, and loses nothing that any node still had."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from redis.cluster import RedisCluster

from checking import key_of
from clustering import CONFIG, DEADLINE_S, KEYS, SETTINGS, Cluster, ref
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import PreconditionFailed, StepFailed
from redis_fargate.nodes.execute import execute
from redis_fargate.topology import fleet as fleets
from redis_fargate.topology.slots import key_slot, numbers
from redis_fargate.topology.spec import OnDataLoss, Policy, Spec
from redis_fargate.topology.steps import AdoptSlots, AwaitAgreement, NodeRef, Phase
from redis_fargate.topology.view import Member
from servers import PORT, Fleet
from unique_writes import UniqueWrites, writing
from until import until

PAUSE_S = 0.001
"""Between two writes: the processors are for the servers, and for other tests."""


def client_of(cluster: Cluster, *but: Member) -> RedisCluster:
    """A client that learns of the cluster from anybody but these."""
    host = next(m for m in cluster.masters() if m not in but).task.address
    return RedisCluster(host=host, port=PORT, socket_timeout=1)


@contextmanager
def loaded(cluster: Cluster, *doomed: Member) -> Iterator[UniqueWrites]:
    """A client writes meanwhile; nothing but what the doomed masters had not yet copied is lost.

    Replication keeps the order: what is lost of a shard is the last that was acknowledged there.
    """
    with client_of(cluster, *doomed) as client:
        with writing(client, "load:", PAUSE_S) as writes:
            until_written(writes, 100)
            before = len(writes.keys)
            yield writes
            until_written(writes, before + 100)
        lost = writes.lost(client)
    for master in doomed:
        slots = set(numbers(master.node.slots))
        # One more may have been acknowledged than had been noted when it died.
        theirs = [key for key in writes.keys[: before + 1] if key_slot(key.encode()) in slots]
        gone = [key for key in theirs if key in lost]
        assert gone == theirs[len(theirs) - len(gone) :]
        lost = [key for key in lost if key not in gone]
    assert lost == []


def until_written(writes: UniqueWrites, count: int) -> None:
    until(lambda: len(writes.keys) >= count)


def zone(cluster: Cluster) -> Collection[Member]:
    return [m for m in cluster.reconciler.members if m.task.zone == "zone-a"]


def replicas_of_one(cluster: Cluster) -> Collection[Member]:
    master = cluster.masters()[0]
    return [m for m in cluster.reconciler.members if m.node.master_id == master.node.id]


@pytest.mark.parametrize(
    ("spec", "victims"),
    [(Spec(1, 2), replicas_of_one), (Spec(3, 3), zone)],
    ids=["the replicas of a shard", "a zone"],
)
def test_tasks_that_die_at_once(
    fleet: Fleet, spec: Spec, victims: Callable[[Cluster], Collection[Member]]
) -> None:
    cluster = Cluster(fleet, spec)
    doomed = victims(cluster)
    with loaded(cluster, *(m for m in doomed if m.node.slots)):
        cluster.kill(*doomed)
        cluster.reconcile()
        cluster.replace()
        cluster.until_well()
    cluster.assert_whole()


def test_everything_starts_again_at_other_addresses(fleet: Fleet) -> None:
    """With its data and nodes.conf: as on disks that outlive the tasks."""
    cluster = Cluster(fleet, Spec(3, 3))
    members, stopped = cluster.reconciler.members, list(fleet.servers)
    for member in members:
        with cluster.client(member) as client:
            client.save()
    cluster.kill(*members)
    cluster.run(*(fleet.start_again(server, **CONFIG) for server in stopped))
    cluster.assert_whole()
    assert {m.node.id for m in cluster.reconciler.members} == {m.node.id for m in members}


def test_a_master_returns_with_old_data_and_an_old_table(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was replaced and forgotten meanwhile: who has its place keeps it.

    The others forget it again for as long as one of them bans it: it gets no slots before.
    """
    ban = {"cluster_blacklist_ttl": "5"} if "valkey" in fleet.program.name else {}
    monkeypatch.setattr(fleets, "BAN_S", 7.0)
    cluster = Cluster(fleet, Spec(3, 3), **ban)
    old, heir = cluster.masters()[0], cluster.replica_of(cluster.masters()[0])
    key = key_of(old.node.slots[0].first)
    with cluster.client(old) as client:
        client.set(key, "old")
        assert client.execute_command("WAIT", 1, 10_000) == 1
        client.save()
    cluster.kill(old)
    cluster.until(lambda _: old.node.id in cluster.reconciler.memory.forgotten)
    with cluster.client(heir) as client:
        client.set(key, "new")
    with loaded(cluster):
        cluster.run(fleet.start_again(cluster.server(old), **CONFIG, **ban))
        cluster.until_well()
    cluster.assert_whole()
    with client_of(cluster) as reader:
        assert reader.get(key) == b"new"


def test_a_master_that_hung_answers_after_it_was_forgotten(fleet: Fleet) -> None:
    """ECS said that its task had stopped; its process is in nobody's charge any more."""
    cluster = Cluster(fleet, Spec(3, 3))
    hanging = cluster.masters()[0]
    server = cluster.server(hanging)
    with loaded(cluster, hanging):
        server.freeze()
        cluster.reconciler.memory.stopped |= {hanging.task.id}
        cluster.reconciler.tasks = tuple(t for t in cluster.reconciler.tasks if t != hanging.task)
        cluster.reconcile()
        cluster.replace()
        cluster.until_well()
        server.thaw()
        with cluster.client(hanging) as client:  # it gives its slots up, and tells nobody of them
            until(lambda: client.execute_command("ROLE")[0] == b"slave")
        cluster.until_well()
    cluster.assert_whole()


def test_a_node_of_another_cluster_at_the_address_of_a_dead_one(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    dead = cluster.replica_of(cluster.masters()[0])
    cluster.kill(dead)
    foreign = fleet.start_at(dead.task.address, **CONFIG)
    with cluster.client(dead) as client:
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        until(lambda: client.cluster("info")["cluster_state"] == "ok")
        client.set("key:1", "foreign")
    with loaded(cluster):
        cluster.replace()
        cluster.until_well()
    cluster.assert_whole()
    with cluster.client(dead) as client:
        assert client.get("key:1") == b"foreign"
        assert client.cluster("info")["cluster_known_nodes"] == "1"
    foreign.kill()


def test_a_shard_of_which_nothing_is_left(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    cluster.reconciler.policy = Policy(on_data_loss=OnDataLoss.HALT)
    master = cluster.masters()[0]
    lost = set(numbers(master.node.slots))
    cluster.kill(master, cluster.replica_of(master))
    cluster.replace()
    made = cluster.reconcile()
    assert f"The data of the slots {master.node.slots[0]} is lost" in " ".join(made.waiting)
    with client_of(cluster) as client:  # the other shards serve, empty is none of them
        kept = {n for n in range(KEYS) if key_slot(b"key:%d" % n) not in lost}
        assert {n for n in kept if client.get(f"key:{n}")} == kept

        cluster.reconciler.policy = Policy(on_data_loss=OnDataLoss.REBUILD_EMPTY)
        assert any(isinstance(step, AdoptSlots) for step in cluster.plan().steps)
        cluster.until_well()
        client.nodes_manager.initialize()
        assert {n for n in range(KEYS) if client.get(f"key:{n}")} == kept


def test_a_master_that_its_peers_cannot_reach_and_we_can(fleet: Fleet) -> None:
    """Redis itself elects its replica; we take nothing away from whom ECS says that it runs."""
    cluster = Cluster(fleet, Spec(3, 3))
    alone = cluster.masters()[0]
    heir = cluster.replica_of(alone)
    with cluster.client(alone) as lonely, cluster.client(heir) as elected:
        with cluster.cut_off(alone):
            until(lambda: lonely.cluster("info")["cluster_state"] == "fail")
            until(lambda: elected.execute_command("ROLE")[0] == b"master")
            made = cluster.reconcile()
            said = f"({alone.task.address}:6379) and too many masters do not hear each other"
            assert said in str(made.waiting)
            assert lonely.execute_command("ROLE")[0] == b"master"
        cluster.assert_whole()


def await_agreement(nodes: Collection[NodeRef], patience_s: float) -> None:
    async def agreed() -> None:
        async with Connections(SETTINGS) as connections:
            step = AwaitAgreement(tuple(nodes), "because", Phase.JOIN)
            await execute([step], connections, patience_s)

    asyncio.run(agreed())


def test_a_new_task_joins_while_a_replaced_master_is_cut_off(fleet: Fleet) -> None:
    """It claims its slots, too, as long as it cannot hear that others have them."""
    cluster = Cluster(fleet, Spec(3, 3))
    alone, other, _ = cluster.masters()
    heir, lost = cluster.replica_of(alone), cluster.replica_of(other)
    with cluster.client(alone) as lonely, cluster.client(heir) as elected:
        with cluster.cut_off(alone):
            until(lambda: elected.execute_command("ROLE")[0] == b"master")
            everybody = {ref(member) for member in cluster.reconciler.members}
            await_agreement(everybody - {ref(alone)}, DEADLINE_S)
            with pytest.raises(StepFailed, match=f"1 of 6 nodes .* {alone.task.address}:6379"):
                await_agreement(everybody, 0.1)
            cluster.kill(lost)
            cluster.replace()
            cluster.reconcile()
            task_id = fleet.servers[-1].task_id
            (newcomer,) = (m.node for m in cluster.reconciler.members if m.task.id == task_id)
            assert newcomer.master_id in {heir.node.id, other.node.id}
            assert lonely.execute_command("ROLE")[0] == b"master"
        cluster.assert_whole()


def test_who_is_cut_off_takes_no_masters_place_as_planned(fleet: Fleet) -> None:
    """Most of the masters would have to vote for it, and do not hear it."""
    cluster = Cluster(fleet, Spec(3, 3))
    heir = cluster.replica_of(cluster.masters()[0])
    with cluster.client(heir) as lonely:
        with cluster.cut_off(heir):
            until(lambda: lonely.cluster("info")["cluster_state"] == "fail")
            # Its zone is the only one that a master could go to.
            cluster.reconciler.tasks = tuple(
                replace(task, zone="zone-b" if task.id == heir.task.id else "zone-a")
                for task in cluster.reconciler.tasks
            )
            made = cluster.reconcile()
            said = f"({heir.task.address}:6379) and too many masters do not hear each other"
            assert said in str(made.waiting)
            assert lonely.execute_command("ROLE")[0] == b"slave"
        cluster.until_well()
        assert lonely.execute_command("ROLE")[0] == b"master"
    cluster.assert_whole()


def test_an_introduction_to_a_task_that_is_gone_is_taken_back(fleet: Fleet) -> None:
    """Another cluster's node may get its address, and answer: the two would become one."""
    cluster = Cluster(fleet, Spec(3, 0), cluster_node_timeout="60000")
    (gone,) = fleet.start(1)
    gone.kill()
    with cluster.client(cluster.masters()[0]) as client:
        client.execute_command("CLUSTER MEET", gone.address, PORT)
        assert (
            "handshake"
            in client.execute_command("CLUSTER NODES")[f"{gone.address}:{PORT}"]["flags"]
        )
        cluster.reconcile()
        assert f"{gone.address}:{PORT}" not in client.execute_command("CLUSTER NODES")


def test_who_is_cut_off_adopts_nothing(fleet: Fleet) -> None:
    """It would claim all it has anew, beside a replica of its own that others may be electing."""
    cluster = Cluster(fleet, Spec(4, 0))
    lonely, gone, *_ = cluster.masters()
    adopt = AdoptSlots(ref(lonely), gone.node.slots, (gone.node.id,), (), "Because.")

    async def take() -> None:
        async with Connections(SETTINGS) as connections:
            await execute([adopt], connections, DEADLINE_S)

    with cluster.client(lonely) as client:
        with cluster.cut_off(lonely):
            until(lambda: client.cluster("info")["cluster_state"] == "fail")
            cluster.kill(gone)
            with pytest.raises(PreconditionFailed, match="to be in contact with the cluster"):
                asyncio.run(take())
        asyncio.run(take())
