"""Connections to model servers, over which a controller dies between any two commands."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from redis_fargate.nodes.connection import Command, NodeConnection, Reply
from redis_fargate.nodes.errors import CommandRefused, NodeUnreachable
from redis_fargate.nodes.settings import ConnectionSettings

from .commands import Refused, answer, writes
from .network import Network
from .server import KEY_SLOTS, PORT, Server

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
LATENCY_S = 0.001
COUNTING = ("COUNTKEYSINSLOT",)


class Killed(BaseException):
    """Not an error that anybody handles: after it, nothing is sent any more."""


@dataclass(slots=True)
class Fuse:
    """Lets so many commands and calls through, and kills whoever sends one more."""

    left: float = float("inf")
    blown: bool = False
    written: int = 0

    def burn(self, *, writing: bool) -> None:
        """One more.

        Raises:
            Killed: that was one too many.

        """
        if self.blown or self.left < 1:
            self.blown = True
            raise Killed
        if writing:
            self.left -= 1
            self.written += 1


class Wire:
    """Opens the connections of one run."""

    def __init__(self, net: Network, fuse: Fuse) -> None:
        self.net = net
        self.fuse = fuse

    async def connect(
        self, address: str, settings: ConnectionSettings, tls: ssl.SSLContext | None
    ) -> NodeConnection:
        if self.fuse.blown:
            raise Killed
        server = self.net.at.get(address)
        if server is None or server in self.net.unseen:
            await asyncio.sleep(CONNECT_TIMEOUT_S)
            raise NodeUnreachable(f"No connection within {CONNECT_TIMEOUT_S:g} s from {address}.")
        return ModelConnection(self, server)


class ModelConnection(NodeConnection):
    """A connection to one process, for as long as it lives."""

    def __init__(self, wire: Wire, server: Server) -> None:
        self.address = server.address
        self.port = PORT
        self.identity = None
        self._wire = wire
        self._server = server
        self._closed = False
        self._queued: list[Command] | None = None

    @property
    def alive(self) -> bool:
        return not self._closed

    async def close(self) -> None:
        self._closed = True

    async def exchange(
        self, commands: Sequence[Command], timeout_s: float | None = None
    ) -> list[Reply | CommandRefused]:
        server = self._server
        if not commands:
            return []
        if self._closed:
            raise NodeUnreachable(f"The connection to {self} is closed.")
        await self._wire.net.loop.passed(LATENCY_S + self._moving_s(commands))
        if server.frozen or server in self._wire.net.unseen:
            await asyncio.sleep(ANSWER_TIMEOUT_S)
        if not server.alive or server.frozen or server in self._wire.net.unseen:
            self._closed = True
            raise NodeUnreachable(f"No answer to {commands[0][0]} from {self}.")
        self._wire.fuse.burn(writing=False)
        net = self._wire.net
        net.hold_back()
        try:
            return self._all(server, commands)
        finally:
            net.send_held()

    def _moving_s(self, commands: Sequence[Command]) -> float:
        """What it takes longer where keys move."""
        moving_s = self._wire.net.moving_s
        if moving_s and any(each[0] == "MIGRATE" or "SETSLOT" in each for each in commands):
            return moving_s
        return 0.0

    def _all(self, server: Server, commands: Sequence[Command]) -> list[Reply | CommandRefused]:
        """Most commands of a history count keys: those in a row are answered by one look."""
        replies: list[Reply | CommandRefused] = []
        held: Counter[int] | None = None
        for command in commands:
            if command[1:2] != COUNTING:
                held = None
                replies.append(self._one(server, command))
                continue
            if held is None:
                held = Counter(KEY_SLOTS[key] for key in server.keys)
            replies.append(held[int(command[2])])
        return replies

    def _one(self, server: Server, command: Command) -> Reply | CommandRefused:
        self._wire.fuse.burn(writing=writes(command))
        if command[0] == "ASKING":
            return "OK"
        if command[0] == "MULTI":
            self._queued = []
            return "OK"
        if command[0] == "EXEC":
            queued, self._queued = self._queued or [], None
            return [self._answer(server, each) for each in queued]
        if self._queued is not None:
            self._queued.append(command)
            return "QUEUED"
        return self._answer(server, command)

    def _answer(self, server: Server, command: Command) -> Reply | CommandRefused:
        try:
            return answer(server, command)
        except Refused as refusal:
            words = " ".join(str(word) for word in command[:2])
            return CommandRefused(f"{self} refused {words}: {refusal}", str(refusal))
