"""Operations on clusters and on what they offer: the two capacity providers of Fargate."""

import re

from redis_fargate.local.ecs.arns import kind_of, last_part
from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.errors import EcsError, invalid_parameter
from redis_fargate.local.ecs.model import Cluster, Json, ServiceStatus, Status
from redis_fargate.local.ecs.paging import page
from redis_fargate.local.ecs.shapes import cluster_shape
from redis_fargate.local.ecs.store import DEFAULT_CLUSTER, tag_map

CAPACITY_PROVIDERS = ("FARGATE", "FARGATE_SPOT")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_DEFAULT_SETTINGS = {"containerInsights": "disabled"}
_ECHOED = ("configuration", "serviceConnectDefaults")
_EVERYTHING = ("CONFIGURATIONS", "SETTINGS", "TAGS")


def check_strategy(strategy: list[Json], offered: list[str]) -> None:
    """Check a capacity provider strategy against what the cluster offers.

    Raises:
        EcsError: InvalidParameterException.

    """
    for item in strategy:
        if item["capacityProvider"] not in offered:
            raise invalid_parameter(
                f"The specified capacity provider {item['capacityProvider']!r} was not found: the "
                f"cluster offers {', '.join(offered) or 'none'}. Associate it with "
                "PutClusterCapacityProviders first."
            )
    if strategy and all(item.get("weight", 0) == 0 for item in strategy):
        raise invalid_parameter(
            "The specified capacity provider strategy is not valid: at least one capacity "
            "provider needs a weight greater than zero."
        )
    if sum(item.get("base", 0) > 0 for item in strategy) > 1:
        raise invalid_parameter("Only one capacity provider in a strategy can have a base.")


async def create_cluster(context: Context, request: Json) -> Json:
    """CreateCluster; a cluster that exists already is answered as it is."""
    name = request.get("clusterName", DEFAULT_CLUSTER)
    if not _NAME.fullmatch(name):
        raise invalid_parameter(
            "Invalid identifier: Identifier is for cluster name, which may have up to 255 letters, "
            "numbers, hyphens and underscores."
        )
    cluster = context.store.clusters.get(name)
    if cluster is None or not cluster.active:
        providers = request.get("capacityProviders", [])
        strategy = request.get("defaultCapacityProviderStrategy", [])
        _check_providers(providers)
        check_strategy(strategy, providers)
        cluster = Cluster(
            name=name,
            arn=context.arns.make("cluster", name),
            settings=_merged_settings([], request.get("settings", [])),
            echoed={member: request[member] for member in _ECHOED if member in request},
            capacity_providers=providers,
            default_strategy=_filled(strategy),
            tags=tag_map(request.get("tags", [])),
        )
        context.store.clusters[name] = cluster
    return {"cluster": cluster_shape(cluster, context.store, _EVERYTHING)}


async def describe_clusters(context: Context, request: Json) -> Json:
    """DescribeClusters; deleted clusters are shown as INACTIVE."""
    clusters, failures = [], []
    for reference in request.get("clusters") or [DEFAULT_CLUSTER]:
        cluster = context.store.clusters.get(last_part(reference))
        if cluster is None or (kind_of(reference) and cluster.arn != reference):
            arn = reference if kind_of(reference) else context.arns.make("cluster", reference)
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            include = request.get("include", [])
            clusters.append(cluster_shape(cluster, context.store, include))
    return {"clusters": clusters, "failures": failures}


async def list_clusters(context: Context, request: Json) -> Json:
    """ListClusters."""
    arns = sorted(cluster.arn for cluster in context.store.clusters.values() if cluster.active)
    return page(arns, request, "clusterArns")


async def delete_cluster(context: Context, request: Json) -> Json:
    """DeleteCluster; refused while it has services or tasks."""
    store = context.store
    cluster = store.cluster(request["cluster"])
    if any(
        service.cluster is cluster and service.status is not ServiceStatus.INACTIVE
        for service in store.services.values()
    ):
        raise EcsError(
            "ClusterContainsServicesException",
            "The Cluster cannot be deleted while Services are active.",
        )
    if any(
        task.cluster is cluster and task.status is not Status.STOPPED
        for task in store.tasks.values()
    ):
        raise EcsError(
            "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
        )
    cluster.active = False
    return {"cluster": cluster_shape(cluster, store, _EVERYTHING)}


async def update_cluster(context: Context, request: Json) -> Json:
    """UpdateCluster, and UpdateClusterSettings, which is a part of it."""
    cluster = context.store.cluster(request["cluster"])
    cluster.settings = _merged_settings(cluster.settings, request.get("settings", []))
    cluster.echoed |= {member: request[member] for member in _ECHOED if member in request}
    return {"cluster": cluster_shape(cluster, context.store, _EVERYTHING)}


async def put_cluster_capacity_providers(context: Context, request: Json) -> Json:
    """PutClusterCapacityProviders."""
    cluster = context.store.cluster(request["cluster"])
    providers = request["capacityProviders"]
    strategy = request["defaultCapacityProviderStrategy"]
    _check_providers(providers)
    check_strategy(strategy, providers)
    in_use = {
        item["capacityProvider"]
        for service in context.store.services_in(cluster)
        for item in service.primary.placement.strategy
    }
    if missing := in_use - set(providers):
        raise EcsError(
            "ResourceInUseException",
            "The specified capacity provider is in use and cannot be removed: "
            f"{', '.join(sorted(missing))}.",
        )
    cluster.capacity_providers = providers
    cluster.default_strategy = _filled(strategy)
    return {"cluster": cluster_shape(cluster, context.store, _EVERYTHING)}


async def describe_capacity_providers(context: Context, request: Json) -> Json:
    """DescribeCapacityProviders: Fargate's two, which every account has."""
    wanted = request.get("capacityProviders") or list(CAPACITY_PROVIDERS)
    known = {last_part(name): name for name in wanted}
    providers = [
        {
            "capacityProviderArn": context.arns.make("capacity-provider", name),
            "name": name,
            "status": "ACTIVE",
            "type": name,
            "tags": [],
        }
        for name in CAPACITY_PROVIDERS
        if name in known
    ]
    failures = [
        {"arn": context.arns.make("capacity-provider", name), "reason": "MISSING"}
        for name in known
        if name not in CAPACITY_PROVIDERS
    ]
    return {"capacityProviders": providers, "failures": failures}


def _check_providers(providers: list[str]) -> None:
    unknown = [name for name in providers if name not in CAPACITY_PROVIDERS]
    if unknown:
        raise invalid_parameter(
            f"The specified capacity provider was not found: {', '.join(unknown)}. There are "
            f"{' and '.join(CAPACITY_PROVIDERS)}."
        )


def _merged_settings(old: list[Json], new: list[Json]) -> list[Json]:
    settings = dict(_DEFAULT_SETTINGS)
    settings |= {item["name"]: item["value"] for item in [*old, *new]}
    return [{"name": name, "value": value} for name, value in settings.items()]


def _filled(strategy: list[Json]) -> list[Json]:
    return [{"weight": 0, "base": 0, **item} for item in strategy]
