"""Operations that look at a service's deployments, present and past."""

from collections.abc import Iterator
from datetime import datetime

from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.errors import invalid_parameter
from redis_fargate.local.ecs.model import Deployment, Json, Rollout, Service
from redis_fargate.local.ecs.paging import page
from redis_fargate.local.ecs.rollouts import breaker_of, threshold_of
from redis_fargate.local.ecs.shapes import (
    deployment_counts,
    revision_arn,
    service_deployment_arn,
)
from redis_fargate.local.ecs.store import present

_MOST_DESCRIBED = 20


async def list_service_deployments(context: Context, request: Json) -> Json:
    """ListServiceDeployments, the newest first."""
    store = context.store
    service = store.service(store.cluster(request.get("cluster")), request["service"])
    statuses = request.get("status", [])
    briefs = [
        _brief(context, service, deployment)
        for deployment in reversed(service.history)
        if _within(deployment.created_at, request.get("createdAt", {}))
    ]
    found = {
        brief["serviceDeploymentArn"]: brief
        for brief in briefs
        if not statuses or brief["status"] in statuses
    }
    answer = page(list(found), request, "serviceDeployments")
    answer["serviceDeployments"] = [found[arn] for arn in answer["serviceDeployments"]]
    return answer


async def describe_service_deployments(context: Context, request: Json) -> Json:
    """DescribeServiceDeployments."""
    found, failures = [], []
    wanted = _wanted(request["serviceDeploymentArns"])
    known = {
        service_deployment_arn(deployment, service, context.arns): (service, deployment)
        for service, deployment in _all(context)
    }
    for arn in wanted:
        if arn in known:
            found.append(_full(context, *known[arn]))
        else:
            failures.append({"arn": arn, "reason": "MISSING"})
    return {"serviceDeployments": found, "failures": failures}


async def describe_service_revisions(context: Context, request: Json) -> Json:
    """DescribeServiceRevisions."""
    found, failures = [], []
    known = {
        revision_arn(deployment, service, context.arns): (service, deployment)
        for service, deployment in _all(context)
    }
    for arn in _wanted(request["serviceRevisionArns"]):
        if arn not in known:
            failures.append({"arn": arn, "reason": "MISSING"})
            continue
        service, deployment = known[arn]
        placement = deployment.placement
        revision = {
            "serviceRevisionArn": arn,
            "serviceArn": service.arn,
            "clusterArn": service.cluster.arn,
            "taskDefinition": deployment.definition.arn,
            "launchType": placement.launch_type,
            "capacityProviderStrategy": list(placement.strategy) or None,
            "platformVersion": placement.platform_version,
            "platformFamily": "Linux",
            "serviceRegistries": service.settings["serviceRegistries"],
            "networkConfiguration": placement.network,
            "containerImages": [
                {"containerName": item["name"], "image": item["image"]}
                for item in deployment.definition.containers
            ],
            "createdAt": deployment.created_at,
        }
        found.append(present(revision))
    return {"serviceRevisions": found, "failures": failures}


def _all(context: Context) -> Iterator[tuple[Service, Deployment]]:
    for service in context.store.services.values():
        for deployment in service.history:
            yield service, deployment


def _wanted(arns: list[str]) -> list[str]:
    if not 1 <= len(arns) <= _MOST_DESCRIBED:
        raise invalid_parameter("Between 1 and 20 ARNs can be described at once.")
    return arns


def _within(at: datetime, created: Json) -> bool:
    after, before = created.get("after"), created.get("before")
    seconds = at.timestamp()
    return (after is None or seconds > after) and (before is None or seconds < before)


def _status(service: Service, deployment: Deployment) -> str:
    if deployment.rolled_back_at is not None:
        good = service.last_completed
        done = good is not None and good.rollout is Rollout.COMPLETED
        return "ROLLBACK_SUCCESSFUL" if done else "ROLLBACK_IN_PROGRESS"
    if deployment.rollout is Rollout.IN_PROGRESS:
        # Another deployment took over before this one was complete.
        return "IN_PROGRESS" if deployment is service.primary else "STOPPED"
    return "SUCCESSFUL" if deployment.rollout is Rollout.COMPLETED else "STOPPED"


def _brief(context: Context, service: Service, deployment: Deployment) -> Json:
    return present(
        {
            "serviceDeploymentArn": service_deployment_arn(deployment, service, context.arns),
            "serviceArn": service.arn,
            "clusterArn": service.cluster.arn,
            "startedAt": deployment.created_at,
            "createdAt": deployment.created_at,
            "finishedAt": deployment.finished_at,
            "targetServiceRevisionArn": revision_arn(deployment, service, context.arns),
            "status": _status(service, deployment),
            "statusReason": deployment.reason,
        }
    )


def _full(context: Context, service: Service, deployment: Deployment) -> Json:
    brief = _brief(context, service, deployment)
    del brief["targetServiceRevisionArn"]
    former = deployment.predecessor
    breaker = breaker_of(service)
    enabled = bool(breaker.get("enable"))
    monitoring = (
        "MONITORING" if deployment.rollout is Rollout.IN_PROGRESS else "MONITORING_COMPLETE"
    )
    if deployment.rollout is Rollout.FAILED:
        monitoring = "TRIGGERED"
    good = service.last_completed
    rollback = (
        {
            "reason": deployment.reason,
            "startedAt": deployment.rolled_back_at,
            "serviceRevisionArn": revision_arn(good, service, context.arns),
        }
        if deployment.rolled_back_at is not None and good is not None
        else None
    )
    return present(
        {
            **brief,
            "updatedAt": deployment.updated_at,
            "sourceServiceRevisions": [_summary(context, service, former)] if former else [],
            "targetServiceRevision": _summary(context, service, deployment),
            "deploymentConfiguration": service.settings["deploymentConfiguration"],
            "rollback": rollback,
            "deploymentCircuitBreaker": {
                "status": monitoring if enabled else "DISABLED",
                "failureCount": deployment.failed_tasks,
                "threshold": threshold_of(service),
            },
        }
    )


def _summary(context: Context, service: Service, deployment: Deployment) -> Json:
    counts = deployment_counts(deployment, context.store.tasks_of(service))
    return {
        "arn": revision_arn(deployment, service, context.arns),
        "requestedTaskCount": deployment.desired,
        "runningTaskCount": counts["runningCount"],
        "pendingTaskCount": counts["pendingCount"],
    }
