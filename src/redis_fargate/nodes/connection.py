"""Connections to nodes. Every command of the project goes through ``NodeConnection.exchange``."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeAlias

import redis.exceptions
from redis.asyncio import Connection, SSLConnection

from redis_fargate.nodes.errors import (
    AuthenticationFailed,
    CommandRefused,
    NodeLoading,
    NodeUnreachable,
    NotInClusterMode,
    PreconditionFailed,
)
from redis_fargate.nodes.parse import parse_nodes
from redis_fargate.nodes.resp import ReplyParser, packed
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.steps import NodeRef

Command: TypeAlias = tuple[str | int | bytes, ...]
Reply: TypeAlias = str | int | bytes | list[Any] | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers on a connection; it cannot change while the connection lasts."""

    node_id: str
    hostname: str
    """The task id that the node announces; empty if it announces nothing."""


class _Abrupt(Connection):
    """Ends at once, also where redis-py ends it.

    A node that hangs takes nothing that is not sent yet, and does not answer TLS' farewell: whoever
    waited for it would leave the socket to the garbage collector.
    """

    async def disconnect(self, *how: Any, **why: Any) -> None:  # noqa: ANN401 - redis-py's own
        if self._writer:
            self._writer.transport.abort()
        await super().disconnect(*how, **why)


class _AbruptTls(_Abrupt, SSLConnection):
    pass


class NodeConnection:
    """One connection to one node. Commands of concurrent callers queue up.

    After an answer that did not come, or was not read to its end, the connection is
    closed: ``alive`` is False, and every later command raises NodeUnreachable.
    """

    def __init__(
        self, address: str, settings: ConnectionSettings, tls: ssl.SSLContext | None
    ) -> None:
        self.address = address
        self.port = settings.port
        self.identity: Identity | None = None
        self._settings = settings
        self._turn = asyncio.Lock()
        self._parser = ReplyParser(decoded=not settings.raw)
        kind = _AbruptTls if tls else _Abrupt
        self._redis: Connection = kind(
            host=address,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            protocol=2,
            parser_class=lambda socket_read_size: self._parser,  # noqa: ARG005
            driver_info=None,
            socket_timeout=None,  # our own deadlines cover whole exchanges
            socket_connect_timeout=None,
        )
        if isinstance(self._redis, SSLConnection):
            self._redis.ssl_context.context = tls  # reading the CA once, not per connection

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether commands can still be sent."""
        return bool(self._redis.is_connected)

    async def open(self) -> None:
        """Connect and authenticate.

        Raises:
            NodeUnreachable: no connection before the deadline.
            AuthenticationFailed: the node refuses the credentials.

        """
        timeout_s = self._settings.connect_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._redis.connect()  # type: ignore[no-untyped-call]
        except BaseException as error:
            await self.close()
            raise self._translated(error, f"No connection within {timeout_s:g} s") from error

    async def close(self) -> None:
        """Close at once, and drop what is not sent yet; never raises."""
        await self._redis.disconnect(nowait=True)

    async def exchange(
        self, commands: Sequence[Command], timeout_s: float | None = None
    ) -> list[Reply | CommandRefused]:
        """Send commands together, and read as many answers; refusals are among them.

        ``timeout_s`` is the deadline of commands that may take longer than most.

        Raises:
            NodeUnreachable: not all answers came before the deadline.
            NodeLoading, AuthenticationFailed: the node answers nothing else now.

        """
        if not commands:
            return []
        timeout_s = timeout_s or self._settings.answer_timeout_s
        answers: list[Any] = []
        async with self._turn:
            if not self.alive:
                raise NodeUnreachable(f"The connection to {self} is closed.")
            try:
                async with asyncio.timeout(timeout_s):
                    await self._redis.send_packed_command(packed(commands), check_health=False)
                    await self._parser.read(answers, len(commands))
            except BaseException as error:
                await self.close()
                unanswered = commands[min(len(answers), len(commands) - 1)]
                raise self._translated(
                    error, f"No answer to {_words(unanswered)} within {timeout_s:g} s"
                ) from error
        return [
            self._given(command, answer) for command, answer in zip(commands, answers, strict=True)
        ]

    def _given(self, command: Command, answer: Any) -> Reply | CommandRefused:  # noqa: ANN401
        if isinstance(answer, redis.exceptions.ResponseError):
            return _refused(str(self), command, answer)
        if command[0] == "EXEC" and isinstance(answer, list):
            return [self._given(command, each) for each in answer]
        reply: Reply = answer
        return reply

    async def pipeline(self, *commands: Command) -> list[Reply]:
        """Like ``exchange``, for commands of which none is expected to fail.

        Raises:
            CommandRefused: the first refusal; the commands after it were sent all the same.

        """
        replies = await self.exchange(commands)
        for reply in replies:
            if isinstance(reply, CommandRefused):
                raise reply
        return replies  # type: ignore[return-value]  # no refusal is among them any more

    async def call(self, *command: str | int | bytes) -> Reply:
        """Send one command; raises like ``pipeline``."""
        return (await self.pipeline(command))[0]

    async def identify(self) -> Identity:
        """Ask the node who it is, once per connection.

        Raises:
            NotInClusterMode: the server is no cluster node.

        """
        if self.identity is None:
            try:
                myself = parse_nodes(str(await self.call("CLUSTER", "NODES"))).myself
            except CommandRefused as refusal:
                if "cluster support disabled" not in refusal.reply:
                    raise
                raise NotInClusterMode(
                    f"{self} does not run in cluster mode: start it with `cluster-enabled yes`."
                ) from refusal
            self.identity = Identity(myself.id, myself.hostname)
        return self.identity

    def _translated(self, error: BaseException, late: str) -> BaseException:
        """Our error for one of asyncio's or redis-py's; others (cancellation) as they are."""
        user = self._settings.username or "default"
        match error:
            case redis.exceptions.BusyLoadingError():
                return NodeLoading(f"{self} is loading its data set: {error}")
            case redis.exceptions.AuthenticationError():
                return AuthenticationFailed(
                    f"{self} refuses to authenticate user {user!r}: {error}. "
                    "Check the password that the controller and the tasks are given."
                )
            case TimeoutError() | redis.exceptions.TimeoutError():
                return NodeUnreachable(f"{late} from {self}.")
            case redis.exceptions.RedisError() | OSError():
                return NodeUnreachable(f"Lost or got no connection to {self}: {error}")
            case _:
                return error


def _refused(node: str, command: Command, error: redis.exceptions.ResponseError) -> CommandRefused:
    denied = isinstance(error, redis.exceptions.NoPermissionError)
    said = f"{node} refused {_words(command)}: {error}"
    return CommandRefused(said, str(error), no_permission=denied)


def _words(command: Command) -> str:
    """What tells a command, without what it is about: never a key or a password."""
    return " ".join(str(word) for word in command[:2])


Connect: TypeAlias = Callable[
    [str, ConnectionSettings, ssl.SSLContext | None], Awaitable[NodeConnection]
]
"""Opens a connection to an address; raises what ``NodeConnection.open`` raises."""


async def connect(
    address: str, settings: ConnectionSettings, tls: ssl.SSLContext | None
) -> NodeConnection:
    """Open a connection."""
    connection = NodeConnection(address, settings, tls)
    await connection.open()
    return connection


class Connections:
    """The connections of one run: opened when first needed, kept until the run ends.

    An async context manager. ``connect`` is where tests put connections that fail on demand.
    """

    def __init__(self, settings: ConnectionSettings, connect: Connect = connect) -> None:
        self.settings = settings
        self._connect = connect
        self._tls = settings.tls_context()
        self._raw_settings = replace(settings, raw=True)
        self._open: dict[tuple[str, str], asyncio.Future[NodeConnection]] = {}
        """By address, and what distinguishes several to one."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        opened, self._open = self._open, {}
        for opening in opened.values():
            if not opening.cancel() and not opening.cancelled() and not opening.exception():
                # It closes without waiting: whoever is cancelled below leaves none open.
                await opening.result().close()
        await asyncio.gather(*opened.values(), return_exceptions=True)

    async def at(self, address: str) -> NodeConnection:
        """Return a live connection to an address; raises what ``NodeConnection.open`` raises."""
        return await self._live((address, ""), self.settings)

    async def id_at(self, address: str) -> str:
        """Ask who is at an address now: what a connection knew when it was opened may have died.

        Raises what ``NodeConnection.open`` does, and CommandRefused by what is no cluster node.
        """
        return str(await (await self.at(address)).call("CLUSTER", "MYID"))

    async def _live(self, key: tuple[str, str], settings: ConnectionSettings) -> NodeConnection:
        opening = self._open.get(key)
        if opening is None or (
            opening.done()
            and (opening.cancelled() or opening.exception() or not opening.result().alive)
        ):
            opening = asyncio.ensure_future(self._connect(key[0], settings, self._tls))
            self._open[key] = opening
        return await asyncio.shield(opening)  # another caller may wait for the same one

    async def bulk(self, node: NodeRef) -> NodeConnection:
        """Return a connection of its own to a node, for what takes long; it gives texts as bytes.

        Raises as ``to`` does.
        """
        await self.to(node)
        connection = await self._live((node.address, "raw"), self._raw_settings)
        if connection.identity is None:
            seen = await connection.call("CLUSTER", "MYID")
            seen = seen.decode() if isinstance(seen, bytes) else seen
            if seen != node.id:
                raise PreconditionFailed(f"Expected node {node.id} at {node}, and found {seen!r}.")
            connection.identity = Identity(node.id, node.task_id)
        return connection

    async def to(self, node: NodeRef) -> NodeConnection:
        """Return a live connection to exactly the node that was observed.

        Raises:
            PreconditionFailed: another node, or one of another task, answers at its address.
            NotInClusterMode: what answers there is no cluster node.

        """
        connection = await self.at(node.address)
        found = await connection.identify()
        if found.node_id != node.id:
            raise PreconditionFailed(
                f"Expected node {node.id} at {node}, and found {found.node_id}: "
                "another server has taken the address since it was observed."
            )
        if node.task_id and found.hostname and found.hostname != node.task_id:
            raise PreconditionFailed(
                f"Expected the node of task {node.task_id} at {node}, and the node there says "
                f"that it belongs to task {found.hostname}."
            )
        return connection
