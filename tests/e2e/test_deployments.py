"""Deployments and scaling through ECS itself, while clients write."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.cluster import RedisCluster
from rig import NAME, Cli, Up, clients_of, eventually, nodes_of, resolving

from redis_fargate.local.clients import Clients
from servers import PORT
from unique_writes import UniqueWrites, writing

CLUSTER = {"cluster": "redis-local"}
SERVICE = {**CLUSTER, "service": "redis-cluster-service"}


@contextmanager
def client_of(up: Up, clients: Clients) -> Iterator[RedisCluster]:
    """As docs/clients.md recommends."""
    with (
        resolving(clients),
        RedisCluster(
            host=NAME, port=PORT, password=up.password, dynamic_startup_nodes=False
        ) as client,
    ):
        yield client


@contextmanager
def load(up: Up, clients: Clients) -> Iterator[UniqueWrites]:
    with client_of(up, clients) as client, writing(client, "load:") as writes:
        yield writes


def assert_nothing_lost(writes: UniqueWrites, client: RedisCluster) -> None:
    values = client.mget_nonatomic(*writes.keys)
    lost = [key for key, value in zip(writes.keys, values, strict=True) if value != key.encode()]
    assert not lost, f"{len(lost)} of {len(writes.keys)} acknowledged writes are lost"


def service_of(ecs: Any) -> Any:
    return ecs.describe_services(**CLUSTER, services=[SERVICE["service"]])["services"][0]


def deploy(ecs: Any, **changes: Any) -> str:
    """Register a new revision of the task definition, and have the service run it."""
    definition = ecs.describe_task_definition(taskDefinition=service_of(ecs)["taskDefinition"])
    request = {
        name: value
        for name, value in definition["taskDefinition"].items()
        if name
        in ecs.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
    }
    request["containerDefinitions"][0] |= changes
    arn = ecs.register_task_definition(**request)["taskDefinition"]["taskDefinitionArn"]
    ecs.update_service(**SERVICE, taskDefinition=arn)
    return arn


def test_a_deployment_of_a_newer_server_loses_nothing(cli: Cli) -> None:
    up = cli.up("--server", "valkey/valkey:8.1")
    before = {node["task_id"] for node in nodes_of(up.result)}
    with clients_of(cli) as clients, client_of(up, clients) as idle:
        with load(up, clients) as writes:
            arn = deploy(clients.client("ecs"), image="valkey/valkey:9")
            result = eventually(
                cli.result,
                lambda seen: (
                    seen["health"] == "ok"
                    and len(nodes_of(seen)) == 6
                    and not before & {node["task_id"] for node in nodes_of(seen)}
                ),
                timeout_s=240,
            )
        running = clients.client("ecs").list_tasks(**CLUSTER)["taskArns"]
        tasks = clients.client("ecs").describe_tasks(**CLUSTER, tasks=running)["tasks"]
        assert {task["taskDefinitionArn"] for task in tasks} == {arn}
        assert all(node["version"].startswith("valkey 9") for node in nodes_of(result))
        # It knows only nodes that are gone, and the name.
        assert idle.get(writes.keys[0]) == writes.keys[0].encode()
        assert_nothing_lost(writes, idle)
    assert writes.failed < len(writes.keys) / 100


def test_a_revision_that_does_not_start_leaves_the_old_tasks_serving(cli: Cli) -> None:
    up = cli.up()
    before = {node["task_id"] for node in nodes_of(up.result)}
    with clients_of(cli) as clients:
        ecs = clients.client("ecs")
        with load(up, clients) as writes:
            deploy(ecs, command=["exit 1"])
            eventually(
                lambda: service_of(ecs),
                lambda service: (
                    any(each.get("rolloutState") == "FAILED" for each in service["deployments"])
                    or "rolling back" in str(service["events"])
                ),
                timeout_s=180,
            )
            result = eventually(cli.result, lambda seen: seen["health"] == "ok", timeout_s=60)
        with client_of(up, clients) as client:
            assert_nothing_lost(writes, client)
    assert {node["task_id"] for node in nodes_of(result)} == before
