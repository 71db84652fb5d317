"""One contract, two writers: what the module makes is what the local cloud makes."""

import json
from pathlib import Path
from typing import Any

import pytest
from run_terraform import planned as planned_values

from redis_fargate.local import blueprint as local_cloud
from redis_fargate.local.blueprint import Blueprint
from redis_fargate.topology.spec import Spec

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:password"
CLUSTER_ARN = "arn:aws:ecs:us-east-1:123456789012:cluster/redis-local"
BLUEPRINT = Blueprint(
    cluster_name="redis-local",
    spec=Spec(master_count=3, replica_count=6),
    image="valkey/valkey:9",
    zones=("us-east-1a", "us-east-1b", "us-east-1c"),
    redis_config={"maxmemory-policy": "allkeys-lru", "timeout": "300"},
)
VARIABLES = {
    "auth": {"password_secret_arn": SECRET},
    "cloudmap_namespace": f"{local_cloud.DISCOVERY_SERVICE}.{local_cloud.NAMESPACE}",
    "cluster_name": "redis-local",
    "master_count": 3,
    "private_subnet_ids": ["subnet-a", "subnet-b", "subnet-c"],
    "redis_config": {"maxmemory_policy": "allkeys-lru", "timeout": 300},
    "redis_image": "valkey/valkey:9",
    "replica_count": 6,
    "task_cpu": BLUEPRINT.cpu,
    "task_memory": BLUEPRINT.memory_mib,
    "vpc_id": "vpc-0123456789abcdef0",
}


@pytest.fixture(scope="session")
def planned(module: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Address to what is planned for it, for the blueprint's inputs."""
    return planned_values(module, VARIABLES, environment)


def test_task_definition(planned: dict[str, Any]) -> None:
    made = planned["aws_ecs_task_definition.this[0]"]
    wanted = BLUEPRINT.task_definition(SECRET, "execution", "task")
    assert json.loads(made["container_definitions"]) == wanted["containerDefinitions"]
    for theirs, ours in {
        "family": "family",
        "requiresCompatibilities": "requires_compatibilities",
        "networkMode": "network_mode",
        "cpu": "cpu",
        "memory": "memory",
    }.items():
        assert made[ours] == wanted[theirs]


def test_service(planned: dict[str, Any]) -> None:
    made = planned["aws_ecs_service.this[0]"]
    wanted = BLUEPRINT.service("definition", [], "group", "registry")
    deployment = wanted["deploymentConfiguration"]
    assert made["name"] == wanted["serviceName"]
    assert made["desired_count"] == wanted["desiredCount"]
    assert made["launch_type"] == wanted["launchType"]
    assert made["deployment_minimum_healthy_percent"] == deployment["minimumHealthyPercent"]
    assert made["deployment_maximum_percent"] == deployment["maximumPercent"]
    assert made["deployment_circuit_breaker"] == [deployment["deploymentCircuitBreaker"]]
    assert made["availability_zone_rebalancing"] == wanted["availabilityZoneRebalancing"]
    assert made["propagate_tags"] == wanted["propagateTags"]
    assert made["enable_ecs_managed_tags"] == wanted["enableECSManagedTags"]
    assert not made["network_configuration"][0]["assign_public_ip"]


def test_controller(planned: dict[str, Any]) -> None:
    made = planned["aws_lambda_function.controller[0]"]
    assert made["function_name"] == BLUEPRINT.function_name
    assert made["handler"] == local_cloud.HANDLER
    assert made["timeout"] == local_cloud.CONTROLLER_TIMEOUT_S
    assert made["memory_size"] == local_cloud.CONTROLLER_MEMORY_MIB
    assert made["environment"][0]["variables"] == BLUEPRINT.controller_environment(SECRET)


def test_event_rules(planned: dict[str, Any]) -> None:
    made = {
        rule["name"]: rule
        for address, rule in planned.items()
        if address.startswith("aws_cloudwatch_event_rule.")
    }
    wanted = BLUEPRINT.rules(CLUSTER_ARN)
    assert made.keys() == wanted.keys()
    for name, rule in wanted.items():
        assert made[name]["schedule_expression"] == rule.get("ScheduleExpression")
        pattern = rule.get("EventPattern")
        assert (pattern is None) == (made[name]["event_pattern"] is None)
        if pattern is not None:
            assert json.loads(made[name]["event_pattern"]) == json.loads(pattern)


def test_state_table(planned: dict[str, Any]) -> None:
    made = planned["aws_dynamodb_table.state[0]"]
    wanted = BLUEPRINT.table()
    keys = {key["KeyType"]: key["AttributeName"] for key in wanted["KeySchema"]}
    assert made["name"] == wanted["TableName"]
    assert made["billing_mode"] == wanted["BillingMode"]
    assert {"HASH": made["hash_key"], "RANGE": made["range_key"]} == keys
    assert {attribute["name"]: attribute["type"] for attribute in made["attribute"]} == {
        attribute["AttributeName"]: attribute["AttributeType"]
        for attribute in wanted["AttributeDefinitions"]
    }
