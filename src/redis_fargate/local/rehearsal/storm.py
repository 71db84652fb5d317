"""A storm of clients, in a process of its own so that it does not slow down the measured ones."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from redis_fargate.local.blueprint import REDIS_PORT

CLIENTS = 300
_LASTS_S = 5.0
_READS = 20
_TIMEOUT_S = 5.0


def rage(addresses: Sequence[str], password: str) -> None:
    """Let many clients come at once, ask what a new cluster client asks, read, and come again."""
    subprocess.run(
        [sys.executable, "-P", "-m", "redis_fargate.local.rehearsal.storm"],
        # Not as arguments, which anybody on the machine can read.
        input=json.dumps({"addresses": list(addresses), "password": password}).encode(),
        check=True,
        start_new_session=True,  # Ctrl-C is meant for us, and then it is killed
    )


async def _rage(addresses: Sequence[str], password: str) -> None:
    end = time.monotonic() + _LASTS_S
    async with asyncio.TaskGroup() as storm:
        for number in range(CLIENTS):
            storm.create_task(_come(addresses[number % len(addresses)], password, end))


async def _come(address: str, password: str, end: float) -> None:
    while time.monotonic() < end:
        client = Redis(
            host=address,
            port=REDIS_PORT,
            password=password,
            single_connection_client=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
        with suppress(RedisError, OSError):
            async with client:
                await client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
                for _ in range(_READS):
                    await client.ping()


if __name__ == "__main__":
    asyncio.run(_rage(**json.load(sys.stdin)))
