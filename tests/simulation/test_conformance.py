"""The model's servers against real ones: the same short histories give the same cluster."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Protocol

import pytest
from redis import Redis

import servers
from killing import Fuse as RealFuse
from killing import Killed as RealKilled
from reconciling import Reconciler
from redis_fargate.nodes import moving
from redis_fargate.nodes.connection import Command, Connect, Connections, connect
from redis_fargate.nodes.errors import CommandRefused
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.errors import TemporaryError
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import OnDataLoss, Policy, Spec
from redis_fargate.topology.view import Role, Task
from servers import PROGRAMS, Program

from .clock import VirtualLoop
from .network import Network
from .server import KEY_SLOTS, KEYS, new_id
from .wire import Fuse, Killed, Wire

TIMEOUT_MS = "2000"
PATIENCE_S = 40.0
RUNS = 40
LOOKS = 40
"""So many looks take as long as an election would, and twice as long."""
WAVE_S = 600.0
"""All slots are moved in that time: Valkey 8 takes 4 ms for each."""
SETTINGS = ConnectionSettings(connect_timeout_s=20, answer_timeout_s=20)
"""Nobody hangs in these histories, but the machine may be slow."""


class World(Protocol):
    """Where a history takes place."""

    def start(self, count: int) -> None:
        """Start servers."""

    def kill(self, index: int) -> None:
        """End one."""

    def hang(self, index: int, *, hung: bool) -> None:
        """Let one do nothing, or go on."""

    def connect(self, writes_left: float) -> Connect:
        """How to reach them, until so many writing commands have been sent."""

    def run(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine."""

    def tasks(self) -> list[tuple[int, Task]]:
        """Those that live and do not hang, with their index."""

    def write(self, index: int, key: str) -> None:
        """Let a client write a key to whom it belongs."""


def _task(task_id: str, index: int, address: str) -> Task:
    return Task(task_id, task_id, f"zone-{index % 3}", address, "r:1", running=True, started_at_s=0)


@dataclass
class Real:
    """Processes."""

    fleet: servers.Fleet
    dead: set[int] = field(default_factory=set)

    def start(self, count: int) -> None:
        self.fleet.start(count, cluster_node_timeout=TIMEOUT_MS, repl_diskless_sync_delay="0")

    def kill(self, index: int) -> None:
        self.fleet.servers[index].kill()
        self.dead.add(index)

    def hang(self, index: int, *, hung: bool) -> None:
        server = self.fleet.servers[index]
        (server.freeze if hung else server.thaw)()
        self.dead ^= {index}

    def connect(self, writes_left: float) -> Connect:
        return connect if writes_left == float("inf") else RealFuse(writes_left).connect

    def run(self, work: Callable[[], Any]) -> Any:
        return asyncio.run(work())

    def tasks(self) -> list[tuple[int, Task]]:
        return [
            (index, _task(server.task_id, index, server.address))
            for index, server in enumerate(self.fleet.servers)
            if index not in self.dead
        ]

    def write(self, index: int, key: str) -> None:
        with Redis(self.fleet.servers[index].address, servers.PORT) as client:
            client.set(key, "1")


class Model:
    """Memory."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.net = Network(self.loop, random.Random(1))
        self.servers: list[Any] = []

    def start(self, count: int) -> None:
        for _ in range(count):
            number = len(self.servers) + 1
            task_id = f"{number:04}".rjust(32, "a")
            server = self.net.start(new_id(7, number), f"10.0.0.{number}", task_id)
            server.configure("cluster-node-timeout", TIMEOUT_MS)
            server.configure("repl-diskless-sync-delay", "0")
            self.servers.append(server)

    def kill(self, index: int) -> None:
        self.net.stop(self.servers[index])

    def hang(self, index: int, *, hung: bool) -> None:
        self.servers[index].frozen = hung
        self.net.poke()

    def connect(self, writes_left: float) -> Connect:
        return Wire(self.net, Fuse(writes_left)).connect

    def run(self, work: Callable[[], Any]) -> Any:
        return self.loop.run(work())

    def tasks(self) -> list[tuple[int, Task]]:
        return [
            (index, _task(server.hostname, index, server.address))
            for index, server in enumerate(self.servers)
            if server.alive and not server.frozen
        ]

    def write(self, index: int, key: str) -> None:
        self.servers[index].keys[key] = 1
        self.servers[index].offset += 10


class Play:
    """A history under way in one of the worlds."""

    def __init__(self, world: World, spec: Spec) -> None:
        self.world = world
        self.reconciler = Reconciler((), spec, SETTINGS)

    def _renew(self, writes_left: float = float("inf")) -> None:
        self.reconciler.tasks = tuple(task for _, task in self.world.tasks())
        self.reconciler.connect = self.world.connect(writes_left)

    def write(self) -> None:
        """Write all keys there are, and wait until every replica has them."""
        index_of = {task.id: index for index, task in self.world.tasks()}
        for key in KEYS:
            slot = KEY_SLOTS[key]
            owner = next(
                member.task.id
                for member in self.reconciler.members
                if member.node
                and any(slot in range(p.first, p.last + 1) for p in member.node.slots)
            )
            self.world.write(index_of[owner], key)
        self.until(Play.full)

    def full(self) -> bool:
        """Whether no key is missing, and each replica has as many as its master."""
        nodes = {m.node.id: m.node for m in self.reconciler.members if m.node}
        masters = [node for node in nodes.values() if node.role is Role.MASTER]
        return sum(node.keys for node in masters) == len(KEYS) and all(
            node.keys == nodes[node.master_id].keys
            for node in nodes.values()
            if node.master_id in nodes
        )

    def lose(self, *indices: int) -> None:
        """Tasks stop, and ECS says so."""
        ids = {task.id for index, task in self.world.tasks() if index in indices}
        for index in indices:
            self.world.kill(index)
        self.reconciler.memory.stopped |= ids

    def reconcile(self, writes_left: float = float("inf")) -> Plan | None:
        """Run once; what is left to do or to wait for, None if it was killed.

        Where gossip is slower than a step's precondition wants, look again, as the controller does.
        """
        self._renew(writes_left)
        for _ in range(RUNS):
            with suppress(TemporaryError):
                try:
                    left: Plan = self.world.run(partial(self.reconciler.run, WAVE_S))
                except (Killed, RealKilled):
                    assert writes_left < float("inf")
                    return None
                return left
            self.world.run(lambda: asyncio.sleep(0.5))
        raise AssertionError(self.shape())

    def reconcile_until(self, met: Callable[["Play"], bool]) -> None:
        """Run, and run again, until nothing is left to do and a condition is met."""
        for _ in range(RUNS):
            if (left := self.reconcile()) and not left.soon_s and met(self):
                return
            self.world.run(lambda: asyncio.sleep(0.5))
        raise AssertionError(self.shape())

    def until(self, met: Callable[["Play"], bool]) -> None:
        """Look until a condition is met."""
        self._renew()

        async def wait() -> None:
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            while True:
                async with Connections(SETTINGS, self.reconciler.connect) as opened:
                    await self.reconciler.look(opened)
                if met(self):
                    return
                assert asyncio.get_running_loop().time() < deadline, self.shape()
                await asyncio.sleep(0.2)

        self.world.run(wait)

    def send(self, index: int, *command: str) -> str:
        """Send one command; ``refused``, or the answer. ``#3`` is an id, and ``@3`` an address."""
        self._renew()
        address = dict(self.world.tasks())[index].address
        known = {f"#{index}": self._id(index) for index, _ in self.world.tasks()}
        known |= {f"@{index}": task.address or "" for index, task in self.world.tasks()}
        words: Command = tuple(known.get(word, word) for word in command)

        async def exchange() -> str:
            async with Connections(SETTINGS, self.reconciler.connect) as opened:
                [reply] = await (await opened.at(address or "")).exchange([words])
            return "refused" if isinstance(reply, CommandRefused) else str(reply)

        return str(self.world.run(exchange))

    def _id(self, index: int) -> str:
        task = dict(self.world.tasks())[index]
        return next(
            member.node.id
            for member in self.reconciler.members
            if member.task.id == task.id and member.node
        )

    def shape(self) -> list[object]:
        """Who is what, who serves what, and whom everybody knows and how."""
        index_of = {task.id: index for index, task in self.world.tasks()}
        nodes = {index_of[member.task.id]: member.node for member in self.reconciler.members}
        ids = {node.id: index for index, node in nodes.items() if node}
        return [
            (
                index,
                node and node.role,
                node and ids.get(node.master_id or "", node.master_id and "gone"),
                node and node.slots,
                node and node.replication.link_up,
                node and sorted(str(ids.get(peer.id, "gone")) for peer in node.peers),
                node and node.cluster_ok,
                node and node.keys,
                node and {name: node.settings[name] for name in sorted(node.settings)},
            )
            for index, node in sorted(nodes.items())
        ]

    def master(self, which: int) -> int:
        """The index of a master of slots, in the order of their slots."""
        return self.owners()[which]

    def owners(self) -> list[int]:
        index_of = {task.id: index for index, task in self.world.tasks()}
        owners = sorted(
            (member.node.slots, index_of[member.task.id])
            for member in self.reconciler.members
            if member.node and member.node.slots
        )
        return [index for _, index in owners]

    def replica_of(self, index: int) -> int:
        index_of = {task.id: at for at, task in self.world.tasks()}
        return next(
            index_of[member.task.id]
            for member in self.reconciler.members
            if member.node and member.node.master_id == self._id(index)
        )

    def link_is_down(self, index: int) -> bool:
        """Whether a replica has noticed that its master is gone."""
        task = dict(self.world.tasks())[index]
        return any(
            member.node and member.node.replication.link_up is False
            for member in self.reconciler.members
            if member.task.id == task.id
        )

    def knows_a_failed_node(self, index: int) -> bool:
        task = dict(self.world.tasks())[index]
        return any(
            member.node and any("fail" in peer.flags for peer in member.node.peers)
            for member in self.reconciler.members
            if member.task.id == task.id
        )

    def knows_that_its_master_failed(self, index: int) -> bool:
        task = dict(self.world.tasks())[index]
        return any(
            peer.id == member.node.master_id and "fail" in peer.flags
            for member in self.reconciler.members
            if member.task.id == task.id and member.node
            for peer in member.node.peers
        )

    def acquainted(self) -> bool:
        """Whether everybody has met whom there is."""
        nodes = [member.node for member in self.reconciler.members]
        return all(node and len(node.peers) >= len(nodes) - 1 for node in nodes)

    def settled(self, spec: Spec) -> bool:
        """Whether there is a cluster of that shape, with all keys; there may be more nodes."""
        nodes = [member.node for member in self.reconciler.members if member.node]
        return (
            all(node.cluster_ok and node.replication.link_up is not False for node in nodes)
            and sum(bool(node.slots) for node in nodes) == spec.master_count
            and sum(node.role is Role.REPLICA for node in nodes) >= spec.replica_count
            and self.full()
        )

    def whole(self) -> bool:
        nodes = [member.node for member in self.reconciler.members]
        served = sum(len(piece) for node in nodes if node for piece in node.slots)
        return served == 16384 and all(
            node
            and node.cluster_ok
            and node.replication.link_up is not False
            and len(node.peers) == len(nodes) - 1
            and (node.role is Role.REPLICA or node.slots)
            for node in nodes
        )


def forms(play: Play) -> Iterator[object]:
    play.world.start(6)
    play.reconcile()
    play.until(Play.whole)
    yield play.shape()


def forms_after_being_killed(play: Play) -> Iterator[object]:
    play.world.start(6)
    for writes in (5, 20, 12):
        play.reconcile(writes)
    play.reconcile()
    play.until(Play.whole)
    yield play.shape()


def grows(play: Play) -> Iterator[object]:
    play.world.start(3)
    play.reconciler.spec = Spec(3, 0)
    play.reconcile()
    play.until(Play.whole)
    yield play.shape()
    play.world.start(3)
    play.reconciler.spec = Spec(3, 3)
    play.reconcile()
    play.until(Play.whole)
    yield play.shape()


def loses_a_master(play: Play) -> Iterator[object]:
    """Redis elects its replica; a new task takes the replica's place; the dead one is forgotten."""
    yield from forms(play)
    play.world.kill(play.master(1))
    play.until(lambda play: len(play.owners()) == 3)
    play.world.start(1)
    play.reconcile_until(Play.whole)
    yield play.shape()


def loses_a_master_while_forming(play: Play) -> Iterator[object]:
    play.world.start(6)
    play.reconcile(26)  # all are introduced, and none is a replica yet
    play.until(Play.acquainted)
    play.world.kill(play.master(0))
    play.world.start(1)
    play.until(lambda play: play.reconciler.members[0].node is not None)
    play.reconcile()
    play.until(Play.whole)
    yield play.shape()


def refuses(play: Play) -> Iterator[object]:
    """What servers do not do, on purpose: answer for answer."""
    play.world.start(7)
    play.reconciler.spec = Spec(3, 3)
    alone = play.world.tasks()[-1][0]
    play.reconciler.tasks = tuple(task for _, task in play.world.tasks()[:-1])
    play.reconciler.connect = play.world.connect(float("inf"))
    play.world.run(play.reconciler.run)
    play.until(
        lambda play: all(
            m.node and (m.node.cluster_ok or m.node.blank) for m in play.reconciler.members
        )
    )
    one, two = play.master(0), play.master(1)
    replica = play.replica_of(one)
    commands = [
        (one, "CLUSTER", "ADDSLOTSRANGE", "0", "1"),
        (one, "CLUSTER", "ADDSLOTSRANGE", "16000", "16000"),
        (one, "CLUSTER", "SET-CONFIG-EPOCH", "99"),
        (one, "CLUSTER", "FORGET", f"#{one}"),
        (one, "CLUSTER", "FORGET", f"#{alone}"),
        (replica, "CLUSTER", "FORGET", f"#{one}"),
        (one, "CLUSTER", "REPLICATE", f"#{one}"),
        (one, "CLUSTER", "REPLICATE", f"#{two}"),
        (one, "CLUSTER", "REPLICATE", f"#{alone}"),
        (replica, "CLUSTER", "REPLICATE", f"#{replica}"),
        (replica, "CLUSTER", "BUMPEPOCH"),
        (replica, "CLUSTER", "BUMPEPOCH"),
        (one, "CLUSTER", "FAILOVER"),
        (one, "CLUSTER", "FAILOVER", "TAKEOVER"),
        (one, "CLUSTER", "SETSLOT", "16000", "MIGRATING", f"#{two}"),
        (one, "CLUSTER", "SETSLOT", "0", "IMPORTING", f"#{two}"),
        (one, "CLUSTER", "SETSLOT", "0", "MIGRATING", f"#{replica}"),
        (one, "CLUSTER", "SETSLOT", "0", "NODE", f"#{alone}"),
        (replica, "CLUSTER", "SETSLOT", "0", "STABLE"),
        (alone, "CLUSTER", "SET-CONFIG-EPOCH", "0"),
        (alone, "CLUSTER", "SET-CONFIG-EPOCH", "7"),
        (alone, "CLUSTER", "SET-CONFIG-EPOCH", "8"),
        (alone, "CLUSTER", "FAILOVER"),
        (alone, "CLUSTER", "ADDSLOTSRANGE", "5", "9"),
        (alone, "CLUSTER", "ADDSLOTSRANGE", "9", "12"),
    ]
    yield [(command, play.send(*command)) for command in commands]


def shifts(spec: Spec, *, killed_after: Sequence[int] = ()) -> Callable[[Play], Iterator[object]]:
    """Another shape, with all keys in it; at first by runs that are killed."""

    def history(play: Play) -> Iterator[object]:
        yield from forms(play)
        play.write()
        play.world.start(max(0, spec.task_count - 6))
        play.reconciler.spec = spec
        for writes in killed_after:
            play.reconcile(writes)
        play.reconcile_until(lambda play: play.settled(spec))
        yield play.shape()

    return history


def adopts(play: Play) -> Iterator[object]:
    """A whole shard dies, and others serve its slots again, without data."""
    yield from forms(play)
    play.write()
    lost = play.master(2)
    play.reconciler.policy = Policy(on_data_loss=OnDataLoss.REBUILD_EMPTY)
    play.lose(lost, play.replica_of(lost))
    play.world.start(2)
    play.until(lambda play: all(member.node for member in play.reconciler.members))
    play.reconcile_until(Play.whole)
    yield play.shape()


def keeps_its_keys(play: Play) -> Iterator[object]:
    """What servers with keys do not do, on purpose."""
    yield from forms(play)
    play.write()
    one, two = play.master(0), play.master(1)
    replica = play.replica_of(one)
    key = next(key for key in KEYS if KEY_SLOTS[key] < 5000)
    slot = str(KEY_SLOTS[key])
    migrate = ("MIGRATE", f"@{two}", "6379", "", "0", "1000", "REPLACE", "KEYS", key)
    commands = [
        (one, "CLUSTER", "SETSLOT", slot, "NODE", f"#{two}"),
        (one, "CLUSTER", "RESET", "SOFT"),
        (one, "CLUSTER", "REPLICATE", f"#{two}"),
        (two, "UNLINK", key),
        (one, *migrate),
        (replica, "FLUSHALL"),
        (one, "CLUSTER", "COUNTKEYSINSLOT", slot),
        (two, "CLUSTER", "SETSLOT", slot, "IMPORTING", f"#{one}"),
        (one, "CLUSTER", "SETSLOT", slot, "MIGRATING", f"#{two}"),
        (one, "CLUSTER", "SETSLOT", slot, "NODE", f"#{two}"),
        (one, *migrate),
        (one, *migrate),
        (one, "CLUSTER", "COUNTKEYSINSLOT", slot),
        (two, "CLUSTER", "COUNTKEYSINSLOT", slot),
        (two, "CLUSTER", "SETSLOT", slot, "NODE", f"#{two}"),
        (two, "CLUSTER", "SETSLOT", slot, "IMPORTING", f"#{one}"),
        (replica, "CLUSTER", "RESET", "SOFT"),
    ]
    yield [(command, play.send(*command)) for command in commands]


def fails_over(
    how: tuple[str, ...], *, kill: int, ever: bool = True
) -> Callable[[Play], Iterator[object]]:
    """A failover that is ordered, with so many masters dead before; if not ``ever``, it must fail.

    Where it is refused and most masters live, the replica is elected all the same, later on.
    """

    def history(play: Play) -> Iterator[object]:
        yield from forms(play)
        one = play.master(0)
        replica = play.replica_of(one)
        for index in [play.master(which) for which in range(kill)]:
            play.world.kill(index)
        if how and kill:
            play.until(lambda play: play.link_is_down(replica))
        elif kill:  # before it is sure, the answer depends on whether it just tries to connect
            play.until(lambda play: play.knows_a_failed_node(replica))
        yield play.send(replica, "CLUSTER", "FAILOVER", *how)
        looks = count()
        play.until(lambda play: play.owners()[:1] == [replica] or (not ever and next(looks) == 10))
        yield play.owners()[:1] == [replica]

    return history


def returns_to_nobody(play: Play) -> Iterator[object]:
    """A master hears that it has been replaced by one who is gone: Redis does not elect it.

    It has never had a link to that one, so its data counts as too old.
    """
    yield from forms(play)
    play.write()
    one = play.master(0)
    successor = play.replica_of(one)
    play.world.hang(one, hung=True)
    yield play.send(successor, "CLUSTER", "FAILOVER", "TAKEOVER")
    play.until(lambda play: successor in play.owners())
    play.world.kill(successor)
    play.world.hang(one, hung=False)
    play.until(lambda play: len(play.owners()) == 2 and play.knows_that_its_master_failed(one))
    looks = count()
    play.until(lambda play: one in play.owners() or next(looks) == LOOKS)
    yield one in play.owners()


HISTORIES: dict[str, Callable[[Play], Iterator[object]]] = {
    "forms": forms,
    "forms after being killed": forms_after_being_killed,
    "grows": grows,
    "loses a master": loses_a_master,
    "loses a master while forming": loses_a_master_while_forming,
    "refuses": refuses,
    "keeps its keys": keeps_its_keys,
    "gets a master": shifts(Spec(4, 4)),
    "loses a master by wish": shifts(Spec(2, 2)),
    "gets a master by runs that are killed": shifts(Spec(4, 4), killed_after=(7, 40, 25)),
    "adopts": adopts,
    "fails over": fails_over((), kill=0),
    "fails over by force": fails_over(("FORCE",), kill=1),
    "fails over by force with most masters dead": fails_over(("FORCE",), kill=2, ever=False),
    "returns to nobody": returns_to_nobody,
    "takes over": fails_over(("TAKEOVER",), kill=2),
    "fails over without the master": fails_over((), kill=1),
}


def played(world: World, history: str) -> list[object]:
    return list(HISTORIES[history](Play(world, Spec(3, 3))))


def played_on_servers(program: Program, history: str) -> list[object]:
    with servers.fleet(program) as fleet:
        return played(Real(fleet), history)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_model_and_real_servers_come_to_the_same(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some histories at a time: most of it is waiting."""
    # Which slots are left when time is over depends on the machine, and the next plan on them.
    monkeypatch.setattr(moving, "SLICE_S", WAVE_S)
    with ThreadPoolExecutor(4) as pool:
        real = pool.map(partial(played_on_servers, PROGRAMS[program]()), HISTORIES)
        for history, expected in zip(HISTORIES, real, strict=True):
            assert played(Model(), history) == expected, history
