"""Tables are generated, printed as servers print them, and parsed back."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_fargate.nodes.parse import (
    NodeTable,
    count_keys,
    parse_cluster_ok,
    parse_info,
    parse_nodes,
    parse_pongs,
    parse_replication,
    parse_version,
)
from redis_fargate.topology.slots import SLOT_COUNT, SlotRange, SlotRanges
from redis_fargate.topology.view import OpenSlot, Peer, Replication, Role

FLAGS = ["fail", "fail?", "handshake", "noaddr", "nofailover"]


@dataclass(frozen=True)
class Style:
    """How a version prints what follows the address."""

    hostnames: bool
    aux: str = ""


STYLES = [
    Style(hostnames=False),  # Redis 6.2
    Style(hostnames=True),  # Redis 7.0, Valkey
    Style(hostnames=True, aux=",nodename=a-human-name"),
    Style(hostnames=True, aux=",shard-id=5bc5f5e5a2e5,nodename=n,availability-zone=eu-1a"),
    Style(hostnames=False, aux=",shard-id=5bc5f5e5a2e5"),
]

ids = st.text("0123456789abcdef", min_size=40, max_size=40)
addresses = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), st.just(""))


@st.composite
def slot_ranges(draw: st.DrawFn) -> SlotRanges:
    bounds = sorted(draw(st.sets(st.integers(0, SLOT_COUNT - 1), max_size=8)))
    pairs = zip(bounds[::2], bounds[1::2], strict=False)
    return tuple(SlotRange(first, last) for first, last in pairs)


@st.composite
def entries(draw: st.DrawFn, *, myself: bool) -> Peer:
    master = draw(st.none() | ids)
    return Peer(
        id=draw(ids),
        address=draw(addresses),
        port=draw(st.integers(0, 65535)),
        bus_port=draw(st.integers(0, 65535)),
        hostname=draw(st.just("") | st.text("0123456789abcdef", min_size=32, max_size=32)),
        role=Role.REPLICA if master else Role.MASTER,
        flags=frozenset(draw(st.sets(st.sampled_from(FLAGS)))),
        master_id=master,
        config_epoch=draw(st.integers(0, 2**64 - 1)),
        connected=draw(st.booleans()),
        slots=draw(slot_ranges()),
        myself=myself,
    )


@st.composite
def open_slots(draw: st.DrawFn) -> OpenSlot:
    slot, other = draw(st.integers(0, SLOT_COUNT - 1)), draw(ids)
    if draw(st.booleans()):
        return OpenSlot(slot, migrating_to=other)
    return OpenSlot(slot, importing_from=other)


def _printed(peer: Peer, style: Style, flying: tuple[OpenSlot, ...]) -> str:
    role = "slave" if peer.role is Role.REPLICA else "master"
    flags = ",".join([*(["myself"] if peer.myself else []), role, *sorted(peer.flags)])
    host = f",{peer.hostname}" if style.hostnames and (peer.hostname or style.aux) else ""
    words = [
        peer.id,
        f"{peer.address}:{peer.port}@{peer.bus_port}{host}{style.aux}",
        flags,
        peer.master_id or "-",
        "0",
        "1795386222679",
        str(peer.config_epoch),
        "connected" if peer.connected else "disconnected",
        *map(str, peer.slots),
    ]
    for each in flying:
        arrow, other = (
            ("->-", each.migrating_to) if each.migrating_to else ("-<-", each.importing_from)
        )
        words.append(f"[{each.slot}{arrow}{other}]")
    return " ".join(words)


@given(
    entries(myself=True),
    st.lists(entries(myself=False), max_size=5),
    st.lists(open_slots(), max_size=3).map(tuple),
    st.sampled_from(STYLES),
    st.integers(0, 5),
)
def test_what_is_printed_is_parsed(
    myself: Peer,
    peers: list[Peer],
    flying: tuple[OpenSlot, ...],
    style: Style,
    place: int,
) -> None:
    lines = [_printed(peer, style, ()) for peer in peers]
    lines.insert(place, _printed(myself, style, flying))

    table = parse_nodes("\n".join([*lines, ""]))

    def known(peer: Peer) -> tuple[object, ...]:
        hostname = peer.hostname if style.hostnames else ""
        return (
            peer.id, peer.address, peer.port, peer.bus_port, hostname, peer.role, peer.flags,
            peer.master_id, peer.config_epoch, peer.connected, peer.slots, peer.myself,
        )  # fmt: skip

    assert known(table.myself) == known(myself)
    assert [known(peer) for peer in table.peers] == [known(peer) for peer in peers]
    assert table.open_slots == flying
    for peer in table.peers:
        assert (found := table.peer(peer.id))
        assert found.id == peer.id
    assert table.peer("nobody") is None
    assert set(parse_pongs("\n".join(lines)).values()) == {1795386222679}


@given(st.text())
def test_what_is_no_table_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="CLUSTER NODES"):
        parse_nodes(text)


@pytest.mark.parametrize(
    "line",
    [
        "too short",
        "id 10.0.0.1:6379@16379 myself,master - 0 0 epoch connected",
        "id 10.0.0.1:port@16379 myself,master - 0 0 0 connected",
        "id 10.0.0.1:6379@16379 myself,master - 0 0 0 connected 5-99999",
        "id 10.0.0.1:6379@16379 myself,master - 0 0 0 connected [5->x]",
    ],
)
def test_a_line_that_is_none_is_shown(line: str) -> None:
    with pytest.raises(ValueError, match="not a line of CLUSTER NODES") as caught:
        parse_nodes(line)
    assert line in str(caught.value)


def test_a_node_that_does_not_know_its_own_address_and_one_without_any() -> None:
    table = parse_nodes(
        "aa :6379@16379 myself,master - 0 0 0 connected\n"
        "bb :0@0 slave,fail,noaddr aa 0 0 0 disconnected\n"
        "cc 10.0.0.3:6379@16379,? handshake - 0 0 0 connected\n"
        "dd 10.0.0.4:6379 noflags - 0 0 0 connected\n"
    )

    assert table == NodeTable(
        _peer("aa", "", myself=True),
        (
            _peer(
                "bb",
                "",
                port=0,
                bus_port=0,
                role=Role.REPLICA,
                flags=frozenset({"fail", "noaddr"}),
                master_id="aa",
                connected=False,
            ),
            _peer("cc", "10.0.0.3", flags=frozenset({"handshake"})),
            _peer("dd", "10.0.0.4", bus_port=0),
        ),
        (),
    )


def _peer(node_id: str, address: str, **given: object) -> Peer:
    fields: dict[str, object] = {
        "port": 6379,
        "bus_port": 16379,
        "hostname": "",
        "role": Role.MASTER,
        "flags": frozenset(),
        "master_id": None,
        "config_epoch": 0,
        "connected": True,
        "slots": (),
        **given,
    }
    return Peer(id=node_id, address=address, **fields)  # type: ignore[arg-type]


INFO = (
    "# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\nos:Linux 6.1 x86_64\r\n\r\n"
    "# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n"
    "master_link_status:down\r\nslave_repl_offset:14\r\nmaster_repl_offset:14\r\n\r\n"
    "# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\ndb2:keys=4,expires=1,avg_ttl=9\r\n"
)


def test_info() -> None:
    info = parse_info(INFO)

    assert parse_version(info) == "valkey 9.1.2"
    assert parse_replication(info) == Replication(14, "10.0.0.1", link_up=False)
    assert count_keys(info) == 7


def test_a_master_has_no_link() -> None:
    info = parse_info("redis_version:6.2.14\r\nrole:master\r\nmaster_repl_offset:99\r\n")

    assert parse_version(info) == "redis 6.2.14"
    assert parse_replication(info) == Replication(99, None, link_up=None)
    assert count_keys(info) == 0


@pytest.mark.parametrize(
    ("state", "assigned", "failed", "well"),
    [
        ("ok", 16384, 0, True),
        ("fail", 16384, 0, False),
        ("ok", 16383, 0, False),
        ("ok", 16384, 1, False),
    ],
)
def test_well_is_who_says_ok_of_all_slots(state, assigned, failed, well):
    text = (
        f"cluster_state:{state}\r\ncluster_slots_assigned:{assigned}\r\n"
        f"cluster_slots_fail:{failed}\r\n"
    )
    assert parse_cluster_ok(parse_info(text)) is well
