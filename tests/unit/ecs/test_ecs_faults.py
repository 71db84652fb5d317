"""Far ends that fail, hang or are slow, and the end of the ECS: nothing is left, nothing hangs."""

import asyncio
import json
import socket
import time
from contextlib import ExitStack, closing

import pytest
from ecs_cloud import (
    ACCOUNT,
    REGION,
    SUBNETS,
    FakeContainer,
    FakeRegistry,
    FakeRuntime,
    FakeSink,
    FakeSubnets,
)

from redis_fargate.local.ecs import Addresses, Ecs, FarEnds
from redis_fargate.local.ecs.errors import NoAddress
from redis_fargate.local.errors import LocalCloudError

DEFINITION = {
    "family": "redis",
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "redis", "image": "redis:7", "stopTimeout": 2}],
}
SERVICE = {
    "cluster": "c",
    "serviceName": "redis",
    "taskDefinition": "redis",
    "desiredCount": 2,
    "launchType": "FARGATE",
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": list(SUBNETS)}},
    "serviceRegistries": [{"registryArn": "arn:registry"}],
}


class Bench:
    def __init__(self, directory, **far_ends):
        self.directory = directory
        ends = {
            "runtime": FakeRuntime(),
            "registry": FakeRegistry(),
            "events": FakeSink(),
            "subnets": FakeSubnets(),
            **far_ends,
        }
        self.ecs = Ecs(
            FarEnds(**ends),
            account=ACCOUNT,
            region=REGION,
            directory=directory,
            metadata_endpoint="http://127.0.0.1:1",
        )

    async def __aenter__(self):
        await self.ecs.start()
        await self.ask("CreateCluster", clusterName="c")
        await self.ask("RegisterTaskDefinition", **DEFINITION)
        return self

    async def __aexit__(self, *_):
        await self.ecs.close()
        assert not list(self.directory.iterdir())

    async def ask(self, operation, **members):
        status, _, body = await self.ecs.handle(operation, json.dumps(members).encode())
        assert status == 200, body
        return json.loads(body)

    async def service(self):
        return (await self.ask("DescribeServices", cluster="c", services=["redis"]))["services"][0]

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition(await self.service()):  # noqa: ASYNC110 - as a client polls
                await asyncio.sleep(0.005)

    async def until_running(self, number=2):
        await self.until(lambda service: service["runningCount"] == number)


class FailingSink:
    async def publish(self, event):
        raise RuntimeError("the bus is down")


class HangingSink:
    async def publish(self, event):
        await asyncio.Event().wait()


@pytest.mark.parametrize("sink", [FailingSink(), HangingSink()], ids=["failing", "hanging"])
def test_a_bad_event_bus_does_not_hold_up_tasks(tmp_path, sink):
    async def history():
        async with Bench(tmp_path, events=sink) as bench:
            await bench.ask("CreateService", **SERVICE)
            await bench.until_running()

    asyncio.run(history())


class FailingRegistry(FakeRegistry):
    async def register(self, service_arn, instance_id, attributes):
        raise LocalCloudError("the namespace is gone")


def test_a_task_that_cannot_be_registered_does_not_start(tmp_path):
    async def history():
        sink = FakeSink()
        async with Bench(tmp_path, registry=FailingRegistry(), events=sink) as bench:
            await bench.ask("CreateService", **SERVICE)
            await bench.until(lambda _: stopped(sink))
        gone = stopped(sink)
        assert gone[0]["stopCode"] == "TaskFailedToStart"
        assert "the namespace is gone" in gone[0]["stoppedReason"]

    asyncio.run(history())


def stopped(sink):
    details = sink.details("ECS Task State Change")
    return [detail for detail in details if detail["lastStatus"] == "STOPPED"]


class BrokenRuntime(FakeRuntime):
    async def start(self, launch, on_health):
        raise ValueError("a fault in the runtime")


def test_a_fault_of_a_runtime_ends_the_task_and_is_logged(tmp_path, caplog):
    async def history():
        async with Bench(tmp_path, runtime=BrokenRuntime()) as bench:
            await bench.ask("CreateService", **{**SERVICE, "desiredCount": 1})
            await bench.until(lambda s: s["deployments"][0]["failedTasks"] > 0)

    asyncio.run(history())
    assert "a fault in the runtime" in caplog.text


class SlowContainer(FakeContainer):
    async def stop(self):
        await asyncio.sleep(self.launch.stop_timeout_s / 10)
        return await super().stop()


class SlowRuntime(FakeRuntime):
    async def start(self, launch, on_health):
        await asyncio.sleep(0.05)
        container = SlowContainer(launch, on_health)
        self.containers[launch.task_id, launch.container] = container
        return container


def test_closing_stops_tasks_that_start_run_or_stop(tmp_path):
    runtime = SlowRuntime()

    async def history():
        async with Bench(tmp_path, runtime=runtime) as bench:
            await bench.ask("CreateService", **SERVICE)
            await bench.until_running()
            tasks = await bench.ask("ListTasks", cluster="c")
            await bench.ask("StopTask", cluster="c", task=tasks["taskArns"][0])
            await bench.ask("UpdateService", cluster="c", service="redis", desiredCount=4)
            await asyncio.sleep(0)
            begin = time.monotonic()
        assert time.monotonic() - begin < 2

    asyncio.run(history())
    assert len(runtime.containers) >= 2
    assert all(container.code is not None for container in runtime.containers.values())


def test_stop_timeout_does_not_hold_up_the_replacement(tmp_path):
    async def history():
        async with Bench(tmp_path, runtime=SlowRuntime()) as bench:
            await bench.ask("CreateService", **SERVICE)
            await bench.until_running()
            first = (await bench.ask("ListTasks", cluster="c"))["taskArns"]
            await bench.ask("StopTask", cluster="c", task=first[0])
            await bench.until(lambda service: service["pendingCount"] == 1)

    asyncio.run(history())


def test_a_service_keeps_its_last_100_events(tmp_path):
    async def history():
        async with Bench(tmp_path) as bench:
            await bench.ask("CreateService", **SERVICE)
            for count in [3, 2] * 30:
                await bench.ask("UpdateService", cluster="c", service="redis", desiredCount=count)
                await bench.until(
                    lambda s, count=count: (
                        s["runningCount"] == count and "steady" in s["events"][0]["message"]
                    )
                )
            assert len((await bench.service())["events"]) == 100

    asyncio.run(history())


@pytest.fixture
def addresses():
    with closing(Addresses()) as made:
        yield made


def test_addresses_are_free_distinct_and_not_reused_soon(addresses):
    first = addresses.take("us-east-1a")
    host, zone = first.split(".")[3], first.split(".")[2]
    assert zone == "1"
    addresses.give_back(first)
    assert addresses.take("us-east-1a") != first
    assert addresses.take("us-east-1b").split(".")[2:] == ["2", host]


def test_no_two_clouds_have_addresses_in_common():
    with ExitStack() as running:
        clouds = [running.enter_context(closing(Addresses())) for _ in range(100)]
        assert len({cloud.take("a") for cloud in clouds}) == 100


@pytest.mark.parametrize("port", [6379, 16379])
def test_address_on_which_something_listens_is_passed_over(addresses, port):
    net = addresses.take("x").split(".")[1]
    with (
        socket.create_server((f"127.{net}.1.1", port)),
        closing(Addresses(int(net))) as others,
    ):
        assert others.take("a") == f"127.{net}.1.2"


def test_no_address_is_left(addresses):
    for _ in range(254):
        addresses.take("a")
    with pytest.raises(NoAddress, match="zone a"):
        addresses.take("a")


def test_machine_without_other_loopback_addresses(addresses, monkeypatch):

    class Socket(socket.socket):
        def bind(self, address):
            raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket, "socket", Socket)
    with pytest.raises(NoAddress, match="sudo ifconfig lo0 alias 127"):
        addresses.take("a")
