"""Starts and stops the local cloud's process, so that nothing is ever left behind."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from redis_fargate.local import processes
from redis_fargate.local.errors import LocalCloudError, NotRunning, StartFailed
from redis_fargate.local.statedir import Record, StateDir

KEEP = b"keep\n"
"""What the process is told once it may run on without us."""
_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 20
"""More than the process gives its tasks and its endpoint to end."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A process that was started, and ends unless it is kept."""

    state: StateDir
    process: "subprocess.Popen[bytes]"
    control: socket.socket
    started_ticks: int

    def await_ready(self) -> None:
        """Wait until the endpoint answers.

        Raises:
            LocalCloudError: the process' own words for why it does not come up.
            StartFailed: it ended, or said nothing in time.

        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        said = b""
        while not said.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self.control], [], [], left_s)[0]:
                raise StartFailed(
                    f"The local cloud did not come up in {_START_TIMEOUT_S} s.{self._last_words()}"
                )
            piece = self.control.recv(4096)
            if not piece:
                raise StartFailed(f"The local cloud ended while it started.{self._last_words()}")
            said += piece
        if error := json.loads(said).get("error"):
            raise LocalCloudError(error)

    def keep(self) -> None:
        """Let the process run on when we end."""
        self.control.sendall(KEEP)

    def check_that_it_runs(self) -> None:
        """Raise StartFailed if the process has ended."""
        if self.process.poll() is not None:
            raise StartFailed(f"The local cloud ended unexpectedly.{self._last_words()}")

    def _last_words(self) -> str:
        log = self.state.log_tail()
        return f" Its log ends so:\n{log}" if log else ""


@contextmanager
def launched(state: StateDir, port: int) -> Iterator[Launched]:
    """Start the process; if the block fails in any way, it is stopped, with all it started.

    ``state`` must exist. Whether it stays is the caller's matter.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs, state.log.open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "redis_fargate.local.cloud"),
                    *("--root", state.root, "--port", str(port), "--control", str(theirs.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=state.root,
                # The endpoint's own LOG_LEVEL reaches its Lambda workers, and would silence them.
                env={**os.environ, "TMPDIR": str(state.tmp), "POWERTOOLS_LOG_LEVEL": "INFO"},
                pass_fds=[theirs.fileno()],
                # Ctrl-C is meant for us: we tell it.
                start_new_session=True,
            )
        ticks = processes.start_ticks(process.pid) or 0
        try:
            yield Launched(state, process, ours, ticks)
        except BaseException:
            with _undisturbed():
                stop(process.pid, ticks, state)
                process.wait()
            raise
        # It runs on without us: we are nobody who could wait for it.
        process.returncode = 0


def stop(pid: int, ticks: int, state: StateDir) -> None:
    """Stop the process and everything that it started, by force if it takes too long."""
    if processes.is_alive(pid, ticks):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if not processes.wait_until_gone(pid, ticks, _STOP_TIMEOUT_S):
            processes.kill([pid])
            processes.wait_until_gone(pid, ticks, _STOP_TIMEOUT_S)
    # If it was killed, now or earlier, its Lambda workers and tasks may live.
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while (left := processes.of_directory(state.tmp, state.tasks)) and time.monotonic() < deadline:
        processes.kill(left)
        time.sleep(0.01)


def running(state: StateDir) -> Record:
    """Tell which local cloud runs.

    Raises:
        NotRunning: none does.

    """
    record = state.read()
    if record is None:
        raise NotRunning("No local cloud runs. Start one: redis-fargate local up")
    if not processes.is_alive(record.pid, record.started_ticks):
        raise NotRunning(
            f"The local cloud has died; its log is {state.log}. Clear away what is left of it with "
            "`redis-fargate local down`, and start a new one with `redis-fargate local up`."
        )
    return record


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a second Ctrl-C not keep us from tidying up; that takes seconds at most."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
