"""The state directory, the options and what is created from them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import validate_parameters

from redis_fargate.cli.local_stop_task import find_task
from redis_fargate.controller.settings import Settings
from redis_fargate.local import processes
from redis_fargate.local.blueprint import Blueprint
from redis_fargate.local.errors import (
    AlreadyRunning,
    InvalidOption,
    NoSuchTask,
    NotRunning,
    StateDirUnusable,
)
from redis_fargate.local.launching import running
from redis_fargate.local.options import parse_redis_config
from redis_fargate.local.statedir import Record, StateDir
from redis_fargate.topology.spec import Spec

BLUEPRINT = Blueprint(
    "redis", Spec(3, 4), "valkey/valkey:9", ["us-east-1a"], {"maxmemory-policy": "allkeys-lru"}
)
CLUSTER_ARN = "arn:aws:ecs:us-east-1:000000000000:cluster/redis"


def test_where_the_state_is_kept() -> None:
    home = Path("~").expanduser()
    assert StateDir.chosen({}).root == home / ".local/state/redis-fargate"
    assert StateDir.chosen({"XDG_STATE_HOME": "/x"}).root == Path("/x/redis-fargate")
    assert StateDir.chosen({"XDG_STATE_HOME": "/x", "REDIS_FARGATE_HOME": "/y"}).root == Path("/y")


def test_a_state_directory_is_ours_alone_and_goes_as_it_came(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "a" / "b")
    assert state.read() is None
    state.create()
    assert state.root.stat().st_mode & 0o777 == 0o700
    record = Record(os.getpid(), processes.start_ticks(os.getpid()) or 0, 4566, "redis", {"a": 1})
    state.write(record)
    assert state.read() == record
    assert running(state) == record
    with state.locked(), pytest.raises(AlreadyRunning, match="right now"), state.locked():
        pass
    state.remove()
    assert not state.root.exists()
    state.remove()


def test_a_record_of_a_process_that_is_gone(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "home")
    state.create()
    # Our process' number, but not the moment that it started.
    state.write(Record(os.getpid(), 1, 4566, "redis", {}))
    with pytest.raises(NotRunning, match="has died"):
        running(state)
    whole = {"pid": 1, "started_ticks": 1, "port": 1, "cluster_name": "redis", "options": {}}
    for broken in ("{}", "[]", "{", "\x00", *(json.dumps(whole | {"pid": n}) for n in (0, "1"))):
        (state.root / "cloud.json").write_text(broken)
        with pytest.raises(StateDirUnusable, match="another version"):
            state.read()


def test_processes_are_found_by_where_they_work(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "home")
    state.create()
    wait = [sys.executable, "-c", "input()"]
    by_variable = {"env": os.environ | {"TMPDIR": str(state.tmp)}}
    started = [
        subprocess.Popen(wait, stdin=subprocess.PIPE, start_new_session=True, **options)
        for options in (by_variable, {"cwd": state.tasks}, {})
    ]
    try:
        found = set(processes.of_directory(state.tmp, state.tasks))
        assert found == {process.pid for process in started[:2]}
        for process in started:
            ticks = processes.start_ticks(process.pid)
            assert ticks is not None
            processes.kill([process.pid])
            assert processes.wait_until_gone(process.pid, ticks, timeout_s=10)
        assert processes.of_directory(state.tmp, state.tasks) == []
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_redis_config() -> None:
    given = ["maxmemory_policy=allkeys-lru", "SAVE=60 1", "save=", "a=b=c"]
    assert parse_redis_config(given) == {
        "maxmemory-policy": "allkeys-lru",
        "save": "",
        "a": "b=c",
    }


@pytest.mark.parametrize(
    "setting",
    ["nothing", "=1", "a b=1", "x=1\ny 2", "x=\udcff", "port=1", "DIR=/",
     "rename-command=CLUSTER x", "requirepass=x", "masterauth=x",
     "daemonize=yes", "cluster_enabled=no", "cluster-announce-ip=1.2.3.4"],
)  # fmt: skip
def test_refused_redis_config(setting: str) -> None:
    with pytest.raises(InvalidOption, match="--redis-config"):
        parse_redis_config([setting])


@pytest.mark.parametrize(
    ("service", "operation", "request_"),
    [
        ("ecs", "RegisterTaskDefinition", BLUEPRINT.task_definition("arn:s", "arn:e", "arn:t")),
        ("ecs", "CreateService", BLUEPRINT.service("redis:1", ["subnet-1"], "sg-1", "arn:r")),
        ("dynamodb", "CreateTable", BLUEPRINT.table()),
        *(
            ("events", "PutRule", {"Name": name, **rule})
            for name, rule in BLUEPRINT.rules(CLUSTER_ARN).items()
        ),
    ],
)
def test_requests_are_as_aws_wants_them(
    service: str, operation: str, request_: dict[str, Any]
) -> None:
    model = get_session().get_service_model(service).operation_model(operation)
    validate_parameters(request_, model.input_shape)


def test_the_controller_understands_its_environment() -> None:
    settings = Settings.from_environment(BLUEPRINT.controller_environment("arn:secret"))
    assert settings.spec == BLUEPRINT.spec
    assert settings.password_secret == "arn:secret"


def test_rules_and_task_definition() -> None:
    rules = BLUEPRINT.rules(CLUSTER_ARN)
    assert set(rules) == {"redis-task", "redis-service", "redis-deployment", "redis-schedule"}
    pattern = json.loads(rules["redis-service"]["EventPattern"])
    service = "arn:aws:ecs:us-east-1:000000000000:service/redis/redis-cluster-service"
    assert pattern["resources"] == [service]
    (container,) = BLUEPRINT.task_definition("arn:s", "arn:e", "arn:t")["containerDefinitions"]
    assert container["user"] not in {"root", "0"}
    assert container["command"][0].startswith("#!/bin/sh")
    assert container["healthCheck"]["command"][1].startswith("#!/bin/sh")
    variables = {each["name"]: each["value"] for each in container["environment"]}
    assert variables["REDIS_CONFIG"] == "maxmemory-policy allkeys-lru"


def task(id_: str, address: str) -> Any:
    interface = {"privateIpv4Address": address}
    return {"taskArn": f"arn:t/{id_}", "containers": [{"networkInterfaces": [interface]}]}


def test_a_task_is_named_by_id_beginning_or_address() -> None:
    tasks = [task("abc1", "127.1.1.1"), task("abd2", "127.1.1.11")]
    for named in ("abc1", "abc", "127.1.1.1", "arn:t/abc1"):
        assert find_task(tasks, named) == "arn:t/abc1"
    for named, problem in {"ab": "2 tasks begin", "x": "No task is", "": "No task is"}.items():
        with pytest.raises(NoSuchTask, match=problem):
            find_task(tasks, named)
