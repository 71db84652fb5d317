"""``redis-fargate local fault``: single faults, by hand."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from redis_fargate.cli.local_cloud import LocalCloud, local_cloud
from redis_fargate.cli.local_stop_task import address_of, find_task, id_of, running_tasks
from redis_fargate.cli.options import Json
from redis_fargate.cli.output import print_json, print_line, progress
from redis_fargate.local import faults
from redis_fargate.local.errors import CannotCut, NoSuchZone
from redis_fargate.nodes.settings import ConnectionSettings

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import TaskTypeDef

_TASK_HELP = "A task's id, the unique beginning of one, or its address."
Task = Annotated[str, typer.Argument(help=_TASK_HELP)]


def kill_task(
    task: Task,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Let a task crash (SIGKILL); ECS starts another in its place.

    \b
    Example:
      redis-fargate local fault kill-task 127.16.1.1
    """  # noqa: D301 - click's sign for lines that are not to be joined
    with local_cloud() as cloud:
        killed = [id_of(find_task(running_tasks(cloud), task))]
        faults.kill(cloud.state, killed)
    _say("Crashed", killed, as_json=as_json)


def kill_zone(
    zone: Annotated[str, typer.Argument(help="A zone, such as us-east-1a.")],
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Let all tasks of a zone crash at once (SIGKILL); ECS starts others, there too.

    \b
    Example:
      redis-fargate local fault kill-zone us-east-1a
    """  # noqa: D301 - click's sign for lines that are not to be joined
    with local_cloud() as cloud:
        tasks = running_tasks(cloud)
        killed = [id_of(task["taskArn"]) for task in tasks if task["availabilityZone"] == zone]
        if not killed:
            zones = sorted({task["availabilityZone"] for task in tasks})
            raise NoSuchZone(
                f"No task runs in zone {zone!r}. There are tasks in: {', '.join(zones) or 'none'}."
            )
        faults.kill(cloud.state, killed)
    _say("Crashed", killed, as_json=as_json)


def pause(
    task: Task,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Let a task hang (SIGSTOP): connections stay open, and nobody answers.

    ECS sees it by the health check, which takes half a minute.

    \b
    Example:
      redis-fargate local fault pause 127.16.1.1
    """  # noqa: D301 - click's sign for lines that are not to be joined
    with local_cloud() as cloud:
        paused = [id_of(find_task(running_tasks(cloud), task))]
        faults.pause(cloud.state, paused)
    _say("Hangs", paused, as_json=as_json)


def resume(
    task: Task,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Let a task that hangs go on (SIGCONT).

    \b
    Example:
      redis-fargate local fault resume 127.16.1.1
    """  # noqa: D301 - click's sign for lines that are not to be joined
    with local_cloud() as cloud:
        resumed = [id_of(find_task(running_tasks(cloud), task))]
        faults.resume(cloud.state, resumed)
    _say("Goes on", resumed, as_json=as_json)


def cut(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK", help=_TASK_HELP)],
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Cut tasks off from their peers (the cluster bus), but from nobody else, until `mend`.

    Replicas go on to copy from their masters. A task that starts meanwhile may bring those that
    are cut off into contact again: the controller introduces it to them.

    \b
    Example:
      redis-fargate local fault cut 127.16.1.1
    """  # noqa: D301 - click's sign for lines that are not to be joined
    from redis_fargate.local import cutting  # noqa: PLC0415 - imports redis, slowly

    with local_cloud() as cloud, progress() as tell:
        running = running_tasks(cloud)
        isolated = {id_of(find_task(running, task)) for task in tasks}
        for task in running:
            if task["lastStatus"] != "RUNNING":
                raise CannotCut(
                    f"Task {id_of(task['taskArn'])} is {task['lastStatus']}: wait until all run."
                )
        ids = _ids(running)
        tell("Waiting until nobody hears them …")
        asyncio.run(
            cutting.cut(ids, [at for at, id_ in ids.items() if id_ in isolated], _settings(cloud))
        )
    _say("Cut off", sorted(isolated), as_json=as_json)


def mend(
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Let all tasks that were cut off hear the others again, also after a `cut` that was killed.

    \b
    Example:
      redis-fargate local fault mend
    """  # noqa: D301 - click's sign for lines that are not to be joined
    from redis_fargate.local import cutting  # noqa: PLC0415 - imports redis, slowly

    with local_cloud() as cloud, progress() as tell:
        ids = _ids(running_tasks(cloud))
        tell("Waiting until everybody hears everybody …")
        mended = asyncio.run(cutting.mend(ids, _settings(cloud)))
    if not mended and not as_json:
        print_line("No task was cut off.")
        return
    _say("Hears the others", [ids[address] for address in mended], as_json=as_json)


def _ids(tasks: Sequence["TaskTypeDef"]) -> Mapping[str, str]:
    """Give the ids of the tasks that run, by their addresses."""
    return {
        str(address_of(task)): id_of(task["taskArn"])
        for task in tasks
        if task["lastStatus"] == "RUNNING"
    }


def _settings(cloud: LocalCloud) -> ConnectionSettings:
    return ConnectionSettings(password=cloud.password())


def _say(what: str, task_ids: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"tasks": list(task_ids)})
        return
    for task_id in task_ids:
        print_line(f"{what}: task {task_id}.")
