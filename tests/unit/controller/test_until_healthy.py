"""How often it attempts, and when it gives up."""

import asyncio
import time

import pytest

from redis_fargate.aws.errors import AccessDenied, AwsUnavailable
from redis_fargate.controller.reconcile import MARGIN_S
from redis_fargate.controller.result import NodeReport, Outcome, Result
from redis_fargate.controller.until_healthy import until_healthy
from redis_fargate.topology.health import Health


def result(outcome, health=None, trouble=None):
    node = NodeReport(
        "t1", "a", "127.0.0.1", "", trouble, 0, 0, 0, 0, lag_bytes=None, link_up=False, version=""
    )
    return Result("redis", outcome, health, "A sentence.", 1, others=(node,) if trouble else ())


HEALTHY = result(Outcome.CONVERGED, Health.OK)


def waited(*answers, left_s=60.0):
    """What comes of attempts with these answers, and how many attempts were left."""
    left = list(answers)

    async def attempt():
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    deadline_s = time.monotonic() + MARGIN_S + left_s
    last = asyncio.run(until_healthy(attempt, deadline_s=deadline_s, pause_s=0.001))
    return last, len(left)


@pytest.mark.parametrize(
    "first",
    [
        result(Outcome.BUSY),
        result(Outcome.WAITING, Health.FORMING),
        result(Outcome.CONVERGED, Health.DEGRADED),
        result(Outcome.FAILED),
        result(Outcome.REFUSED, Health.FORMING, "unreachable"),
        result(Outcome.REFUSED, Health.FORMING, "loading"),
        AwsUnavailable("No answer."),
    ],
    ids=["busy", "waiting", "degraded", "failed", "unreachable", "loading", "unavailable"],
)
def test_what_may_pass_is_attempted_again(first):
    assert waited(first, first, HEALTHY) == (HEALTHY, 0)


def test_a_healthy_cluster_is_not_asked_twice():
    assert waited(HEALTHY, HEALTHY) == (HEALTHY, 1)


@pytest.mark.parametrize("trouble", [None, "authentication", "wrong-task"])
def test_what_needs_a_person_is_told_at_once(trouble):
    refused = result(Outcome.REFUSED, Health.FORMING, trouble)
    assert waited(refused, HEALTHY) == (refused, 1)


def test_what_a_person_must_mend_is_raised_at_once():
    with pytest.raises(AccessDenied):
        waited(AccessDenied("No."), HEALTHY)


def test_time_is_nearly_up():
    waiting = result(Outcome.WAITING, Health.FORMING)
    assert waited(waiting, HEALTHY, left_s=-1.0) == (waiting, 1)
    with pytest.raises(AwsUnavailable):
        waited(AwsUnavailable("No answer."), HEALTHY, left_s=-1.0)


def test_it_ends_with_the_time():
    begun_s = time.monotonic()
    waiting = result(Outcome.WAITING, Health.FORMING)
    last, left = waited(*[waiting] * 10000, left_s=0.2)
    assert last is waiting
    assert left < 9999
    assert time.monotonic() - begun_s < 5
