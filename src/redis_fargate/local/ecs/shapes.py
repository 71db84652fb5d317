"""What ECS' Describe operations show of what the model holds."""

from collections.abc import Iterable

from redis_fargate.local.ecs.arns import Arns
from redis_fargate.local.ecs.model import (
    PENDING_STATUSES,
    Cluster,
    ContainerState,
    Deployment,
    Json,
    Rollout,
    Service,
    ServiceStatus,
    Status,
    Task,
    has_health_check,
)
from redis_fargate.local.ecs.store import Store, present, tag_list

_DEFAULT_EPHEMERAL_GIB = 20


def cluster_shape(cluster: Cluster, store: Store, include: Iterable[str]) -> Json:
    """Show a cluster as DescribeClusters does."""
    tasks = [task for task in store.tasks.values() if task.cluster is cluster]
    include = set(include)
    services = [item for item in store.services.values() if item.cluster is cluster]
    echoed = dict(cluster.echoed)
    configuration = echoed.pop("configuration", None)
    return present(
        {
            "clusterArn": cluster.arn,
            "clusterName": cluster.name,
            "status": "ACTIVE" if cluster.active else "INACTIVE",
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": sum(task.status is Status.RUNNING for task in tasks),
            "pendingTasksCount": sum(task.status in PENDING_STATUSES for task in tasks),
            "activeServicesCount": sum(item.status is ServiceStatus.ACTIVE for item in services),
            "statistics": _statistics(tasks) if "STATISTICS" in include else [],
            "tags": tag_list(cluster.tags) if "TAGS" in include else [],
            "settings": cluster.settings if "SETTINGS" in include else [],
            "configuration": configuration if "CONFIGURATIONS" in include else None,
            "capacityProviders": cluster.capacity_providers,
            "defaultCapacityProviderStrategy": cluster.default_strategy,
            **echoed,
        }
    )


def _statistics(tasks: list[Task]) -> list[Json]:
    counts = {
        "runningEC2TasksCount": 0,
        "runningFargateTasksCount": sum(task.status is Status.RUNNING for task in tasks),
        "pendingEC2TasksCount": 0,
        "pendingFargateTasksCount": sum(task.status in PENDING_STATUSES for task in tasks),
    }
    return [{"name": name, "value": str(value)} for name, value in counts.items()]


def deployment_counts(deployment: Deployment, tasks: Iterable[Task]) -> Json:
    """Count a deployment's tasks."""
    own = [task for task in tasks if task.deployment is deployment]
    return {
        "pendingCount": sum(task.live and task.status in PENDING_STATUSES for task in own),
        "runningCount": sum(task.status is Status.RUNNING for task in own),
    }


def _deployment_shape(deployment: Deployment, service: Service, tasks: list[Task]) -> Json:
    placement = deployment.placement
    settings = service.settings
    return present(
        {
            "id": deployment.id,
            "status": "PRIMARY" if deployment is service.primary else "ACTIVE",
            "taskDefinition": deployment.definition.arn,
            "desiredCount": deployment.desired,
            **deployment_counts(deployment, tasks),
            "failedTasks": deployment.failed_tasks,
            "createdAt": deployment.created_at,
            "updatedAt": deployment.updated_at,
            "launchType": placement.launch_type,
            "capacityProviderStrategy": list(placement.strategy) or None,
            "platformVersion": placement.platform_version,
            "platformFamily": "Linux",
            "networkConfiguration": placement.network,
            "rolloutState": deployment.rollout.value,
            "rolloutStateReason": deployment.reason,
            "serviceConnectConfiguration": settings.get("serviceConnectConfiguration"),
            "volumeConfigurations": settings.get("volumeConfigurations"),
            "vpcLatticeConfigurations": settings.get("vpcLatticeConfigurations"),
        }
    )


_ECHOED_BY_DEPLOYMENTS = frozenset(
    {"serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"}
)


def service_shape(service: Service, store: Store, arns: Arns, include: Iterable[str] = ()) -> Json:
    """Show a service as DescribeServices does."""
    tasks = store.tasks_of(service)
    active = service.status is ServiceStatus.ACTIVE
    first = service.primary
    placement = first.placement
    echoed = {
        name: value
        for name, value in service.settings.items()
        if name not in _ECHOED_BY_DEPLOYMENTS
    }
    running = sum(task.status is Status.RUNNING for task in tasks)
    pending = sum(task.live and task.status in PENDING_STATUSES for task in tasks)
    return present(
        {
            **echoed,
            "serviceArn": service.arn,
            "serviceName": service.name,
            "clusterArn": service.cluster.arn,
            "status": service.status.value,
            "desiredCount": service.desired,
            "runningCount": running,
            "pendingCount": pending,
            "launchType": placement.launch_type,
            "capacityProviderStrategy": list(placement.strategy) or None,
            "platformVersion": placement.requested_platform,
            "platformFamily": "Linux",
            "taskDefinition": first.definition.arn,
            "networkConfiguration": placement.network,
            "deployments": [
                _deployment_shape(deployment, service, tasks)
                for deployment in service.deployments
                if service.status is not ServiceStatus.INACTIVE
            ],
            "roleArn": (
                f"arn:aws:iam::{arns.account}:role/aws-service-role/ecs.amazonaws.com/"
                "AWSServiceRoleForECS"
            ),
            "events": [
                {"id": event.id, "createdAt": event.created_at, "message": event.message}
                for event in service.events
            ],
            "createdAt": service.created_at,
            "createdBy": f"arn:aws:iam::{arns.account}:root",
            "currentServiceDeployment": service_deployment_arn(first, service, arns)
            if active and first.rollout is Rollout.IN_PROGRESS
            else None,
            "currentServiceRevisions": [
                {
                    "arn": revision_arn(deployment, service, arns),
                    "requestedTaskCount": deployment.desired,
                    **{
                        "runningTaskCount" if name == "runningCount" else "pendingTaskCount": value
                        for name, value in deployment_counts(deployment, tasks).items()
                    },
                }
                for deployment in service.deployments
                if active
            ],
            "tags": tag_list(service.tags) if "TAGS" in set(include) else None,
        }
    )


def service_deployment_arn(deployment: Deployment, service: Service, arns: Arns) -> str:
    """Name a service deployment."""
    return arns.make("service-deployment", service.cluster.name, service.name, deployment.number)


def revision_arn(deployment: Deployment, service: Service, arns: Arns) -> str:
    """Name a service revision: what a deployment deploys."""
    return arns.make("service-revision", service.cluster.name, service.name, deployment.number)


def task_shape(task: Task, include: Iterable[str] = ()) -> Json:
    """Show a task as DescribeTasks and the task's events do."""
    data = task.definition.data
    overrides = {
        "containerOverrides": [{"name": item.definition["name"]} for item in task.containers],
        "inferenceAcceleratorOverrides": [],
        **task.overrides,
    }
    storage = overrides.get("ephemeralStorage") or data.get(
        "ephemeralStorage", {"sizeInGiB": _DEFAULT_EPHEMERAL_GIB}
    )
    architecture = data.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
    return present(
        {
            "attachments": [_attachment_shape(task)],
            "attributes": [
                {"name": "ecs.cpu-architecture", "value": architecture.lower()},
            ],
            "availabilityZone": task.zone,
            "capacityProviderName": task.capacity_provider,
            "clusterArn": task.cluster.arn,
            "connectivity": "CONNECTED" if "connectivityAt" in task.times else None,
            "containers": [_container_shape(item, task) for item in task.containers],
            "cpu": overrides.get("cpu") or data.get("cpu"),
            "createdAt": task.created_at,
            "desiredStatus": task.desired.value,
            "enableExecuteCommand": task.execute_command,
            "group": task.group,
            "healthStatus": task.health.value,
            "inferenceAccelerators": [],
            "lastStatus": task.status.value,
            "launchType": "FARGATE",
            "memory": overrides.get("memory") or data.get("memory"),
            "overrides": overrides,
            "platformVersion": task.placement.platform_version,
            "platformFamily": "Linux",
            "startedBy": task.started_by,
            "stopCode": task.stop_code.value if task.stop_code else None,
            "stoppedReason": task.stopped_reason,
            "tags": tag_list(task.tags) if "TAGS" in set(include) else [],
            "taskArn": task.arn,
            "taskDefinitionArn": task.definition.arn,
            "version": task.version,
            "ephemeralStorage": storage,
            "fargateEphemeralStorage": storage,
            **task.times,
        }
    )


def _attachment_shape(task: Task) -> Json:
    details = {"subnetId": task.subnet}
    if task.address is not None:
        details |= {
            "networkInterfaceId": task.interface_id,
            "macAddress": task.mac_address,
            "privateDnsName": f"ip-{task.address.replace('.', '-')}.ec2.internal",
            "privateIPv4Address": task.address,
        }
    return {
        "id": task.attachment_id,
        "type": "ElasticNetworkInterface",
        "status": task.attachment_status,
        "details": [{"name": name, "value": value} for name, value in details.items()],
    }


def _container_shape(container: ContainerState, task: Task) -> Json:
    definition = container.definition
    has_address = task.address is not None
    interface = {"attachmentId": task.attachment_id, "privateIpv4Address": task.address}
    return present(
        {
            "containerArn": container.arn,
            "taskArn": task.arn,
            "name": definition["name"],
            "image": definition["image"],
            "runtimeId": container.runtime_id,
            "lastStatus": container.status.value,
            "exitCode": container.exit_code,
            "reason": container.reason,
            "networkBindings": [],
            "networkInterfaces": [interface] if has_address else [],
            "healthStatus": container.health.value if has_health_check(definition) else "UNKNOWN",
            "cpu": str(definition.get("cpu", 0)),
            "memory": str(definition["memory"]) if "memory" in definition else None,
            "memoryReservation": str(definition["memoryReservation"])
            if "memoryReservation" in definition
            else None,
        }
    )
