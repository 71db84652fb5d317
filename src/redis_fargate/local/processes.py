"""Processes of this machine, as Linux' /proc tells of them."""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from redis_fargate.local.polling import until

_PROC = Path("/proc")
_POLL_S = 0.01
_NO_TERMINAL = "0"


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is no such process."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in {"Z", "X"} else int(stat[19])


def _stat(pid: int) -> list[str] | None:
    """Read what follows the program's name in a process' stat: its state first."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold spaces and parentheses of its own.
    return stat.rpartition(")")[2].split()


def is_alive(pid: int, ticks: int) -> bool:
    """Whether the process that started then still runs (and not another with its number)."""
    return start_ticks(pid) == ticks


def of_directory(tmp: Path, tasks: Path) -> list[int]:
    """Find our user's processes that have ``tmp`` as TMPDIR, or work inside ``tasks``.

    A process with a terminal is none of them, but the shell of somebody who looks at the files.
    Servers are known by their working directory alone, as they write over their environment.
    """
    variable = b"TMPDIR=" + os.fsencode(tmp)
    return [
        int(entry.name)
        for entry in _PROC.iterdir()
        if entry.name.isdigit()
        and int(entry.name) != os.getpid()
        and _works_for(entry, variable, tasks)
        and start_ticks(int(entry.name)) is not None
    ]


def inside(directory: Path) -> list[int]:
    """Find our user's processes that work inside a directory, but those with a terminal."""
    return [
        int(entry.name)
        for entry in _PROC.iterdir()
        if entry.name.isdigit()
        and _is_inside(entry, directory)
        and start_ticks(int(entry.name)) is not None
    ]


def _works_for(process: Path, variable: bytes, tasks: Path) -> bool:
    try:
        if variable in process.joinpath("environ").read_bytes().split(b"\0"):
            return True
    except OSError:  # it has ended, or is somebody else's
        return False
    return _is_inside(process, tasks)


def _is_inside(process: Path, directory: Path) -> bool:
    try:
        inside = process.joinpath("cwd").readlink().is_relative_to(directory)
    except OSError:  # it has ended, or is somebody else's
        return False
    return inside and (stat := _stat(int(process.name))) is not None and stat[4] == _NO_TERMINAL


def wait_until_gone(pid: int, ticks: int, timeout_s: float) -> bool:
    """Wait until the process has ended; False if it still runs after the timeout."""
    return until(lambda: not is_alive(pid, ticks), bool, timeout_s, _POLL_S)


def kill(pids: Iterable[int]) -> None:
    """Kill processes; those that are gone already do not matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
