"""One invocation that goes on until the cluster is healthy: what ``terraform apply`` waits for."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from redis_fargate.controller.reconcile import MARGIN_S
from redis_fargate.controller.result import Outcome, Result
from redis_fargate.topology.errors import TemporaryError
from redis_fargate.topology.health import Health
from redis_fargate.topology.view import Trouble

PAUSE_S = 2.0
"""Between two attempts. Longer than a look takes: an attempt that finds another run at work makes
that run look once more, and must not keep it at that."""
_PASSING = {Trouble.UNREACHABLE.value, Trouble.LOADING.value}
"""Troubles that pass by themselves: nodes start, and ECS replaces tasks."""


async def until_healthy(
    attempt: Callable[[], Awaitable[Result]], *, deadline_s: float, pause_s: float = PAUSE_S
) -> Result:
    """Attempt again until the cluster is healthy, a person is needed, or time is nearly up.

    Args:
        attempt: one whole run; it keeps to the same deadline.
        deadline_s: on ``time.monotonic``'s clock; no attempt is begun ``MARGIN_S`` before it.
        pause_s: between the attempts.

    Returns:
        The last attempt's result. The cluster is healthy if its ``health`` is OK.

    Raises:
        PermanentError: as ``attempt`` does.
        TemporaryError: as the last attempt did.

    """
    while True:
        last_one = time.monotonic() + pause_s > deadline_s - MARGIN_S
        try:
            result = await attempt()
        except TemporaryError:
            if last_one:
                raise
        else:
            if last_one or result.health is Health.OK or _needs_a_person(result):
                return result
        await asyncio.sleep(pause_s)


def _needs_a_person(result: Result) -> bool:
    return result.outcome is Outcome.REFUSED and not any(
        node.role in _PASSING for node in result.others
    )
