"""The Lambda function's entry point.

Lambda counts an invocation as an error only if an exception reaches it, and the alarm stands
on that count. So a run that a person should know of (``FAILED`` or ``REFUSED``) ends in
``RunFailed`` when an event started it; Lambda then tries the event twice more, which does no
harm. Who invokes the function directly is told by the result instead, unless it asked for a
healthy cluster: then ``RunFailed`` says that it got none, so that ``terraform apply`` fails with
that sentence. Anything that is not in our error tree is a bug, and reaches Lambda whatever
started the run.
"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from redis_fargate.aws.clients import Clients
from redis_fargate.aws.secrets import Secrets
from redis_fargate.controller.events import Action, Request, understood
from redis_fargate.controller.reconcile import dry_run, reconcile, status
from redis_fargate.controller.result import Outcome, Result, StepReport
from redis_fargate.controller.rooms import opened
from redis_fargate.controller.settings import Settings
from redis_fargate.controller.until_healthy import until_healthy
from redis_fargate.topology.errors import RedisFargateError
from redis_fargate.topology.health import Health
from redis_fargate.topology.spec import Pace

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_logger = Logger(service="redis-fargate")
_metrics = Metrics(namespace="RedisFargate")


class RunFailed(RedisFargateError):
    """A run failed, or refused to act; the message is its verdict, and what it waits for."""


@_logger.inject_lambda_context
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Reconcile, or tell the status; the event shapes are those of ``events.understood``.

    Returns:
        The result (``Result.to_dict``).

    Raises:
        RunFailed: as the module says.

    """
    deadline_s = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    try:
        settings = Settings.from_environment(os.environ)
        request = understood(event, settings)
        result = asyncio.run(_answer(request, settings, context.aws_request_id, deadline_s))
    except RedisFargateError as error:
        cluster = os.environ.get("CLUSTER_NAME", "")
        result = Result(cluster, Outcome.FAILED, None, str(error), run=0)
    _log(result)
    _measure(result)
    bad = result.outcome in {Outcome.FAILED, Outcome.REFUSED}
    if (bad and "action" not in event) or ("until" in event and result.health is not Health.OK):
        raise RunFailed(" ".join((result.verdict, *result.waiting)))
    return result.to_dict()


@cache
def _clients() -> tuple[Clients, Secrets]:
    """Make what lasts as long as the process, so that the next invocation finds it."""
    clients = Clients()
    return clients, Secrets(clients)


async def _answer(
    request: Request, settings: Settings, request_id: str, deadline_s: float
) -> Result:
    if request.fast:
        pace = Pace(max_latency_ms=None)
        settings = replace(settings, policy=replace(settings.policy, pace=pace))
    if request.foreign:
        return Result(settings.cluster_name, Outcome.IGNORED, None, request.foreign, run=0)

    async def attempt() -> Result:
        async with opened(settings, *_clients()) as rooms:
            if request.action is Action.STATUS:
                return await status(settings, rooms)
            if request.dry_run:
                return await dry_run(settings, rooms)
            return await reconcile(
                settings,
                rooms,
                # A retried event has the request id of the first try.
                owner=f"{request_id}/{time.time_ns()}",
                deadline_s=deadline_s,
                progress=_log_wave,
            )

    if request.until_healthy:
        return await until_healthy(attempt, deadline_s=deadline_s)
    return await attempt()


def _log_wave(steps: Sequence[StepReport], took_ms: float) -> None:
    first = steps[0]
    _logger.info(
        "Took %d steps: %s%s",
        len(steps),
        first.step,
        ", ..." if len(steps) > 1 else "",
        extra={"phase": first.phase, "why": first.why, "took_ms": round(took_ms, 1)},
    )


def _measure(result: Result) -> None:
    """Publish what an alarm can stand on, in CloudWatch's embedded metric format."""
    if result.health is None:
        return
    _metrics.add_dimension("Cluster", result.cluster)
    _metrics.add_metric("LostSlots", MetricUnit.Count, result.lost_slots)
    _metrics.add_metric("UnservedSlots", MetricUnit.Count, result.unserved_slots)
    _metrics.flush_metrics()


def _log(result: Result) -> None:
    """Log what a result comes to; all its nodes and steps would not fit into one log event."""
    facts: Mapping[str, object] = {
        "cluster": result.cluster,
        "outcome": result.outcome.value,
        "health": result.health.value if result.health else None,
        "run": result.run,
        "steps": len(result.done),
        "waiting": result.waiting,
        "refusals": result.refusals,
        "remarks": result.remarks,
        "timings_ms": result.timings_ms,
    }
    bad = result.outcome in {Outcome.FAILED, Outcome.REFUSED}
    (_logger.error if bad else _logger.info)("%s", result.verdict, extra=facts)
