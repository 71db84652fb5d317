"""What the local ECS asks of the rest of the local cloud."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol


class ContainerHealth(Enum):
    """ECS' words for the answer of a container health check."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A container definition's ``healthCheck``, with ECS' defaults filled in."""

    command: Sequence[str]
    interval_s: float = 30
    timeout_s: float = 5
    retries: int = 3
    start_period_s: float = 0


@dataclass(frozen=True, slots=True)
class LogStream:
    """Where the ``awslogs`` driver of a container writes."""

    group: str
    stream: str
    create_group: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """One container of a task, ready to be started."""

    task_arn: str
    task_id: str
    container: str
    image: str
    address: str
    """The task's own IPv4 address; locally, one of 127.0.0.0/8."""
    entry_point: Sequence[str]
    command: Sequence[str]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    """Name of the variable to the ARN that its value comes from (``valueFrom``)."""
    health_check: HealthCheck | None
    log: LogStream | None
    stop_timeout_s: float
    directory: Path
    """The task's own disk: empty at the start, and gone with the task."""


class Container(Protocol):
    """A started container."""

    async def wait(self) -> int:
        """Wait until it has ended; the exit code (128 + signal number when killed by one)."""

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL after the stop timeout; the exit code."""


class HealthListener(Protocol):
    """Whoever wants to know how a container's health changes."""

    def __call__(self, health: ContainerHealth) -> None:
        """Take the new health; called on the event loop, and only when it changed."""


class TaskRuntime(Protocol):
    """Starts containers: as processes, or in Docker."""

    async def start(self, launch: Launch, on_health: HealthListener) -> Container:
        """Start a container.

        Raises:
            CannotStartContainer: with ECS' words for the reason (``CannotPullContainerError: …``,
                ``ResourceInitializationError: …``), which becomes the task's ``stoppedReason``.

        """


class Registry(Protocol):
    """Cloud Map, as ECS uses it for a service's ``serviceRegistries``."""

    async def register(
        self, service_arn: str, instance_id: str, attributes: Mapping[str, str]
    ) -> None:
        """Register a task's address."""

    async def set_health(self, service_arn: str, instance_id: str, *, healthy: bool) -> None:
        """Push container and task health (services with HealthCheckCustomConfig)."""

    async def deregister(self, service_arn: str, instance_id: str) -> None:
        """Take a task's address out again."""


class EventSink(Protocol):
    """The default event bus: matches an event against the rules and invokes their targets."""

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Take one event in EventBridge's envelope (``source``, ``detail-type``, ``detail`` …)."""


class Subnets(Protocol):
    """EC2, as far as ECS needs it to place a task."""

    async def zones(self, subnet_ids: Sequence[str]) -> Mapping[str, str]:
        """Subnet id to the name of its availability zone.

        Raises:
            InvalidSubnet: names the subnet that does not exist.

        """
