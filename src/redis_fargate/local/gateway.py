"""The local cloud's AWS endpoint: one port, where ECS is ours and ministack answers the rest.

ministack takes its settings from the environment when it is imported, and its Lambda workers
inherit that environment. So a process has one endpoint in its life, and nothing may import
ministack before.
"""

import asyncio
import logging
import os
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from hypercorn.asyncio import serve
from hypercorn.config import Config

from redis_fargate.local.asgi import App, Message, Receive, Send, header, read_body
from redis_fargate.local.clients import ACCESS_KEY, ACCOUNT, REGION, SECRET_KEY
from redis_fargate.local.completing import completed
from redis_fargate.local.errors import PortInUse, StartFailed

_ECS_TARGET = "AmazonEC2ContainerServiceV20141113."
_START_TIMEOUT_S = 30
_GRACE_S = 2
_STOP_TIMEOUT_S = 10
_logger = logging.getLogger(__name__)


class EcsHandler(Protocol):
    """Answers ECS' requests: the operation's name and the body to status, headers and body."""

    async def __call__(self, operation: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Carry out one request."""


class Gateway:
    """The endpoint, served while its ``async with`` block runs.

    ``port`` 0 chooses a free one. ``tmp`` becomes the TMPDIR of this process and of its Lambda
    workers. When the block ends, the Lambda workers have ended too; nobody waits for an invocation.

    Raises (on entering):
        PortInUse: another program listens there.
        StartFailed: the endpoint did not come up; its log says why.

    """

    def __init__(self, port: int, tmp: Path, handle: EcsHandler) -> None:
        self._asked_port = port
        self._tmp = tmp
        self._handle = handle
        self._shutdown = asyncio.Event()
        self._ready = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self.port = port

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        listener = _listen(self._asked_port)
        self.port = listener.getsockname()[1]
        _set_environment(self.url, self.port, self._tmp)
        app = _together(self._handle, completed(_import_ministack()), self._ready)
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.graceful_timeout = _GRACE_S
        config.keep_alive_timeout = 75
        config.loglevel = "WARNING"
        self._serving = asyncio.create_task(
            serve(app, config, shutdown_trigger=self._shutdown.wait),  # type: ignore[arg-type]
            name="gateway",
        )
        started = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            [started, self._serving], timeout=_START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        started.cancel()
        if not self._ready.is_set():
            await self.__aexit__()
            raise StartFailed("The AWS endpoint did not come up; what it logged says why.")
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._shutdown.set()
        # Before the requests, which may wait for an invocation to end.
        await asyncio.to_thread(_end_lambda_workers)
        if self._serving is not None:
            _, late = await asyncio.wait([self._serving], timeout=_STOP_TIMEOUT_S)
            for task in late:
                _logger.warning("The AWS endpoint did not end in %d s.", _STOP_TIMEOUT_S)
                task.cancel()
            with suppress(asyncio.CancelledError):
                await self._serving
        # Those that an invocation under way has started in between.
        await asyncio.to_thread(_end_lambda_workers)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise PortInUse(
            f"Port {port} of 127.0.0.1 cannot be had: {error.strerror}. Choose another with --port."
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - its only parameter
    return listener


def _set_environment(url: str, port: int, tmp: Path) -> None:
    """Set what ministack and the Lambda workers read; nothing of the user's AWS reaches them."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMBDA_", "MINISTACK_"))]:
        del os.environ[name]
    os.environ |= {
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        "AUTH": "false",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "LAMBDA_EXECUTOR": "local",
        # ministack would bind two more ports, and clear away Docker containers that are not ours.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{tmp}/no-docker.sock",
        "TMPDIR": str(tmp),
        "S3_DATA_DIR": str(tmp / "s3"),
        # For the Lambda workers.
        "AWS_ENDPOINT_URL": url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    tempfile.tempdir = str(tmp)


def _import_ministack() -> App:
    if "ministack.app" in sys.modules:
        raise StartFailed("There can be one AWS endpoint in a process, and there was one already.")
    from ministack.app import app  # noqa: PLC0415 - it reads the environment when it is imported

    return app  # type: ignore[no-any-return]


def _end_lambda_workers() -> None:
    runtime = sys.modules.get("ministack.core.lambda_runtime")
    if runtime is not None:
        runtime.reset()


def _together(handle: EcsHandler, others: App, ready: asyncio.Event) -> App:
    """Join ECS and all other services into one ASGI application."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await others(scope, receive, _noticing_startup(send, ready))
            return
        operation = _ecs_operation(scope)
        if operation is None:
            await others(scope, receive, send)
            return
        body = await read_body(receive)
        if body is None:
            return
        status, headers, answer = await handle(operation, body)
        await send({
            "type": "http.response.start",
            "status": status,
            "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        })  # fmt: skip
        await send({"type": "http.response.body", "body": answer})

    return app


def _noticing_startup(send: Send, ready: asyncio.Event) -> Send:
    async def noticing(message: Message) -> None:
        await send(message)
        if message["type"] == "lifespan.startup.complete":
            ready.set()

    return noticing


def _ecs_operation(scope: Message) -> str | None:
    """Name the operation if it is one of ECS'."""
    if scope["type"] != "http":
        return None
    service, _, operation = header(scope, "x-amz-target").partition(".")
    return operation if f"{service}." == _ECS_TARGET else None
