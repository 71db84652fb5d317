"""node/entrypoint.sh on SIGTERM: a replica takes over, with all that was acknowledged."""

import itertools
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from redis import Redis
from scripts_cluster import Cluster
from scripts_rig import DEADLINE_S, SERVERS, Node, Starter, certificate, of_the_image

from redis_fargate.local.tasks import stand_in_client
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.slots import key_slot, numbers
from redis_fargate.topology.spec import Spec
from unique_writes import writing
from until import until

STOP_TIMEOUT_S = 30
"""ECS' default; our task definition gives more."""


def stopped(node: Node, signals: int = 1) -> str:
    """What a node said from SIGTERM on; it has ended well, and its server with it."""
    said_before = len(node.log)
    server = node.server_pid
    for _ in range(signals):
        node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(STOP_TIMEOUT_S) == 0, node.log
    assert not Path(f"/proc/{server}").exists()
    return node.log[said_before:]


def ours(said: str) -> list[str]:
    return re.findall("^entrypoint: (.*)$", said, re.MULTILINE)


def test_a_master_of_three_hands_over_under_load(
    start: Starter, server: str, environment: dict[str, str]
) -> None:
    cluster = Cluster(
        start,
        environment | {"REDIS_SERVER": server, "REDIS_PASSWORD": 'a b"c'},
        Spec(3, 3),
        ConnectionSettings(password='a b"c'),
    )
    master, (replica,) = cluster.master, cluster.replicas
    slots = set(numbers(next(m for m in cluster.members if m.node.slots).node.slots))
    tag = next(tag for n in itertools.count() if key_slot(tag := b"%d" % n) in slots).decode()
    with cluster.client(replica) as client:
        with writing(client, f"{{{tag}}}:") as writes:
            until(lambda: len(writes.keys) >= 100)
            said = stopped(master)
            before = len(writes.keys)
        assert len(writes.keys) > before  # the last one after the node had gone
        assert writes.lost(client) == []
    assert ours(said) == [
        f"stopping: {replica.address} 6379 is to take over.",
        "stopping: it has taken over.",
    ]
    with replica.client() as heir:
        assert heir.execute_command("ROLE")[0] == "master"


@pytest.mark.parametrize("of_image", [False, True], ids=["secrets", "image"])
def test_with_tls(
    start: Starter, environment: dict[str, str], tmp_path: Path, *, of_image: bool
) -> None:
    files = of_the_image(tmp_path)
    if of_image:
        tls = {"REDIS_CONFIG": files}
        cert = (tmp_path / "cert.pem").read_text()
    else:
        cert, key = certificate(tmp_path)
        tls = {"REDIS_TLS_CERT": cert, "REDIS_TLS_KEY": key, "REDIS_TLS_CA": cert}
    cluster = Cluster(
        start,
        environment | {"REDIS_SERVER": str(SERVERS["redis7"]), "REDIS_PASSWORD": "p"} | tls,
        Spec(1, 1),
        ConnectionSettings(password="p", tls=True, tls_ca=cert),
        {"ssl": True, "ssl_ca_certs": str(tmp_path / "cert.pem"), "ssl_check_hostname": False},
    )
    assert ours(stopped(cluster.master))[-1] == "stopping: it has taken over."


def has_failed(line: dict[str, str]) -> bool:
    return bool({"fail", "fail?"} & set(line["flags"].split(",")))


def test_ends_at_once_with_nothing_to_hand_over(
    start: Starter, environment: dict[str, str]
) -> None:
    quick = environment | {"REDIS_CONFIG": "cluster-node-timeout 1000\n"}
    cluster = Cluster(start, quick, Spec(1, 1))
    blank = start(environment)
    assert ours(stopped(blank)) == [
        "stopping: this master has no slots, there is nothing to hand over."
    ]
    (replica,) = cluster.replicas
    assert ours(stopped(replica)) == [
        "stopping: this node is no master, there is nothing to hand over."
    ]
    with cluster.master.client() as client:
        until(lambda: any(has_failed(node) for node in client.cluster("nodes").values()))
    assert ours(stopped(cluster.master)) == ["stopping: no replica is online that could take over."]


def test_with_the_client_of_a_machine_that_has_none(
    start: Starter, environment: dict[str, str], tmp_path: Path
) -> None:
    client = tmp_path / "client"
    client.write_text(f'#!/bin/sh\nexec {sys.executable} -I {stand_in_client.__file__} "$@"\n')
    client.chmod(0o700)
    cluster = Cluster(
        start,
        environment | {"REDIS_CLI": str(client), "REDIS_PASSWORD": "p q"},
        Spec(1, 1),
        ConnectionSettings(password="p q"),
    )
    assert ours(stopped(cluster.master))[-1] == "stopping: it has taken over."


def test_the_exit_code_is_the_servers(start: Starter, environment: dict[str, str]) -> None:
    node = start(environment)
    os.kill(node.server_pid, signal.SIGKILL)
    assert node.process.wait(DEADLINE_S) == 128 + signal.SIGKILL


def test_the_most_advanced_replica_takes_over(start: Starter, environment: dict[str, str]) -> None:
    cluster = Cluster(start, environment, Spec(1, 2))
    behind, ahead = cluster.replicas
    os.kill(behind.server_pid, signal.SIGSTOP)
    with cluster.master.client() as client:
        client.set("key", "value")
        assert client.execute_command("WAIT", 1, DEADLINE_S * 1000) == 1
    said = stopped(cluster.master)
    os.kill(behind.server_pid, signal.SIGCONT)
    assert ours(said) == [
        f"stopping: {ahead.address} 6379 is to take over.",
        "stopping: it has taken over.",
    ]


def come_back_empty(start: Starter, replica: Node, config: str = "") -> Node:
    """Kill a node, and start it again as the same, with more configuration and without its data."""
    os.kill(replica.server_pid, signal.SIGKILL)
    replica.process.wait(DEADLINE_S)
    (replica.directory / "dump.rdb").unlink()
    more = {"REDIS_CONFIG": replica.environment["REDIS_CONFIG"] + config}
    return start(replica.environment | more)


def state_of_replica(client: Redis) -> str | None:
    """How far a master's only replica has come."""
    return client.info("replication").get("slave0", {}).get("state")


def test_waits_for_a_replica_that_is_loading(start: Starter, environment: dict[str, str]) -> None:
    environment |= {
        "REDIS_SERVER": str(SERVERS["redis7"]),
        "REDIS_CONFIG": "repl-diskless-sync no\nloading-process-events-interval-bytes 1024\n",
    }
    cluster = Cluster(start, environment, Spec(1, 1))
    master, (replica,) = cluster.master, cluster.replicas
    with master.client() as client:
        for key in range(20):
            client.set(key, os.urandom(2048))
    again = come_back_empty(start, replica, "key-load-delay 150000\n")
    with master.client() as client:
        until(lambda: state_of_replica(client) == "online")
        said = stopped(master)
    assert ours(said) == [
        f"stopping: {replica.address} 6379 is to take over.",
        "stopping: it has taken over.",
    ]
    with cluster.client(again) as client:
        assert client.dbsize() == 20


def test_waits_for_a_replica_that_is_synchronising(
    start: Starter, environment: dict[str, str]
) -> None:
    environment |= {"REDIS_CONFIG": "repl-diskless-sync-delay 3\n"}
    cluster = Cluster(start, environment, Spec(1, 1))
    master, (replica,) = cluster.master, cluster.replicas
    again = come_back_empty(start, replica)
    with master.client() as client:
        client.set("key", "value")
        until(lambda: state_of_replica(client) == "wait_bgsave")
        said = stopped(master)
    assert ours(said) == [
        f"stopping: {replica.address} 6379 is still synchronising: waiting.",
        f"stopping: {replica.address} 6379 is to take over.",
        "stopping: it has taken over.",
    ]
    with cluster.client(again) as client:
        assert client.get("key") == b"value"


def test_waits_for_a_replica_that_is_yet_to_connect(
    start: Starter, environment: dict[str, str]
) -> None:
    cluster = Cluster(start, environment, Spec(1, 1))
    master, (replica,) = cluster.master, cluster.replicas
    os.kill(replica.server_pid, signal.SIGSTOP)
    with master.client() as client:
        client.client_kill_filter(_type="replica")
        client.set("key", "value")
    master.process.send_signal(signal.SIGTERM)
    until(lambda: "its replicas are yet to connect: waiting." in master.log)
    os.kill(replica.server_pid, signal.SIGCONT)
    assert master.process.wait(STOP_TIMEOUT_S) == 0, master.log
    assert ours(master.log)[-1] == "stopping: it has taken over."
    with cluster.client(replica) as client:
        assert client.get("key") == b"value"


def test_a_replica_that_hangs_keeps_nobody_longer_than_the_stop_timeout(
    start: Starter, environment: dict[str, str]
) -> None:
    cluster = Cluster(start, environment, Spec(1, 1))
    (replica,) = cluster.replicas
    os.kill(replica.server_pid, signal.SIGSTOP)
    with cluster.master.client() as client:
        client.set("key", "value")
    said = stopped(cluster.master, signals=3)
    os.kill(replica.server_pid, signal.SIGCONT)
    assert ours(said) == [
        f"stopping: {replica.address} 6379 is to take over.",
        "stopping: it has not taken over.",
    ]


def test_a_server_that_hangs_is_told_to_end(start: Starter, environment: dict[str, str]) -> None:
    node = start(environment)
    os.kill(node.server_pid, signal.SIGSTOP)
    node.process.send_signal(signal.SIGTERM)
    until(lambda: "the server gives no answer" in node.log)
    os.kill(node.server_pid, signal.SIGCONT)
    assert node.process.wait(STOP_TIMEOUT_S) == 0
