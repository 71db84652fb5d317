"""Tasks that come late, go early, or are not what they should be, before a cluster is formed."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis
from rig import Cli, Up, clients_of, eventually, frozen, invoke, nodes_of, server_at

from redis_fargate.local.blueprint import SERVICE, Blueprint
from redis_fargate.local.clients import Clients
from redis_fargate.local.launching import launched, stop
from redis_fargate.local.package import build
from redis_fargate.local.provision import provision
from redis_fargate.local.statedir import Record, StateDir
from redis_fargate.topology.spec import Spec
from servers import PORT, PROGRAMS

CLUSTER = "redis-local"
EARLY = 5
WANTED = 6


@dataclass(frozen=True)
class _Early(Blueprint):
    """A service that starts with too few tasks, so that nothing forms until more are asked for."""

    def service(self, *arguments: Any) -> dict[str, Any]:
        return Blueprint.service(self, *arguments) | {"desiredCount": EARLY}


@dataclass(frozen=True)
class Cloud:
    clients: Clients
    password: str

    def status(self) -> dict[str, Any]:
        return invoke(self.clients, "status")

    def waiting(self) -> list[dict[str, Any]]:
        """The tasks, once all of the early ones run and answer, blank."""
        result = eventually(
            self.status, lambda seen: [node["role"] for node in nodes_of(seen)] == ["blank"] * EARLY
        )
        assert result["health"] == "forming"
        return nodes_of(result)

    def ask_for_all(self) -> None:
        ecs = self.clients.client("ecs")
        ecs.update_service(cluster=CLUSTER, service=SERVICE, desiredCount=WANTED)

    def last_run(self) -> dict[str, str]:
        """What the history remembers of the newest run, which an event has started."""
        runs = self.clients.client("dynamodb").query(
            TableName=f"{CLUSTER}-state",
            KeyConditionExpression="kind = :run",
            ExpressionAttributeValues={":run": {"S": "run"}},
            ScanIndexForward=False,
            Limit=1,
        )["Items"]
        item = runs[0] if runs else {"outcome": {"S": "none"}}
        return {name: next(iter(value.values())) for name, value in item.items()}

    def assert_refused_because_of(self, node: dict[str, Any]) -> None:
        run = eventually(self.last_run, lambda run: run["outcome"] == "refused")
        assert node["task_id"] in run["verdict"]
        assert self.status()["health"] == "forming"

    def formed(self) -> Up:
        result = eventually(self.status, lambda seen: seen["health"] == "ok")
        host = result["shards"][0]["master"]["address"]
        return Up({"result": result, "connect": {"host": host, "password": self.password}})


@contextmanager
def unformed(cli: Cli) -> Iterator[Cloud]:
    """A cloud with too few tasks to form the cluster that its controller wants."""
    state = StateDir(cli.home)
    state.create()
    blueprint = _Early(CLUSTER, Spec(3, 3), "valkey/valkey:9", [f"us-east-1{z}" for z in "abc"])
    with launched(state, cli.port) as process, clients_of(cli) as clients:
        record = Record(process.process.pid, process.started_ticks, cli.port, CLUSTER, {})
        state.write(record)
        build(state.package)
        process.await_ready()
        yield Cloud(clients, provision(clients, blueprint, state.package).password)
        stop(record.pid, record.started_ticks, state)
        process.process.wait()


def test_a_blank_task_that_dies_and_tasks_that_are_late(cli: Cli) -> None:
    with unformed(cli) as cloud:
        first = cloud.waiting()[0]
        cloud.clients.client("ecs").stop_task(cluster=CLUSTER, task=first["task_id"])
        eventually(
            cloud.waiting, lambda nodes: first["task_id"] not in {node["task_id"] for node in nodes}
        )
        cloud.ask_for_all()
        up = cloud.formed()
        assert len(nodes_of(up.result)) == WANTED
        assert first["task_id"] not in {node["task_id"] for node in nodes_of(up.result)}
        up.assert_others_agree(PROGRAMS["valkey-9.1"]())
        up.assert_serves()


def test_a_task_that_does_not_answer(cli: Cli) -> None:
    with unformed(cli) as cloud:
        silent = cloud.waiting()[0]
        with frozen(server_at(cli, silent["address"])):
            cloud.ask_for_all()
            eventually(cloud.status, lambda seen: len(nodes_of(seen)) == WANTED)
            cloud.assert_refused_because_of(silent)
            assert {node["role"] for node in nodes_of(cloud.status())} == {"blank", "unreachable"}
        eventually(
            lambda: invoke(cloud.clients, "reconcile"), lambda seen: seen["outcome"] == "converged"
        )
        up = cloud.formed()
        assert len(nodes_of(up.result)) == WANTED
        up.assert_others_agree(PROGRAMS["valkey-9.1"]())


def test_a_stranger_at_a_tasks_address_and_two_controllers_that_form(cli: Cli) -> None:
    with unformed(cli) as cloud:
        usurped = cloud.waiting()[0]
        node = redis.Redis(usurped["address"], PORT, password=cloud.password)
        node.config_set("cluster-announce-hostname", "a" * 32)
        cloud.ask_for_all()
        eventually(cloud.status, lambda seen: len(nodes_of(seen)) == WANTED)
        cloud.assert_refused_because_of(usurped)
        node.config_set("cluster-announce-hostname", usurped["task_id"])
        node.close()
        with ThreadPoolExecutor() as pool:
            runs = list(pool.map(lambda _: invoke(cloud.clients, "reconcile"), range(3)))
        assert {run["outcome"] for run in runs} <= {"converged", "busy"}
        assert [bool(run["done"]) for run in runs].count(True) <= 1
        up = cloud.formed()
        assert len(nodes_of(up.result)) == WANTED
        up.assert_others_agree(PROGRAMS["valkey-9.1"]())


def test_the_processes_of_the_tasks_know_no_password(cli: Cli) -> None:
    up = cli.up("--masters", "1", "--replicas", "0")
    for pid in cli.processes():
        # A health check may have ended by now.
        with (
            suppress(FileNotFoundError, ProcessLookupError),
            open(f"/proc/{pid}/cmdline", "rb") as cmdline,  # noqa: PTH123
        ):
            assert up.password.encode() not in cmdline.read()
    assert os.stat(cli.home).st_mode & 0o077 == 0  # noqa: PTH116
