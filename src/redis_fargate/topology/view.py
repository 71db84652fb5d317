"""What was observed, at one instant: tasks joined with the nodes inside them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from redis_fargate.topology.slots import SlotRanges, from_numbers


class Role(Enum):
    """A node's role, as the node itself tells it."""

    MASTER = "master"
    REPLICA = "replica"


class Trouble(Enum):
    """Why a task's node could not be observed, or may not be touched."""

    UNREACHABLE = "unreachable"  # no connection, or no answer before the deadline
    AUTHENTICATION = "authentication"  # the node refuses our credentials
    NOT_CLUSTER_MODE = "not-cluster-mode"  # cluster-enabled is no
    LOADING = "loading"  # up, and reading its data set
    WRONG_TASK = "wrong-task"  # the node says that it belongs to another task


@dataclass(frozen=True, slots=True)
class Task:
    """An ECS task of the service that has not stopped."""

    arn: str
    id: str
    """The last part of the ARN; what the node announces as its hostname."""
    zone: str
    address: str | None
    """Private IPv4 address; None until the network interface is attached."""
    revision: str
    """ARN of the task definition."""
    running: bool
    """Last status RUNNING, and wanted RUNNING too."""
    started_at_s: float | None
    """When it reached RUNNING, seconds since the epoch."""
    healthy: bool | None = None
    """What the container health check says; None without one, or before its first answer."""
    protected_until_s: float | None = None
    """When its scale-in protection ends, seconds since the epoch; None if it has none."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of a node's CLUSTER NODES: what that node believes about a node (or itself)."""

    id: str
    address: str
    """Empty where the node does not know it (``noaddr``)."""
    port: int
    bus_port: int
    hostname: str
    """What the peer announces: the id of the task that it runs in; empty if nothing."""
    role: Role
    flags: frozenset[str]
    """Redis' own words without role and ``myself``: fail, fail?, handshake, noaddr, nofailover…"""
    master_id: str | None
    config_epoch: int
    connected: bool
    slots: SlotRanges
    myself: bool = False

    @property
    def in_handshake(self) -> bool:
        """Whether its address was met (CLUSTER MEET) and has not answered: its id is made up."""
        return "handshake" in self.flags


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot in flight, as told on the ``myself`` line; exactly one of the two is set."""

    slot: int
    migrating_to: str | None = None
    importing_from: str | None = None


@dataclass(frozen=True, slots=True)
class SlotMigration:
    """Slots that servers are moving by themselves, whole or not at all, whether we wait or not."""

    source_id: str
    target_id: str

    def __str__(self) -> str:
        return f"from node {self.source_id[:8]} to node {self.target_id[:8]}"


@dataclass(frozen=True, slots=True)
class Replication:
    """The part of INFO replication that decisions need."""

    offset: int
    """This node's own replication offset; 0 on a replica that has no whole copy of its master's
    data, or whose master has never had any."""
    master_address: str | None = None
    link_up: bool | None = None
    """Whether the link to the master is up; None on a master."""
    linked_once: bool = True
    """Whether a replica has had a link at all since its last time as a master, or its start."""
    stream: str = ""
    """What the offset counts in (``master_replid``): a master begins one when it takes over, and a
    replica has its master's once it is synchronised."""


def advances(copies: Sequence[Replication]) -> list[tuple[bool, int]]:
    """How far each of a master's replicas has come, to be compared with each other.

    One that was a master before, and has had no link since, has what was before the master took its
    place: by its offset it may seem to be ahead of those that have come further.
    """
    former = {copy.stream for copy in copies if copy.offset and not copy.linked_once}
    return [(copy.stream not in former, copy.offset) for copy in copies]


@dataclass(frozen=True, slots=True)
class Node:
    """A reachable Redis server in cluster mode, as it described itself."""

    id: str
    address: str
    port: int
    role: Role
    master_id: str | None
    config_epoch: int
    current_epoch: int
    cluster_ok: bool
    """By CLUSTER INFO: ``ok``, and every slot has an owner that has not failed."""
    slots: SlotRanges
    """The slots that this node serves by its own word."""
    open_slots: tuple[OpenSlot, ...]
    """A master's. Valkey 8 keeps them on replicas, too, and lets nobody end them there."""
    keys: int
    peers: tuple[Peer, ...]
    """The whole node table, this node's own line (``myself``) left out."""
    replication: Replication
    hostname: str
    """The task id that the node announces; empty if it announces nothing."""
    version: str
    """As ``valkey 9.1.2`` or ``redis 7.0.15``."""
    used_memory_bytes: int
    max_memory_bytes: int
    settings: Mapping[str, str] = field(default_factory=dict)
    """Values of the settings in ``FORMING_SETTINGS``, as CONFIG GET gives them."""
    barred: bool = False
    """Whether Redis may not elect it (``cluster-replica-no-failover``)."""
    evicts: bool = False
    """Whether it makes room for new keys by evicting others (``maxmemory-policy``)."""
    strays: Mapping[int, int] = field(default_factory=dict)
    """How many keys a master has in slots that it does not own, where it has any. Only the slots
    that may have been in flight are asked for: ``View.moving``, and the open ones."""
    migrations: tuple[SlotMigration, ...] = ()
    """Those that are under way from or to a master, asked for like ``strays``."""

    @property
    def hides_keys(self) -> bool:
        """Whether it tells of no keys in slots that are neither its own nor open, as Redis 8.4."""
        found = re.match(r"redis (\d+)\.(\d+)", self.version)
        return found is not None and (int(found[1]), int(found[2])) >= (8, 4)

    @property
    def empty(self) -> bool:
        """A master without keys and slots: nothing would be lost by giving it another role."""
        return self.role is Role.MASTER and not self.keys and not self.slots and not self.open_slots

    @property
    def blank(self) -> bool:
        """Empty, and without peers: as a server is that has just been started."""
        return self.empty and not self.peers


def on_their_way(nodes: Iterable[Node], node_id: str) -> SlotRanges:
    """The slots that some of these nodes are giving to one, key by key."""
    return from_numbers(
        each.slot for node in nodes for each in node.open_slots if each.migrating_to == node_id
    )


FORMING_SETTINGS = ("cluster-node-timeout", "repl-diskless-sync-delay")
"""What forming may change for its duration, and restores."""


@dataclass(frozen=True, slots=True)
class Member:
    """A task and the node inside it; exactly one of ``node`` and ``trouble`` is set.

    A task that has no address yet is unreachable.
    """

    task: Task
    node: Node | None = None
    trouble: Trouble | None = None
    detail: str = ""
    """The sentence behind the trouble."""


@dataclass(frozen=True, slots=True)
class Forming:
    """A forming that was begun and not yet finished, as the marker tells it."""

    settings: Mapping[str, Mapping[str, str]]
    """Task id to the settings that the task's node had before (``FORMING_SETTINGS``)."""


class Marker(Enum):
    """What the formed-marker says of this cluster's past."""

    ABSENT = "absent"
    FORMING = "forming"
    FORMED = "formed"


@dataclass(frozen=True, slots=True)
class View:
    """All that a plan is made from."""

    observed_at_s: float
    """Seconds since the epoch."""
    members: tuple[Member, ...]
    """One per task that has not stopped, in order of task id."""
    marker: Marker
    forming: Forming | None = None
    """Set exactly while ``marker`` is FORMING."""
    stopped: frozenset[str] = frozenset()
    """Ids of tasks of the service that ECS says have stopped; it remembers them for an hour."""
    revision: str | None = None
    """ARN of the task definition that the service is to run; None if ECS does not tell."""
    desired_count: int | None = None
    """How many tasks ECS is to run, which is not the controller's to change; None as above."""
    moving: SlotRanges = ()
    """Slots that a run has begun to move, and that nobody has found settled since."""
    forgotten: Mapping[str, float] = field(default_factory=dict)
    """Ids of nodes that were forgotten lately, and when, in seconds since the epoch."""
