"""What is created in AWS, as data: the same names and documents that the Terraform module has."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis_fargate.local.module import module_root
from redis_fargate.topology.spec import OnDataLoss, Spec

Json = dict[str, Any]

SERVICE = "redis-cluster-service"
CONTAINER = "redis"
CONTAINER_USER = "999"
"""Number of the user ``redis`` or ``valkey`` of the stock images, to whom their /data belongs. Our
entry point takes the place of the images' own, which would give up root. A process does not."""
NAMESPACE = "local"
DISCOVERY_SERVICE = "redis-cluster"
REDIS_PORT = 6379
BUS_PORT = 16379
STOP_TIMEOUT_S = 120
HANDLER = "redis_fargate.controller.handler.handler"
CONTROLLER_TIMEOUT_S = 300
CONTROLLER_MEMORY_MIB = 512


def node_script(name: str) -> str:
    """Read ``entrypoint.sh`` or ``healthcheck.sh``."""
    return (module_root() / "node" / name).read_text()


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One cluster, and everything of it that does not depend on what AWS answers."""

    cluster_name: str
    spec: Spec
    image: str
    zones: Sequence[str]
    redis_config: Mapping[str, str] = field(default_factory=dict)
    region: str = "us-east-1"
    cpu: int = 256
    memory_mib: int = 512

    @property
    def function_name(self) -> str:
        """The controller's Lambda function."""
        return f"{self.cluster_name}-initializer"

    @property
    def on_data_loss(self) -> OnDataLoss:
        """A person decides where there was to be data on disk; a cache is served again, empty."""
        persistent = self.redis_config.get("appendonly") in {"yes", "true"} or (
            self.redis_config.get("save", "") not in {"", '""'}
        )
        return OnDataLoss.HALT if persistent else OnDataLoss.REBUILD_EMPTY

    @property
    def task_log_group(self) -> str:
        """Where the tasks log."""
        return f"/aws/ecs/{self.cluster_name}"

    @property
    def controller_log_group(self) -> str:
        """Where the controller logs."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def password_secret(self) -> str:
        """Name of the secret with the nodes' password."""
        return f"{self.cluster_name}-password"

    @property
    def state_table(self) -> str:
        """The controller's DynamoDB table."""
        return f"{self.cluster_name}-state"

    def controller_environment(self, secret_arn: str) -> dict[str, str]:
        """Make the environment of the controller's function."""
        return {
            "CLUSTER_NAME": self.cluster_name,
            "ECS_CLUSTER": self.cluster_name,
            "ECS_SERVICE": SERVICE,
            "CLOUDMAP_NAMESPACE": NAMESPACE,
            "CLOUDMAP_SERVICE": DISCOVERY_SERVICE,
            "MASTER_COUNT": str(self.spec.master_count),
            "REPLICA_COUNT": str(self.spec.replica_count),
            "ON_DATA_LOSS": self.on_data_loss.value,
            "STATE_TABLE": self.state_table,
            "REDIS_PORT": str(REDIS_PORT),
            "PASSWORD_SECRET_ARN": secret_arn,
            "TLS": "false",
        }

    def table(self) -> Json:
        """Make the request that creates the state table; ``ttl`` is its TTL attribute."""
        return {
            "TableName": self.state_table,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [
                {"AttributeName": "kind", "KeyType": "HASH"},
                {"AttributeName": "id", "KeyType": "RANGE"},
            ],
            "AttributeDefinitions": [
                {"AttributeName": "kind", "AttributeType": "S"},
                {"AttributeName": "id", "AttributeType": "S"},
            ],
        }

    def task_definition(self, secret_arn: str, execution_role: str, task_role: str) -> Json:
        """Make the request that registers the task definition."""
        config = "\n".join(f"{name} {value}" for name, value in self.redis_config.items())
        return {
            "family": self.cluster_name,
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": str(self.cpu),
            "memory": str(self.memory_mib),
            "executionRoleArn": execution_role,
            "taskRoleArn": task_role,
            "containerDefinitions": [
                {
                    "name": CONTAINER,
                    "image": self.image,
                    "essential": True,
                    "user": CONTAINER_USER,
                    "entryPoint": ["/bin/sh", "-c"],
                    "command": [node_script("entrypoint.sh")],
                    "portMappings": [
                        {"containerPort": REDIS_PORT, "protocol": "tcp"},
                        {"containerPort": BUS_PORT, "protocol": "tcp"},
                    ],
                    "environment": [
                        {"name": "REDIS_CONFIG", "value": config},
                        {"name": "REDIS_PORT", "value": str(REDIS_PORT)},
                        {"name": "REDIS_TASK_MEMORY_MIB", "value": str(self.memory_mib)},
                    ],
                    "secrets": [{"name": "REDIS_PASSWORD", "valueFrom": secret_arn}],
                    "healthCheck": {
                        "command": ["CMD-SHELL", node_script("healthcheck.sh")],
                        "interval": 10,
                        "timeout": 5,
                        "retries": 3,
                        "startPeriod": 10,
                    },
                    "stopTimeout": STOP_TIMEOUT_S,
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {
                            "awslogs-group": self.task_log_group,
                            "awslogs-region": self.region,
                            "awslogs-stream-prefix": "redis",
                        },
                    },
                }
            ],
        }

    def service(
        self, task_definition: str, subnets: Sequence[str], group: str, registry: str
    ) -> Json:
        """Make the request that creates the service."""
        return {
            "cluster": self.cluster_name,
            "serviceName": SERVICE,
            "taskDefinition": task_definition,
            "desiredCount": self.spec.task_count,
            "launchType": "FARGATE",
            "deploymentConfiguration": {
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
                "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            },
            # It stops tasks, without asking where the masters are.
            "availabilityZoneRebalancing": "DISABLED",
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": list(subnets),
                    "securityGroups": [group],
                    "assignPublicIp": "DISABLED",
                }
            },
            "serviceRegistries": [{"registryArn": registry}],
            "propagateTags": "SERVICE",
            "enableECSManagedTags": True,
        }

    def rules(self, cluster_arn: str) -> dict[str, Json]:
        """Make EventBridge's rules: name to either its pattern or its schedule."""
        service_arn = f"{cluster_arn.replace(':cluster/', ':service/', 1)}/{SERVICE}"
        of_service = {"source": ["aws.ecs"], "resources": [service_arn]}
        task = {
            "source": ["aws.ecs"],
            "detail-type": ["ECS Task State Change"],
            "detail": {
                "clusterArn": [cluster_arn],
                "group": [f"service:{SERVICE}"],
                # The container of a task that is DEPROVISIONING has ended: half a minute sooner.
                "lastStatus": ["RUNNING", "DEPROVISIONING", "STOPPED"],
            },
        }
        patterns = {
            "task": task,
            "service": {**of_service, "detail-type": ["ECS Service Action"]},
            "deployment": {**of_service, "detail-type": ["ECS Deployment State Change"]},
        }
        rules: dict[str, Json] = {
            f"{self.cluster_name}-{name}": {"EventPattern": json.dumps(pattern)}
            for name, pattern in patterns.items()
        }
        # Events come at least once, but not for everything that can happen to a node.
        rules[f"{self.cluster_name}-schedule"] = {"ScheduleExpression": "rate(1 minute)"}
        return rules


def trust(service: str) -> str:
    """Make the policy that lets one AWS service take a role."""
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": f"{service}.amazonaws.com"},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
