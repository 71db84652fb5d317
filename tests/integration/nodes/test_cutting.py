"""Nodes that are cut off on the cluster bus: refused where it would not work, and always mended."""

import asyncio
from collections.abc import Iterator

import pytest

from clustering import CONFIG, SETTINGS, Cluster
from redis_fargate.local.cutting import NOWHERE, cut, mend
from redis_fargate.local.errors import CannotCut
from redis_fargate.nodes.errors import CommandRefused, NodeUnreachable
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Member
from servers import PROGRAMS, Fleet
from servers import fleet as fleet_of
from until import until


@pytest.fixture
def valkey_fleet() -> Iterator[Fleet]:
    with fleet_of(PROGRAMS["valkey-9.1"]()) as fleet:
        yield fleet


def test_what_cannot_be_cut(valkey_fleet: Fleet) -> None:
    cluster = Cluster(valkey_fleet, Spec(3, 0))
    addresses = [server.address for server in valkey_fleet.servers]
    with cluster.cut_off(*cluster.masters()[:2]), pytest.raises(CannotCut, match="fault mend"):
        asyncio.run(cut(addresses, addresses[2:], SETTINGS))
    blank = valkey_fleet.start(1, **CONFIG)[0].address
    with pytest.raises(CannotCut, match=f"does not know {blank} yet"):
        asyncio.run(cut([*addresses, blank], addresses[:1], SETTINGS))
    valkey_fleet.servers[1].freeze()
    with pytest.raises(NodeUnreachable, match=addresses[1]):
        asyncio.run(cut(addresses, addresses[:1], SETTINGS))
    valkey_fleet.servers[1].thaw()
    cluster.assert_whole()


def test_a_cut_that_fails_is_undone(valkey_fleet: Fleet) -> None:
    cluster = Cluster(valkey_fleet, Spec(3, 3))
    addresses = [server.address for server in valkey_fleet.servers]
    with cluster.client(cluster.masters()[1]) as client:
        client.execute_command("ACL", "SETUSER", "default", "-cluster|meet")
        with pytest.raises((CommandRefused, CannotCut), match="refused CLUSTER MEET"):
            asyncio.run(cut(addresses, addresses[:1], SETTINGS))
        client.execute_command("ACL", "SETUSER", "default", "+cluster|meet")
    assert asyncio.run(mend(addresses, SETTINGS)) == []
    cluster.assert_whole()


def test_a_cut_that_was_killed_is_mended(valkey_fleet: Fleet) -> None:
    """Each is looked for where nobody listens, but by those who were not told yet."""
    cluster = Cluster(valkey_fleet, Spec(3, 3))
    addresses = [server.address for server in valkey_fleet.servers]
    for member in cluster.reconciler.members:
        with cluster.client(member) as client:
            client.config_set("cluster-announce-bus-port", NOWHERE)

    def out_of_contact(member: Member) -> int:
        with cluster.client(member) as client:
            return sum(not peer["connected"] for peer in client.cluster("nodes").values())

    until(lambda: sum(map(out_of_contact, cluster.reconciler.members)) >= 15)  # once per pair
    assert asyncio.run(mend(addresses, SETTINGS)) == addresses
    cluster.assert_whole()
