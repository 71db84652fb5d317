"""The model's servers against real ones: the same short histories give the same cluster."""

import asyncio
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Protocol

import pytest

import servers
from killing import Fuse as RealFuse
from killing import Killed as RealKilled
from reconciling import Reconciler
from redis_fargate.nodes.connection import Command, Connect, Connections, connect
from redis_fargate.nodes.errors import CommandRefused
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Role, Task
from servers import PROGRAMS, Program

from .clock import VirtualLoop
from .network import Network
from .server import new_id
from .wire import Fuse, Killed, Wire

TIMEOUT_MS = "2000"
PATIENCE_S = 40.0


class World(Protocol):
    """Where a history takes place."""

    def start(self, count: int) -> None:
        """Start servers."""

    def kill(self, index: int) -> None:
        """End one."""

    def connect(self, writes_left: float) -> Connect:
        """How to reach them, until so many writing commands have been sent."""

    def run(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine."""

    def tasks(self) -> list[tuple[int, Task]]:
        """Those that live, with their index."""


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
            server.settings["cluster-node-timeout"] = TIMEOUT_MS
            server.settings["repl-diskless-sync-delay"] = "0"
            self.servers.append(server)

    def kill(self, index: int) -> None:
        self.net.stop(self.servers[index])

    def connect(self, writes_left: float) -> Connect:
        return Wire(self.net, Fuse(writes_left)).connect

    def run(self, work: Callable[[], Any]) -> Any:
        return self.loop.run(work())

    def tasks(self) -> list[tuple[int, Task]]:
        return [
            (index, _task(server.hostname, index, server.address))
            for index, server in enumerate(self.servers)
            if server.alive
        ]


class Play:
    """A history under way in one of the worlds."""

    def __init__(self, world: World, spec: Spec) -> None:
        self.world = world
        self.reconciler = Reconciler((), spec)

    def _renew(self, writes_left: float = float("inf")) -> None:
        self.reconciler.tasks = tuple(task for _, task in self.world.tasks())
        self.reconciler.connect = self.world.connect(writes_left)

    def reconcile(self, writes_left: float = float("inf")) -> None:
        self._renew(writes_left)
        try:
            self.world.run(self.reconciler.run)
        except (Killed, RealKilled):
            assert writes_left < float("inf")

    def until(self, met: Callable[["Play"], bool]) -> None:
        """Look until a condition is met."""
        self._renew()

        async def wait() -> None:
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            while True:
                async with Connections(ConnectionSettings(), self.reconciler.connect) as opened:
                    await self.reconciler.look(opened)
                if met(self):
                    return
                assert asyncio.get_running_loop().time() < deadline, self.shape()
                await asyncio.sleep(0.2)

        self.world.run(wait)

    def send(self, index: int, *command: str) -> str:
        """Send one command; ``refused``, or the answer. Words like ``#3`` are servers' ids."""
        self._renew()
        address = dict(self.world.tasks())[index].address
        ids = {f"#{index}": self._id(index) for index, _ in self.world.tasks()}
        words: Command = tuple(ids.get(word, word) for word in command)

        async def exchange() -> str:
            async with Connections(ConnectionSettings(), self.reconciler.connect) as opened:
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

    def acquainted(self) -> bool:
        """Whether everybody has met whom there is."""
        nodes = [member.node for member in self.reconciler.members]
        return all(node and len(node.peers) >= len(nodes) - 1 for node in nodes)

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
    play.reconcile()
    play.until(Play.acquainted)
    play.reconcile()
    play.until(Play.whole)
    yield play.shape()


def loses_a_master_while_forming(play: Play) -> Iterator[object]:
    play.world.start(6)
    play.reconcile(29)  # all are introduced, and none is a replica yet
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


def fails_over(how: tuple[str, ...], *, kill: int) -> Callable[[Play], Iterator[object]]:
    """A failover that is ordered, with so many masters dead before."""

    def history(play: Play) -> Iterator[object]:
        yield from forms(play)
        one = play.master(0)
        replica = play.replica_of(one)
        for index in [play.master(which) for which in range(kill)]:
            play.world.kill(index)
        yield play.send(replica, "CLUSTER", "FAILOVER", *how)
        looks = count()
        play.until(lambda play: play.owners()[:1] == [replica] or next(looks) == 10)
        yield play.owners()[:1] == [replica]

    return history


HISTORIES: dict[str, Callable[[Play], Iterator[object]]] = {
    "forms": forms,
    "forms after being killed": forms_after_being_killed,
    "grows": grows,
    "loses a master": loses_a_master,
    "loses a master while forming": loses_a_master_while_forming,
    "refuses": refuses,
    "fails over": fails_over((), kill=0),
    "fails over by force": fails_over(("FORCE",), kill=1),
    "fails over by force with most masters dead": fails_over(("FORCE",), kill=2),
    "takes over": fails_over(("TAKEOVER",), kill=2),
    "fails over without the master": fails_over((), kill=1),
}


def played(world: World, history: str) -> list[object]:
    return list(HISTORIES[history](Play(world, Spec(3, 3))))


def played_on_servers(program: Program, history: str) -> list[object]:
    with servers.fleet(program) as fleet:
        return played(Real(fleet), history)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_model_and_real_servers_come_to_the_same(program: str) -> None:
    """Some histories at a time: most of it is waiting."""
    with ThreadPoolExecutor(4) as pool:
        real = pool.map(partial(played_on_servers, PROGRAMS[program]()), HISTORIES)
        for history, expected in zip(HISTORIES, real, strict=True):
            assert played(Model(), history) == expected, history
