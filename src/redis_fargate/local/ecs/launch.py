"""What a new task is made of, and what each of its containers is started with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from redis_fargate.local.ecs.arns import (
    Arns,
    new_id,
    new_interface_id,
    new_mac_address,
    new_uuid,
)
from redis_fargate.local.ecs.model import (
    Cluster,
    ContainerState,
    Definition,
    Deployment,
    Json,
    Placement,
    Service,
    Task,
    has_health_check,
    now,
)
from redis_fargate.local.ports import HealthCheck, Launch, LogStream

DEFAULT_STOP_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Origin:
    """Who starts a task: a service's deployment, or RunTask."""

    group: str
    started_by: str | None
    tags: dict[str, str]
    service: Service | None = None
    deployment: Deployment | None = None
    overrides: Json | None = None
    execute_command: bool = False


def new_task(  # noqa: PLR0913 - a task is placed by all of these
    cluster: Cluster,
    definition: Definition,
    placement: Placement,
    origin: Origin,
    *,
    subnet: str,
    siblings: Iterable[Task],
    arns: Arns,
) -> Task:
    """Make a task that is yet to be started; ``siblings`` are the tasks that run beside it."""
    task_id = new_id()
    containers = [
        ContainerState(
            arn=arns.make("container", cluster.name, task_id, new_uuid()),
            definition=container,
            runtime_id=f"{task_id}-{index:010d}",
        )
        for index, container in enumerate(definition.containers)
    ]
    return Task(
        id=task_id,
        arn=arns.make("task", cluster.name, task_id),
        cluster=cluster,
        definition=definition,
        service=origin.service,
        deployment=origin.deployment,
        placement=placement,
        subnet=subnet,
        zone=placement.zones[subnet],
        capacity_provider=choose_provider(placement.strategy, siblings),
        containers=containers,
        attachment_id=new_uuid(),
        interface_id=new_interface_id(),
        mac_address=new_mac_address(),
        created_at=now(),
        started_by=origin.started_by,
        group=origin.group,
        tags=origin.tags,
        overrides=origin.overrides or {},
        execute_command=origin.execute_command,
        registry_arn=_registry_arn(origin.service),
    )


def _registry_arn(service: Service | None) -> str | None:
    registries = service.settings["serviceRegistries"] if service is not None else []
    return str(registries[0]["registryArn"]) if registries else None


def choose_provider(strategy: Sequence[Json], siblings: Iterable[Task]) -> str | None:
    """Choose a capacity provider: first up to each ``base``, then in proportion to ``weight``."""
    if not strategy:
        return None
    used = Counter(task.capacity_provider for task in siblings)
    for item in strategy:
        if used[item["capacityProvider"]] < item.get("base", 0):
            return str(item["capacityProvider"])
    weighted = [item for item in strategy if item.get("weight", 0) > 0] or strategy
    chosen = min(
        weighted,
        key=lambda item: (
            (used[item["capacityProvider"]] - item.get("base", 0) + 1) / item.get("weight", 1)
        ),
    )
    return str(chosen["capacityProvider"])


def choose_subnet(zones: Iterable[tuple[str, str]], zone: str | None, tasks: Iterable[Task]) -> str:
    """Choose the subnet that holds the fewest tasks; in ``zone`` if one is given."""
    used = Counter(task.subnet for task in tasks)
    return min(
        (subnet for subnet, its_zone in zones if zone in {None, its_zone}),
        key=lambda subnet: (used[subnet], subnet),
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every task finds around it."""

    region: str
    metadata_endpoint: str
    """``http://127.0.0.1:<port>``: where tasks would ask for their metadata."""
    directory: Path
    """Holds a directory for each task."""


def launch_of(task: Task, container: ContainerState, around: Surroundings) -> Launch:
    """Say how to start a container of a task that has its address."""
    definition = container.definition
    overrides: Json = next(
        (
            item
            for item in task.overrides.get("containerOverrides", [])
            if item.get("name") == definition["name"]
        ),
        {},
    )
    pairs = [*definition.get("environment", []), *overrides.get("environment", [])]
    environment = {
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "AWS_DEFAULT_REGION": around.region,
        "AWS_REGION": around.region,
        "ECS_AGENT_URI": f"{around.metadata_endpoint}/api/{container.runtime_id}",
        "ECS_CONTAINER_METADATA_URI": f"{around.metadata_endpoint}/v3/{container.runtime_id}",
        "ECS_CONTAINER_METADATA_URI_V4": f"{around.metadata_endpoint}/v4/{container.runtime_id}",
        **{pair.get("name", ""): pair.get("value", "") for pair in pairs},
    }
    if task.address is None:
        raise ValueError(f"task {task.id} has no address yet")
    return Launch(
        task_arn=task.arn,
        task_id=task.id,
        container=definition["name"],
        image=definition["image"],
        address=task.address,
        entry_point=tuple(definition.get("entryPoint", [])),
        command=tuple(overrides.get("command") or definition.get("command", [])),
        environment=environment,
        secrets={item["name"]: item["valueFrom"] for item in definition.get("secrets", [])},
        health_check=_health_check(definition),
        log=_log_stream(definition, task),
        stop_timeout_s=definition.get("stopTimeout", DEFAULT_STOP_TIMEOUT_S),
        directory=around.directory / task.id / definition["name"],
    )


def _health_check(definition: Json) -> HealthCheck | None:
    if not has_health_check(definition):
        return None
    check = definition["healthCheck"]
    return HealthCheck(
        command=tuple(check["command"]),
        interval_s=check["interval"],
        timeout_s=check["timeout"],
        retries=check["retries"],
        start_period_s=check.get("startPeriod", 0),
    )


def _log_stream(definition: Json, task: Task) -> LogStream | None:
    configuration = definition.get("logConfiguration", {})
    options = configuration.get("options", {})
    if configuration.get("logDriver") != "awslogs" or "awslogs-group" not in options:
        return None
    prefix = options.get("awslogs-stream-prefix", "ecs")
    return LogStream(
        group=options["awslogs-group"],
        stream=f"{prefix}/{definition['name']}/{task.id}",
        create_group=options.get("awslogs-create-group", "false").lower() == "true",
    )
