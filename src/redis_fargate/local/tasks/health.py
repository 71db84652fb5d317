"""The container health check loop, as the Docker engine under ECS runs it."""

import asyncio
from collections.abc import Awaitable, Callable

from redis_fargate.local.ports import ContainerHealth, HealthCheck, HealthListener

_FIRST_DELAY_S = 0.05


async def watch_health(
    check: HealthCheck, is_healthy: Callable[[], Awaitable[bool]], on_health: HealthListener
) -> None:
    """Run a check for ever, and say how the health changes.

    The first success makes the container HEALTHY at once. Failures count from the end of the start
    period or from the first success, whichever is earlier, once an interval; as many in a row as
    ``retries`` says make it UNHEALTHY.

    Unlike on Fargate, a container that has not been healthy yet is looked at more often than once
    an interval, so that nobody waits 30 s for a server that starts in 50 ms. It changes how soon a
    success is seen, and nothing about failures.
    """
    loop = asyncio.get_running_loop()
    health = ContainerHealth.UNKNOWN
    failures = 0
    counts_from_s = loop.time() + max(check.interval_s, check.start_period_s)
    delay_s = _FIRST_DELAY_S
    while True:
        healthy = await is_healthy()
        now_s = loop.time()
        seen = health
        if healthy:
            failures = 0
            seen = ContainerHealth.HEALTHY
        elif health is not ContainerHealth.UNKNOWN or now_s >= counts_from_s:
            failures += 1
            counts_from_s = now_s + check.interval_s
            if failures >= check.retries:
                seen = ContainerHealth.UNHEALTHY
        if seen is not health:
            health = seen
            on_health(health)
        if health is ContainerHealth.UNKNOWN:
            await asyncio.sleep(min(delay_s, max(0.0, counts_from_s - now_s)))
            delay_s = min(2 * delay_s, check.interval_s)
        else:
            await asyncio.sleep(check.interval_s)
