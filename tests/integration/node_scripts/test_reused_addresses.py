"""A new node at a dead master's address: that one's replicas must not copy its emptiness."""

import asyncio
import os
import signal

import pytest
from scripts_cluster import Cluster
from scripts_rig import DEADLINE_S, SERVERS, Starter

from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import Spec
from until import until


@pytest.mark.parametrize("shell", ["dash"], indirect=True)
@pytest.mark.parametrize(
    ("name", "password"), [("redis7", "p q"), ("valkey8", None), ("valkey9", "p q")]
)
def test_replicas_keep_their_data(
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
