"""Notices that the tasks of a new cluster cannot live, as with an option that no server knows."""

from typing import TYPE_CHECKING

from redis_fargate.aws.errors import translated
from redis_fargate.cli.local_cloud import LocalCloud
from redis_fargate.cli.local_stop_task import id_of
from redis_fargate.local.blueprint import SERVICE
from redis_fargate.local.errors import StartFailed
from redis_fargate.local.polling import until

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import TaskTypeDef
    from mypy_boto3_logs.type_defs import OutputLogEventTypeDef

_ENDED = ("EssentialContainerExited", "TaskFailedToStart")
_PAGE = 100
_LAST_LINES = 5
_LOG_TIMEOUT_S = 3
"""Log lines are shipped twice a second."""


def check_that_tasks_live(cloud: LocalCloud, task_count: int) -> None:
    """See that fewer tasks have ended by themselves than are wanted: ECS replaces single ones.

    Raises:
        StartFailed: as many have ended; the message holds the last words of one of them.

    """
    failed = _failed(cloud)
    if len(failed) < min(task_count, _PAGE):
        return
    task = failed[0]
    said = "".join(f"\n  {line}" for line in _last_words(cloud, task))
    raise StartFailed(
        f"Tasks end as soon as they start: {task.get('stoppedReason', 'ECS does not say why')}. "
        + (f"One of them said:{said}" if said else "They have logged nothing.")
    )


def _failed(cloud: LocalCloud) -> list["TaskTypeDef"]:
    ecs: ECSClient = cloud.clients.client("ecs")
    cluster = cloud.record.cluster_name
    with translated("ecs", f"service {SERVICE}"):
        arns = ecs.list_tasks(
            cluster=cluster, serviceName=SERVICE, desiredStatus="STOPPED", maxResults=_PAGE
        )["taskArns"]
        tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
    return [task for task in tasks if task.get("stopCode") in _ENDED]


def _last_words(cloud: LocalCloud, task: "TaskTypeDef") -> list[str]:
    group = f"/aws/ecs/{cloud.record.cluster_name}"

    def events() -> list["OutputLogEventTypeDef"]:
        return cloud.clients.logs.get_log_events(
            logGroupName=group,
            logStreamName=f"redis/redis/{id_of(task['taskArn'])}",
            limit=_LAST_LINES,
            startFromHead=False,
        )["events"]

    with translated("logs", f"log group {group}"):
        return [event["message"] for event in until(events, bool, _LOG_TIMEOUT_S)]
