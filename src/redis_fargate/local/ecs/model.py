"""What the local ECS keeps: clusters, task definitions, services with deployments, tasks.

What AWS only echoes stays in AWS' own words, as JSON; what ECS itself decides by is a field.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from redis_fargate.local.ports import ContainerHealth

Json = dict[str, Any]

EVENTS_KEPT = 100
"""DescribeServices shows so many events of a service."""


def now() -> datetime:
    """Tell the time, aware of its zone."""
    return datetime.now(UTC)


class Status(StrEnum):
    """A task's ``lastStatus``, in the order of its life."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"


PENDING_STATUSES = frozenset({Status.PROVISIONING, Status.PENDING, Status.ACTIVATING})


class StopCode(StrEnum):
    """Why a task stopped."""

    FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"


class Rollout(StrEnum):
    """How far a deployment is."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class ServiceStatus(StrEnum):
    """Whether a service keeps tasks, lets its last tasks go, or is gone."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    INACTIVE = "INACTIVE"


@dataclass(slots=True, eq=False)
class Cluster:
    """An ECS cluster."""

    name: str
    arn: str
    settings: list[Json]
    echoed: Json
    """``configuration``, ``serviceConnectDefaults``."""
    capacity_providers: list[str]
    default_strategy: list[Json]
    tags: dict[str, str]
    active: bool = True


@dataclass(slots=True, eq=False)
class Definition:
    """One revision of a task definition; ``data`` is as DescribeTaskDefinition shows it."""

    arn: str
    family: str
    revision: int
    data: Json
    tags: dict[str, str]

    @property
    def active(self) -> bool:
        """Whether new tasks and services may use it."""
        return bool(self.data["status"] == "ACTIVE")

    @property
    def containers(self) -> list[Json]:
        """The container definitions."""
        containers: list[Json] = self.data["containerDefinitions"]
        return containers

    @property
    def has_health_check(self) -> bool:
        """Whether a container without which the task cannot be has a health check."""
        return any(is_essential(item) and has_health_check(item) for item in self.containers)


def is_essential(container: Json) -> bool:
    """Whether the task ends when this container does; ECS' default is yes."""
    return bool(container.get("essential", True))


def has_health_check(container: Json) -> bool:
    """Whether the container definition asks for a health check."""
    check = container.get("healthCheck")
    return check is not None and check["command"] != ["NONE"]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how tasks run: what a deployment or RunTask says besides the task definition."""

    zones: Mapping[str, str]
    """Subnet id to zone."""
    network: Json
    launch_type: str | None
    strategy: tuple[Json, ...]
    """The capacity provider strategy; empty with a launch type."""
    platform_version: str
    requested_platform: str
    """The version that was asked for, ``LATEST`` too: so services show it."""


@dataclass(slots=True, eq=False)
class Deployment:
    """One roll-out of a service."""

    id: str
    """``ecs-svc/<number>``."""
    definition: Definition
    placement: Placement
    desired: int
    created_at: datetime
    updated_at: datetime
    rollout: Rollout = Rollout.IN_PROGRESS
    reason: str = ""
    failed_tasks: int = 0
    finished_at: datetime | None = None
    rolled_back_at: datetime | None = None
    predecessor: "Deployment | None" = None

    @property
    def number(self) -> str:
        """The number alone, which also names its revision and its service deployment."""
        return self.id.removeprefix("ecs-svc/")


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """One line of a service's log."""

    id: str
    created_at: datetime
    message: str


@dataclass(slots=True, eq=False)
class Service:
    """An ECS service; ``deployments[0]`` is the PRIMARY one."""

    name: str
    arn: str
    cluster: Cluster
    desired: int
    settings: Json
    """What CreateService or UpdateService said, and DescribeServices echoes."""
    created_at: datetime
    tags: dict[str, str]
    client_token: str | None
    status: ServiceStatus = ServiceStatus.ACTIVE
    deployments: list[Deployment] = field(default_factory=list)
    history: list[Deployment] = field(default_factory=list)
    """Every deployment that there was, oldest first."""
    last_completed: Deployment | None = None
    events: deque[ServiceEvent] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    steady: bool = False
    complaint: str = ""
    """The last complaint in ``events`` that still holds, so that it is made once."""
    young_deaths: int = 0
    """Tasks in a row that ended soon after their start."""
    start_not_before: float = 0
    """Monotonic time before which no task is started, after too many young deaths."""

    @property
    def primary(self) -> Deployment:
        """The deployment whose tasks are wanted."""
        return self.deployments[0]


@dataclass(slots=True, eq=False)
class ContainerState:
    """A container of a task."""

    arn: str
    definition: Json
    runtime_id: str
    status: Status = Status.PENDING
    health: ContainerHealth = ContainerHealth.UNKNOWN
    exit_code: int | None = None
    reason: str | None = None


@dataclass(slots=True, eq=False)
class Task:
    """An ECS task."""

    id: str
    arn: str
    cluster: Cluster
    definition: Definition
    service: Service | None
    deployment: Deployment | None
    placement: Placement
    subnet: str
    zone: str
    capacity_provider: str | None
    containers: list[ContainerState]
    attachment_id: str
    interface_id: str
    mac_address: str
    created_at: datetime
    started_by: str | None
    group: str
    tags: dict[str, str]
    overrides: Json
    execute_command: bool
    registry_arn: str | None
    """The Cloud Map service that the task is registered with."""
    registered: bool = False
    address: str | None = None
    attachment_status: str = "PRECREATED"
    status: Status = Status.PROVISIONING
    desired: Status = Status.RUNNING
    version: int = 1
    health: ContainerHealth = ContainerHealth.UNKNOWN
    was_healthy: bool = False
    """Whether it ever counted as a healthy task of its service."""
    protected_until: datetime | None = None
    stop_code: StopCode | None = None
    stopped_reason: str | None = None
    times: dict[str, datetime] = field(default_factory=dict)
    """``startedAt``, ``stoppingAt`` and so on, by AWS' names."""
    stop_wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def live(self) -> bool:
        """Whether ECS means it to run."""
        return self.desired is Status.RUNNING

    def is_protected(self, at: datetime) -> bool:
        """Whether scale-in protection holds at that time."""
        return self.protected_until is not None and self.protected_until > at
