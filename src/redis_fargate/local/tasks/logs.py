"""The ``awslogs`` log driver: what containers print goes to CloudWatch Logs, in batches."""

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from redis_fargate.local.clients import Clients
from redis_fargate.local.errors import CannotStartContainer
from redis_fargate.local.ports import LogStream

if TYPE_CHECKING:
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

_PERIOD_S = 0.5
_BATCH = 1_000
_LONGEST_LINE_BYTES = 100_000
_LONGEST_QUEUE = 20_000
"""Lines of one stream that wait; when the endpoint cannot keep up, the oldest are lost."""
_logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Writer:
    """One container's stream: takes what it printed, in any pieces, and never waits."""

    stream: LogStream
    waiting: "deque[InputLogEventTypeDef]" = field(
        default_factory=lambda: deque(maxlen=_LONGEST_QUEUE)
    )
    _partial: bytes = b""
    closed: bool = False

    def write(self, printed: bytes) -> None:
        """Take a piece of output."""
        *lines, self._partial = (self._partial + printed).split(b"\n")
        if len(self._partial) > _LONGEST_LINE_BYTES:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._add(line)

    def close(self) -> None:
        """Say that nothing follows."""
        self._add(self._partial)
        self._partial = b""
        self.closed = True

    def _add(self, line: bytes) -> None:
        message = line.decode(errors="replace").rstrip("\r")
        if message:  # CloudWatch Logs takes no empty messages
            self.waiting.append({"timestamp": time.time_ns() // 1_000_000, "message": message})


class LogShipper:
    """Ships the streams of all containers, one after another, from one background task."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._writers: set[Writer] = set()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def open(self, stream: LogStream) -> Writer:
        """Create a container's log stream.

        Raises:
            CannotStartContainer: there is no such group, or the endpoint refuses.

        """
        await asyncio.to_thread(self._create, stream)
        writer = Writer(stream)
        self._writers.add(writer)
        if self._task is None:
            self._task = asyncio.create_task(self._ship(), name="awslogs")
        return writer

    async def close(self, timeout_s: float = 5) -> None:
        """Ship what waits, for so long at most."""
        self._closing.set()
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=timeout_s)
            for task in late:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def _create(self, stream: LogStream) -> None:
        logs = self._clients.logs
        try:
            if stream.create_group:
                with suppress(logs.exceptions.ResourceAlreadyExistsException):
                    logs.create_log_group(logGroupName=stream.group)
            with suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_stream(logGroupName=stream.group, logStreamName=stream.stream)
        except (BotoCoreError, ClientError) as error:
            raise CannotStartContainer(
                "ResourceInitializationError: failed to validate logger args: create stream has "
                f"been retried 1 times: failed to create Cloudwatch log stream: {error} (log group "
                f"{stream.group})"
            ) from error

    async def _ship(self) -> None:
        last = False
        while not last:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _PERIOD_S)
            last = self._closing.is_set()
            for writer in list(self._writers):
                while writer.waiting:
                    batch = [
                        writer.waiting.popleft() for _ in range(min(_BATCH, len(writer.waiting)))
                    ]
                    await asyncio.to_thread(self._put, writer.stream, batch)
                if writer.closed:
                    self._writers.discard(writer)

    def _put(self, stream: LogStream, batch: "list[InputLogEventTypeDef]") -> None:
        try:
            self._clients.logs.put_log_events(
                logGroupName=stream.group, logStreamName=stream.stream, logEvents=batch
            )
        except (BotoCoreError, ClientError) as error:
            _logger.warning(
                "%d lines of %s/%s are lost: %s", len(batch), stream.group, stream.stream, error
            )
