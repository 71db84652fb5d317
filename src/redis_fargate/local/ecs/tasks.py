"""Operations on tasks."""

from redis_fargate.local.ecs.arns import kind_of
from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.errors import EcsError, invalid_parameter
from redis_fargate.local.ecs.launch import Origin, choose_subnet, new_task
from redis_fargate.local.ecs.model import Json, StopCode, Task
from redis_fargate.local.ecs.paging import page
from redis_fargate.local.ecs.placement import read_placement
from redis_fargate.local.ecs.shapes import task_shape
from redis_fargate.local.ecs.store import tag_map

_MOST_RUN = 10
_MOST_DESCRIBED = 100
_MOST_REASON = 1024


async def run_task(context: Context, request: Json) -> Json:
    """RunTask: up to 10 tasks that belong to no service."""
    store = context.store
    cluster = store.cluster(request.get("cluster"))
    count = request.get("count", 1)
    if not 1 <= count <= _MOST_RUN:
        raise invalid_parameter("count must be between 1 and 10.")
    token = request.get("clientToken")
    if token in store.run_requests:
        former, tasks = store.run_requests[token]
        if former != request:
            raise EcsError(
                "ConflictException", "The clientToken was used before, with other parameters."
            )
        return _answer(tasks)
    definition = store.definition_to_run(request["taskDefinition"])
    placement = await read_placement(context, cluster, definition, request)
    tags = tag_map(request.get("tags", []))
    if request.get("propagateTags") == "TASK_DEFINITION":
        tags = {**definition.tags, **tags}
    if request.get("enableECSManagedTags"):
        tags["aws:ecs:clusterName"] = cluster.name
    origin = Origin(
        group=request.get("group", f"family:{definition.family}"),
        started_by=request.get("startedBy"),
        tags=tags,
        overrides=request.get("overrides", {}),
        execute_command=request.get("enableExecuteCommand", False),
    )
    tasks = []
    for _ in range(count):
        task = new_task(
            cluster,
            definition,
            placement,
            origin,
            subnet=choose_subnet(placement.zones.items(), None, tasks),
            siblings=tasks,
            arns=context.arns,
        )
        context.lifecycle.begin(task)
        tasks.append(task)
    if token is not None:
        store.run_requests[token] = (request, tasks)
    return _answer(tasks)


async def stop_task(context: Context, request: Json) -> Json:
    """StopTask; stopping a stopped task changes nothing."""
    store = context.store
    task = store.task(store.cluster(request.get("cluster")), request["task"])
    if task is None:
        raise invalid_parameter("The referenced task was not found.")
    reason = request.get("reason", "Task stopped by user")
    if len(reason) > _MOST_REASON:
        raise invalid_parameter("The reason may have up to 1024 characters.")
    context.lifecycle.stop(task, StopCode.USER_INITIATED, reason)
    return {"task": task_shape(task)}


async def describe_tasks(context: Context, request: Json) -> Json:
    """DescribeTasks: up to 100, running or lately stopped."""
    store = context.store
    cluster = store.cluster(request.get("cluster"))
    references = request["tasks"]
    if not 1 <= len(references) <= _MOST_DESCRIBED:
        raise invalid_parameter("Tasks must have between 1 and 100 entries.")
    tasks, failures = [], []
    for reference in references:
        task = store.task(cluster, reference)
        if task is None:
            failures.append(
                {"arn": task_arn(context, cluster.name, reference), "reason": "MISSING"}
            )
        else:
            tasks.append(task_shape(task, request.get("include", [])))
    return {"tasks": tasks, "failures": failures}


async def list_tasks(context: Context, request: Json) -> Json:
    """ListTasks: those of a cluster that ECS means to run, or those that it means to stop."""
    store = context.store
    cluster = store.cluster(request.get("cluster"))
    service = None
    if "serviceName" in request:
        service = store.service(cluster, request["serviceName"])
    store.forget_old_tasks()
    arns = sorted(
        task.arn
        for task in store.tasks.values()
        if task.cluster is cluster and service in {None, task.service} and _matches(task, request)
    )
    return page(arns, request, "taskArns")


def _matches(task: Task, request: Json) -> bool:
    return (
        task.desired.value == request.get("desiredStatus", "RUNNING")
        and request.get("family", task.definition.family) == task.definition.family
        and request.get("startedBy", task.started_by) == task.started_by
        and request.get("launchType", "FARGATE") == "FARGATE"
        and "containerInstance" not in request
        and "daemonName" not in request
    )


def task_arn(context: Context, cluster_name: str, reference: str) -> str:
    """Name a task that may not exist."""
    return reference if kind_of(reference) else context.arns.make("task", cluster_name, reference)


def _answer(tasks: list[Task]) -> Json:
    return {"tasks": [task_shape(task, ["TAGS"]) for task in tasks], "failures": []}
