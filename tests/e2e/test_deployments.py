"""Deployments and scaling through ECS itself, while clients write."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.cluster import RedisCluster
from redis.exceptions import RedisError
from rig import Cli, Up, clients_of, eventually, nodes_of

from servers import PORT

CLUSTER = {"cluster": "redis-local"}
SERVICE = {**CLUSTER, "service": "redis-cluster-service"}


class Load:
    """Writes numbered keys one after the other, and remembers those that were acknowledged."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.acknowledged: list[int] = []
        self.failed = 0
        self._end = threading.Event()

    def client(self) -> RedisCluster:
        return RedisCluster(host=self.up.host, port=PORT, password=self.up.password)

    def run(self) -> None:
        client, number = self.client(), 0
        while not self._end.is_set():
            number += 1
            try:
                client.set(f"load:{number}", number)
            except (RedisError, OSError):
                self.failed += 1
                with suppress(RedisError, OSError):
                    client.nodes_manager.initialize()
            else:
                self.acknowledged.append(number)
        client.close()

    def end(self) -> None:
        self._end.set()


@contextmanager
def load(up: Up) -> Iterator[Load]:
    writing = Load(up)
    thread = threading.Thread(target=writing.run)
    thread.start()
    try:
        yield writing
    finally:
        writing.end()
        thread.join()


def assert_nothing_lost(writing: Load, host: str) -> None:
    with RedisCluster(host=host, port=PORT, password=writing.up.password) as client:
        values = client.mget_nonatomic(*(f"load:{number}" for number in writing.acknowledged))
    lost = [n for n, value in zip(writing.acknowledged, values, strict=True) if value is None]
    assert writing.acknowledged
    assert not lost, f"{len(lost)} of {len(writing.acknowledged)} acknowledged writes are lost"


def deploy(ecs: Any, **changes: Any) -> str:
    """Register a new revision of the task definition, and have the service run it."""
    family = ecs.describe_services(**CLUSTER, services=[SERVICE["service"]])["services"][0]
    definition = ecs.describe_task_definition(taskDefinition=family["taskDefinition"])
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
    with clients_of(cli) as clients, load(up) as writing:
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
    host = result["shards"][0]["master"]["address"]
    assert_nothing_lost(writing, host)
    assert writing.failed < len(writing.acknowledged) / 100


def test_a_revision_that_does_not_start_leaves_the_old_tasks_serving(cli: Cli) -> None:
    up = cli.up()
    before = {node["task_id"] for node in nodes_of(up.result)}
    with clients_of(cli) as clients, load(up) as writing:
        ecs = clients.client("ecs")
        deploy(ecs, command=["exit 1"])
        eventually(
            lambda: ecs.describe_services(**CLUSTER, services=[SERVICE["service"]])["services"][0],
            lambda service: (
                any(each.get("rolloutState") == "FAILED" for each in service["deployments"])
                or "rolling back" in str(service["events"])
            ),
            timeout_s=180,
        )
        result = eventually(cli.result, lambda seen: seen["health"] == "ok", timeout_s=60)
    assert {node["task_id"] for node in nodes_of(result)} == before
    assert_nothing_lost(writing, up.host)
