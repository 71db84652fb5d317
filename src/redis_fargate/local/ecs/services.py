"""Operations on services."""

import re

from redis_fargate.local.ecs.arns import kind_of
from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.errors import EcsError, client_error, invalid_parameter
from redis_fargate.local.ecs.model import Json, Placement, Service, ServiceStatus, now
from redis_fargate.local.ecs.paging import page
from redis_fargate.local.ecs.placement import read_placement
from redis_fargate.local.ecs.shapes import service_shape
from redis_fargate.local.ecs.store import tag_map

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_LIST_SIZE = 10
_MOST_DESCRIBED = 10
_MOST_DEPLOYMENTS = 5
_MOST_DESIRED = 5000
_FULL_PERCENT = 100

_PLACEMENT = (
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "networkConfiguration",
)
"""Members that make a placement; the deployments hold it, not the settings."""

_NOT_SETTINGS = frozenset(
    {
        *_PLACEMENT,
        "clientToken",
        "cluster",
        "desiredCount",
        "forceNewDeployment",
        "role",
        "service",
        "serviceName",
        "tags",
        "taskDefinition",
    }
)
_DEPLOYED = (
    "serviceRegistries",
    "loadBalancers",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "propagateTags",
    "enableECSManagedTags",
)
"""Settings that only new tasks can have: changing one begins a deployment."""

_DEFAULTS: Json = {
    "loadBalancers": [],
    "serviceRegistries": [],
    "placementConstraints": [],
    "placementStrategy": [],
    "healthCheckGracePeriodSeconds": 0,
    "schedulingStrategy": "REPLICA",
    "deploymentController": {"type": "ECS"},
    "enableECSManagedTags": False,
    "propagateTags": "NONE",
    "enableExecuteCommand": False,
    "resourceManagementType": "CUSTOMER",
}
_DEPLOYMENT_DEFAULTS: Json = {
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "ROLLING",
    "bakeTimeInMinutes": 0,
}


async def create_service(context: Context, request: Json) -> Json:
    """CreateService."""
    store = context.store
    cluster = store.cluster(request.get("cluster"))
    name = request["serviceName"]
    if not _NAME.fullmatch(name):
        raise invalid_parameter(
            "Invalid service name: up to 255 letters, numbers, hyphens and underscores are allowed."
        )
    settings = _settings({}, request)
    desired = _desired(request)
    if "taskDefinition" not in request:
        raise invalid_parameter("TaskDefinition can not be blank.")
    definition = store.definition_to_run(request["taskDefinition"])
    placement = await read_placement(context, cluster, definition, request)
    token = request.get("clientToken")
    former = store.find_service(cluster, name)
    if former is not None and former.status is ServiceStatus.ACTIVE:
        if token is not None and former.client_token == token:
            return {"service": service_shape(former, store, context.arns, ["TAGS"])}
        raise invalid_parameter("Creation of service was not idempotent.")
    if former is not None and former.status is ServiceStatus.DRAINING:
        raise invalid_parameter("Unable to Start a service that is still Draining.")
    service = Service(
        name=name,
        arn=context.arns.make("service", cluster.name, name),
        cluster=cluster,
        desired=desired,
        settings=settings,
        created_at=now(),
        tags=tag_map(request.get("tags", [])),
        client_token=token,
    )
    store.services[service.arn] = service
    context.rollouts.begin(service, definition, placement)
    context.keeper.wake(service)
    return {"service": service_shape(service, store, context.arns, ["TAGS"])}


async def update_service(context: Context, request: Json) -> Json:
    """UpdateService; what only new tasks can have begins a deployment."""
    store = context.store
    cluster = store.cluster(request.get("cluster"))
    service = store.find_service(cluster, request["service"])
    if service is None:
        raise EcsError("ServiceNotFoundException", "Service not found.")
    if service.status is not ServiceStatus.ACTIVE:
        raise EcsError("ServiceNotActiveException", "Service was not ACTIVE.")
    settings = _settings(service.settings, request)
    desired = _desired({"desiredCount": service.desired, **request})
    primary = service.primary
    definition = primary.definition
    if "taskDefinition" in request:
        definition = store.definition_to_run(request["taskDefinition"])
    placement = primary.placement
    if any(member in request for member in _PLACEMENT):
        wanted = {**_placement_members(placement), **request}
        if "capacityProviderStrategy" in request:
            wanted.pop("launchType", None)
            if not request["capacityProviderStrategy"]:
                wanted["launchType"] = "FARGATE"
        placement = await read_placement(context, cluster, definition, wanted)
    deploys = (
        bool(request.get("forceNewDeployment"))
        or definition is not primary.definition
        or placement != primary.placement
        or any(settings.get(name) != service.settings.get(name) for name in _DEPLOYED)
    )
    if deploys and len(service.deployments) >= _MOST_DEPLOYMENTS:
        raise client_error(
            f"{len(service.deployments)} active deployments exist, unable to create new deployment."
        )
    service.settings = settings
    service.desired = desired
    service.steady = False
    if deploys:
        context.rollouts.begin(service, definition, placement)
    context.keeper.wake(service)
    return {"service": service_shape(service, store, context.arns, ["TAGS"])}


async def describe_services(context: Context, request: Json) -> Json:
    """DescribeServices, those that drain or are gone too."""
    store = context.store
    cluster = store.cluster(request.get("cluster"))
    references = request["services"]
    if not 1 <= len(references) <= _MOST_DESCRIBED:
        raise invalid_parameter("Services must have between 1 and 10 entries.")
    services, failures = [], []
    for reference in references:
        service = store.find_service(cluster, reference)
        if service is None:
            arn = (
                reference
                if kind_of(reference)
                else context.arns.make("service", cluster.name, reference)
            )
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            include = request.get("include", [])
            services.append(service_shape(service, store, context.arns, include))
    return {"services": services, "failures": failures}


async def list_services(context: Context, request: Json) -> Json:
    """ListServices: the active ones of a cluster."""
    cluster = context.store.cluster(request.get("cluster"))
    launch_type = request.get("launchType")
    arns = sorted(
        service.arn
        for service in context.store.services_in(cluster)
        if launch_type in {None, service.primary.placement.launch_type}
        and request.get("schedulingStrategy", "REPLICA") == service.settings["schedulingStrategy"]
        and request.get("resourceManagementType", "CUSTOMER") == "CUSTOMER"
    )
    return page(arns, request, "serviceArns", size=_LIST_SIZE)


async def delete_service(context: Context, request: Json) -> Json:
    """DeleteService: DRAINING while its tasks stop, then INACTIVE."""
    store = context.store
    service = store.service(store.cluster(request.get("cluster")), request["service"])
    if service.desired > 0 and not request.get("force") and service.status is ServiceStatus.ACTIVE:
        raise invalid_parameter(
            "The service cannot be stopped while it is scaled above 0. Set its desiredCount to 0 "
            "first, or use force."
        )
    service.status = ServiceStatus.DRAINING
    service.desired = 0
    context.keeper.wake(service)
    return {"service": service_shape(service, store, context.arns, ["TAGS"])}


def _settings(former: Json, request: Json) -> Json:
    """Join what was set before with what the request sets."""
    given = {name: value for name, value in request.items() if name not in _NOT_SETTINGS}
    settings = {**_DEFAULTS, **former, **given}
    rolling = {
        **_DEPLOYMENT_DEFAULTS,
        **former.get("deploymentConfiguration", {}),
        **given.get("deploymentConfiguration", {}),
    }
    settings["deploymentConfiguration"] = rolling
    _check_settings(settings, rolling)
    roomy = rolling["maximumPercent"] > _FULL_PERCENT
    if settings.get("availabilityZoneRebalancing") == "ENABLED" and not roomy:
        raise invalid_parameter(
            "Availability Zone rebalancing needs a maximumPercent above 100: it starts a task in "
            "another zone before it stops one."
        )
    settings.setdefault("availabilityZoneRebalancing", "ENABLED" if roomy else "DISABLED")
    return settings


def _check_settings(settings: Json, rolling: Json) -> None:
    if settings["schedulingStrategy"] != "REPLICA":
        raise invalid_parameter(
            "The daemon scheduling strategy is not supported for the Fargate launch type."
        )
    if settings["deploymentController"]["type"] != "ECS" or rolling["strategy"] != "ROLLING":
        raise EcsError(
            "UnsupportedFeatureException",
            "The local ECS does rolling deployments alone: deploymentController ECS, "
            "strategy ROLLING.",
        )
    least, most = rolling["minimumHealthyPercent"], rolling["maximumPercent"]
    if not 0 <= least <= _FULL_PERCENT <= most:
        raise invalid_parameter(
            "Invalid deployment configuration: minimumHealthyPercent must be 0 to 100 and "
            f"maximumPercent at least 100, not {least} and {most}."
        )
    if len(settings["serviceRegistries"]) > 1:
        raise invalid_parameter("A service can have at most one service registry.")
    if any(not registry.get("registryArn") for registry in settings["serviceRegistries"]):
        raise invalid_parameter("registryArn can not be blank.")
    if settings["loadBalancers"]:
        raise EcsError("UnsupportedFeatureException", "The local ECS has no load balancers.")


def _desired(request: Json) -> int:
    desired = request.get("desiredCount")
    if desired is None:
        raise invalid_parameter("DesiredCount can not be blank for the REPLICA strategy.")
    if not 0 <= desired <= _MOST_DESIRED:
        raise invalid_parameter(f"Invalid desiredCount {desired}: it must be 0 to {_MOST_DESIRED}.")
    return int(desired)


def _placement_members(placement: Placement) -> Json:
    """Write a placement as the request that it came from."""
    members: Json = {
        "platformVersion": placement.requested_platform,
        "networkConfiguration": placement.network,
    }
    if placement.strategy:
        members["capacityProviderStrategy"] = list(placement.strategy)
    else:
        members["launchType"] = placement.launch_type
    return members
