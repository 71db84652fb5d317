"""What must hold in every state of every history (DESIGN.md, section 4)."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields, is_dataclass

from redis_fargate.topology.plan import Plan
from redis_fargate.topology.slots import numbers
from redis_fargate.topology.steps import AdoptSlots, NodeRef
from redis_fargate.topology.view import View

from . import slots as sets
from .network import Network
from .replication import leader_of
from .server import KEY_SLOTS, Server, key_bits


class Broken(Exception):
    """An invariant does not hold; the message says which, and how."""


class Data:
    """I1, as clients see it: what was acknowledged is lost by faults alone, never by us.

    A fault (a process that ends; an election that Redis holds by itself, since replication is
    asynchronous) may cost the writes that no survivor has. Nothing else may.
    """

    def __init__(self, net: Network) -> None:
        self._net = net
        self.acknowledged: dict[str, int] = {}
        self.undeleted = 0
        """Slots of which some master may have old keys, for it had not heard that they had left."""

    def check(self) -> None:
        for key, version in self.acknowledged.items():
            if self._best(key) < version:
                raise Broken(f"I1: {key} was written as {version}; {self._best(key)} is left")

    def excuse(self) -> None:
        """Write off what processes that have ended have taken with them.

        Who was told to follow another master, when there were others, will lose its copies, and who
        has been replaced, when it hears of it. So will a replica of a former master that is a
        replica itself by now: it is to follow another; and one of a slot's former owner, if
        somebody has heard of a newer one.
        """
        servers = [
            server
            for server in self._net.servers()
            if not server.other_data
            and server.id not in self._net.replaced
            and (server.master is None or server.master.master)
        ]
        claims = {
            (entry.id, entry.epoch, entry.slots)
            for server in servers
            for entry in server.table.values()
            if entry.slots
        }
        for key, version in self.acknowledged.items():
            bit = 1 << KEY_SLOTS[key]
            owned = [(node_id, epoch) for node_id, epoch, slots in claims if slots & bit]
            current = [each for each in servers if not self._is_outdated(each, bit, owned)]
            self.acknowledged[key] = min(version, newest(current, key))

    def _is_outdated(self, replica: Server, slot: int, claims: Iterable[tuple[str, int]]) -> bool:
        """Whether its master does not own a slot any more, but one of these does.

        The replica may have heard of that; of one that its master is being given it has new keys.
        """
        master = replica.master
        if master is None:
            return False
        if all(epoch <= master.epoch or node_id == master.id for node_id, epoch in claims):
            return False
        given = on_their_way(self._net.servers(), master.id)
        return bool(slot & (master.slots | ~given))

    def excuse_election(self, winner: Server) -> None:
        """Write off what the winner's master had not copied to it.

        What it does not have at all may have been moved away from its master. What it has beside
        its slots had left that one, and it had not heard of it. And what that one had just been
        handed it loses as soon as it follows the winner.
        """
        self.undeleted |= sets.without(key_bits(winner.keys), winner.me.slots)
        for key, version in self.acknowledged.items():
            if winner.me.slots >> KEY_SLOTS[key] & 1:
                own = winner.keys.get(key) or self._in_flight(key)
                self.acknowledged[key] = min(version, own)
        for loser in self._net.servers():
            if loser is not winner and loser.me.slots & winner.me.slots:
                self.excuse_handed_over(loser, loser.importing)
            elif loser.me.master_id == winner.id:
                self.excuse_handed_over(loser, loser.imported)

    def _in_flight(self, key: str) -> int:
        importing = (s for s in self._net.servers() if KEY_SLOTS[key] in s.importing)
        return newest(importing, key)

    def excuse_owned(self, dead: Server) -> None:
        """Write off what only the dead owner and its replicas had, and these had not yet.

        Replicas of a former owner do not count: they are about to hear that it gave the keys away;
        nor does that one itself, if it has not heard of it. Nor does one that has not heard that it
        was replaced, nor the dead one's own replicas for slots that they have not heard it was
        given: they will not serve them.
        """
        servers = [each for each in self._net.servers() if each.id not in self._net.replaced]
        heirs = [each for each in servers if each.me.master_id == dead.id]
        for key, version in self.acknowledged.items():
            owner = owner_of(servers, key)
            newer = owner is not None and owner.me.epoch > dead.me.epoch
            if dead.me.slots >> KEY_SLOTS[key] & 1 and not newer:
                left = newest((h for h in heirs if inherited(h) >> KEY_SLOTS[key] & 1), key)
                self.acknowledged[key] = min(version, left or self._in_flight(key))

    def excuse_handed_over(self, lost: Server, slots: Collection[int]) -> None:
        """Write off what a server that is lost had just been handed, and its replicas had not yet.

        Copies on replicas of who gave it do not count: they are about to hear that it has left.
        """
        holders = [
            server
            for server in self._net.servers()
            if server is not lost and (server.me.master or server.me.master_id == lost.id)
        ]
        for key in lost.keys:
            if KEY_SLOTS[key] in slots:
                known = self.acknowledged.get(key, 0)
                self.acknowledged[key] = min(known, newest(holders, key))

    def excuse_undeleted(self, dead: Server) -> None:
        """Write off what follows from keys that had left a server, when not all its replicas knew.

        Whoever takes its place serves its old copies of them. What a replica has of slots that it
        has not heard the server was given, it will have beside its slots.
        """
        for replica in self._net.servers():
            if replica.me.master_id == dead.id:
                for key, version in replica.keys.items():
                    bit = 1 << KEY_SLOTS[key]
                    self.undeleted |= 0 if key in dead.keys and inherited(replica) & bit else bit
                    if KEY_SLOTS[key] in dead.migrating:
                        known = self.acknowledged.get(key, 0)
                        self.acknowledged[key] = min(known, version)

    def check_stopped(self, stopped: Collection[Server], staying: Collection[Server]) -> None:
        """No planned stop costs anything: ECS is let stop nobody who has what nobody has who stays.

        A master hands over before it stops, where a replica stays that follows it or will soon:
        what it has is not only its other replicas', which stop with it.
        """
        led = {leader_of(self._net, server) for server in staying}
        lasting = [*staying, *(server for server in stopped if server in led)]
        for server in (server for server in stopped if server not in led):
            for key, version in self.acknowledged.items():
                if newest(lasting, key) < version <= server.keys.get(key, 0):
                    raise Broken(f"I1: ECS may stop {server}, who alone has {key}")

    def check_adopted(self, made: Plan) -> None:
        """No slot is given up while somebody lives who has its data."""
        for step in made.steps:
            if isinstance(step, AdoptSlots):
                slots = set(numbers(step.slots))
                for key, version in self.acknowledged.items():
                    if version and KEY_SLOTS[key] in slots and self._held(key) >= version:
                        raise Broken(f"I1: {key} is given up, and somebody has it: {step}")

    def _held(self, key: str) -> int:
        """The newest version in a shard to which it belongs, by a holder's own table."""
        holders = (
            server
            for server in self._net.servers()
            if (server.master or server.me).slots >> KEY_SLOTS[key] & 1
        )
        return newest(holders, key)

    def _best(self, key: str) -> int:
        return newest(self._net.servers(), key)

    def served(self) -> None:
        """When all is well: a client reads what it wrote."""
        for key, version in self.acknowledged.items():
            owner = owner_of(self._net.servers(), key)
            found = owner.keys.get(key, 0) if owner else 0
            if found < version:
                raise Broken(f"I1: {key} was written as {version}, and reads as {found}")


def newest(servers: Iterable[Server], key: str) -> int:
    """The newest version that any of them has; 0 if none has the key."""
    return max((server.keys.get(key, 0) for server in servers), default=0)


def inherited(replica: Server) -> int:
    """The slots that it would serve in the place of its master."""
    return replica.master.slots if replica.master else 0


def on_their_way(servers: Iterable[Server], node_id: str) -> int:
    """The slots that some servers are giving to one."""
    slots = 0
    for giver in servers:
        for slot, taker in giver.migrating.items():
            slots |= (taker == node_id) << slot
    return slots


def owner_of(servers: Iterable[Server], key: str) -> Server | None:
    """Where a client that knows the newest claims finds a key."""
    bit = 1 << KEY_SLOTS[key]
    owners = [server for server in servers if server.me.master and server.me.slots & bit]
    return max(owners, key=lambda server: server.me.epoch, default=None)


def check_epochs(servers: Iterable[Server]) -> None:
    """I2: no two masters serve one slot in one epoch."""
    taken: dict[int, int] = {}
    for server in servers:
        slots = server.me.slots
        if slots and server.me.master:
            if taken.get(server.me.epoch, 0) & slots:
                raise Broken(f"I2: two masters serve slots in epoch {server.me.epoch}")
            taken[server.me.epoch] = taken.get(server.me.epoch, 0) | slots


def check_reachable(view: View, made: Plan) -> None:
    """I3: no step is planned against a node that the view does not show."""
    seen = {member.node.id for member in view.members if member.node is not None}
    for step in made.steps:
        for ref in _references(step):
            if ref.id not in seen:
                raise Broken(f"I3: {type(step).__name__} against {ref}, which was not observed")


def _references(value: object) -> Iterator[NodeRef]:
    if isinstance(value, NodeRef):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _references(each)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _references(getattr(value, field.name))


class Swings:
    """No oscillation: once nothing disturbs it, a cluster is never what it was two plans ago.

    What it is: who follows whom, who serves what, what is in flight, and whom everybody knows.
    A slot may go to who has old keys of it, and come back with them.
    """

    def __init__(self) -> None:
        self._seen: dict[object, int] = {}
        self._last: object = None
        self._count = 0

    def look(self, view: View, made: Plan) -> None:
        if not made.steps:
            return
        shape = tuple(
            (
                node.id,
                node.role,
                node.master_id,
                node.slots,
                node.open_slots,
                tuple(node.strays),
                frozenset(peer.id for peer in node.peers),
                tuple(node.settings.items()),
            )
            for member in view.members
            if (node := member.node) is not None
        )
        self._count += 1
        before = self._seen.get(shape)
        if before is not None and shape != self._last:
            raise Broken(
                f"oscillation: the plan no. {self._count} finds the cluster as no. {before} did: "
                f"{made.steps}"
            )
        self._seen[shape], self._last = self._count, shape


def check_whole(servers: list[Server], master_count: int, *, strays: int) -> None:
    """I4: the cluster is one, everybody knows everybody and nobody else, all slots are served.

    Every master has its share of them, and no key of another's but of the slots ``strays``: nobody
    reads those, and they are dropped before their slot comes back.
    """
    ids = {server.id for server in servers}
    served = 0
    for server in servers:
        server.judge_state()
        if server.table.keys() != ids:
            missing = {node_id[:6] for node_id in ids - server.table.keys()}
            dead = {node_id[:6] for node_id in server.table.keys() - ids}
            raise Broken(f"I4: {server} does not know {missing}, and still knows {dead}")
        if not server.ok:
            raise Broken(f"I4: {server} says that the cluster is down")
        if server.me.master:
            _check_share(server, master_count, strays=strays)
        elif not (server.link and server.link.up):
            raise Broken(f"I4: {server} has no link to its master")
        if server.me.slots & served:
            raise Broken(f"I4: {server} serves what another one serves")
        served |= server.me.slots
    if served != sets.ALL:
        raise Broken(f"I4: only {sets.text(served)} is served")
    masters = sum(server.me.master for server in servers)
    if masters != master_count:
        raise Broken(f"I4: {masters} masters, {master_count} wanted")


def _check_share(master: Server, master_count: int, *, strays: int) -> None:
    share = master.me.slots.bit_count()
    if not share:
        raise Broken(f"I4: {master} is a master without slots")
    if not 0 <= share - sets.COUNT // master_count <= 1:
        raise Broken(f"I4: {master} has {share} slots, and there are {master_count} masters")
    if master.migrating or master.importing:
        raise Broken(f"I4: {master} has slots in flight")
    if key_bits(master.keys) & ~(master.me.slots | strays):
        raise Broken(f"I4: {master} has keys of slots that are another's")
