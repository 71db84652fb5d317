"""A connection attempt that is cut short, at any moment, leaves no socket behind."""

import asyncio
import gc
import socket
from collections.abc import Iterator

import pytest

from redis_fargate.nodes.connection import Connections, connect
from redis_fargate.nodes.errors import NodeUnreachable
from redis_fargate.nodes.settings import ConnectionSettings
from servers import PORT, Fleet

MOMENTS = 12
"""Rounds of the event loop: more than connecting takes until it waits for an answer."""


@pytest.fixture(name="mute")
def fixture_mute() -> Iterator[tuple[str, ConnectionSettings]]:
    """The address of somebody who takes connections and never says a word, and its settings."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        yield "127.0.0.1", ConnectionSettings(port, password="secret", connect_timeout_s=0.2)


def test_a_deadline_ends_it(mute: tuple[str, ConnectionSettings]) -> None:
    address, settings = mute

    async def connect() -> None:
        async with Connections(settings) as connections:
            with pytest.raises(NodeUnreachable, match=r"No connection within 0\.2 s"):
                await connections.at(address)

    asyncio.run(connect())
    gc.collect()  # what is left behind warns now, and warnings are errors


def test_a_deadline_ends_it_while_much_is_yet_to_be_sent(
    mute: tuple[str, ConnectionSettings],
) -> None:
    """What waits in the process' own buffer for a node that hangs does not keep the socket open."""
    address, settings = mute
    silent = ConnectionSettings(settings.port, answer_timeout_s=0.2)

    async def send() -> None:
        connection = await connect(address, silent, None)
        with pytest.raises(NodeUnreachable, match=r"No answer to SET key within 0\.2 s"):
            await connection.call("SET", "key", b"x" * 50_000_000)
        assert not connection.alive

    asyncio.run(send())
    gc.collect()


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_the_run_ends_while_it_connects(moment: int, mute: tuple[str, ConnectionSettings]) -> None:
    address, settings = mute

    async def connect() -> None:
        async with Connections(settings) as connections:
            asyncio.ensure_future(connections.at(address)).add_done_callback(_noted)
            await _rounds(moment)

    asyncio.run(connect())
    gc.collect()


@pytest.mark.parametrize("moment", range(3))
def test_the_run_is_cancelled_while_it_lets_go(moment: int, fleet: Fleet) -> None:
    """One connection stands, another one is being opened: nothing waits for either any more."""
    (server,) = fleet.start(1, requirepass="secret")
    with socket.create_server((f"{fleet.network}.200", PORT)) as listener:
        nowhere = listener.getsockname()[0]

        async def connect(leaves: asyncio.Event) -> None:
            async with Connections(ConnectionSettings(password="secret")) as connections:
                await connections.at(server.address)
                asyncio.ensure_future(connections.at(nowhere)).add_done_callback(_noted)
                await _rounds(5)
                leaves.set()

        async def cancelled() -> None:
            leaves = asyncio.Event()
            task = asyncio.ensure_future(connect(leaves))
            await leaves.wait()
            await _rounds(moment)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(cancelled())
    gc.collect()


async def _rounds(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def _noted(connecting: "asyncio.Future[object]") -> None:
    if not connecting.cancelled():
        connecting.exception()
