"""What the rehearsal knows of writes: which are lost, and which of them had been copied."""

import time
from collections.abc import Callable

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from clustering import Cluster
from redis_fargate.aws.errors import AwsUnavailable
from redis_fargate.local.errors import Unreadable
from redis_fargate.local.rehearsal.copies import Copies
from redis_fargate.local.rehearsal.load import CLIENTS, Entry, Load, acknowledged, read_back
from redis_fargate.topology.spec import Spec
from servers import PORT, Fleet


def until(reached: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_write_counts_as_copied_once_a_replica_has_it(fleet: Fleet) -> None:
    (master,) = fleet.start(1, cluster_enabled="no", repl_diskless_sync_delay="0")
    (replica,) = fleet.start(1, "--replicaof", f"{master.address} {PORT}", cluster_enabled="no")
    addresses = [master.address, replica.address]
    copies = Copies(lambda: addresses, password="")

    def copied_since(moment_s: float) -> bool:
        copies.look()
        return copies.copied_until_s(master.address, gone=()) >= moment_s

    with Redis(master.address, PORT) as client:
        client.set("first", 1)
        first_s = time.time()
        until(lambda: copied_since(first_s))

        replica.freeze()
        client.set("second", 2)
        second_s = time.time()
        for _ in range(3):
            assert not copied_since(second_s)
        replica.thaw()
        until(lambda: copied_since(second_s))
    assert copies.copied_until_s(master.address, gone=[replica.address]) == 0


def test_a_write_that_is_gone_is_found(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    addresses = [server.address for server in fleet.servers]
    entry = Entry(lambda: addresses, password="")
    load = Load(entry, "load", writes_per_s=300)

    def all_have_written() -> bool:
        return len({write.client for write in acknowledged(load.writes())}) == CLIENTS

    with load.running():
        until(all_have_written)
    writes = load.writes()
    keys = [write.key for write in acknowledged(writes)]
    assert len(set(keys)) == len(keys)
    masters = {member.task.address for member in cluster.masters()}
    assert {write.master for write in acknowledged(writes)} == masters
    assert read_back(entry, keys) == set()
    with RedisCluster(host=addresses[0], port=PORT) as client:
        client.delete(keys[0])
        client.set(keys[-1], "something else")
    assert read_back(entry, keys) == {keys[0], keys[-1]}


def test_who_does_not_answer_is_asked_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(fleet, Spec(3, 0))
    failures: list[Exception] = [AwsUnavailable("Throttled."), ConnectionError("Nobody is there.")]

    def discovered() -> list[str]:
        if failures:
            raise failures.pop()
        return [server.address for server in fleet.servers]

    entry = Entry(discovered, password="")
    load = Load(entry, "load", writes_per_s=300)
    with load.running():
        until(lambda: bool(acknowledged(load.writes())))
    assert {"AwsUnavailable", "ConnectionError"} <= {write.error for write in load.writes()}
    keys = [write.key for write in acknowledged(load.writes())]
    failures = [AwsUnavailable("Throttled."), ConnectionError("Nobody is there.")]
    assert read_back(entry, keys) == set()
    assert not failures
    monkeypatch.setattr("redis_fargate.local.rehearsal.load._READ_TIMEOUT_S", 0.5)
    for server in fleet.servers:
        server.freeze()
    with pytest.raises(Unreadable, match="nobody knows whether it is lost"):
        read_back(entry, keys)
