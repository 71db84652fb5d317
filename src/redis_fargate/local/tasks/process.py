"""Runs a task's container as a process of this machine."""

import asyncio
import logging
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from redis_fargate.local.clients import Clients
from redis_fargate.local.errors import CannotStartContainer
from redis_fargate.local.ports import Container, HealthCheck, HealthListener, Launch
from redis_fargate.local.tasks import guard, stand_in_client
from redis_fargate.local.tasks.child import Child
from redis_fargate.local.tasks.health import watch_health
from redis_fargate.local.tasks.logs import LogShipper, Writer
from redis_fargate.local.tasks.secrets import resolve_secrets
from redis_fargate.local.tasks.servers import Programs, find_programs

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PIECE_BYTES = 65_536
_LAST_WORDS_S = 1
_logger = logging.getLogger(__name__)


class ProcessRuntime:
    """Starts containers as processes; a :class:`~redis_fargate.local.ports.TaskRuntime`.

    A container's process leads a session and a process group of its own, so that it and all that it
    starts can be ended together. When this runtime is closed, or its process dies in any way, the
    containers die as well (see :mod:`~redis_fargate.local.tasks.guard`).
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._logs = LogShipper(clients)
        self._guard: subprocess.Popen[bytes] | None = None
        self._containers: set[ProcessContainer] = set()

    async def start(self, launch: Launch, on_health: HealthListener) -> Container:
        """Start a container; see :meth:`redis_fargate.local.ports.TaskRuntime.start`."""
        command = [*launch.entry_point, *launch.command]
        if not command:
            raise CannotStartContainer(
                "CannotStartContainerError: no command specified: give the container an entryPoint "
                "or a command."
            )
        programs = await find_programs(launch.image)
        secrets = await asyncio.to_thread(resolve_secrets, self._clients, launch.secrets)
        writer = await self._logs.open(launch.log) if launch.log else None
        environment = self._environment(launch, programs) | secrets
        self._guarded()  # now: starting it takes longer than what is between the next two
        try:
            child = await Child.start(command, environment, launch.directory)
        except CannotStartContainer:
            if writer is not None:
                writer.close()
            raise
        self._watch_over(f"+{child.pid}")
        container = ProcessContainer(launch, child, environment, on_health, writer)
        self._containers.add(container)
        container.ended.add_done_callback(lambda _: self._forget(container))
        return container

    async def close(self) -> None:
        """Kill every container that is left, and ship the last lines of their logs."""
        containers = list(self._containers)
        for container in containers:
            container.kill()
        await asyncio.gather(*(container.wait() for container in containers))
        await self._logs.close()
        if self._guard is not None:
            assert self._guard.stdin is not None  # noqa: S101 - it was started with a pipe
            self._guard.stdin.close()
            await asyncio.to_thread(self._guard.wait)
            self._guard = None

    def _forget(self, container: "ProcessContainer") -> None:
        self._containers.discard(container)
        self._watch_over(f"-{container.process_id}")

    def _watch_over(self, order: str) -> None:
        self._guarded().write(f"{order}\n".encode())

    def _guarded(self) -> IO[bytes]:
        """Where the guard reads; it is started if it does not run."""
        if self._guard is None or self._guard.poll() is not None:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__],
                stdin=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        assert self._guard.stdin is not None  # noqa: S101 - it was started with a pipe
        return self._guard.stdin

    def _environment(self, launch: Launch, programs: Programs) -> dict[str, str]:
        """Compose the variables that the container finds, secrets aside.

        The address, the directory and the programs are this machine's; they override what the task
        definition says for a container.
        """
        client = programs.client or _write_client(launch.directory)
        return {
            "PATH": _PATH,
            "HOME": str(launch.directory),
            **launch.environment,
            "REDIS_ADDRESS": launch.address,
            "REDIS_DATA_DIR": str(launch.directory),
            "REDIS_SERVER": str(programs.server),
            "REDIS_CLI": str(client),
        }


class ProcessContainer:
    """A container that runs as a process; a :class:`~redis_fargate.local.ports.Container`."""

    def __init__(
        self,
        launch: Launch,
        child: Child,
        environment: Mapping[str, str],
        on_health: HealthListener,
        writer: Writer | None,
    ) -> None:
        self._launch = launch
        self._child = child
        self._environment = environment
        self._writer = writer
        self._health = (
            asyncio.create_task(
                watch_health(launch.health_check, self._is_healthy, on_health),
                name=f"health of {launch.task_id}",
            )
            if launch.health_check and tuple(launch.health_check.command) != ("NONE",)
            else None
        )
        self.ended = asyncio.create_task(self._run(), name=f"task {launch.task_id}")
        """Done, with the exit code, when nothing of the container is left."""

    @property
    def process_id(self) -> int:
        """The id of the container's process, and of its process group."""
        return self._child.pid

    async def wait(self) -> int:
        """Wait until it has ended; see :class:`~redis_fargate.local.ports.Container`."""
        return await asyncio.shield(self.ended)

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL after the stop timeout; the exit code."""
        self._child.terminate()
        _, late = await asyncio.wait([self.ended], timeout=self._launch.stop_timeout_s)
        if late:
            _logger.info("Task %s outlived its stop timeout: SIGKILL.", self._launch.task_id)
            self.kill()
        return await self.wait()

    def kill(self) -> None:
        """SIGKILL to the process and to all that it has started."""
        self._child.kill()

    async def _run(self) -> int:
        reading = asyncio.create_task(self._read())
        code = await self._child.wait()
        if self._health is not None:
            self._health.cancel()
            await asyncio.wait([self._health])
        # A process that has made a session of its own may still be there to print.
        await asyncio.wait([reading], timeout=_LAST_WORDS_S)
        reading.cancel()
        self._child.close()
        if self._writer is not None:
            self._writer.close()
        return code

    async def _read(self) -> None:
        while piece := await self._child.output.read(_PIECE_BYTES):
            if self._writer is not None:
                self._writer.write(piece)

    async def _is_healthy(self) -> bool:
        check = self._launch.health_check
        assert check is not None  # noqa: S101 - without one nobody asks
        try:
            child = await Child.start(
                _check_command(check), self._environment, self._launch.directory
            )
        except CannotStartContainer as error:
            _logger.warning("Health check of task %s: %s", self._launch.task_id, error)
            return False
        try:
            async with asyncio.timeout(check.timeout_s):
                code = await child.wait()
                output = await child.output.read()
        except TimeoutError:
            code, output = 1, b"timed out"
        finally:
            child.kill()
            await child.wait()
            child.close()
        if code != 0:
            text = output.decode(errors="replace").strip()
            _logger.debug("Health check of task %s: %s", self._launch.task_id, text)
        return code == 0


def _check_command(check: HealthCheck) -> list[str]:
    kind, *words = check.command
    return ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words


def _write_client(directory: Path) -> Path:
    """Write a client program for a machine that has none."""
    program = directory / "client"
    words = [sys.executable, "-I", stand_in_client.__file__]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    return program
