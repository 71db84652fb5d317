"""``redis-fargate local stop-task``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from redis_fargate.aws.errors import translated
from redis_fargate.cli.local_cloud import LocalCloud, local_cloud
from redis_fargate.cli.options import Json
from redis_fargate.cli.output import print_json, print_line
from redis_fargate.local.blueprint import SERVICE
from redis_fargate.local.errors import NoSuchTask

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import TaskTypeDef

_PAGE = 100


def stop_task(
    task: Annotated[
        str, typer.Argument(help="A task's id, the unique beginning of one, or its address.")
    ],
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Stop a task of the local cluster; ECS starts another in its place.

    \b
    Example:
      redis-fargate local stop-task 127.16.1.1
    """  # noqa: D301 - click's sign for lines that are not to be joined
    with local_cloud() as cloud:
        ecs: ECSClient = cloud.clients.client("ecs")
        arn = find_task(running_tasks(cloud), task)
        with translated("ecs", f"task {arn}"):
            ecs.stop_task(
                cluster=cloud.record.cluster_name, task=arn, reason="redis-fargate local stop-task"
            )
    if as_json:
        print_json({"task": arn})
    else:
        print_line(f"Stopping task {id_of(arn)}; ECS starts another in its place.")


def running_tasks(cloud: LocalCloud) -> list["TaskTypeDef"]:
    """List the service's tasks that are wanted to run."""
    ecs: ECSClient = cloud.clients.client("ecs")
    cluster = cloud.record.cluster_name
    with translated("ecs", f"service {SERVICE}"):
        pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, serviceName=SERVICE)
        arns = [arn for page in pages for arn in page["taskArns"]]
        return [
            task
            for start in range(0, len(arns), _PAGE)
            for task in ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + _PAGE])[
                "tasks"
            ]
        ]


def find_task(tasks: Sequence["TaskTypeDef"], named: str) -> str:
    """Find the one task that an id, the beginning of one, or an address names; its ARN.

    Raises:
        NoSuchTask: none or several.

    """
    found = [
        task["taskArn"]
        for task in tasks
        if named in (task["taskArn"], address_of(task))
        or (named and id_of(task["taskArn"]).startswith(named))
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{id_of(task['taskArn'])} ({address_of(task)})" for task in tasks)
    problem = f"{len(found)} tasks begin with" if found else "No task is"
    raise NoSuchTask(f"{problem} {named!r}. There are: {known or 'none'}.")


def id_of(arn: str) -> str:
    """Give the task's id."""
    return arn.rpartition("/")[2]


def address_of(task: "TaskTypeDef") -> str | None:
    """Give the task's address; None while it has none."""
    for container in task.get("containers", []):
        for interface in container.get("networkInterfaces", []):
            return interface.get("privateIpv4Address")
    return None
