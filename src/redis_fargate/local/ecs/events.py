"""The events of ECS in EventBridge's envelope, and their delivery.

Source of the shapes: ECS developer guide, "Amazon ECS events".
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from redis_fargate.local.ecs.arns import Arns, new_uuid
from redis_fargate.local.ecs.model import Deployment, Json, Rollout, Service, Task, now
from redis_fargate.local.ecs.shapes import task_shape
from redis_fargate.local.ports import EventSink

_log = logging.getLogger(__name__)

_DELIVERY_TIMEOUT_S = 60


class ServiceAction(StrEnum):
    """The ``eventName`` of an ``ECS Service Action`` event."""

    STEADY_STATE = "SERVICE_STEADY_STATE"
    TASKS_STOPPED = "TASKS_STOPPED"
    TASK_START_IMPAIRED = "SERVICE_TASK_START_IMPAIRED"
    INSTANCE_UNHEALTHY = "SERVICE_DISCOVERY_INSTANCE_UNHEALTHY"
    PLACEMENT_FAILURE = "SERVICE_TASK_PLACEMENT_FAILURE"


_SEVERITY = {
    ServiceAction.STEADY_STATE: "INFO",
    ServiceAction.TASKS_STOPPED: "INFO",
    ServiceAction.TASK_START_IMPAIRED: "WARN",
    ServiceAction.INSTANCE_UNHEALTHY: "WARN",
    ServiceAction.PLACEMENT_FAILURE: "ERROR",
}


class Events:
    """Publishes; never waits for the far end, nor fails with it."""

    def __init__(self, sink: EventSink, arns: Arns) -> None:
        self._sink = sink
        self._arns = arns
        self._deliveries: set[asyncio.Task[None]] = set()
        self._closed = False

    def task_changed(self, task: Task) -> None:
        """Publish a task's new state."""
        detail = task_shape(task)
        for attachment in detail["attachments"]:
            attachment["type"] = "eni"  # so in events alone
        self._publish("ECS Task State Change", [task.arn], detail)

    def service_action(self, service: Service, action: ServiceAction) -> None:
        """Publish what became of a service."""
        detail = {
            "eventType": _SEVERITY[action],
            "eventName": action.value,
            "clusterArn": service.cluster.arn,
            "createdAt": now(),
        }
        self._publish("ECS Service Action", [service.arn], detail)

    def deployment_changed(self, service: Service, deployment: Deployment) -> None:
        """Publish how far a deployment is."""
        detail = {
            "eventType": "ERROR" if deployment.rollout is Rollout.FAILED else "INFO",
            "eventName": f"SERVICE_DEPLOYMENT_{deployment.rollout}",
            "deploymentId": deployment.id,
            "updatedAt": deployment.updated_at,
            "reason": deployment.reason,
        }
        self._publish("ECS Deployment State Change", [service.arn], detail)

    def _publish(self, kind: str, resources: Sequence[str], detail: Json) -> None:
        if self._closed:
            return
        event = {
            "version": "0",
            "id": new_uuid(),
            "detail-type": kind,
            "source": "aws.ecs",
            "account": self._arns.account,
            "time": now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._arns.region,
            "resources": list(resources),
            "detail": _with_iso_times(detail),
        }
        delivery = asyncio.get_running_loop().create_task(self._deliver(event))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._delivered)

    async def _deliver(self, event: Mapping[str, Any]) -> None:
        async with asyncio.timeout(_DELIVERY_TIMEOUT_S):
            await self._sink.publish(event)

    def _delivered(self, delivery: asyncio.Task[None]) -> None:
        self._deliveries.discard(delivery)
        if not delivery.cancelled() and (error := delivery.exception()) is not None:
            _log.warning("an event was not delivered: %s: %s", type(error).__name__, error)

    async def close(self) -> None:
        """Publish nothing any more, and drop what is under way."""
        self._closed = True
        for delivery in self._deliveries:
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)


def _with_iso_times(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _with_iso_times(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_iso_times(item) for item in value]
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    return value
