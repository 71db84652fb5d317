"""The local cloud's process: the endpoint, ECS, its tasks, Cloud Map and events, together.

``launching`` starts it in the background. It is given one end of a socket, over which it says
``{"ready": true}`` or ``{"error": "…"}`` once, and is told ``keep`` once: if the other end is
closed without that word, because whoever started it failed or was killed, it stops everything
and removes the state directory. From then on SIGTERM stops it.
"""

import argparse
import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis_fargate.local.clients import ACCOUNT, REGION, Clients
from redis_fargate.local.cloudmap import CloudMapRegistry
from redis_fargate.local.ecs.ecs import Ecs, FarEnds
from redis_fargate.local.errors import LocalCloudError
from redis_fargate.local.eventbridge import EventBridge
from redis_fargate.local.gateway import Gateway
from redis_fargate.local.launching import KEEP
from redis_fargate.local.statedir import StateDir
from redis_fargate.local.subnets import Ec2Subnets
from redis_fargate.local.tasks.process import ProcessRuntime

_STOP_TIMEOUT_S = 5
"""For the tasks to end by themselves; then they are killed."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_logger = logging.getLogger(__name__)


@asynccontextmanager
async def local_cloud(port: int, state: StateDir) -> AsyncIterator[None]:
    """Have a local cloud while the block runs; nothing of it is left afterwards.

    Raises:
        PortInUse, StartFailed: as the endpoint does.

    """
    clients = Clients(f"http://127.0.0.1:{port}")
    runtime = ProcessRuntime(clients)
    bus = EventBridge(clients)
    ecs = Ecs(
        FarEnds(runtime, CloudMapRegistry(clients), bus, Ec2Subnets(clients)),
        account=ACCOUNT,
        region=REGION,
        directory=state.tasks,
        metadata_endpoint=clients.url,
    )
    try:
        async with Gateway(port, state.tmp, ecs.handle):
            await ecs.start()
            try:
                yield
            finally:
                try:
                    async with asyncio.timeout(_STOP_TIMEOUT_S):
                        await ecs.close()
                except TimeoutError:
                    _logger.warning("Tasks did not stop in %d s: killed.", _STOP_TIMEOUT_S)
                await runtime.close()
                await bus.close(timeout_s=0)
    finally:
        clients.close()


async def run(port: int, state: StateDir, control: socket.socket) -> int:
    """Run until told to stop; the process' exit code."""
    stop = asyncio.Event()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    reader, writer = await asyncio.open_connection(sock=control)
    serving = asyncio.create_task(_serve(port, state, stop, writer))
    keeping = asyncio.create_task(reader.readline())
    await asyncio.wait({serving, keeping}, return_when=asyncio.FIRST_COMPLETED)
    abandoned = keeping.done() and keeping.result() != KEEP
    if abandoned:
        _logger.info("Whoever started this is gone: stopping.")
        stop.set()
    code = await serving
    keeping.cancel()
    writer.close()
    if abandoned:
        state.remove()
    return code


async def _serve(
    port: int, state: StateDir, stop: asyncio.Event, writer: asyncio.StreamWriter
) -> int:
    try:
        async with local_cloud(port, state):
            _logger.info("The local cloud answers at port %d.", port)
            _say(writer, {"ready": True})
            await stop.wait()
            _logger.info("Stopping.")
    except LocalCloudError as error:
        _say(writer, {"error": str(error)})
        return 1
    return 0


def _say(writer: asyncio.StreamWriter, document: dict[str, object]) -> None:
    writer.write(json.dumps(document).encode() + b"\n")


def main() -> None:
    """Run as ``python -m redis_fargate.local.cloud``."""
    parser = argparse.ArgumentParser(description="The local cloud's process.")
    parser.add_argument("--root", type=Path, required=True, help="the state directory")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", type=int, required=True, help="file descriptor of a socket")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    control = socket.socket(fileno=arguments.control)
    control.set_inheritable(False)
    sys.exit(asyncio.run(run(arguments.port, StateDir(arguments.root), control)))


if __name__ == "__main__":
    main()
