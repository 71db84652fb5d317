"""One process with all that it starts: a session of its own, ended as a whole."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from redis_fargate.local.errors import CannotStartContainer


class Child:
    """A started process, whose standard output and error can be read.

    The pipe is ours and not asyncio's: asyncio's ``wait`` does not return before everybody has
    closed the pipe, and a process that has ended may leave others behind that hold it open.
    """

    def __init__(
        self, process: Process, output: asyncio.StreamReader, pipe: asyncio.ReadTransport
    ) -> None:
        self._process = process
        self._pipe = pipe
        self.output = output
        """What it prints; ends when nobody is left who could print."""

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], directory: Path
    ) -> Self:
        """Start a process in a session and a process group of its own.

        Raises:
            CannotStartContainer: there is no such program, or it cannot be run.

        """
        loop = asyncio.get_running_loop()
        read_end, write_end = os.pipe()
        output = asyncio.StreamReader()
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(read_end, "rb", buffering=0)
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                cwd=directory,
                stdin=DEVNULL,
                stdout=write_end,
                stderr=write_end,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            pipe.close()
            raise CannotStartContainer(
                f"CannotStartContainerError: {command[0]!r} cannot be started: {error}."
            ) from error
        except asyncio.CancelledError:
            pipe.close()
            raise
        finally:
            os.close(write_end)
        return cls(process, output, pipe)

    @property
    def pid(self) -> int:
        """The process' id, which is its session's and its group's too."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until it has ended, and end what it leaves behind; 128 + n if signal n killed it."""
        code = await self._process.wait()
        self._kill_group()
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """SIGTERM to the process alone, as a container's first process gets it."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to the process and to all that it has started."""
        if self._process.returncode is None:
            self._kill_group()

    def close(self) -> None:
        """Read no more of its output."""
        self._pipe.close()

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
