"""Where tasks may run, as CreateService, UpdateService and RunTask say it."""

from redis_fargate.local.ecs import fargate
from redis_fargate.local.ecs.clusters import check_strategy
from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.errors import EcsError, invalid_parameter
from redis_fargate.local.ecs.model import Cluster, Definition, Json, Placement
from redis_fargate.local.errors import InvalidSubnet

LATEST_PLATFORM = "1.4.0"

_PLATFORMS = {"LATEST": LATEST_PLATFORM, LATEST_PLATFORM: LATEST_PLATFORM, "1.3.0": "1.3.0"}
_MOST_SUBNETS = 16


async def read_placement(
    context: Context, cluster: Cluster, definition: Definition, request: Json
) -> Placement:
    """Read the members that say where and how tasks run, and find the subnets' zones.

    Raises:
        EcsError: they contradict each other, the task definition, or what there is.

    """
    launch_type = request.get("launchType")
    strategy = request.get("capacityProviderStrategy") or []
    if launch_type is not None and strategy:
        raise invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. "
            "Remove one and try again."
        )
    if launch_type is None and not strategy:
        strategy = cluster.default_strategy
    if strategy:
        check_strategy(strategy, cluster.capacity_providers)
    elif launch_type != "FARGATE":
        raise invalid_parameter(
            f"The launch type is {launch_type or 'EC2 (the default)'}, and no container instances "
            "were found in your cluster. Set launchType to FARGATE, or a capacity provider "
            "strategy."
        )
    if "FARGATE" not in definition.data["compatibilities"]:
        raise invalid_parameter("Task definition does not support launch_type FARGATE.")
    platform = _platform(request.get("platformVersion", "LATEST"), definition)
    network = request.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if network is None:
        raise invalid_parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    subnets = network["subnets"]
    if not 1 <= len(subnets) <= _MOST_SUBNETS:
        raise invalid_parameter("subnets can not be empty, nor more than 16.")
    try:
        zones = await context.subnets.zones(subnets)
    except InvalidSubnet as error:
        raise invalid_parameter(
            f"Error retrieving subnet information for {subnets}: {error}"
        ) from error
    return Placement(
        zones=dict(zones),
        network={
            "awsvpcConfiguration": {"securityGroups": [], "assignPublicIp": "DISABLED", **network}
        },
        launch_type=None if strategy else "FARGATE",
        strategy=tuple({"weight": 0, "base": 0, **item} for item in strategy),
        platform_version=platform,
        requested_platform=request.get("platformVersion", "LATEST"),
    )


def _platform(version: str, definition: Definition) -> str:
    if version not in _PLATFORMS:
        raise EcsError(
            "PlatformUnknownException",
            f"The specified platform version does not exist: {version}.",
        )
    platform = _PLATFORMS[version]
    if platform != LATEST_PLATFORM and int(definition.data["cpu"]) >= fargate.LARGE_CPU:
        raise EcsError(
            "PlatformTaskDefinitionIncompatibilityException",
            f"A task of {definition.data['cpu']} CPU units needs platform version "
            f"{LATEST_PLATFORM} or later.",
        )
    return platform
