"""The health check loop, on a clock that only the loop moves."""

import asyncio
import selectors
from collections.abc import Callable

import pytest

from redis_fargate.local.ports import ContainerHealth, HealthCheck
from redis_fargate.local.tasks.health import watch_health


class Clockwork(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer instead of passing."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now_s


class _Jumping(selectors.SelectSelector):
    def __init__(self, clock: Clockwork) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._clock._now_s += timeout or 0.0
        return super().select(0)


def watched(
    check: HealthCheck, answers: Callable[[float], bool], until_s: float
) -> tuple[list[tuple[float, ContainerHealth]], list[float]]:
    """What was reported when, and when the check ran."""
    reported: list[tuple[float, ContainerHealth]] = []
    ran: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()

        async def is_healthy() -> bool:
            ran.append(loop.time())
            return answers(loop.time())

        watching = asyncio.create_task(
            watch_health(check, is_healthy, lambda h: reported.append((round(loop.time(), 1), h)))
        )
        await asyncio.sleep(until_s)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    with asyncio.Runner(loop_factory=Clockwork) as runner:
        runner.run(run())
    return reported, ran


def test_healthy_as_soon_as_it_answers_and_then_once_an_interval() -> None:
    reported, ran = watched(HealthCheck(("CMD",)), lambda now: now > 0.3, 100)
    ((at, health),) = reported
    assert at < 1
    assert health is ContainerHealth.HEALTHY
    assert len([moment for moment in ran if moment > at + 0.1]) == 3


def test_unhealthy_after_as_many_failures_as_retries_say() -> None:
    check = HealthCheck(("CMD",), interval_s=10, retries=3)
    reported, ran = watched(check, lambda _: False, 60)
    assert reported == [(30, ContainerHealth.UNHEALTHY)]
    assert len(ran) < 20


def test_failures_in_the_start_period_do_not_count() -> None:
    check = HealthCheck(("CMD",), interval_s=10, retries=2, start_period_s=100)
    reported, _ = watched(check, lambda _: False, 200)
    assert reported == [(110, ContainerHealth.UNHEALTHY)]


def test_failures_count_once_it_was_healthy_even_in_the_start_period() -> None:
    check = HealthCheck(("CMD",), interval_s=10, retries=2, start_period_s=100)
    reported, _ = watched(check, lambda now: now < 5, 200)
    assert reported == [(0, ContainerHealth.HEALTHY), (20, ContainerHealth.UNHEALTHY)]


def test_one_failure_of_many_changes_nothing() -> None:
    check = HealthCheck(("CMD",), interval_s=10, retries=2)
    reported, _ = watched(check, lambda now: round(now) % 20 == 0, 200)
    assert reported == [(0, ContainerHealth.HEALTHY)]


def test_it_can_recover() -> None:
    check = HealthCheck(("CMD",), interval_s=10, retries=1)
    reported, _ = watched(check, lambda now: not 5 < now < 15, 100)
    assert [health for _, health in reported] == [
        ContainerHealth.HEALTHY,
        ContainerHealth.UNHEALTHY,
        ContainerHealth.HEALTHY,
    ]
