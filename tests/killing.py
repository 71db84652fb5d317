"""A controller that dies between any two commands."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from redis_fargate.nodes.connection import Command, NodeConnection, Reply
from redis_fargate.nodes.errors import CommandRefused
from redis_fargate.nodes.settings import ConnectionSettings

_WRITING = frozenset({
    "SET", "SET-CONFIG-EPOCH", "ADDSLOTS", "ADDSLOTSRANGE", "MEET", "REPLICATE", "FORGET",
    "SETSLOT", "FAILOVER", "RESET", "MIGRATESLOTS", "IMPORT", "MIGRATE", "MULTI", "EXEC",
})  # fmt: skip


class Killed(BaseException):
    """Not an error that anybody handles: after it, no command is sent any more."""


def writes(command: Command) -> bool:
    return not _WRITING.isdisjoint(command[:3])


@dataclass
class Fuse:
    """Lets so many writing commands through, to all nodes together, and kills at the next.

    Reading commands change nothing, so dying before one leaves what dying before the next
    writing command does.
    """

    left: float = float("inf")
    sent: list[Command] = field(default_factory=list)
    blown: bool = False

    async def connect(
        self, address: str, settings: ConnectionSettings, tls: ssl.SSLContext | None
    ) -> NodeConnection:
        if self.blown:
            raise Killed
        connection = _FusedConnection(address, settings, tls)
        connection.fuse = self
        await connection.open()
        return connection

    def passed(self, commands: Sequence[Command]) -> Sequence[Command]:
        """Those of the commands that are sent before the kill."""
        for index, command in enumerate(commands):
            if writes(command):
                if self.left < 1 or self.blown:
                    self.blown = True
                    return commands[:index]
                self.left -= 1
                self.sent.append(command)
        return commands


class _FusedConnection(NodeConnection):
    fuse: Fuse

    async def exchange(
        self, commands: Sequence[Command], timeout_s: float | None = None
    ) -> list[Reply | CommandRefused]:
        if self.fuse.blown:
            raise Killed
        passed = self.fuse.passed(commands)
        if len(passed) == len(commands):
            return await super().exchange(commands, timeout_s)
        if passed:
            await super().exchange(passed)
        raise Killed
