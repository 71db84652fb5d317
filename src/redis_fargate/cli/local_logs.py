"""``redis-fargate local logs``."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redis_fargate.aws.errors import translated
from redis_fargate.cli.local_cloud import LocalCloud, local_cloud
from redis_fargate.cli.local_stop_task import find_task, id_of, running_tasks
from redis_fargate.cli.options import Json
from redis_fargate.cli.output import print_json, print_line
from redis_fargate.cli.render import SHORT_ID
from redis_fargate.local.errors import NoSuchTask

if TYPE_CHECKING:
    from mypy_boto3_logs.type_defs import FilterLogEventsRequestPaginateTypeDef

CONTROLLER = "controller"
_POLL_S = 0.5
_LATE_MS = 5_000
"""Events of one moment may arrive a little apart: so far back we look again."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event of a log."""

    at_ms: int
    source: str
    text: str


def logs(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[TASK|controller]",
            help="A task's id, its unique beginning or its address; or the controller.  "
            "[default: all]",
        ),
    ] = None,
    follow: Annotated[  # noqa: FBT002 - an option, given by name
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Show what tasks and the controller have logged; with --json, one document a line.

    \b
    Examples:
      redis-fargate local logs controller --follow
      redis-fargate local logs 127.16.1.1
    """  # noqa: D301 - click's sign for lines that are not to be joined
    with local_cloud() as cloud:
        requests = list(_requests(cloud, source))
        seen: Counter[LogLine] = Counter()
        since_ms = 0
        while True:
            read = Counter(line for request in requests for line in _read(cloud, request, since_ms))
            lines = sorted((read - seen).elements(), key=lambda line: line.at_ms)
            for line in lines:
                _print(line, as_json=as_json)
            # No more than what the next look can find again.
            seen = read
            if not follow:
                return
            if lines:
                since_ms = max(since_ms, lines[-1].at_ms - _LATE_MS)
            time.sleep(_POLL_S)


def _requests(
    cloud: LocalCloud, source: str | None
) -> Iterator["FilterLogEventsRequestPaginateTypeDef"]:
    """Say which log groups, and which streams of them, hold what was asked for."""
    tasks = f"/aws/ecs/{cloud.record.cluster_name}"
    if source in (None, CONTROLLER):
        yield {"logGroupName": f"/aws/lambda/{cloud.function_name}"}
    if source is None:
        yield {"logGroupName": tasks}
    elif source != CONTROLLER:
        stream = f"redis/redis/{_task_id(cloud, tasks, source)}"
        yield {"logGroupName": tasks, "logStreamNames": [stream]}


def _task_id(cloud: LocalCloud, group: str, named: str) -> str:
    """Find the task among those that run, or else among those that have ever logged."""
    try:
        return id_of(find_task(running_tasks(cloud), named))
    except NoSuchTask:
        with translated("logs", f"log group {group}"):
            pages = cloud.clients.logs.get_paginator("describe_log_streams").paginate(
                logGroupName=group, logStreamNamePrefix=f"redis/redis/{named}"
            )
            found = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        if len(found) != 1:
            raise
        return id_of(found[0])


def _read(
    cloud: LocalCloud, request: "FilterLogEventsRequestPaginateTypeDef", since_ms: int
) -> Iterator[LogLine]:
    group = request["logGroupName"]
    with translated("logs", f"log group {group}"):
        pages = cloud.clients.logs.get_paginator("filter_log_events").paginate(
            **request | {"startTime": since_ms}
        )
        for page in pages:
            for event in page["events"]:
                yield LogLine(event["timestamp"], _source(group, event), event["message"])


def _source(group: str, event: Any) -> str:  # noqa: ANN401 - boto's
    return CONTROLLER if group.startswith("/aws/lambda/") else id_of(event["logStreamName"])


def _print(line: LogLine, *, as_json: bool) -> None:
    at = datetime.fromtimestamp(line.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    text = line.text.rstrip("\n")
    if as_json:
        print_json({"at": at, "source": line.source, "message": text}, one_line=True)
    else:
        print_line(f"{at[11:23]} {line.source[:SHORT_ID]:{SHORT_ID}} {text}")
