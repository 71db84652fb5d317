"""Faults of single tasks and of zones, as they happen to the tasks' processes."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress

from redis_fargate.local import processes
from redis_fargate.local.errors import NoSuchTask
from redis_fargate.local.statedir import StateDir


def kill(state: StateDir, task_ids: Iterable[str]) -> None:
    """Let tasks crash, all at the same moment: SIGKILL to their processes.

    Raises:
        NoSuchTask: one of them has no process.

    """
    _signal(state, task_ids, signal.SIGKILL)


def pause(state: StateDir, task_ids: Iterable[str]) -> None:
    """Let tasks hang (SIGSTOP): they keep their connections and say nothing; raises as ``kill``."""
    _signal(state, task_ids, signal.SIGSTOP)


def resume(state: StateDir, task_ids: Iterable[str]) -> None:
    """Let tasks that hang go on (SIGCONT); raises as ``kill``."""
    _signal(state, task_ids, signal.SIGCONT)


def _signal(state: StateDir, task_ids: Iterable[str], number: signal.Signals) -> None:
    found = []
    for task_id in task_ids:
        pids = processes.inside(state.tasks / task_id)
        if not pids:
            raise NoSuchTask(f"Task {task_id} has no process: it has just ended, or not begun yet.")
        found += pids
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
