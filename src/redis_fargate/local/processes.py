"""Processes of this machine, as Linux' /proc tells of them."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_POLL_S = 0.01


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is no such process."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name, in parentheses, may hold spaces and parentheses of its own.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def is_alive(pid: int, ticks: int) -> bool:
    """Whether the process that started then still runs (and not another with its number)."""
    return start_ticks(pid) == ticks


def working_in(directory: Path) -> list[int]:
    """Find our user's processes whose working directory or TMPDIR is inside a directory."""
    inside = os.fsencode(directory)
    return [
        int(entry.name)
        for entry in _PROC.iterdir()
        if entry.name.isdigit()
        and int(entry.name) != os.getpid()
        and _is_inside(entry, inside)
        and start_ticks(int(entry.name)) is not None
    ]


def _is_inside(process: Path, directory: bytes) -> bool:
    try:
        cwd = os.fsencode(process.joinpath("cwd").readlink())
        environment = process.joinpath("environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return False
    return (
        cwd == directory
        or cwd.startswith(directory + b"/")
        or b"TMPDIR=" + directory + b"/tmp" in environment
    )


def wait_until_gone(pid: int, ticks: int, timeout_s: float) -> bool:
    """Wait until the process has ended; False if it still runs after the timeout."""
    deadline = time.monotonic() + timeout_s
    while is_alive(pid, ticks):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def kill(pids: Iterable[int]) -> None:
    """Kill processes; those that are gone already do not matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
