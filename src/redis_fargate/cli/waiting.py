"""Waits until a local cluster is as it is wanted."""

import time
from typing import TYPE_CHECKING

from redis_fargate.aws.errors import translated
from redis_fargate.cli.output import Progress
from redis_fargate.cli.render import remarks, verdict
from redis_fargate.controller.result import Result
from redis_fargate.local.blueprint import SERVICE
from redis_fargate.local.errors import StartFailed
from redis_fargate.topology.health import Health
from redis_fargate.topology.view import Marker

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecs import ECSClient

    from redis_fargate.cli.local_cloud import LocalCloud

_BASE_S = 60
_PER_TASK_S = 2
_POLL_S = 0.05
_STATUS_POLL_S = 0.25


def await_as_wanted(
    cloud: "LocalCloud", task_count: int, tell: Progress, check: "Callable[[], None]"
) -> Result:
    """Wait until the controller has formed the cluster, and all of it is well.

    ``check`` is called now and then, to raise when waiting has become pointless.

    Raises:
        StartFailed: it is not so in time; the message is what the controller says of it.

    """
    deadline = time.monotonic() + _BASE_S + _PER_TASK_S * task_count
    while not _formed(cloud):
        check()
        running = _running_count(cloud)
        tell(
            f"Starting tasks: {running} of {task_count} run …"
            if running < task_count
            else f"The controller forms a cluster of {task_count} nodes …"
        )
        if time.monotonic() > deadline:
            raise _too_late(cloud.status())
        time.sleep(_POLL_S)
    tell(f"Waiting until {task_count} nodes are well …")
    while (result := cloud.status()).health is not Health.OK or _size(result) != task_count:
        check()
        tell(verdict(result))
        if time.monotonic() > deadline:
            raise _too_late(result)
        time.sleep(_STATUS_POLL_S)
    return result


def _formed(cloud: "LocalCloud") -> bool:
    """Look into the state table, which is cheaper than to let the controller look."""
    dynamodb: DynamoDBClient = cloud.clients.client("dynamodb")
    table = f"{cloud.record.cluster_name}-state"
    with translated("dynamodb", f"table {table}"):
        marker = dynamodb.get_item(
            TableName=table,
            Key={"kind": {"S": "marker"}, "id": {"S": "marker"}},
            ConsistentRead=True,
        )
    return marker.get("Item", {}).get("state", {}).get("S") == Marker.FORMED.value


def _running_count(cloud: "LocalCloud") -> int:
    ecs: ECSClient = cloud.clients.client("ecs")
    with translated("ecs", f"service {SERVICE}"):
        services = ecs.describe_services(cluster=cloud.record.cluster_name, services=[SERVICE])
    return services["services"][0]["runningCount"]


def _size(result: Result) -> int:
    return sum(bool(shard.master) + len(shard.replicas) for shard in result.shards)


def _too_late(result: Result) -> StartFailed:
    details = "".join(f"\n  {line}" for line in remarks(result))
    return StartFailed(f"The cluster is not as it is wanted. {verdict(result)}{details}")
