"""The tasks of the service: ECS says which there are, Cloud Map what clients see of them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from redis_fargate.aws.errors import AwsRefused, AwsUnavailable, translated
from redis_fargate.topology.view import Task

if TYPE_CHECKING:
    from mypy_boto3_ecs.literals import DesiredStatusType
    from mypy_boto3_ecs.type_defs import TaskTypeDef

    from redis_fargate.aws.clients import Clients

DESCRIBED_AT_ONCE = 100
"""DescribeTasks takes no more (botocore's service model)."""
PROTECTED_AT_ONCE = 10
"""UpdateTaskProtection takes no more (botocore's service model); GetTaskProtection takes 100."""
INSTANCES_AT_MOST = 1000
"""DiscoverInstances gives no more, and has no pages."""
_CALLS_AT_ONCE = 8
_GONE = frozenset({"DEPROVISIONING", "STOPPED", "DELETED"})
"""Last statuses of tasks whose containers run no more (ECS developer guide, "Task lifecycle")."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The tasks in order of their ids, and what is odd about them but stops nothing."""

    tasks: tuple[Task, ...]
    remarks: tuple[str, ...] = ()
    stopped: frozenset[str] = frozenset()
    """Ids of the tasks that ECS says have stopped; it remembers them for an hour or so."""
    revision: str | None = None
    """ARN of the task definition that the service is to run."""
    desired_count: int | None = None
    """How many tasks the service is to run."""


@dataclass(frozen=True, slots=True)
class ServiceTasks:
    """Where the tasks of one ECS service are listed.

    ``cluster`` is a name or an ARN; the other three are names.
    """

    clients: "Clients"
    cluster: str
    service: str
    namespace: str
    discovery_service: str

    def observe(self) -> Observed:
        """Every task of the service that has not stopped, those that are about to included.

        A task's address is what its network interface has, and only where ECS does not tell
        one, what Cloud Map has. That Cloud Map fails, or does not know the names, is no more than
        a remark.

        Raises:
            AwsUnavailable: ECS could not answer.
            AccessDenied: a person must look at the policy.
            AwsRefused: a person must look at the names that ECS was asked about.

        """
        # ListTasks leaves out tasks that are wanted STOPPED unless it is asked for those, and they
        # run on, with all their data, until their stop timeout has passed.
        with ThreadPoolExecutor(_CALLS_AT_ONCE) as pool:
            discovered = pool.submit(self._discovered)
            wanted = pool.submit(self._wanted)
            arns = chain(*pool.map(self._listed, ("RUNNING", "STOPPED")))
            parts = _parts(sorted(set(arns)), DESCRIBED_AT_ONCE)
            described = tuple(chain(*pool.map(self._described, parts)))
            present = [task for task in described if task["lastStatus"] not in _GONE]
            parts = _parts([task["taskArn"] for task in present], DESCRIBED_AT_ONCE)
            protected = dict(chain(*pool.map(self._protected, parts)))
            revision, desired_count = wanted.result()
            remarks: list[str] = []
            try:
                addresses = discovered.result()
            except (AwsUnavailable, AwsRefused) as error:
                # Of namespaces of one name, in several VPCs, Cloud Map's API knows one by the name
                # and the others by names that it makes up (`HttpName`) and Terraform never sees.
                addresses = {}
                remarks.append(f"Cloud Map was left out of this look: {error}")
        tasks = sorted(
            (_task(task, addresses, protected) for task in present), key=lambda task: task.id
        )
        remarks += (
            f"Task {task.id} has the address {task.address}, but Cloud Map sends clients to "
            f"{addresses[task.id]} for it: force a new deployment of the ECS service if this lasts."
            for task in tasks
            if task.running and addresses.get(task.id, task.address) != task.address
        )
        stopped = frozenset(_id(task) for task in described if task["lastStatus"] in _GONE)
        return Observed(tuple(tasks), tuple(remarks), stopped, revision, desired_count)

    def protect(self, arns: Sequence[str], lasts_s: float) -> tuple[str, ...]:
        """Protect tasks from scale-in for a while, or with 0 no longer; what ECS says against it.

        Raises:
            AwsUnavailable: ECS could not answer.
            AccessDenied, AwsRefused: a person must look at the policy or the names.

        """
        how: dict[str, Any] = {"protectionEnabled": lasts_s > 0}
        if lasts_s > 0:
            how["expiresInMinutes"] = int(lasts_s / 60)
        remarks = []
        for part in _parts(arns, PROTECTED_AT_ONCE):
            with translated("ecs", f"tasks of cluster {self.cluster}"):
                answer = self.clients.ecs.update_task_protection(
                    cluster=self.cluster, tasks=part, **how
                )
            remarks += [
                f"ECS leaves the protection of task {each.get('arn', '').rpartition('/')[2]} as it "
                f"is: {each.get('reason')} {each.get('detail', '')}".strip()
                for each in answer["failures"]
            ]
        return tuple(remarks)

    def _wanted(self) -> tuple[str | None, int | None]:
        """The service's task definition and desired count."""
        with translated("ecs", f"service {self.service} in cluster {self.cluster}"):
            services = self.clients.ecs.describe_services(
                cluster=self.cluster, services=[self.service]
            )["services"]
        if not services:
            return None, None
        return services[0].get("taskDefinition"), services[0].get("desiredCount")

    def _protected(self, arns: Sequence[str]) -> list[tuple[str, float]]:
        """Task ARN and end of protection, of those that have it."""
        with translated("ecs", f"tasks of cluster {self.cluster}"):
            answer = self.clients.ecs.get_task_protection(cluster=self.cluster, tasks=arns)
        return [
            (each["taskArn"], each["expirationDate"].timestamp())
            for each in answer["protectedTasks"]
            if each.get("protectionEnabled") and "expirationDate" in each
        ]

    def _listed(self, wanted: "DesiredStatusType") -> list[str]:
        with translated("ecs", f"service {self.service} in cluster {self.cluster}"):
            pages = self.clients.ecs.get_paginator("list_tasks").paginate(
                cluster=self.cluster, serviceName=self.service, desiredStatus=wanted
            )
            return [arn for page in pages for arn in page["taskArns"]]

    def _described(self, arns: Sequence[str]) -> "list[TaskTypeDef]":
        # What is listed and then missing (in ``failures``) has gone in between.
        with translated("ecs", f"tasks of cluster {self.cluster}"):
            return self.clients.ecs.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"]

    def _discovered(self) -> Mapping[str, str]:
        """Task id (a service's instances have it as their id) to address."""
        name = f"{self.discovery_service}.{self.namespace}"
        with translated("servicediscovery", f"Cloud Map service {name}"):
            answer = self.clients.servicediscovery.discover_instances(
                NamespaceName=self.namespace,
                ServiceName=self.discovery_service,
                MaxResults=INSTANCES_AT_MOST,
                HealthStatus="ALL",
            )
        return {
            instance["InstanceId"]: instance["Attributes"]["AWS_INSTANCE_IPV4"]
            for instance in answer["Instances"]
            if "AWS_INSTANCE_IPV4" in instance.get("Attributes", {})
        }


def _parts(arns: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (arns[start : start + size] for start in range(0, len(arns), size))


def _task(
    task: "TaskTypeDef", addresses: Mapping[str, str], protected: Mapping[str, float]
) -> Task:
    task_id = _id(task)
    started = task.get("startedAt")
    return Task(
        arn=task["taskArn"],
        id=task_id,
        zone=task.get("availabilityZone", ""),
        address=_interface_address(task) or addresses.get(task_id),
        revision=task["taskDefinitionArn"],
        running=task["lastStatus"] == task["desiredStatus"] == "RUNNING",
        started_at_s=started.timestamp() if started else None,
        protected_until_s=protected.get(task["taskArn"]),
        healthy={"HEALTHY": True, "UNHEALTHY": False}.get(task.get("healthStatus", "UNKNOWN")),
    )


def _id(task: "TaskTypeDef") -> str:
    return task["taskArn"].rpartition("/")[2]


def _interface_address(task: "TaskTypeDef") -> str | None:
    """Find the address in the attachment of the task's network interface, once it has one."""
    for attachment in task.get("attachments", []):
        for detail in attachment.get("details", []):
            if detail.get("name") == "privateIPv4Address" and detail.get("value"):
                return detail["value"]
    return None
