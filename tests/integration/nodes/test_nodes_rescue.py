"""Masters that are gone are replaced at once, by vote or without; masters that live never are."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from checking import assert_as_wanted, assert_others_agree
from reconciling import Reconciler, tasks_of
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import PreconditionFailed, StepFailed
from redis_fargate.nodes.execute import execute
from redis_fargate.nodes.polling import attempts
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.slots import key_slot
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import Failover, FailoverMode, NodeRef, Phase
from redis_fargate.topology.view import Member
from servers import PORT, Fleet, Server

SETTINGS = ConnectionSettings(connect_timeout_s=1, answer_timeout_s=1)
CONFIG = {"cluster_node_timeout": "3000", "repl_diskless_sync_delay": "0"}
"""Long enough for us to be there before Redis holds an election, and short for what comes after."""
KEYS = 300
DEADLINE_S = 60


class Cluster:
    """Formed, with data on every shard, and all of it on every replica."""

    def __init__(self, fleet: Fleet, spec: Spec) -> None:
        self.fleet, self.spec = fleet, spec
        servers = fleet.start(spec.task_count, **CONFIG)
        self.reconciler = Reconciler(tasks_of(servers), spec, SETTINGS)
        self.reconcile()
        with RedisCluster(host=fleet.servers[0].address, port=PORT) as client:
            for number in range(KEYS):
                client.set(f"key:{number}", number)
        for member in self.masters():
            with Redis(host=member.task.address, port=PORT) as client:
                replicas = spec.replica_count // spec.master_count
                assert client.execute_command("WAIT", replicas, 10_000) >= replicas
        self.reconcile()

    def reconcile(self) -> Plan:
        return asyncio.run(self.reconciler.run())

    def masters(self) -> list[Member]:
        return [member for member in self.reconciler.members if member.node.slots]

    def replica_of(self, master: Member) -> Member:
        return next(
            m for m in self.reconciler.members if m.node and m.node.master_id == master.node.id
        )

    def server(self, member: Member) -> Server:
        return next(s for s in self.fleet.servers if s.address == member.task.address)

    def kill(self, *members: Member) -> None:
        """The tasks stop, and ECS lists them no more."""
        for member in members:
            self.server(member).kill()
        gone = {member.task.id for member in members}
        self.reconciler.memory.stopped |= gone
        self.reconciler.tasks = tuple(t for t in self.reconciler.tasks if t.id not in gone)

    def replace(self) -> None:
        """ECS starts as many tasks as are missing."""
        missing = self.spec.task_count - len(self.reconciler.tasks)
        first = len(self.fleet.servers)
        self.fleet.start(missing, **CONFIG)
        self.reconciler.tasks += tasks_of(self.fleet.servers)[first:]

    def assert_whole(self) -> None:
        """Reconcile until nothing is waited for any more: everybody says ok, and has all keys."""

        async def until_well() -> Plan:
            made = Plan()
            async for _ in attempts(DEADLINE_S):
                made = await self.reconciler.run()
                if made == Plan():
                    break
            return made

        assert asyncio.run(until_well()) == Plan()
        settings = {name.replace("_", "-"): value for name, value in CONFIG.items()}
        assert_as_wanted(self.reconciler.members, self.spec, settings)
        survivor = self.server(self.reconciler.members[0])
        assert_others_agree(self.fleet, survivor)
        with RedisCluster(host=survivor.address, port=PORT) as client:
            assert [client.get(f"key:{n}") for n in range(KEYS)] == [
                str(n).encode() for n in range(KEYS)
            ]


def ref(member: Member) -> NodeRef:
    return NodeRef(member.node.id, member.task.address, PORT, member.task.id)


def modes(made: Plan) -> list[FailoverMode]:
    return [step.mode for step in made.steps if isinstance(step, Failover)]


def planned(cluster: Cluster) -> Plan:
    async def look() -> Plan:
        async with Connections(SETTINGS) as connections:
            return await cluster.reconciler.look(connections)

    return asyncio.run(look())


@pytest.mark.parametrize(
    ("spec", "lost", "mode"),
    [
        (Spec(3, 3), 1, FailoverMode.FORCE),
        (Spec(3, 3), 2, FailoverMode.TAKEOVER),
        (Spec(1, 1), 1, FailoverMode.TAKEOVER),
        (Spec(2, 2), 2, FailoverMode.TAKEOVER),
    ],
    ids=str,
)
def test_lost_masters_are_replaced(fleet: Fleet, spec: Spec, lost: int, mode: FailoverMode) -> None:
    cluster = Cluster(fleet, spec)
    cluster.kill(*cluster.masters()[:lost])
    assert modes(planned(cluster)) == [mode] * lost
    cluster.reconcile()
    assert len(cluster.masters()) == spec.master_count
    cluster.replace()
    cluster.assert_whole()


def test_a_master_of_one_shard_and_a_replica_of_another(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    one, other, _ = cluster.masters()
    cluster.kill(one, cluster.replica_of(other))
    cluster.replace()
    cluster.assert_whole()


def test_a_master_that_hangs_is_not_replaced(fleet: Fleet) -> None:
    """ECS says that its task runs, and so it may be serving those that can reach it."""
    cluster = Cluster(fleet, Spec(2, 2))
    hanging = cluster.masters()[0]
    cluster.server(hanging).freeze()
    made = cluster.reconcile()
    assert "does not answer" in " ".join(made.waiting)
    assert cluster.replica_of(hanging).node.slots == ()
    cluster.server(hanging).thaw()
    cluster.assert_whole()


def test_no_takeover_where_the_voters_only_hang(fleet: Fleet) -> None:
    """One of three is gone and one hangs: a vote needs it, and nothing is done without."""
    cluster = Cluster(fleet, Spec(3, 3))
    gone, hanging, _ = cluster.masters()
    heir = cluster.replica_of(gone)
    cluster.kill(gone)
    cluster.server(hanging).freeze()
    assert modes(planned(cluster)) == [FailoverMode.FORCE]
    with pytest.raises(StepFailed, match="most of the masters have to answer"):
        asyncio.run(cluster.reconciler.run(patience_s=1))
    assert not next(m for m in cluster.reconciler.members if m.task == heir.task).node.slots
    cluster.server(hanging).thaw()
    cluster.replace()
    cluster.assert_whole()


def failover(cluster: Cluster, master: Member, rivals: Sequence[Member]) -> Failover:
    return Failover(
        ref(cluster.replica_of(master)),
        master.node.id,
        FailoverMode.TAKEOVER,
        tuple(map(ref, rivals)),
        (),
        "Because.",
        Phase.RESCUE,
    )


def take(step: Failover) -> None:
    async def taken() -> None:
        async with Connections(SETTINGS) as connections:
            await execute([step], connections, patience_s=5)

    asyncio.run(taken())


def test_refusals(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(2, 2))
    one, other = cluster.masters()
    lives = failover(cluster, one, ())
    with pytest.raises(PreconditionFailed, match="to have stopped; it answers"):
        take(lives)
    cluster.kill(one)
    with pytest.raises(PreconditionFailed, match="to be a replica of"):
        take(replace(lives, master_id=other.node.id))
    with Redis(host=other.task.address, port=PORT) as client:
        slots = other.node.slots[0]
        key = next(
            k for k in map(str, range(KEYS)) if slots.first <= key_slot(k.encode()) <= slots.last
        )
        client.set(key, "much" * 10_000)
        client.execute_command("WAIT", 1, 10_000)
    with pytest.raises(PreconditionFailed, match="most of its master's data"):
        take(failover(cluster, one, [cluster.replica_of(other)]))
    with pytest.raises(PreconditionFailed, match="a link to its master"):
        take(replace(lives, mode=FailoverMode.PLANNED))
    take(lives)
    take(lives)  # once more does no harm
    cluster.reconcile()
    assert len(cluster.masters()) == 2
