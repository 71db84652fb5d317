"""All servers and the ways between them: gossip in rounds, as long as there is something new."""

import random
from collections.abc import Iterable

from .clock import Timer, VirtualLoop
from .replication import NEVER, replicate
from .server import Server
from .voting import hold_elections

MESH_ROUNDS = 3
"""After so many rounds without news everybody talks to everybody, and then all are silent."""

QUICK_S, SLOW_S = 0.2, 1.0
"""Between two rounds, with short node timeouts and with long ones."""
MOVING_S = (0.0, 0.0, 0.3, 1.0)
"""With few keys in each slot, and with many."""
ATOMIC = 0.3
"""In so many histories the servers are Valkey 9's."""


class Network:
    """Where servers are, and who can talk to whom."""

    def __init__(self, loop: VirtualLoop, rng: random.Random) -> None:
        self.loop = loop
        self.rng = rng
        self.at: dict[str, Server] = {}
        """Address to the server that listens there."""
        self.cut: dict[Server, float] = {}
        """Those whose bus reaches nobody, and nobody theirs, and since when."""
        self.unseen: dict[Server, float] = {}
        """Those that the controller cannot reach, likewise."""
        self.elected: list[Server] = []
        """Winners of elections that nobody ordered, until somebody takes note."""
        self.misled: list[Server] = []
        """Replicas that followed their master's address to another server, likewise."""
        self.replaced: set[str] = set()
        """Ids of masters whose places others have taken, until they know it."""
        self.atomic = rng.random() < ATOMIC
        """Whether servers can move slots by themselves."""
        self.moving_s = rng.choice(MOVING_S)
        """How long an exchange takes that moves slots key by key."""
        self.loses_answers = True
        self._timer: Timer | None = None
        self._pause_s = SLOW_S
        self._quiet = 0
        self._held: dict[Server, None] | None = None

    @property
    def now_s(self) -> float:
        return self.loop.now_s

    def servers(self) -> list[Server]:
        """Those of this cluster."""
        return [server for server in self.at.values() if not server.foreign]

    def reaches(self, one: Server, other: Server) -> bool:
        return one not in self.cut and other not in self.cut

    def poke(self) -> None:
        """Something has changed, of which others should hear."""
        self._quiet = 0
        self._wake(self.loop.now_s + self._pause_s)

    def _wake(self, when_s: float) -> None:
        """Hold the next round then, unless it is sooner."""
        if self._timer is not None:
            if self._timer.when_s <= when_s:
                return
            self._timer.cancel()
        self._timer = self.loop.call_at(when_s, self._round)

    def keep_pace(self) -> None:
        """Hold rounds as often as the shortest node timeout wants."""
        quick = any(server.timeout_s < 5 for server in self.at.values())
        self._pause_s = QUICK_S if quick else SLOW_S

    def _round(self) -> None:
        self._timer = None
        self._quiet += 1
        awake = [server for server in self.at.values() if not server.frozen]
        likely = 1.0 if self._quiet > MESH_ROUNDS else min(1.0, 0.4 + 2 / (len(awake) + 1))
        due_s = NEVER
        for server in awake:
            due_s = min(due_s, self._handshakes(server))
            for entry in list(server.table.values()):
                if entry is not server.me and self.rng.random() < likely:
                    self._ping(server, entry.id)
            due_s = min(due_s, self._failures(server))
        due_s = min(due_s, replicate(self, awake), hold_elections(self, awake))
        for server in awake:
            server.judge_state()
        if self._quiet <= MESH_ROUNDS:
            due_s = 0.0
        if due_s < NEVER:
            self._wake(max(due_s, self.now_s + self._pause_s))

    def _ping(self, server: Server, peer_id: str) -> None:
        entry = server.table.get(peer_id)
        if entry is None or entry.noaddr:
            return
        other = self.at.get(entry.address)
        if other is None or other.frozen or not self.reaches(server, other):
            if entry.silent_since_s is None:
                entry.silent_since_s = self.now_s
            if other is None and entry.linked:
                entry.linked = False
                server.touch()
        elif other.id != peer_id:  # "PONG contains mismatching sender ID"
            entry.noaddr, entry.linked, entry.address = True, False, ""
            server.touch()
            other.hear(server)
        else:
            other.hear(server)
            server.hear(other)

    def _handshakes(self, server: Server) -> float:
        """Let them be answered, or expire; when the next one expires."""
        for address, expires_s in list(server.handshakes.items()):
            other = self.at.get(address)
            if expires_s < self.now_s:  # while the server hung, perhaps
                del server.handshakes[address]
                server.touch()
            elif other is not None and not other.frozen and self.reaches(server, other):
                del server.handshakes[address]
                if other is not server:
                    self._introduce(server, other)
                server.touch()
        return min(server.handshakes.values(), default=NEVER)

    def _introduce(self, server: Server, other: Server) -> None:
        """A MEET arrived and was answered; the other side begins a handshake of its own."""
        server.meet_known(other)
        if server.id not in other.table:
            other.start_handshake(server.address)
        else:
            other.hear(server)
        server.hear(other)

    def _failures(self, server: Server) -> float:
        """Suspect those who owe an answer for too long; when the next one is to be suspected."""
        due_s = NEVER
        for entry in list(server.table.values()):
            silent_s = entry.silent_since_s
            if entry.fail and silent_s is None and entry.slots:
                undone_s = entry.failed_at_s + 2 * server.timeout_s + 0.1
                if self.now_s < undone_s:
                    due_s = min(due_s, undone_s)
                else:
                    server.touch()  # the next word of it counts
            if silent_s is None or entry.noaddr or entry.fail:
                continue
            if not entry.pfail:
                if self.now_s - silent_s <= server.timeout_s:
                    due_s = min(due_s, silent_s + server.timeout_s + 0.1)
                    continue
                entry.pfail = True
                server.touch()
            server.judge_failing(entry)
        return due_s

    def hold_back(self) -> None:
        """A server's event loop goes round: it answers a pipeline before a message leaves."""
        self._held = {}

    def send_held(self) -> None:
        held, self._held = self._held, None
        for server in held or ():
            self.broadcast(server)

    def broadcast(self, server: Server) -> None:
        """A PONG to everybody (clusterBroadcastPong)."""
        if self._held is not None:
            self._held[server] = None
            return
        for other in self._reachable(server):
            other.hear(server)

    def announce_failure(self, server: Server, node_id: str) -> None:
        for other in self._reachable(server):
            if server.id in other.table:
                other.told_failed(node_id)

    def connected(self, server: Server) -> list[Server]:
        """Those in its table whose processes are there, and to whom messages get."""
        return [
            other
            for entry in server.table.values()
            if (other := self.at.get(entry.address)) is not None
            and other is not server
            and other.id == entry.id
            and self.reaches(server, other)
        ]

    def _reachable(self, server: Server) -> Iterable[Server]:
        return [other for other in self.connected(server) if not other.frozen]

    # -- processes -------------------------------------------------------------------------------

    def start(self, node_id: str, address: str, hostname: str) -> Server:
        server = Server(self, node_id, address, hostname)
        self.at[address] = server
        self.keep_pace()
        self.poke()
        return server

    def stop(self, server: Server) -> None:
        """The process ends; its connections break."""
        if not server.alive:
            return
        server.alive = False
        self.cut.pop(server, None)
        self.unseen.pop(server, None)
        del self.at[server.address]
        self.keep_pace()
        for other in self.at.values():
            entry = other.table.get(server.id)
            if entry is not None and entry.linked and entry.address == server.address:
                entry.linked = False
                other.touch()
        self.poke()
