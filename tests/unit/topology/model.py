"""A cluster in memory that refuses what Redis refuses, with the tasks that ECS lists.

Time is not modelled but by ``tick``: between two ticks nothing happens by itself.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.protecting import LASTS_S
from redis_fargate.topology.slots import ALL_SLOTS, SlotRanges, count, normalized, subtract
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import (
    AddSlots,
    AdoptSlots,
    AllowFailover,
    AwaitAgreement,
    AwaitHealthy,
    BeginForming,
    ChangeSettings,
    Failover,
    FailoverMode,
    FinishForming,
    Forget,
    Meet,
    MoveSlots,
    NodeRef,
    NoteMoving,
    Phase,
    Protect,
    Replicate,
    Reset,
    SetConfigEpoch,
    Step,
    Unprotect,
)
from redis_fargate.topology.view import (
    FORMING_SETTINGS,
    Forming,
    Marker,
    Member,
    Node,
    Peer,
    Replication,
    Role,
    Task,
    Trouble,
    View,
)

PORT = 6379
DEFAULTS = {"cluster-node-timeout": "15000", "repl-diskless-sync-delay": "5"}


class Killed(Exception):
    """The controller died."""


class NotYet(Exception):
    """What is awaited does not come, and the run ends."""


class Refused(AssertionError):
    """Redis would have answered with an error."""


@dataclass
class Belief:
    """What a node's table says of another."""

    id: str
    address: str
    hostname: str
    role: Role = Role.MASTER
    master_id: str | None = None
    epoch: int = 0
    slots: SlotRanges = ()
    failed: bool = False


@dataclass
class Server:
    """A Redis server: what it is, and what it believes."""

    id: str
    address: str
    hostname: str
    settings: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    role: Role = Role.MASTER
    master_id: str | None = None
    epoch: int = 0
    current_epoch: int = 0
    slots: SlotRanges = ()
    keys: int = 0
    offset: int = 0
    linked: bool = False
    synced: bool = False
    barred: bool = False
    table: dict[str, Belief] = field(default_factory=dict)
    banned: set[str] = field(default_factory=set)

    def introduce(self) -> Belief:
        return Belief(
            self.id, self.address, self.hostname, self.role, self.master_id, self.epoch, self.slots
        )

    def learn(self, other: "Server") -> None:
        """Take a ping from another: who it is, and which slots it claims."""
        if other.id in self.banned:
            return
        believed = self.table.get(other.id)
        self.current_epoch = max(self.current_epoch, other.current_epoch)
        if believed == other.introduce():
            return
        claimed = other.slots if other.role is Role.MASTER else ()
        for rival in self.table.values():
            if rival.id != other.id:
                if rival.epoch < other.epoch:
                    rival.slots = subtract(rival.slots, claimed)
                else:
                    claimed = subtract(claimed, rival.slots)
        if self.epoch < other.epoch:
            self.slots = subtract(self.slots, claimed)
        else:
            claimed = subtract(claimed, self.slots)
        self.table[other.id] = other.introduce()
        self.table[other.id].slots = claimed


class Model:
    """Tasks, servers, and the marker."""

    def __init__(self, zones: list[str], started_at_s: float = 0.0) -> None:
        self.tasks: dict[str, Task] = {}
        self.servers: dict[str, Server] = {}
        self.troubles: dict[str, Trouble] = {}
        self.marker = Marker.ABSENT
        self.forming: Forming | None = None
        self.moving: SlotRanges = ()
        self.now_s = 1000.0
        self.born = 0
        for zone in zones:
            self.start(zone, started_at_s)

    # What ECS does.

    def start(self, zone: str, started_at_s: float = 0.0, **settings: str) -> str:
        self.born += 1
        task_id = f"t{self.born:03}"
        address = f"10.0.{self.born // 250}.{self.born % 250 + 1}"
        self.tasks[task_id] = Task(
            f"arn/{task_id}", task_id, zone, address, "rev:1", running=True,
            started_at_s=started_at_s,
        )  # fmt: skip
        self.servers[task_id] = Server(f"{self.born:040x}", address, task_id)
        self.servers[task_id].settings.update(settings)
        return task_id

    def kill(self, task_id: str, *, noticed: bool = True) -> None:
        """The task stops, and ECS lists it no more."""
        del self.tasks[task_id]
        server = self.servers.pop(task_id)
        for other in self.servers.values():
            if server.id in other.table and noticed:
                other.table[server.id].failed = True
            if other.master_id == server.id:
                other.linked = False

    # What time does.

    def tick(self) -> None:
        """Gossip goes round, deaths are noticed, elections held, bans end."""
        alive = {server.id for server in self.servers.values()}
        for server in self.servers.values():
            for belief in server.table.values():
                belief.failed = belief.id not in alive
            server.banned.clear()
        self.gossip()
        self._elect()
        self.gossip()
        for server in self.servers.values():
            self._sync(server)

    def gossip(self) -> None:
        for _ in range(2):
            for group in self._groups():
                rumours = {}
                for server in group:
                    for belief in server.table.values():
                        rumours.setdefault(belief.id, belief)
                for server in group:
                    for rumour in rumours.values():
                        if rumour.id not in server.table and rumour.id != server.id:
                            self._hear(server, rumour)
                    for other in sorted(group, key=lambda one: one.epoch):
                        if other is not server:
                            server.learn(other)

    def _hear(self, server: Server, rumour: Belief) -> None:
        """A node that is only heard of is known without its slots."""
        if rumour.id not in server.banned:
            server.table[rumour.id] = Belief(
                rumour.id, rumour.address, rumour.hostname, failed=rumour.failed
            )

    def _groups(self) -> list[list[Server]]:
        left = dict(self.servers)
        groups = []
        while left:
            _, first = left.popitem()
            group, fresh = [first], [first]
            while fresh:
                server = fresh.pop()
                for task_id, other in list(left.items()):
                    if other.id in server.table or server.id in other.table:
                        fresh.append(left.pop(task_id))
                        group.append(other)
            groups.append(sorted(group, key=lambda one: one.id))
        return groups

    def _elect(self) -> None:
        by_id = {server.id: server for server in self.servers.values()}
        for server in list(self.servers.values()):
            if server.role is Role.REPLICA and server.master_id not in by_id and server.synced:
                lost = server.table[server.master_id].slots if server.master_id else ()
                masters = {b.id for b in server.table.values() if b.slots}
                if not lost or len(masters & by_id.keys()) * 2 <= len(masters):
                    continue
                self._promote(server)

    def _promote(self, server: Server) -> None:
        by_id = {server.id for server in self.servers.values()}
        lost = server.table[server.master_id].slots
        server.current_epoch += 1
        server.role, server.epoch = Role.MASTER, server.current_epoch
        server.master_id, server.slots = None, lost
        server.linked = server.synced = False
        for belief in server.table.values():
            belief.slots = subtract(belief.slots, lost)
        siblings = [
            other
            for other in self.servers.values()
            if other.role is Role.REPLICA and other.master_id not in by_id
        ]
        self.gossip()
        for other in siblings:
            if other.master_id and not other.table[other.master_id].slots:
                other.master_id, other.linked = server.id, False
        self.gossip()

    def _fail_over(self, server: Server, mode: FailoverMode) -> None:
        alive = {other.id for other in self.servers.values()}
        owners = {belief.id for belief in server.table.values() if belief.slots}
        assert server.role is Role.REPLICA
        assert server.synced, "I1: promotes a replica without data"
        if mode is FailoverMode.PLANNED:
            self._swap(server)
            return
        assert server.offset, "I1: promotes a replica without data"
        assert server.master_id not in alive, "I2: replaces a master that lives"
        if mode is FailoverMode.FORCE and len(owners & alive) * 2 <= len(owners):
            raise NotYet(f"{server.hostname} gets too few votes")
        self._promote(server)

    def _swap(self, server: Server) -> None:
        master = next(other for other in self.servers.values() if other.id == server.master_id)
        assert server.linked
        self._promote(server)
        master.role, master.master_id, master.slots, master.epoch = Role.REPLICA, server.id, (), 0
        master.linked = master.synced = True
        for other in self.servers.values():
            if other.master_id == master.id:
                other.master_id = server.id
        self.gossip()

    def _protect(self, task_id: str, until_s: float | None) -> None:
        self.tasks[task_id] = replace(self.tasks[task_id], protected_until_s=until_s)

    def _check_spare(self, ref: NodeRef, keepers: tuple[NodeRef, ...]) -> None:
        server = self.servers[ref.task_id]
        assert not server.slots, "I1: a master is spared"
        if server.role is Role.MASTER or not keepers:
            assert not server.keys, "I1: the only copy is spared"
            return
        master, *others = (self.servers[keeper.task_id] for keeper in keepers)
        assert master.slots
        assert server.master_id == master.id
        assert all(other.linked and other.master_id == master.id for other in others)

    def write(self) -> None:
        """Clients write to every shard, and the replicas follow."""
        for server in self.servers.values():
            if server.slots:
                server.offset += 100
                server.keys += 1
        for server in self.servers.values():
            if server.linked:
                self._sync(server)

    def _sync(self, server: Server) -> None:
        master = next((s for s in self.servers.values() if s.id == server.master_id), None)
        if server.role is Role.REPLICA and master is not None and master.id in server.table:
            server.linked = server.synced = True
            server.keys, server.offset = master.keys, master.offset

    # What the controller sees.

    def view(self) -> View:
        members = tuple(self._member(self.tasks[task_id]) for task_id in sorted(self.tasks))
        return View(self.now_s, members, self.marker, self.forming, moving=self.moving)

    def _member(self, task: Task) -> Member:
        server = self.servers[task.id]
        if task.id in self.troubles:
            return Member(task, trouble=self.troubles[task.id], detail="It is so.")
        return Member(
            task,
            Node(
                id=server.id,
                address=server.address,
                port=PORT,
                role=server.role,
                master_id=server.master_id,
                config_epoch=server.epoch,
                current_epoch=server.current_epoch,
                cluster_ok=self._ok(server),
                slots=server.slots,
                open_slots=(),
                keys=server.keys,
                peers=tuple(map(_peer, server.table.values())),
                replication=Replication(
                    server.offset,
                    None,
                    self._link(server),
                    linked_once=server.synced or server.role is Role.MASTER,
                ),
                hostname=server.hostname,
                version="redis 7.0.15",
                used_memory_bytes=1,
                max_memory_bytes=1000,
                settings=dict(server.settings),
                barred=server.barred,
            ),
        )

    def _link(self, server: Server) -> bool | None:
        return server.linked if server.role is Role.REPLICA else None

    def _ok(self, server: Server) -> bool:
        owned = [server.slots, *(b.slots for b in server.table.values() if not b.failed)]
        return normalized(piece for pieces in owned for piece in pieces) == ALL_SLOTS

    # What the controller does.

    def commands(self, step: Step) -> Iterator[tuple[str, object]]:
        """A step as the commands that it is sent as: the controller may die between any two."""
        match step:
            case ChangeSettings(settings=settings):
                for pair in settings:
                    yield "config", (step.node.task_id, *pair)
            case Meet(peers=peers):
                for peer in peers:
                    yield "meet", (step.node, peer)
            case Forget(nodes=nodes):
                for node in nodes:
                    yield "forget", (node.task_id, step.gone_id)
            case _:
                yield "step", step

    def do(self, name: str, what: object) -> None:
        getattr(self, f"_do_{name}")(what)

    def _do_config(self, what: tuple[str, str, str]) -> None:
        task_id, setting, value = what
        assert setting in FORMING_SETTINGS
        assert self.marker is Marker.FORMING, "settings are changed only while forming"
        self.servers[task_id].settings[setting] = value

    def _do_meet(self, what) -> None:
        one, other = (self.servers[ref.task_id] for ref in what)
        assert (one.id, other.id) == tuple(ref.id for ref in what)
        if other.id in one.table and one.table[other.id].address == other.address:
            return  # nothing to do, as ``nodes.forming.meet`` sees it
        one.banned.discard(other.id)
        one.learn(other)
        other.learn(one)

    def _do_forget(self, what: tuple[str, str]) -> None:
        task_id, gone_id = what
        server = self.servers[task_id]
        if server.master_id == gone_id:
            raise Refused("Can't forget my master!")
        assert all(gone_id != s.id for s in self.servers.values()), "I1: forgets a living node"
        server.table.pop(gone_id, None)
        server.banned.add(gone_id)

    def _do_step(self, step: Step) -> None:  # noqa: C901, PLR0912 - one case per kind of step
        match step:
            case BeginForming(settings=settings, again=again):
                assert again is (self.marker is Marker.FORMED)
                self.marker, self.forming = Marker.FORMING, Forming(settings)
            case FinishForming():
                self.marker, self.forming = Marker.FORMED, None
            case SetConfigEpoch(node=ref, epoch=epoch):
                server = self.servers[ref.task_id]
                if server.table or server.epoch:
                    raise Refused("The user can assign a config epoch only once, knowing nobody")
                server.epoch = server.current_epoch = epoch
            case AddSlots(node=ref, slots=slots):
                server = self.servers[ref.task_id]
                busy = [*server.slots, *(p for b in server.table.values() for p in b.slots)]
                if subtract(slots, busy) != slots:
                    raise Refused(f"Slot already busy: {slots} at {ref.task_id}")
                if server.role is Role.REPLICA:
                    raise Refused("a replica owns no slots")
                server.slots = normalized((*server.slots, *slots))
            case Replicate(node=ref, master=master):
                self._replicate(self.servers[ref.task_id], master.id)
            case NoteMoving(slots=slots):
                assert self.marker is Marker.FORMED
                self.moving = slots
            case MoveSlots(source=source, target=target, slots=slots):
                assert subtract(slots, self.moving) == (), "moves what is not written down"
                self._move(self.servers[source.task_id], self.servers[target.task_id], slots)
            case Reset(node=ref, master=master):
                self._reset(self.servers[ref.task_id], master)
            case AllowFailover(node=ref):
                assert self.servers[ref.task_id].linked
                self.servers[ref.task_id].barred = False
            case AdoptSlots(node=ref, slots=slots, gone=gone):
                self._adopt(self.servers[ref.task_id], slots, gone)
            case Failover(node=ref, mode=mode):
                self._fail_over(self.servers[ref.task_id], mode)
            case Protect(task_arns=arns):
                for arn in arns:
                    self._protect(arn.removeprefix("arn/"), self.now_s + LASTS_S)
            case Unprotect(node=ref, task_arn=arn, keepers=keepers):
                self._check_spare(ref, keepers)
                self._protect(arn.removeprefix("arn/"), None)
            case AwaitAgreement(nodes=refs):
                self._agree([self.servers[ref.task_id] for ref in refs])
            case AwaitHealthy(nodes=refs):
                self._heal([self.servers[ref.task_id] for ref in refs])

    def _replicate(self, server: Server, master_id: str) -> None:
        if master_id not in server.table:
            raise Refused("Unknown node")
        if server.table[master_id].role is not Role.MASTER:
            raise Refused("I can only replicate a master")
        if server.role is Role.MASTER and (server.slots or server.keys):
            raise Refused("To set a master the node must be empty and without assigned slots")
        server.role, server.master_id, server.epoch = Role.REPLICA, master_id, 0
        server.barred |= server.keys > 0
        server.linked = server.synced = False
        server.keys = server.offset = 0

    def _move(self, source: Server, target: Server, slots: SlotRanges) -> None:
        assert source.role is target.role is Role.MASTER
        if subtract(slots, source.slots) or target.id not in source.table:
            raise Refused(f"{source.hostname} cannot give away {slots}")
        keys = source.keys * count(slots) // count(source.slots)
        source.keys, target.keys = source.keys - keys, target.keys + keys
        source.slots = subtract(source.slots, slots)
        target.slots = normalized((*target.slots, *slots))
        target.epoch = target.current_epoch = 1 + max(s.current_epoch for s in self._known(target))
        target.offset += 10
        self.gossip()

    def _known(self, server: Server) -> list[Server]:
        return [s for s in self.servers.values() if s is server or s.id in server.table]

    def _reset(self, server: Server, master: NodeRef | None) -> None:
        if server.role is Role.MASTER:
            raise Refused("a master is reset")
        holder = self.servers[master.task_id] if master else None
        assert holder or not server.keys, "I1: the only copy is reset"
        assert holder is None or (holder.slots and server.master_id == holder.id)
        server.role, server.master_id = Role.MASTER, None
        server.keys = server.offset = 0
        server.linked = server.synced = server.barred = False
        server.table.clear()

    def _adopt(self, server: Server, slots: SlotRanges, gone: tuple[str, ...]) -> None:
        alive = {other.id for other in self.servers.values()}
        assert not alive & set(gone), "I1: takes slots from a master that lives"
        assert not any(
            other.master_id in gone and other.offset for other in self.servers.values()
        ), "I1: gives up what a replica has"
        if server.role is Role.REPLICA:
            raise Refused("a replica owns no slots")
        for belief in server.table.values():
            taken = count(belief.slots) - count(subtract(belief.slots, slots))
            assert belief.id in gone or not taken
            belief.slots = subtract(belief.slots, slots)
        server.slots = normalized((*server.slots, *slots))
        server.epoch = server.current_epoch = 1 + max(s.current_epoch for s in self._known(server))
        self.gossip()

    def _agree(self, servers: list[Server]) -> None:
        self.gossip()
        for server in servers:
            for other in servers:
                if other is not server:
                    if other.id not in server.table:
                        raise Refused(f"{server.hostname} never heard of {other.hostname}")
                    if server.table[other.id].slots != other.slots:
                        raise Refused(f"{server.hostname} knows other slots of {other.hostname}")

    def _heal(self, servers: list[Server]) -> None:
        self.gossip()
        for server in servers:
            self._sync(server)
            if server.role is Role.REPLICA and not server.linked:
                raise NotYet(f"{server.hostname} never gets its link")
            if not self._ok(server):
                raise NotYet(f"{server.hostname} never says ok")


def _peer(belief: Belief) -> Peer:
    return Peer(
        id=belief.id,
        address=belief.address,
        port=PORT,
        bus_port=PORT + 10000,
        hostname=belief.hostname,
        role=belief.role,
        flags=frozenset({"fail"} if belief.failed else ()),
        master_id=belief.master_id,
        config_epoch=belief.epoch,
        connected=not belief.failed,
        slots=belief.slots,
    )


def deaf(view: View, *pairs: tuple[str, str]) -> View:
    """As it would be if of each pair of tasks the first one's node did not hear the second's."""
    ids = {member.task.id: member.node.id for member in view.members}

    def flagged(member: Member) -> Member:
        silent = {ids[other] for one, other in pairs if one == member.task.id}
        peers = (
            replace(peer, flags=frozenset({"fail"}), connected=False) if peer.id in silent else peer
            for peer in member.node.peers
        )
        return replace(member, node=replace(member.node, peers=tuple(peers)))

    return replace(view, members=tuple(map(flagged, view.members)))


class Controller:
    """Observes, plans, executes; checks every plan; may be killed."""

    def __init__(self, model: Model, spec: Spec, chance: random.Random | None = None) -> None:
        self.model = model
        self.spec = spec
        self.chance = chance
        self.commands = 0

    def plan(self) -> Plan:
        view = self.model.view()
        made = plan(view, self.spec, Policy())
        assert made == plan(self.model.view(), self.spec, Policy()), "not deterministic"
        check(view, made)
        return made

    def run(self, until: int | None = None) -> Plan:
        """Reconcile until nothing is left to do, or until so many commands were sent."""
        for _ in range(20):
            made = self.plan()
            if not made.steps:
                return made
            self.execute(made, until)
        raise AssertionError(f"no end in sight: {made}")

    def execute(self, made: Plan, until: int | None = None) -> None:
        for wave in made.waves():
            sent = [command for step in wave for command in self.model.commands(step)]
            if self.chance:
                self.chance.shuffle(sent)
            for command in sent:
                if until is not None and self.commands >= until:
                    raise Killed
                self.commands += 1
                self.model.do(*command)

    def settle(self) -> Plan:
        """Reconcile again and again, as the schedule does, until no run changes anything."""
        last = None
        for _ in range(10):
            made = self.run()
            if made == last:
                return made
            last = made
            self.model.tick()
        raise AssertionError(f"never settles: {last}")


def _check_settings(made: Plan) -> None:
    for wave in made.waves():  # the steps of a wave run in any order
        changes = [
            (step.node.id, name)
            for step in wave
            if isinstance(step, ChangeSettings)
            for name, _ in step.settings
        ]
        assert len(changes) == len(set(changes)), "a setting is changed twice in one wave"


def check(view: View, made: Plan) -> None:
    """The invariants that hold for every plan (DESIGN.md section 4)."""
    assert not (made.steps and made.refusals)
    nodes = {member.task.id: member for member in view.members if member.node is not None}
    phases = {step.phase for step in made.steps if step is not _protection(made)}
    assert len(phases) <= 1, "one phase at a time"
    _check_settings(made)
    for step in made.steps:
        assert step.why.endswith("."), step.why
        for ref in _subjects(step):  # I3
            member = nodes[ref.task_id]
            assert (member.node.id, member.task.address) == (ref.id, ref.address)
        if isinstance(step, Replicate):  # I1
            node = nodes[step.node.task_id].node
            assert not node.slots
            assert not (node.keys and node.role is Role.MASTER)
        if isinstance(step, Forget) and view.marker is Marker.FORMED:  # I1
            for member in nodes.values():
                for peer in member.node.peers:
                    assert peer.id != step.gone_id or not peer.slots
        if isinstance(step, Forget):
            assert step.gone_id not in {member.node.id for member in nodes.values()}
    if made.steps and view.marker is not Marker.FORMED:
        assert all(member.node for member in view.members if member.task.running)
    if view.marker is Marker.FORMED:
        forming = (BeginForming, SetConfigEpoch, AddSlots, ChangeSettings, FinishForming)
        assert not any(isinstance(step, forming) for step in made.steps)


def _protection(made: Plan) -> Step | None:
    """What comes before another phase's steps."""
    is_first = len(made.steps) > 1 and made.steps[0].phase is Phase.PROTECT
    return made.steps[0] if is_first and isinstance(made.steps[0], Protect) else None


def _subjects(step: Step) -> Iterator:
    for name in ("node", "master"):
        if ref := getattr(step, name, None):
            yield ref
    for name in ("nodes", "peers"):
        yield from getattr(step, name, ())


def assert_formed(model: Model, spec: Spec) -> None:
    """Whole, evenly cast, linked, known to each other, and every setting as it was."""
    servers = list(model.servers.values())
    masters = [server for server in servers if server.slots]
    replicas = [server for server in servers if server.role is Role.REPLICA]
    assert model.marker is Marker.FORMED
    assert len(masters) == spec.master_count
    assert len(masters) + len(replicas) == len(servers)
    assert sum(count(server.slots) for server in masters) == count(ALL_SLOTS)
    assert normalized(p for s in masters for p in s.slots) == ALL_SLOTS
    assert len({server.epoch for server in masters}) == len(masters)
    followers: Mapping[str, int] = {
        master.id: sum(replica.master_id == master.id for replica in replicas) for master in masters
    }
    assert sum(followers.values()) == len(replicas)
    assert all(replica.linked for replica in replicas)
    for server in servers:
        assert {other.id for other in servers} - {server.id} <= server.table.keys()
        assert server.settings == DEFAULTS, server.hostname
