"""Operations on task scale-in protection (ECS developer guide, same title)."""

from datetime import datetime, timedelta

from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.errors import invalid_parameter
from redis_fargate.local.ecs.model import Cluster, Json, Service, Status, Task, now
from redis_fargate.local.ecs.store import present
from redis_fargate.local.ecs.tasks import task_arn

_MOST_UPDATED = 10
_MOST_GOT = 100
_DEFAULT_MINUTES = 120
_MINUTES = range(1, 2881)


async def update_task_protection(context: Context, request: Json) -> Json:
    """UpdateTaskProtection for up to 10 tasks of services; each call restarts the clock.

    Protecting more of a service's tasks than it desires fails with DEPLOYMENT_BLOCKED.
    """
    cluster = context.store.cluster(request["cluster"])
    references = request["tasks"]
    if not 1 <= len(references) <= _MOST_UPDATED:
        raise invalid_parameter("Tasks must have between 1 and 10 entries.")
    minutes = request.get("expiresInMinutes", _DEFAULT_MINUTES)
    if minutes not in _MINUTES:
        raise invalid_parameter(
            f"Invalid expiresInMinutes {minutes}: it must be between 1 and 2880."
        )
    enabled = request["protectionEnabled"]
    at = now()
    until = at + timedelta(minutes=minutes) if enabled else None
    protected, failures = [], []
    for reference in references:
        task, reason = _find(context, cluster, reference)
        if task is None or task.service is None:
            failures.append(_failure(context, cluster, reference, reason))
        elif enabled and _is_blocked(context, task.service, task, at):
            failures.append(_failure(context, cluster, reference, "DEPLOYMENT_BLOCKED"))
        else:
            task.protected_until = until
            context.keeper.wake(task.service)
            protected.append(_shape(task, at))
    return {"protectedTasks": protected, "failures": failures}


async def get_task_protection(context: Context, request: Json) -> Json:
    """GetTaskProtection of up to 100 tasks, or of all that belong to services."""
    cluster = context.store.cluster(request["cluster"])
    references = request.get("tasks", [])
    if len(references) > _MOST_GOT:
        raise invalid_parameter("Tasks must have no more than 100 entries.")
    at = now()
    if not references:
        owned = [
            task
            for task in context.store.tasks.values()
            if task.cluster is cluster and task.service is not None and task.live
        ]
        return {"protectedTasks": [_shape(task, at) for task in owned], "failures": []}
    tasks, failures = [], []
    for reference in references:
        task, reason = _find(context, cluster, reference)
        if task is None:
            failures.append(_failure(context, cluster, reference, reason))
        else:
            tasks.append(_shape(task, at))
    return {"protectedTasks": tasks, "failures": failures}


def _find(context: Context, cluster: Cluster, reference: str) -> tuple[Task | None, str]:
    """Find a task that can be protected, or why there is none."""
    task = context.store.task(cluster, reference)
    if task is None:
        return None, "MISSING"
    if task.service is None or task.status is Status.STOPPED:
        return None, "TASK_NOT_VALID"
    return task, ""


def _is_blocked(context: Context, service: Service, task: Task, at: datetime) -> bool:
    others = sum(
        other.live and other is not task and other.is_protected(at)
        for other in context.store.tasks_of(service)
    )
    return not task.is_protected(at) and others + 1 > service.desired


def _failure(context: Context, cluster: Cluster, reference: str, reason: str) -> Json:
    return {"arn": task_arn(context, cluster.name, reference), "reason": reason}


def _shape(task: Task, at: datetime) -> Json:
    protected = task.is_protected(at)
    return present(
        {
            "taskArn": task.arn,
            "protectionEnabled": protected,
            "expirationDate": task.protected_until if protected else None,
        }
    )
