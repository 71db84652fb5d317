"""Lets the controller's function crash while it moves slots."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from redis_fargate.local import processes
from redis_fargate.local.changes import Changes
from redis_fargate.local.errors import StartFailed
from redis_fargate.local.polling import until
from redis_fargate.local.rehearsal.ports import Cloud
from redis_fargate.topology.spec import Spec

RUN_TIMEOUT_S = 30
"""A run that crashes keeps its lease, and all others out, until it would have had to end anyway:
the usual five minutes are too long to watch."""
_MOVING_TIMEOUT_S = 180


def crash_controller(cloud: Cloud, changes: Changes, spec: Spec) -> None:
    """Want another spec, and kill the function's processes as soon as slots may be in flight.

    Raises:
        StartFailed: the controller did not begin to move slots.

    """
    changes.want(spec, run_timeout_s=RUN_TIMEOUT_S)
    if not until(changes.slots_moving, bool, _MOVING_TIMEOUT_S, period_s=0):
        raise StartFailed(f"The controller moved no slot within {_MOVING_TIMEOUT_S} s.")
    for pid in _workers(cloud):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _workers(cloud: Cloud) -> list[int]:
    """Find the processes that run the function: the endpoint's children in its TMPDIR."""
    function = f"AWS_LAMBDA_FUNCTION_NAME={cloud.function_name}".encode()
    found = []
    for pid in processes.of_directory(cloud.state.tmp, cloud.state.tasks):
        with suppress(OSError):
            if function in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found
