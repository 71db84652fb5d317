"""What a view amounts to: its nodes and node tables brought together, once for all phases."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from redis_fargate.topology.slots import (
    ALL_SLOTS,
    SlotRange,
    SlotRanges,
    count,
    normalized,
    subtract,
    uncontested,
)
from redis_fargate.topology.steps import NodeRef
from redis_fargate.topology.view import (
    Marker,
    Member,
    Node,
    Peer,
    Role,
    Task,
    View,
    on_their_way,
)

DOUBTFUL = frozenset({"fail", "fail?", "noaddr"})
"""Flags of whom a node does not hear."""
BAN_S = 65.0
"""For so long a node is banned that was forgotten: a minute, and clocks are not the same."""


@dataclass(frozen=True, slots=True)
class Live:
    """A task and the node that was observed in it."""

    task: Task
    node: Node

    @property
    def ref(self) -> NodeRef:
        """What steps address the node by."""
        return NodeRef(
            self.node.id, self.task.address or self.node.address, self.node.port, self.task.id
        )

    def __str__(self) -> str:
        return f"task {self.task.id} ({self.ref})"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the tables of all observed nodes say of a node that was not observed itself."""

    id: str
    task_id: str
    """What it announced; empty if nothing."""
    address: str
    listed: bool
    """Whether it runs in a task that ECS still lists, and that could not be observed."""
    staying: bool
    """Whether it is listed, and its task is to go on running."""
    alive: bool
    """Whether some node believes that it still answers, and ECS does not know better."""
    role: Role
    master_id: str | None
    slots: SlotRanges
    """What it owns by anybody's table."""
    config_epoch: int
    """The newest by which it does so."""
    known_by: tuple[Live, ...]

    @property
    def gone(self) -> bool:
        """Its task has stopped: ECS says so, or does not list it, and no node hears from it."""
        return not self.listed and not self.alive

    @property
    def stranger(self) -> bool:
        """It answers, but runs in no task that ECS lists."""
        return not self.listed and self.alive

    def __str__(self) -> str:
        return f"node {self.id[:8]} of task {self.task_id or 'unknown'}"


class Fleet:
    """A view, read once: who lives, who knows whom, who is gone."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.lives = tuple(
            Live(member.task, member.node) for member in view.members if member.node is not None
        )
        self.running = tuple(live for live in self.lives if live.task.running)
        self.by_id: Mapping[str, Live] = {live.node.id: live for live in self.lives}
        self._tables = {
            live.node.id: {peer.id: peer for peer in live.node.peers if not peer.in_handshake}
            for live in self.lives
        }
        self._judged: dict[int, bool] = {}
        """Whether a line, by its identity, has the true address of its node."""

    @cached_property
    def silent(self) -> tuple[Member, ...]:
        """The running tasks whose node could not be observed."""
        return tuple(
            member for member in self.view.members if member.task.running and member.node is None
        )

    @cached_property
    def masters(self) -> tuple[Live, ...]:
        """The observed nodes that own slots, by their own word.

        Not those that have been replaced and do not know it yet: newer claims have all their slots.
        """
        claims = {live.node.id: (live.node.config_epoch, live.node.slots) for live in self.lives}
        left = uncontested(claims)
        return tuple(live for live in self.lives if left[live.node.id])

    @cached_property
    def served(self) -> SlotRanges:
        """What they own."""
        return normalized(_slots(self.masters))

    @cached_property
    def unserved(self) -> tuple[tuple[Entry, SlotRanges], ...]:
        """Those of ``entries`` that own slots which none of ``masters`` does, and which slots.

        Of several by whose claims a slot is theirs the one with the newest: it has replaced others.
        """
        owned = self.served
        found = []
        for entry in sorted(self.entries, key=lambda entry: -entry.config_epoch):
            if slots := subtract(entry.slots, owned):
                found.append((entry, slots))
                owned = normalized((*owned, *slots))
        return tuple(found)

    def is_current(self, live: Live) -> bool:
        """Whether a task runs what the service is to run."""
        return self.view.revision in (None, live.task.revision)

    def followers(self, master: Live) -> tuple[Live, ...]:
        """Its replicas in running tasks."""
        return self.replicas(master.node.id)

    def replicas(self, master_id: str) -> tuple[Live, ...]:
        """The observed replicas, in running tasks, of a master that may be gone."""
        return self._replicas.get(master_id, ())

    @cached_property
    def _replicas(self) -> Mapping[str, tuple[Live, ...]]:
        result: dict[str, tuple[Live, ...]] = {}
        for live in self.running:
            if live.node.master_id is not None:
                result[live.node.master_id] = (*result.get(live.node.master_id, ()), live)
        return result

    def is_free(self, live: Live) -> bool:
        """Whether a node serves no shard, and nothing would be lost by giving it another role."""
        node = live.node
        if node.role is Role.MASTER:
            return node.empty
        master = self.by_id.get(node.master_id or "")
        if master is not None and master.node.role is Role.REPLICA:
            return True  # a copy of a copy
        if master is not None:
            return not master.node.slots and not node.keys
        # Replicas of a master that is gone and still owns slots elect its successor. One that is
        # gone and owned none may have been given keys, if slots were in flight.
        return not (node.keys and self.in_flight) and not any(
            entry.id == node.master_id and entry.slots for entry in self.entries
        )

    @cached_property
    def in_flight(self) -> bool:
        """Whether any slot may be in flight."""
        return bool(self.view.moving) or any(live.node.open_slots for live in self.lives)

    def on_their_way(self, node_id: str) -> SlotRanges:
        """The slots that a node is being given key by key, by the givers' word."""
        return on_their_way((live.node for live in self.lives), node_id)

    @cached_property
    def takers(self) -> frozenset[str]:
        """Ids of the masters that are getting slots which servers move by themselves."""
        return frozenset(each.target_id for live in self.lives for each in live.node.migrations)

    @property
    def forming(self) -> bool:
        """Whether a forming was begun and not finished."""
        return self.view.marker is Marker.FORMING

    @cached_property
    def recorded(self) -> Mapping[str, Mapping[str, str]]:
        """Task id to the settings that its node had before forming."""
        return self.view.forming.settings if self.view.forming else {}

    def knows(self, one: Live, other: Live) -> bool:
        """Whether a node has another in its table, at its true address."""
        peer = self._tables[one.node.id].get(other.node.id)
        if peer is None:
            return False
        # Lines that say the same are one object (``nodes.parse``): most have been judged before.
        true = self._judged.get(id(peer))
        if true is None:
            true = self._judged[id(peer)] = (
                "noaddr" not in peer.flags
                and peer.address in (other.task.address, other.node.address)
                and peer.port == other.node.port
            )
        return true

    def believed_epoch(self, one: Live, other: Live) -> int:
        """The newest config epoch of another that a node has heard of; 0 if it does not know it."""
        if one is other:
            return one.node.config_epoch
        peer = self._tables[one.node.id].get(other.node.id)
        return peer.config_epoch if peer else 0

    def given_away(self, peer: Peer) -> SlotRanges:
        """What somebody believes to be an observed node's, and is not by that one's own word."""
        live = self.by_id.get(peer.id)
        if live is None or not peer.slots or peer.slots == live.node.slots:
            return ()
        return subtract(peer.slots, live.node.slots)

    def is_overrated(self, live: Live) -> bool:
        """Whether others believe that a node has slots which it has given away."""
        lines = (self._tables[other.node.id].get(live.node.id) for other in self.lives)
        return any(self.given_away(line) for line in lines if line)

    def is_banned(self, live: Live) -> bool:
        """Whether a node came back so soon after it was forgotten that the others do it again.

        CLUSTER FORGET bans a node for a minute, and since Redis 7.2 all tell each other of that
        with every message: whom they know meanwhile they forget again, with the slots that it got.
        """
        forgotten_at_s = self.view.forgotten.get(live.node.id)
        return forgotten_at_s is not None and self.view.observed_at_s - forgotten_at_s < BAN_S

    def acquainted(self, one: Live, other: Live) -> bool:
        """Whether two nodes know each other."""
        return self.knows(one, other) and self.knows(other, one)

    @cached_property
    def _deaf(self) -> frozenset[frozenset[str]]:
        """Pairs of node ids of which one does not hear the other where that one is."""
        return frozenset(
            frozenset((live.node.id, peer.id))
            for live in self.lives
            for peer in live.node.peers
            if peer.flags & DOUBTFUL
            and peer.id in self.by_id
            and self.knows(live, self.by_id[peer.id])
        )

    def hear_each_other(self, one: Live, other: Live) -> bool:
        """Whether two nodes know each other, and neither believes that the other fails."""
        pair = frozenset((one.node.id, other.node.id))
        return self.acquainted(one, other) and pair not in self._deaf

    def is_cut_off(self, live: Live) -> bool:
        """Whether too many masters and a node do not hear each other for most of them to agree.

        Or all that know each other. Others have yet to be introduced, and may hear it then.
        So is who is banned: it would not last.
        """
        if self.is_banned(live):
            return True
        others = [master for master in self.masters if master is not live] if self._deaf else ()
        deaf = sum(frozenset((live.node.id, other.node.id)) in self._deaf for other in others)
        return deaf > 0 and (
            2 * deaf >= len(self.masters)
            or not any(self.hear_each_other(live, other) for other in others)
        )

    def strangers_to_each_other(self, lives: Iterable[Live]) -> tuple[tuple[Live, Live], ...]:
        """All pairs of which at least one does not know the other."""
        group = tuple(lives)
        return tuple(
            (one, other)
            for index, one in enumerate(group)
            for other in group[index + 1 :]
            if not self.acquainted(one, other)
        )

    @cached_property
    def components(self) -> tuple[tuple[Live, ...], ...]:
        """The observed nodes in groups without any tie between them; most slots first.

        Where there are none: those who know most others, who may have some.
        """
        tied: list[set[str]] = []
        for node_id, table in self._tables.items():
            ties = {node_id, *(self.by_id.keys() & table.keys())}
            apart = []
            for others in tied:
                if others.isdisjoint(ties):
                    apart.append(others)
                else:
                    ties |= others
            tied = [*apart, ties]
        groups = (tuple(live for live in self.lives if live.node.id in ids) for ids in tied)
        return tuple(
            sorted(
                groups,
                key=lambda group: (
                    -slot_count(group),
                    -max(len(live.node.peers) for live in group),
                    group[0].task.id,
                ),
            )
        )

    def knows_the_newest_epoch(self, live: Live) -> bool:
        """Whether no node tied to it, directly or not, has heard of a newer one.

        Who has just come to itself might choose an epoch that another has already.
        """
        (group,) = (group for group in self.components if live in group)
        return live.node.current_epoch == max(each.node.current_epoch for each in group)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All nodes in anybody's table that were not observed, in order of id."""
        lines: dict[str, list[tuple[Live, Peer]]] = {}
        for live in self.lives:
            table = self._tables[live.node.id]
            for peer_id in table.keys() - self.by_id.keys():
                lines.setdefault(peer_id, []).append((live, table[peer_id]))
        return tuple(self._entry(node_id, lines[node_id]) for node_id in sorted(lines))

    def _entry(self, node_id: str, lines: list[tuple[Live, Peer]]) -> Entry:
        peers = [peer for _, peer in lines]
        task_id = next((peer.hostname for peer in peers if peer.hostname), "")
        address = next((peer.address for peer in peers if peer.address), "")
        owner = self._member(task_id, address)
        # Where the task's node was observed, and is another, this one lived there before it.
        listed = owner is not None and owner.node is None
        heard = any(peer.connected and not peer.flags & DOUBTFUL for peer in peers)
        ours_and_gone = owner is None and (task_id in self.view.stopped or task_id in self.recorded)
        return Entry(
            id=node_id,
            task_id=task_id,
            address=address,
            listed=listed,
            staying=listed and owner is not None and owner.task.running,
            alive=heard and not ours_and_gone,
            role=peers[0].role,
            master_id=next((peer.master_id for peer in peers if peer.master_id), None),
            slots=normalized(piece for peer in peers for piece in peer.slots),
            config_epoch=max(peer.config_epoch for peer in peers),
            known_by=tuple(live for live, _ in lines),
        )

    def _member(self, task_id: str, address: str) -> Member | None:
        for member in self.view.members:
            if task_id == member.task.id if task_id else address and address == member.task.address:
                return member
        return None

    @cached_property
    def adoptable(self) -> bool:
        """Whether a whole, healthy cluster is there that no marker tells of."""
        if self.view.marker is not Marker.ABSENT or not self.components:
            return False
        cluster, *others = self.components
        return (
            normalized(_slots(cluster)) == ALL_SLOTS
            and all(live.node.cluster_ok for live in cluster)
            and all(live.node.blank for other in others for live in other)
            and not any(entry.stranger for entry in self.entries)
        )


def slot_count(lives: Iterable[Live]) -> int:
    """How many slots the nodes serve by their own word."""
    return count(_slots(lives))


def _slots(lives: Iterable[Live]) -> Iterator[SlotRange]:
    return (piece for live in lives for piece in live.node.slots)


def holds_something(live: Live) -> bool:
    """Whether a node has slots or keys, by its own word."""
    return bool(live.node.slots or live.node.keys)
