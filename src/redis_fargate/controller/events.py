"""What starts a run: the event shapes that the controller takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from redis_fargate.controller.settings import Settings
from redis_fargate.topology.errors import PermanentError


class InvalidEvent(PermanentError):
    """Nothing that the controller knows what to do about."""


class Trigger(Enum):
    """Where an event comes from."""

    TASK = "ECS Task State Change"
    SERVICE = "ECS Service Action"
    DEPLOYMENT = "ECS Deployment State Change"
    SCHEDULE = "Scheduled Event"
    DIRECT = "direct invocation"


class Action(Enum):
    """What is to be done."""

    RECONCILE = "reconcile"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Request:
    """An event, understood."""

    trigger: Trigger
    action: Action = Action.RECONCILE
    dry_run: bool = False
    until_healthy: bool = False
    """Whether to go on until the cluster is healthy, and to fail if it does not become so."""
    fast: bool = False
    """Whether slots are moved as fast as it goes, however long clients wait."""
    foreign: str = ""
    """Why the event is none of this controller's business; empty if it is."""


def understood(event: Mapping[str, Any], settings: Settings) -> Request:
    """Read an event of EventBridge, or a direct invocation.

    The latter is ``{"action": "reconcile"}`` or ``{"action": "status"}``; to ``reconcile`` either
    ``"dry_run": true`` or ``"until": "healthy"`` may be added, and ``"fast": true``.

    Raises:
        InvalidEvent: it is neither; says what is taken.

    """
    if "action" in event:
        return _direct(event)
    try:
        trigger = Trigger(event.get("detail-type"))
    except ValueError:
        trigger = Trigger.DIRECT
    source = "aws.events" if trigger is Trigger.SCHEDULE else "aws.ecs"
    if trigger is Trigger.DIRECT or event.get("source") != source:
        raise InvalidEvent(
            f"An event of source {event.get('source')!r} and detail-type "
            f"{event.get('detail-type')!r} is not understood: send an ECS task, service or "
            'deployment event, a scheduled event, or {"action": "reconcile"} or '
            '{"action": "status"}, with "dry_run": true to see the plan only.'
        )
    return Request(trigger, foreign=_foreign(trigger, event, settings))


def _direct(event: Mapping[str, Any]) -> Request:
    try:
        action = Action(event["action"])
    except ValueError:
        raise InvalidEvent(
            f'The action {event["action"]!r} is not known: use "reconcile" or "status".'
        ) from None
    dry_run, fast = _flag(event, "dry_run"), _flag(event, "fast")
    until = event.get("until")
    if until is not None and until != "healthy":
        raise InvalidEvent(f'until is {until!r}: use "healthy", or leave it out.')
    if until and (dry_run or action is not Action.RECONCILE):
        raise InvalidEvent(
            f'until is {until!r}, and nothing is to be done: use it with the action "reconcile", '
            "without dry_run."
        )
    if fast and action is not Action.RECONCILE:
        raise InvalidEvent('fast is true, and nothing is to be moved: use it with "reconcile".')
    return Request(Trigger.DIRECT, action, dry_run, until_healthy=until is not None, fast=fast)


def _flag(event: Mapping[str, Any], name: str) -> bool:
    value = event.get(name, False)
    if not isinstance(value, bool):
        raise InvalidEvent(f"{name} is {value!r}: use true or false.")
    return value


def _foreign(trigger: Trigger, event: Mapping[str, Any], settings: Settings) -> str:
    detail = event.get("detail", {})
    if trigger is Trigger.TASK:
        group = detail.get("group")
        if group != f"service:{settings.ecs_service}":
            return f"The event's task is of {group}, not of service:{settings.ecs_service}."
    elif trigger in {Trigger.SERVICE, Trigger.DEPLOYMENT}:
        services = event.get("resources", [])
        if not any(_is_service(arn, settings) for arn in services):
            return f"The event is about {', '.join(services)}, not {settings.ecs_service}."
    cluster = detail.get("clusterArn")  # a deployment event has none
    if cluster and not _is_cluster(cluster, settings):
        return f"The event is about cluster {cluster}, not {settings.ecs_cluster}."
    return ""


def _is_service(arn: str, settings: Settings) -> bool:
    """Whether an ARN (``…:service/CLUSTER/NAME``, formerly ``…:service/NAME``) is our service's."""
    cluster, _, name = arn.rpartition(":service/")[2].rpartition("/")
    return name == settings.ecs_service and cluster in {"", _name(settings.ecs_cluster)}


def _is_cluster(arn: str, settings: Settings) -> bool:
    if settings.ecs_cluster.startswith("arn:"):
        return arn == settings.ecs_cluster
    return _name(arn) == settings.ecs_cluster


def _name(arn_or_name: str) -> str:
    return arn_or_name.rpartition("/")[2]
