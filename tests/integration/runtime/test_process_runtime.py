"""Containers as processes: what they find, how they end, and that nothing of them is left."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from redis_fargate.local.clients import Clients
from redis_fargate.local.errors import CannotStartContainer
from redis_fargate.local.ports import ContainerHealth, HealthCheck, Launch, LogStream
from redis_fargate.local.tasks.process import ProcessRuntime

DEADLINE_S = 10
NODE = Path(__file__).parents[3] / "node"


def free_address() -> str:
    while True:
        address = f"127.{random.randint(16, 250)}.{random.randint(16, 250)}.2"
        with socket.socket() as probe:
            try:
                probe.bind((address, 6379))
            except OSError:
                continue
            return address


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    task_id = uuid.uuid4().hex
    directory = tmp_path / task_id
    directory.mkdir()
    return Launch(
        task_arn=f"arn:aws:ecs:us-east-1:000000000000:task/redis/{task_id}",
        task_id=task_id,
        container="redis",
        image="valkey/valkey:9",
        address=free_address(),
        entry_point=("/bin/sh", "-c"),
        command=("exit 0",),
        environment={},
        secrets={},
        health_check=None,
        log=LogStream("tasks", f"redis/redis/{task_id}"),
        stop_timeout_s=5,
        directory=directory,
    )


def run(clients: Clients, scenario: Callable[[ProcessRuntime], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        runtime = ProcessRuntime(clients)
        try:
            async with asyncio.timeout(3 * DEADLINE_S):
                await scenario(runtime)
        finally:
            await runtime.close()

    asyncio.run(bounded())


def ignore(_: ContainerHealth) -> None:
    pass


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - other processes raise no event of ours
            await asyncio.sleep(0.02)


def logged(clients: Clients, launch: Launch) -> list[str]:
    assert launch.log is not None
    answer = clients.logs.get_log_events(
        logGroupName=launch.log.group, logStreamName=launch.log.stream, startFromHead=True
    )
    return [event["message"] for event in answer["events"]]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def command(launch: Launch, text: str) -> Launch:
    return replace(launch, command=(text,))


def test_a_node_runs_becomes_healthy_and_stops(clients: Clients, launch: Launch) -> None:
    secret = clients.secrets.create_secret(
        Name=launch.task_id, SecretString=json.dumps({"password": "pass word"})
    )
    launch = replace(
        launch,
        command=((NODE / "entrypoint.sh").read_text(),),
        environment={
            "REDIS_DATA_DIR": "/data",
            "ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:1/v4/{launch.task_id}-0000000000",
        },
        secrets={"REDIS_PASSWORD": f"{secret['ARN']}:password::"},
        health_check=HealthCheck(("CMD-SHELL", (NODE / "healthcheck.sh").read_text())),
    )
    seen: list[ContainerHealth] = []

    async def scenario(runtime: ProcessRuntime) -> None:
        container = await runtime.start(launch, seen.append)

        async def is_healthy() -> bool:
            return seen == [ContainerHealth.HEALTHY]

        await until(is_healthy)
        async with Redis(
            host=launch.address, password="pass word", decode_responses=True
        ) as client:
            nodes = await client.execute_command("CLUSTER NODES")
            (myself,) = nodes.values()
            assert myself["hostname"] == launch.task_id
        assert (launch.directory / "nodes.conf").exists()
        assert await container.stop() == 0
        assert await container.wait() == 0

    run(clients, scenario)
    lines = logged(clients, launch)
    assert any("Ready to accept connections" in line for line in lines)
    assert not any("pass word" in line for line in lines)


def test_what_the_container_finds(
    clients: Clients, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_OWN_SHELLS_VARIABLE", "1")
    clients.client("ssm").put_parameter(
        Name=f"/redis/{launch.task_id}", Value="from ssm", Type="SecureString"
    )
    arn = clients.client("ssm").get_parameter(Name=f"/redis/{launch.task_id}")["Parameter"]["ARN"]
    launch = replace(
        command(launch, "env; pwd; ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo leads"),
        environment={"A": "1 2\n3", "REDIS_ADDRESS": "no"},
        secrets={"BY_NAME": f"/redis/{launch.task_id}", "BY_ARN": arn},
    )

    async def scenario(runtime: ProcessRuntime) -> None:
        container = await runtime.start(launch, ignore)
        assert await container.wait() == 0

    run(clients, scenario)
    lines = logged(clients, launch)
    for line in ("A=1 2", "3", "BY_NAME=from ssm", "BY_ARN=from ssm", "leads",
                 f"REDIS_ADDRESS={launch.address}", str(launch.directory)):  # fmt: skip
        assert line in lines
    assert not any("MY_OWN_SHELLS_VARIABLE" in line for line in lines)


@pytest.mark.parametrize(("text", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("kill $$", 143)])
def test_exit_codes(clients: Clients, launch: Launch, text: str, code: int) -> None:
    async def scenario(runtime: ProcessRuntime) -> None:
        container = await runtime.start(command(launch, text), ignore)
        assert await container.wait() == code
        assert await container.stop() == code

    run(clients, scenario)


def test_whoever_ignores_sigterm_is_killed_with_all_its_children(
    clients: Clients, launch: Launch
) -> None:
    stubborn = (
        "trap '' TERM; sleep 1000 & echo $! > child; echo ready > ready; wait; wait; sleep 99"
    )
    launch = replace(command(launch, stubborn), stop_timeout_s=0.3)

    async def scenario(runtime: ProcessRuntime) -> None:
        container = await runtime.start(launch, ignore)

        async def is_ready() -> bool:
            return (launch.directory / "ready").exists()

        await until(is_ready)
        child = int((launch.directory / "child").read_text())
        began = time.monotonic()
        assert await container.stop() == 137
        assert 0.3 <= time.monotonic() - began < DEADLINE_S

        async def is_gone() -> bool:
            return not is_running(child)

        await until(is_gone)

    run(clients, scenario)


@pytest.mark.parametrize("lasts_s", [0, 0.3])
def test_children_do_not_outlive_the_container(
    clients: Clients, launch: Launch, lasts_s: float
) -> None:
    text = f"sleep 1000 & echo $! > child; sleep {lasts_s}"

    async def scenario(runtime: ProcessRuntime) -> None:
        container = await runtime.start(command(launch, text), ignore)
        assert await container.wait() == 0
        child = int((launch.directory / "child").read_text())

        async def is_gone() -> bool:
            return not is_running(child)

        await until(is_gone)

    run(clients, scenario)


def test_closing_the_runtime_kills_what_is_left(clients: Clients, launch: Launch) -> None:
    says = "echo last words; printf 'and more'"
    text = f"trap '' TERM; echo $$ > pid; {says}; touch ready; sleep 1000"

    async def scenario(runtime: ProcessRuntime) -> None:
        await runtime.start(command(launch, text), ignore)

        async def is_ready() -> bool:
            return (launch.directory / "ready").exists()

        await until(is_ready)
        await asyncio.sleep(0)

    run(clients, scenario)
    assert not is_running(int((launch.directory / "pid").read_text()))
    assert logged(clients, launch) == ["last words", "and more"]


def test_unhealthy(clients: Clients, launch: Launch) -> None:
    check = HealthCheck(("CMD-SHELL", "sleep 9"), interval_s=0.2, timeout_s=0.1, retries=2)
    launch = replace(command(launch, "sleep 1000"), health_check=check)
    seen: list[ContainerHealth] = []

    async def scenario(runtime: ProcessRuntime) -> None:
        await runtime.start(launch, seen.append)

        async def was_reported() -> bool:
            return bool(seen)

        await until(was_reported)

    run(clients, scenario)
    assert seen == [ContainerHealth.UNHEALTHY]


def test_the_stand_in_for_a_client(
    clients: Clients, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_fargate.local.tasks.servers.client_for", lambda _: None)
    secret = clients.secrets.create_secret(Name=launch.task_id, SecretString="s")
    launch = replace(
        launch,
        command=((NODE / "entrypoint.sh").read_text(),),
        secrets={"REDIS_PASSWORD": secret["ARN"]},
        health_check=HealthCheck(("CMD-SHELL", (NODE / "healthcheck.sh").read_text())),
    )
    seen: list[ContainerHealth] = []

    async def scenario(runtime: ProcessRuntime) -> None:
        await runtime.start(launch, seen.append)

        async def is_healthy() -> bool:
            return seen == [ContainerHealth.HEALTHY]

        await until(is_healthy)

    run(clients, scenario)
    assert (launch.directory / "client").exists()


def test_a_check_under_way_holds_nothing_up(clients: Clients, launch: Launch) -> None:
    check = HealthCheck(("CMD-SHELL", "sleep 1000 & echo $! > check; wait"), timeout_s=60)
    launch = replace(command(launch, "sleep 1000"), health_check=check)

    async def scenario(runtime: ProcessRuntime) -> None:
        container = await runtime.start(launch, ignore)

        async def is_checked() -> bool:
            return (launch.directory / "check").exists()

        await until(is_checked)
        assert await container.stop() == 143

    run(clients, scenario)
    assert not is_running(int((launch.directory / "check").read_text()))


def test_many_at_once(clients: Clients, launch: Launch, tmp_path: Path) -> None:
    async def scenario(runtime: ProcessRuntime) -> None:
        async def one(index: int) -> int:
            directory = tmp_path / str(index)
            directory.mkdir()
            check = HealthCheck(("CMD", "false"), interval_s=0.1)
            quick = replace(command(launch, f"exit {index}"), directory=directory, log=None)
            return await (await runtime.start(replace(quick, health_check=check), ignore)).wait()

        assert await asyncio.gather(*(one(index) for index in range(40))) == list(range(40))

    run(clients, scenario)


NO_SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:nothing-abcdef"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no program": ({"image": "/nowhere/redis"}, "CannotPullContainerError: "),
    "no secret": ({"secrets": {"A": NO_SECRET}}, "ResourceInitializationError: .*nothing-abcdef"),
    "no parameter": ({"secrets": {"A": "/nothing"}}, "ResourceInitializationError: .*/nothing"),
    "no log group": (
        {"log": LogStream("nowhere", "s")},
        "ResourceInitializationError: .*nowhere",
    ),
    "no command": ({"entry_point": (), "command": ()}, "CannotStartContainerError: "),
    "no entry point": ({"entry_point": ("/nowhere/sh",)}, "CannotStartContainerError: .*nowhere"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_refused(clients: Clients, launch: Launch, change: dict[str, Any], reason: str) -> None:
    async def scenario(runtime: ProcessRuntime) -> None:
        with pytest.raises(CannotStartContainer, match=f"^{reason}"):
            await runtime.start(replace(launch, **change), ignore)

    run(clients, scenario)


def test_a_key_that_the_secret_lacks(clients: Clients, launch: Launch) -> None:
    secret = clients.secrets.create_secret(Name=launch.task_id, SecretString='{"a": "hidden"}')

    async def scenario(runtime: ProcessRuntime) -> None:
        with pytest.raises(CannotStartContainer, match="json key b") as refusal:
            await runtime.start(replace(launch, secrets={"A": f"{secret['ARN']}:b::"}), ignore)
        assert "hidden" not in str(refusal.value)

    run(clients, scenario)


def test_the_group_is_created_when_asked_for(clients: Clients, launch: Launch) -> None:
    log = LogStream(f"new-{launch.task_id}", "stream", create_group=True)
    launch = replace(command(launch, "echo $((1 + 1)); printf 'é\\377\\n'"), log=log)

    async def scenario(runtime: ProcessRuntime) -> None:
        await (await runtime.start(launch, ignore)).wait()

    run(clients, scenario)
    assert logged(clients, launch) == ["2", "é\ufffd"]


ALONE = """
import asyncio, sys
from pathlib import Path
from redis_fargate.local.clients import Clients
from redis_fargate.local.ports import Launch
from redis_fargate.local.tasks.process import ProcessRuntime

async def main():
    directory = Path(sys.argv[1])
    runtime = ProcessRuntime(Clients("http://127.0.0.1:1"))
    launch = Launch("arn", "id", "c", "valkey/valkey:9", "127.0.0.1", ("/bin/sh", "-c"),
        ("sleep 1000 & echo $! >child; echo $$ >new; mv new pid; wait",), {}, {}, None, None, 5,
        directory)
    await runtime.start(launch, lambda health: None)
    (directory / "started").touch()
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_containers_die_with_the_local_cloud(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", ALONE, tmp_path])
    deadline = time.monotonic() + DEADLINE_S
    while not all((tmp_path / name).exists() for name in ("pid", "started")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pids = [int((tmp_path / name).read_text()) for name in ("pid", "child")]
    assert all(is_running(pid) for pid in pids)
    os.kill(process.pid, number)
    process.wait(DEADLINE_S)
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)
