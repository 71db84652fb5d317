"""What nodes print, as values. Formats of Redis 6.2 to 7.x and Valkey 7.2 to 9.1.

Sources: https://valkey.io/commands/cluster-nodes/ and https://valkey.io/commands/info/,
and what servers of these versions print (tests/integration).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from redis_fargate.topology.slots import SLOT_COUNT, SlotRange, SlotRanges
from redis_fargate.topology.view import OpenSlot, Peer, Replication, Role

_FIELDS_BEFORE_EPOCH = 6
_REPLICA_WORDS = frozenset({"slave", "replica"})
_ROLE_WORDS = _REPLICA_WORDS | {"master", "myself", "noflags", ""}


@dataclass(frozen=True, slots=True)
class NodeTable:
    """A node's answer to CLUSTER NODES."""

    myself: Peer
    peers: tuple[Peer, ...]
    """Everybody else."""
    open_slots: tuple[OpenSlot, ...]

    def peer(self, node_id: str) -> Peer | None:
        """Find the entry of another node."""
        return next((peer for peer in self.peers if peer.id == node_id), None)


def parse_nodes(text: str) -> NodeTable:
    """Parse the answer to CLUSTER NODES.

    Raises:
        ValueError: it is none; the message holds the line.

    """
    myself: Peer | None = None
    peers: list[Peer] = []
    open_slots: tuple[OpenSlot, ...] = ()
    for line in text.splitlines():
        words = line.split(" ", _FIELDS_BEFORE_EPOCH)
        if len(words) <= _FIELDS_BEFORE_EPOCH:
            raise ValueError(f"not a line of CLUSTER NODES: {line!r}")
        try:
            # All but when it was last heard of, which makes each line different.
            peer = _peer(words[0], words[1], words[2], words[3], words[6])
            if peer.myself:
                myself = peer
                slots = words[6].split(" ")[2:]
                open_slots = tuple(_open_slot(word) for word in slots if word.startswith("["))
            else:
                peers.append(peer)
        except ValueError as error:
            raise ValueError(f"not a line of CLUSTER NODES: {line!r}") from error
    if myself is None:
        raise ValueError(f"an answer to CLUSTER NODES without a line `myself`: {text!r}")
    return NodeTable(myself, tuple(peers), open_slots)


def parse_pongs(text: str) -> dict[str, int]:
    """When each node of a valid answer to CLUSTER NODES was last heard of, by the teller's clock.

    In milliseconds since the epoch; 0 for the teller itself, and for whom it never heard.
    """
    return {words[0]: int(words[5]) for words in map(str.split, text.splitlines())}


# All nodes of a cluster say nearly the same about each of them: in a cluster of 100, 10 000 lines
# hold some 200 different ones.
@lru_cache(maxsize=4096)
def _peer(node_id: str, where: str, flags: str, master: str, rest: str) -> Peer:
    epoch, link, *slots = rest.split(" ")
    address, port, bus_port, hostname = _where(where)
    words = frozenset(flags.split(","))
    return Peer(
        id=node_id,
        address=address,
        port=port,
        bus_port=bus_port,
        hostname=hostname,
        role=Role.REPLICA if words & _REPLICA_WORDS else Role.MASTER,
        flags=words - _ROLE_WORDS,
        master_id=None if master == "-" else master,
        config_epoch=int(epoch),
        connected=link == "connected",
        slots=_slots(slots),
        myself="myself" in words,
    )


def _where(text: str) -> tuple[str, int, int, str]:
    """``address:port@bus-port[,hostname[,name=value]...]``; IPv6 addresses hold colons."""
    socket, *aux = text.split(",")
    address, _, ports = socket.rpartition(":")
    port, _, bus_port = ports.partition("@")
    # The hostname comes first and without a name; it is empty where only others are set.
    hostname = aux[0] if aux and "=" not in aux[0] else ""
    return address, int(port), int(bus_port or 0), "" if hostname == "?" else hostname


def _slots(words: list[str]) -> SlotRanges:
    """Parse ``0-5460 9000``. Servers print ranges sorted, disjoint and merged."""
    ranges = []
    for word in words:
        if not word.startswith("["):
            first, _, last = word.partition("-")
            ranges.append(SlotRange(int(first), int(last or first)))
    return tuple(ranges)


def _open_slot(word: str) -> OpenSlot:
    """``[slot->-id]`` migrates to a node, ``[slot-<-id]`` is imported from one."""
    slot, arrow, other = word[1:-1].partition("->-")
    if arrow:
        return OpenSlot(int(slot), migrating_to=other)
    slot, arrow, other = word[1:-1].partition("-<-")
    if not arrow:
        raise ValueError(f"not an open slot: {word!r}")
    return OpenSlot(int(slot), importing_from=other)


def parse_info(text: str) -> dict[str, str]:
    """Parse the answer to INFO or CLUSTER INFO: its fields, of all sections."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def parse_cluster_ok(info: Mapping[str, str]) -> bool:
    """Whether CLUSTER INFO says that the cluster is well, and all of it.

    Without ``cluster-require-full-coverage``, a node's ``ok`` says nothing of the slots of others.
    """
    return (
        info["cluster_state"] == "ok"
        and int(info["cluster_slots_assigned"]) == SLOT_COUNT
        and int(info["cluster_slots_fail"]) == 0
    )


def count_keys(info: Mapping[str, str]) -> int:
    """How many keys INFO's keyspace section tells of; Valkey 9 has databases in cluster mode."""
    return sum(
        int(value.removeprefix("keys=").partition(",")[0])
        for name, value in info.items()
        if name.startswith("db") and value.startswith("keys=")
    )


def parse_replication(info: Mapping[str, str]) -> Replication:
    """Parse INFO's replication section."""
    if info["role"] == "master":
        return Replication(int(info["master_repl_offset"]), stream=info.get("master_replid", ""))
    return Replication(
        offset=int(info.get("slave_repl_offset", info["master_repl_offset"])),
        master_address=info.get("master_host"),
        link_up=info.get("master_link_status") == "up",
        linked_once=info.get("master_link_down_since_seconds") != "-1",
        stream=info.get("master_replid", ""),
    )


def parse_version(info: Mapping[str, str]) -> str:
    """``valkey 9.1.2`` or ``redis 7.0.15``: Valkey tells Redis' version for old clients, too."""
    if "valkey_version" in info:
        return f"valkey {info['valkey_version']}"
    return f"redis {info['redis_version']}"
