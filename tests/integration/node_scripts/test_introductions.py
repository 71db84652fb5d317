"""A node lets others log in for its data once it has been introduced to them, and not before."""

import asyncio
import os
import signal

import pytest
from scripts_cluster import Cluster
from scripts_rig import DEADLINE_S, SERVERS, Starter, free_address

from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import Spec
from until import until


@pytest.mark.parametrize("shell", ["dash"], indirect=True)
@pytest.mark.parametrize(
    ("name", "password"), [("redis7", "p q"), ("valkey8", None), ("valkey9", "p q")]
)
def test_a_dead_masters_replica_does_not_copy_a_blank_node_at_its_address(
    start: Starter, environment: dict[str, str], name: str, password: str | None
) -> None:
    secret = {"REDIS_PASSWORD": password} if password else {}
    cluster = Cluster(
        start,
        environment | {"REDIS_SERVER": str(SERVERS[name])} | secret,
        Spec(1, 1),
        ConnectionSettings(password=password),
    )
    master, (replica,) = cluster.master, cluster.replicas
    with master.client() as client:
        client.set("key", "value")
        assert client.execute_command("WAIT", 1, DEADLINE_S * 1000) == 1
    os.killpg(master.process.pid, signal.SIGKILL)
    master.process.wait(DEADLINE_S)

    blank = cluster.add(master.address)
    until(lambda: "Unable to AUTH to" in replica.log)
    with replica.client() as client:
        assert client.dbsize() == 1
        assert client.info("replication")["slave_repl_offset"] > 0

    everyone = cluster.tasks()
    gone = cluster.nodes.index(master)
    cluster.reconciler.memory.stopped |= {everyone[gone].id}
    cluster.reconciler.tasks = tuple(t for n, t in enumerate(everyone) if n != gone)
    until(lambda: asyncio.run(cluster.reconciler.run()) == Plan())
    with replica.client() as heir, blank.client() as copy:
        assert heir.get("key") == "value"
        assert heir.execute_command("ROLE")[0] == "master"
        assert copy.dbsize() == 1


@pytest.mark.parametrize("shell", ["dash"], indirect=True)
def test_slots_move_to_a_new_master(
    start: Starter, server: str, environment: dict[str, str]
) -> None:
    """Valkey 9 logs in for that, too, as replicas do."""
    cluster = Cluster(
        start,
        environment | {"REDIS_SERVER": server, "REDIS_PASSWORD": "p q"},
        Spec(2, 0),
        ConnectionSettings(password="p q"),
    )
    with cluster.client(cluster.master) as client:
        for number in range(300):
            client.set(f"key:{number}", number)
        new = cluster.add(free_address())
        cluster.reconciler.tasks, cluster.reconciler.spec = cluster.tasks(), Spec(3, 0)
        until(lambda: asyncio.run(cluster.reconciler.run()) == Plan())
        client.nodes_manager.initialize()
        assert {int(client.get(f"key:{number}")) for number in range(300)} == set(range(300))
    with new.client() as moved:
        assert 50 < moved.dbsize() < 150
