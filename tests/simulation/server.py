"""A server in cluster mode: its node table, and what it learns from others' messages.

After Redis' cluster_legacy.c (7.0) and Valkey's (8.1, 9.1), whose names stand in comments.
"""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from redis_fargate.topology.slots import key_slot

from . import slots as sets

if TYPE_CHECKING:
    from .network import Network
    from .voting import Ballot

PORT = 6379
BUS_PORT = 16379
BAN_S = 60.0
KEYS = tuple(f"key:{number}" for number in range(32))
KEY_SLOTS = {key: key_slot(key.encode()) for key in KEYS}


def key_bits(keys: dict[str, int]) -> int:
    """The slots that have keys."""
    bits = 0
    for key in keys:
        bits |= 1 << KEY_SLOTS[key]
    return bits


@dataclass(slots=True, eq=False)
class Entry:
    """A node in a node's table (``clusterNode``)."""

    id: str
    address: str
    hostname: str = ""
    master: bool = True
    master_id: str | None = None
    epoch: int = 0
    slots: int = 0
    offset: int = 0
    pfail: bool = False
    fail: bool = False
    failed_at_s: float = 0.0
    noaddr: bool = False
    linked: bool = True
    """Whether there is a connection to it."""
    silent_since_s: float | None = None
    """Since when it owes an answer (``ping_sent``)."""
    voted_at_s: float = -1e9
    """When this node last voted for one of its replicas."""
    reports: dict[str, float] = field(default_factory=dict)
    """Who believes that it fails, and since when it has said so."""
    seen: tuple[int, int] = (-1, -1)
    """Versions of both sides when they last exchanged all they know."""


@dataclass(slots=True, eq=False)
class Link:
    """A replica's connection to its master."""

    address: str
    up: bool = False
    ready_s: float | None = None
    """When the synchronisation that is going on will end."""
    lost_s: float | None = None
    """Since when nothing comes."""
    followed: bool = False
    """Whether there has been one since the server was a master (``repl_down_since``)."""
    source: "Server | None" = None
    """The process at the other end, while it is up."""


@dataclass(slots=True, eq=False)
class Job:
    """Slots that a server moves by itself (``slotMigrationJob``)."""

    name: str
    source_id: str
    target_id: str
    slots: int
    state: str = "snapshotting"


class Server:
    """A process, from its start to its end."""

    def __init__(self, net: "Network", node_id: str, address: str, hostname: str) -> None:
        self.net = net
        self.id = node_id
        self.address = address
        self.hostname = hostname
        self.me = Entry(node_id, address, hostname)
        self.table: dict[str, Entry] = {node_id: self.me}
        self.introduced = False
        """Whether it has known others by now."""
        self.handshakes: dict[str, float] = {}
        """Address to when the handshake expires."""
        self.banned: dict[str, float] = {}
        self.current_epoch = 0
        self.last_vote_epoch = 0
        self.timeout_s = 15.0
        self.settings = {
            "cluster-node-timeout": "15000",
            "repl-diskless-sync-delay": "5",
            "cluster-require-full-coverage": "no",
            "cluster-replica-no-failover": "no",
        }
        self.migrating: dict[int, str] = {}
        self.importing: dict[int, str] = {}
        self.imported: frozenset[int] = frozenset()
        """What it was importing when it became a replica."""
        self.jobs: list[Job] = []
        self.incoming: list[Job] = []
        self.keys: dict[str, int] = {}
        self.offset = 0
        self.stream = node_id
        self.other_data = False
        """Whether it has another shard's data, until it is synchronised."""
        self.link: Link | None = None
        self.ok = False
        self.started_s = net.now_s
        self.minority_s = net.now_s
        self.election_s: float | None = None
        self.ordered_until_s = 0.0
        """Until when it is to take its master's place (``mf_end``)."""
        self.ballot: Ballot | None = None
        self.foreign = False
        """Whether it is another cluster's."""
        self.frozen = False
        self.alive = True
        self.version = 0
        """Grows with every change of what it knows or would tell."""

    def __str__(self) -> str:
        return f"{self.id[:6]}@{self.address}"

    @property
    def master(self) -> Entry | None:
        """Its master's entry."""
        return self.table.get(self.me.master_id) if self.me.master_id else None

    @property
    def barred(self) -> bool:
        """From being elected."""
        return self.settings["cluster-replica-no-failover"] == "yes"

    def configure(self, name: str, value: str) -> None:
        """CONFIG SET"""
        self.settings[name] = value
        self.timeout_s = int(self.settings["cluster-node-timeout"]) / 1000
        self.net.keep_pace()
        self.net.poke()

    def touch(self) -> None:
        self.version += 1
        self.net.poke()

    # -- who owns what -----------------------------------------------------------------------

    def assign(self, entry: Entry, slots: int) -> None:
        for other in self.table.values():
            if other is not entry and (lost := other.slots & slots):
                other.slots ^= lost
        entry.slots |= slots
        self.touch()

    def size(self) -> int:
        """How many masters own slots (``cluster->size``)."""
        return sum(1 for entry in self.table.values() if entry.master and entry.slots)

    def highest_epoch(self) -> int:
        return max(self.current_epoch, *(entry.epoch for entry in self.table.values()))

    def follow(self, entry: Entry) -> None:
        """clusterSetMaster"""
        self.me.master = False
        self.me.slots = 0
        self.me.master_id = entry.id
        self.net.replaced.discard(self.id)
        self.migrating.clear()
        self.imported = frozenset(self.importing)
        self.importing.clear()
        self._connect(entry.address)
        self.election_s, self.ordered_until_s = None, 0.0
        self.touch()

    def _connect(self, address: str) -> None:
        """replicationSetMaster"""
        self.link = Link(address, followed=self.link is not None and self.link.followed)

    def promote(self, epoch: int) -> None:
        """clusterFailoverReplaceYourMaster: take all slots of the master, and tell everybody."""
        old = self.master
        self.me.master, self.me.master_id = True, None
        self.me.epoch = epoch
        self.link = None
        self.stream = f"{self.id}-{epoch}"
        self.election_s, self.ordered_until_s = None, 0.0
        self.net.replaced.discard(self.id)
        if old is not None:
            self.net.replaced.add(old.id)
            self.assign(self.me, old.slots)
        self.touch()
        self.net.broadcast(self)

    def claimed(self, sender: Entry, epoch: int, slots: int) -> None:
        """clusterUpdateSlotsConfigWith: a claim wins unless the owner's epoch is as high."""
        if sender is self.me:
            return
        current = self.me if self.me.master else self.master
        new = sets.without(slots, sender.slots)
        if new and self.importing:
            new = sets.without(new, sets_of(self.importing))
        owned = 0
        for entry in self.table.values():
            taken = entry.slots & new
            if taken and entry is not sender:
                if entry.epoch >= epoch:
                    new ^= taken
                    continue
                entry.slots ^= taken
                if entry is current:
                    owned = taken
        if new:
            sender.slots |= new
            self.touch()
        lost_keys = owned & key_bits(self.keys) if current is self.me else 0
        if owned and current is not None and not current.slots and sender.slots == owned:
            self.follow(sender)
        elif lost_keys:
            self.drop_keys(lost_keys)

    def drop_keys(self, slots: int) -> None:
        """delKeysInSlot"""
        self.keys = {key: v for key, v in self.keys.items() if not slots >> KEY_SLOTS[key] & 1}

    # -- handshakes ----------------------------------------------------------------------------

    def start_handshake(self, address: str) -> None:
        if address not in self.handshakes:
            self.handshakes[address] = self.net.now_s + max(self.timeout_s, 1.0)
            self.touch()

    def meet_known(self, other: "Server") -> None:
        """A handshake was answered: who did is known from now on, at this address."""
        entry = self.table.get(other.id)
        if entry is None:
            self.table[other.id] = Entry(other.id, other.address)
        elif entry.address != other.address or entry.noaddr:
            self._moved(entry, other.address)
        self.touch()

    # -- what others tell ----------------------------------------------------------------------

    def hear(self, other: "Server") -> None:
        """clusterProcessPacket, for a PING or PONG of ``other``."""
        entry = self.table.get(other.id)
        if entry is None:
            return
        if not entry.linked or entry.silent_since_s is not None or entry.pfail or entry.noaddr:
            self._hears_again(entry)
        if entry.address != other.address:
            self._moved(entry, other.address)
        if entry.seen == (other.version, self.version):
            return
        before = self.version
        self._header(entry, other)
        self._gossip(entry, other)
        if self.version == before:
            entry.seen = (other.version, self.version)

    def _hears_again(self, entry: Entry) -> None:
        entry.silent_since_s = None
        if entry.pfail or not entry.linked or entry.noaddr:
            entry.pfail, entry.linked, entry.noaddr = False, True, False
            self.touch()

    def _moved(self, entry: Entry, address: str) -> None:
        """nodeUpdateAddressIfNeeded"""
        entry.address, entry.noaddr = address, False
        if self.me.master_id == entry.id:
            self._connect(address)
        self.touch()

    def _header(self, entry: Entry, other: "Server") -> None:
        told = other.me
        if entry.fail and (  # clearNodeFailureIfNeeded
            not entry.slots or self.net.now_s - entry.failed_at_s > 2 * self.timeout_s
        ):
            entry.fail = False
            self.touch()
        self._hear_epoch(other)
        entry.offset = other.offset
        if entry.hostname != other.hostname:
            entry.hostname = other.hostname
            self.touch()
        leader = told if told.master else other.master
        epoch = leader.epoch if leader else told.epoch
        claims = leader.slots if leader else 0
        if epoch > entry.epoch:
            entry.epoch = epoch
            self.touch()
        self._role(entry, told)
        if told.master and claims != entry.slots:
            self.claimed(entry, epoch, claims)
        for owner in self.table.values():
            if owner.epoch > epoch and owner is not entry and owner.slots & claims:
                other.updated(owner, self)
        if (  # clusterHandleConfigEpochCollision
            told.master and self.me.master and epoch == self.me.epoch and other.id > self.id
        ):
            self.current_epoch += 1
            self.me.epoch = self.current_epoch
            self.touch()

    def _hear_epoch(self, other: "Server") -> None:
        if other.current_epoch > self.current_epoch:
            self.current_epoch = other.current_epoch
            self.touch()

    def _role(self, entry: Entry, told: Entry) -> None:
        master_id = told.master_id if told.master_id in self.table else None
        if entry.master != told.master or entry.master_id != master_id:
            if not told.master:
                entry.slots = 0
            entry.master, entry.master_id = told.master, master_id
            self.touch()

    def updated(self, owner: Entry, teller: "Server") -> None:
        """An UPDATE message: a node has slots by a higher epoch than claimed."""
        if teller.id not in self.table:
            return
        self._hear_epoch(teller)
        entry = self.table.get(owner.id)
        if entry is None or entry is self.me or entry.epoch >= owner.epoch:
            return
        entry.master, entry.master_id = True, None
        entry.epoch = owner.epoch
        self.touch()
        self.claimed(entry, owner.epoch, owner.slots)

    def _gossip(self, sender: Entry, other: "Server") -> None:
        """clusterProcessGossipSection"""
        now_s = self.net.now_s
        for told in list(other.table.values()):
            entry = self.table.get(told.id)
            if entry is self.me or entry is sender or told.noaddr:
                continue
            if entry is None:
                if self.banned.get(told.id, -1.0) <= now_s:
                    self._learn(told)
                continue
            failing = told.pfail or told.fail
            if sender.master and (failing or entry.reports):
                self._report(entry, sender.id, failing=failing)
            doubtful = entry.pfail or entry.fail
            if doubtful and not failing and entry.address != told.address:
                entry.address, entry.noaddr, entry.linked = told.address, False, True
                self.touch()

    def _learn(self, told: Entry) -> None:
        entry = Entry(told.id, told.address, master=told.master, pfail=told.pfail, fail=told.fail)
        entry.failed_at_s = self.net.now_s
        self.table[told.id] = entry
        self.touch()

    def _report(self, entry: Entry, reporter: str, *, failing: bool) -> None:
        if failing:
            entry.reports[reporter] = self.net.now_s
            self.judge_failing(entry)
        elif reporter in entry.reports:
            del entry.reports[reporter]

    def judge_failing(self, entry: Entry) -> None:
        """markNodeAsFailingIfNeeded"""
        if not entry.pfail or entry.fail:
            return
        since_s = self.net.now_s - 2 * self.timeout_s
        voices = sum(at_s >= since_s for at_s in entry.reports.values()) + self.me.master
        if voices >= self.size() // 2 + 1:
            entry.fail, entry.failed_at_s, entry.pfail = True, self.net.now_s, False
            self.touch()
            if self.me.master:
                self.net.announce_failure(self, entry.id)

    def told_failed(self, node_id: str) -> None:
        """A FAIL message."""
        entry = self.table.get(node_id)
        if entry is not None and entry is not self.me and not entry.fail:
            entry.fail, entry.failed_at_s, entry.pfail = True, self.net.now_s, False
            self.touch()

    def judge_state(self) -> None:
        """clusterUpdateState"""
        now_s = self.net.now_s
        covered = reachable = size = 0
        for entry in self.table.values():
            if entry.slots:
                size += 1
                covered |= 0 if entry.fail else entry.slots
                reachable += not (entry.fail or entry.pfail)
        full = self.settings["cluster-require-full-coverage"] == "yes"
        well = covered == sets.ALL or not full
        if reachable < size // 2 + 1:
            well = False
            self.minority_s = now_s
        if well and not self.ok and self.me.master:
            rejoin_s = min(max(self.timeout_s, 0.5), 5.0)
            if now_s - self.minority_s < rejoin_s or now_s - self.started_s < 2.0:
                return
        self.ok = well


def sets_of(numbers: dict[int, str]) -> int:
    bits = bytearray(sets.COUNT // 8)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


def new_id(seed: int, number: int) -> str:
    return hashlib.sha1(f"{seed}/{number}".encode(), usedforsecurity=False).hexdigest()
