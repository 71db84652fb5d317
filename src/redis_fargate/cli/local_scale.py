"""``redis-fargate local scale``."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from redis_fargate.aws.errors import translated
from redis_fargate.cli.local_cloud import LocalCloud, local_cloud, print_cluster
from redis_fargate.cli.options import Json
from redis_fargate.cli.output import progress
from redis_fargate.cli.waiting import await_as_wanted
from redis_fargate.local.blueprint import SERVICE
from redis_fargate.local.errors import InvalidOption, StartFailed
from redis_fargate.topology.spec import Spec

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecs import ECSClient

_QUIET_TIMEOUT_S = 60


def scale(
    replicas: Annotated[int, typer.Option(help="Replicas in total, not per master.")],
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Add replicas to the local cluster, and wait until they have joined.

    \b
    Example:
      redis-fargate local scale --replicas 6
    """  # noqa: D301 - click's sign for lines that are not to be joined
    with local_cloud() as cloud, progress() as tell:
        tell("Looking at the cluster …")
        spec, count = _wanted(cloud, replicas)
        await_as_wanted(cloud, count, tell, lambda: None)
        _await_quiet(cloud)
        tell(f"Asking for {spec.task_count} tasks …")
        _want(cloud, spec)
        result = await_as_wanted(cloud, spec.task_count, tell, lambda: None)
    print_cluster(cloud, result, as_json=as_json)


def _wanted(cloud: LocalCloud, replicas: int) -> tuple[Spec, int]:
    """Give what is wanted now, and how many tasks were wanted before."""
    variables = _variables(cloud)
    known = Spec(int(variables["MASTER_COUNT"]), int(variables["REPLICA_COUNT"]))
    if replicas < known.replica_count:
        raise InvalidOption(
            f"--replicas is {replicas}, and the cluster has {known.replica_count}: it can be given "
            "more, not fewer. ECS chooses which tasks a scale-in stops, and could choose masters."
        )
    return Spec(known.master_count, replicas), known.task_count


def _await_quiet(cloud: LocalCloud) -> None:
    """Wait until no run of the controller holds the lease.

    The endpoint ends a function's process when its configuration changes, as AWS does not: a run
    that ended so would keep its lease, and all others out, for minutes.
    """
    table = f"{cloud.record.cluster_name}-state"
    tables: DynamoDBClient = cloud.clients.client("dynamodb")
    lease = {"kind": {"S": "lease"}, "id": {"S": "lease"}}
    deadline = time.monotonic() + _QUIET_TIMEOUT_S
    with translated("dynamodb", f"table {table}"):
        while "owner" in tables.get_item(TableName=table, Key=lease, ConsistentRead=True)["Item"]:
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"The controller has been at work for {_QUIET_TIMEOUT_S} s, and must not be "
                    "disturbed: try again later."
                )
            time.sleep(0.05)


def _want(cloud: LocalCloud, spec: Spec) -> None:
    """Tell the controller first: it judges the tasks that come by what is wanted."""
    variables = _variables(cloud) | {"REPLICA_COUNT": str(spec.replica_count)}
    with translated("lambda", f"function {cloud.function_name}"):
        cloud.clients.functions.update_function_configuration(
            FunctionName=cloud.function_name, Environment={"Variables": variables}
        )
    ecs: ECSClient = cloud.clients.client("ecs")
    with translated("ecs", f"service {SERVICE}"):
        ecs.update_service(
            cluster=cloud.record.cluster_name, service=SERVICE, desiredCount=spec.task_count
        )


def _variables(cloud: LocalCloud) -> dict[str, str]:
    with translated("lambda", f"function {cloud.function_name}"):
        function = cloud.clients.functions.get_function_configuration(
            FunctionName=cloud.function_name
        )
    return function["Environment"]["Variables"]
