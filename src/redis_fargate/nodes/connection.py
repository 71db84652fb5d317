"""Connections to nodes. Every command of the project goes through ``NodeConnection.exchange``."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
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
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.steps import NodeRef

Command: TypeAlias = tuple[str | int, ...]
Reply: TypeAlias = str | int | list[Any] | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers on a connection; it cannot change while the connection lasts."""

    node_id: str
    hostname: str
    """The task id that the node announces; empty if it announces nothing."""


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
        kind = SSLConnection if tls else Connection
        self._redis: Connection = kind(
            host=address,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            protocol=2,
            decode_responses=True,
            encoding_errors="replace",
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
        """Close at once; never raises."""
        await self._redis.disconnect(nowait=True)

    async def exchange(self, commands: Sequence[Command]) -> list[Reply | CommandRefused]:
        """Send commands together, and read as many answers; refusals are among them.

        Raises:
            NodeUnreachable: not all answers came before the deadline.
            NodeLoading, AuthenticationFailed: the node answers nothing else now.

        """
        timeout_s = self._settings.answer_timeout_s
        answers: list[Reply | CommandRefused] = []
        async with self._turn:
            if not self.alive:
                raise NodeUnreachable(f"The connection to {self} is closed.")
            try:
                async with asyncio.timeout(timeout_s):
                    await self._redis.send_packed_command(
                        self._redis.pack_commands(commands), check_health=False
                    )
                    for command in commands:
                        answers.append(await self._answer(command))  # noqa: PERF401 - in order
            except BaseException as error:
                await self.close()
                raise self._translated(
                    error, f"No answer to {commands[len(answers)][0]} within {timeout_s:g} s"
                ) from error
        return answers

    async def _answer(self, command: Command) -> Reply | CommandRefused:
        try:
            reply: Reply = await self._redis.read_response()
        except redis.exceptions.ResponseError as error:
            return _refused(str(self), command, error)
        if isinstance(reply, list):  # errors inside of EXEC's answer
            return [
                _refused(str(self), command, each)
                if isinstance(each, redis.exceptions.ResponseError)
                else each
                for each in reply
            ]
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

    async def call(self, *command: str | int) -> Reply:
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
    words = " ".join(str(word) for word in command[:2])
    denied = isinstance(error, redis.exceptions.NoPermissionError)
    return CommandRefused(f"{node} refused {words}: {error}", str(error), no_permission=denied)


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
        self._open: dict[str, asyncio.Future[NodeConnection]] = {}

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
            if not opening.done():
                opening.cancel()
        for connection in await asyncio.gather(*opened.values(), return_exceptions=True):
            if isinstance(connection, NodeConnection):
                await connection.close()

    async def at(self, address: str) -> NodeConnection:
        """Return a live connection to an address; raises what ``NodeConnection.open`` raises."""
        opening = self._open.get(address)
        if opening is None or (
            opening.done()
            and (opening.cancelled() or opening.exception() or not opening.result().alive)
        ):
            opening = asyncio.ensure_future(self._connect(address, self.settings, self._tls))
            self._open[address] = opening
        return await asyncio.shield(opening)  # another caller may wait for the same one

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
