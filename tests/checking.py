"""Others' judgement of a cluster: the cluster client's, and a Redis Cluster client's."""

import time
from collections.abc import Mapping, Sequence
from itertools import count

from redis.cluster import RedisCluster

from redis_fargate.topology.slots import key_slot
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Member, Role
from servers import PORT, Fleet, Server

KEYS = 10_000
GOSSIP_S = 15
SETTINGS = {"cluster-node-timeout": "15000", "repl-diskless-sync-delay": "5"}
"""What the servers are started with, and must have afterwards."""


def key_of(slot: int, number: int = 0) -> str:
    """A key in a slot; another one for each number."""
    tag = next(n for n in count() if key_slot(b"%d" % n) == slot)
    return f"{{{tag}}}:{number}"


def assert_as_wanted(
    members: Sequence[Member], spec: Spec, settings: Mapping[str, str] = SETTINGS
) -> None:
    nodes = [member.node for member in members]
    assert all(nodes), [member.detail for member in members]
    masters = [node for node in nodes if node.role is Role.MASTER]
    assert len(masters) == spec.master_count
    assert len(nodes) == spec.task_count
    followers = [
        sum(node.master_id == master.id for node in nodes if node.role is Role.REPLICA)
        for master in masters
    ]
    assert sum(followers) == spec.replica_count
    assert max(followers) - min(followers) <= 1
    for node in nodes:
        assert node.cluster_ok
        known = [peer for peer in node.peers if not peer.in_handshake]
        assert {peer.id for peer in known} == {n.id for n in nodes} - {node.id}
        assert node.replication.link_up is not False
        assert node.settings == settings


def assert_others_agree(fleet: Fleet, server: Server, password: str | None = None) -> None:
    """As soon as gossip has brought the roles around, which takes up to half a node timeout."""
    secret = ("-a", password, "--no-auth-warning") if password else ()
    deadline = time.monotonic() + GOSSIP_S
    while True:
        try:
            said = fleet.cli(*secret, "--cluster", "check", f"{server.address}:{PORT}")
            assert "[OK] All nodes agree about slots configuration." in said
            assert "[OK] All 16384 slots covered." in said
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def assert_serves(server: Server, password: str | None = None) -> None:
    with RedisCluster(host=server.address, port=PORT, password=password) as client:
        with client.pipeline() as pipeline:
            for number in range(KEYS):
                pipeline.set(f"key:{number}", number)
            assert all(pipeline.execute())
        with client.pipeline() as pipeline:
            for number in range(KEYS):
                pipeline.get(f"key:{number}")
            assert pipeline.execute() == [str(number).encode() for number in range(KEYS)]
