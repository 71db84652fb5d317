"""Everything that the local ECS remembers, and how operations find it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from redis_fargate.local.ecs.arns import kind_of, last_part
from redis_fargate.local.ecs.errors import (
    client_error,
    cluster_not_found,
    invalid_parameter,
    service_not_found,
)
from redis_fargate.local.ecs.model import (
    Cluster,
    Definition,
    Json,
    Service,
    ServiceStatus,
    Status,
    Task,
    now,
)

STOPPED_TASKS_KEPT = timedelta(hours=1)
"""AWS shows a stopped task for about an hour."""

DEFAULT_CLUSTER = "default"


@dataclass(slots=True)
class Store:
    """The state of one account in one region."""

    clusters: dict[str, Cluster] = field(default_factory=dict)
    families: dict[str, list[Definition]] = field(default_factory=dict)
    """The revisions of each family, oldest first."""
    services: dict[str, Service] = field(default_factory=dict)
    """By ARN. A deleted service stays, INACTIVE, until one of its name is created."""
    tasks: dict[str, Task] = field(default_factory=dict)
    """By id."""
    account_settings: dict[str, str] = field(default_factory=dict)
    run_requests: dict[str, tuple[Json, list[Task]]] = field(default_factory=dict)
    """RunTask's requests with a ``clientToken``, and the tasks that they started."""

    def cluster(self, reference: str | None) -> Cluster:
        """Find an active cluster by name or ARN.

        Raises:
            EcsError: ClusterNotFoundException.

        """
        cluster = self.clusters.get(last_part(reference or DEFAULT_CLUSTER))
        if cluster is None or not cluster.active:
            raise cluster_not_found()
        if reference and kind_of(reference) and cluster.arn != reference:
            raise cluster_not_found()
        return cluster

    def find_service(self, cluster: Cluster, reference: str) -> Service | None:
        """Find a service, whatever its status, by name or ARN."""
        return next(
            (
                service
                for service in self.services.values()
                if service.cluster is cluster and reference in {service.name, service.arn}
            ),
            None,
        )

    def service(self, cluster: Cluster, reference: str) -> Service:
        """Find a service that is not gone, by name or ARN.

        Raises:
            EcsError: ServiceNotFoundException.

        """
        service = self.find_service(cluster, reference)
        if service is None or service.status is ServiceStatus.INACTIVE:
            raise service_not_found()
        return service

    def services_in(self, cluster: Cluster) -> list[Service]:
        """List the active services of a cluster."""
        return [
            service
            for service in self.services.values()
            if service.cluster is cluster and service.status is ServiceStatus.ACTIVE
        ]

    def task(self, cluster: Cluster, reference: str) -> Task | None:
        """Find a task by id or ARN, running or lately stopped."""
        task = self.tasks.get(last_part(reference))
        if task is None or task.cluster is not cluster:
            return None
        return None if kind_of(reference) and task.arn != reference else task

    def tasks_of(self, service: Service) -> list[Task]:
        """List the tasks of a service that have not stopped, oldest first."""
        return [
            task
            for task in self.tasks.values()
            if task.service is service and task.status is not Status.STOPPED
        ]

    def forget_old_tasks(self) -> None:
        """Drop the tasks that stopped too long ago to be shown."""
        limit = now() - STOPPED_TASKS_KEPT
        for task in list(self.tasks.values()):
            if task.status is Status.STOPPED and task.times["stoppedAt"] < limit:
                del self.tasks[task.id]

    def find_definition(self, reference: str) -> Definition | None:
        """Find a task definition by ARN, ``family:revision``, or ``family`` (latest active).

        Raises:
            EcsError: InvalidParameterException: the revision is not a number.

        """
        family, _, revision = last_part(reference).partition(":")
        revisions = self.families.get(family, [])
        if revision:
            if not revision.isdigit():
                raise invalid_parameter(f"Invalid revision number. Number: {revision}")
            found = next((item for item in revisions if item.revision == int(revision)), None)
            if found is not None and kind_of(reference) and found.arn != reference:
                found = None
        else:
            found = next((item for item in reversed(revisions) if item.active), None)
        return found

    def definition_to_run(self, reference: str) -> Definition:
        """Find a task definition that new tasks may use.

        Raises:
            EcsError: ClientException: there is none, or it is INACTIVE or being deleted.

        """
        definition = self.find_definition(reference)
        if definition is None:
            raise client_error("TaskDefinition not found.")
        if not definition.active:
            raise client_error("TaskDefinition is inactive")
        return definition


def present(members: Json) -> Json:
    """Leave out members that have no value, as AWS' answers do."""
    return {name: value for name, value in members.items() if value is not None}


def tag_list(tags: dict[str, str]) -> list[Json]:
    """Write tags as AWS does."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def tag_map(tags: Iterable[Json]) -> dict[str, str]:
    """Read tags as AWS writes them."""
    return {tag.get("key", ""): tag.get("value", "") for tag in tags}
