"""The Lambda package: the same bytes every time, and all that the handler needs."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import redis_fargate
from redis_fargate.local import package
from redis_fargate.local.package import DISTRIBUTIONS, CannotPackage, build

RUNTIME = ("boto3", "botocore", "dateutil", "s3transfer", "six.py", "urllib3")
"""What the Lambda runtime has, and the package may use."""
BACKPORTS = ("async_timeout",) if sys.version_info < (3, 11, 3) else ()
"""What a Python older than the Lambda runtime's lacks."""

INVOKE = """
import json, os, sys, time
sys.path[:0] = [os.environ["CODE"], os.environ["RUNTIME"]]
begun = time.perf_counter()
from redis_fargate.controller.handler import handler
took_s = time.perf_counter() - begun
assert "boto3" not in sys.modules, "boto3 is imported at start"

class Context:
    function_name = "redis-initializer"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:redis-initializer"
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self):
        return int(os.environ.get("LEFT_MS", "60000"))

answers = []
for event in json.loads(sys.argv[1]):
    try:
        answers.append(handler(event, Context()))
    except Exception as error:
        answers.append(type(error).__name__ + ": " + str(error))
files = sorted({m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)})
json.dump({"answers": answers, "files": files, "took_s": took_s}, sys.stderr)
"""

ENVIRONMENT = {
    "CLUSTER_NAME": "redis",
    "ECS_CLUSTER": "redis",
    "ECS_SERVICE": "redis-cluster-service",
    "CLOUDMAP_NAMESPACE": "local",
    "CLOUDMAP_SERVICE": "redis-cluster",
    "STATE_TABLE": "redis-state",
    "MASTER_COUNT": "3",
    "REPLICA_COUNT": "3",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key",
}


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist") / "controller.zip")


@pytest.fixture(scope="module")
def function(zipped, tmp_path_factory):
    """Unpacks the package beside a Lambda runtime, and invokes its handler with events."""
    code, runtime = tmp_path_factory.mktemp("task"), tmp_path_factory.mktemp("runtime")
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(code)
    installed = Path(importlib.metadata.distribution("boto3").locate_file(""))
    for name in (*RUNTIME, *BACKPORTS):
        (runtime / name).symlink_to(installed / name)

    def invoke(*events, **environment):
        # Isolated and without site-packages: neither the source tree nor anything else is there.
        run = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", INVOKE, json.dumps(events)],
            env=ENVIRONMENT | {"CODE": str(code), "RUNTIME": str(runtime)} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        answer = json.loads(run.stderr)
        source = str(Path(redis_fargate.__file__).parent.parent)
        ours = [name for name in answer["files"] if "redis" in name or "powertools" in name]
        assert ours
        assert all(name.startswith(str(code)) for name in ours)
        assert not any(name.startswith(source) for name in answer["files"])
        return answer["answers"], [json.loads(line) for line in run.stdout.splitlines()]

    return invoke


def test_the_same_bytes_from_another_place_at_another_time(zipped, tmp_path):
    source = Path(redis_fargate.__file__).parent
    copy = tmp_path / "elsewhere" / "redis_fargate"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, copy, copy_function=shutil.copyfile, ignore=ignored)
    for path in copy.rglob("*.py"):
        os.utime(path, (time.time() + 5000, time.time() + 5000))
        path.chmod(0o700)
    other = tmp_path / "deep" / "er" / "other.zip"
    subprocess.run(
        [sys.executable, "-m", "redis_fargate.local.package", str(other)],
        cwd=copy.parent,
        env={**os.environ, "PYTHONPATH": str(copy.parent)},
        check=True,
        capture_output=True,
    )
    assert other.read_bytes() == zipped.read_bytes()
    assert [path.name for path in other.parent.iterdir()] == ["other.zip"]


def test_what_is_in_it(zipped):
    with zipfile.ZipFile(zipped) as archive:
        names = archive.namelist()
    assert names == sorted(names)
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {
        "aws_lambda_powertools", "jmespath", "redis", "redis_fargate", "typing_extensions.py",
    }  # fmt: skip
    rooms = {name.split("/")[1] for name in names if name.startswith("redis_fargate/")}
    assert rooms == {"__init__.py", "aws", "controller", "nodes", "topology"}
    assert not [name for name in names if name.startswith("/") or ".." in name]
    assert not [name for name in names if name.endswith(".pyc")]
    assert zipped.stat().st_size < 2_000_000


def test_every_requirement_travels():
    """What our package requires beside the command line's libraries, and what that requires."""
    needed = set()
    for name in ("redis-fargate", *DISTRIBUTIONS):
        for requirement in importlib.metadata.requires(name) or []:
            if "extra ==" not in requirement and "python" not in requirement:
                needed.add(re.match(r"[A-Za-z0-9_-]+", requirement)[0])
    assert needed - {"boto3", "rich", "typer"} == set(DISTRIBUTIONS)


def test_what_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(package, "DISTRIBUTIONS", ("no-such-thing",))
    with pytest.raises(CannotPackage, match="no-such-thing is not installed"):
        build(tmp_path / "controller.zip")
    assert list(tmp_path.iterdir()) == []


TASK_EVENT = {
    "source": "aws.ecs",
    "detail-type": "ECS Task State Change",
    "detail": {
        "group": "service:redis-cluster-service",
        "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/redis",
    },
}


def test_a_failure_of_an_event_reaches_lambda_and_of_a_caller_is_answered(function):
    (raised, answered), logged = function(TASK_EVENT, {"action": "reconcile"})
    sentence = "No answer from the endpoint for dynamodb, asked about table redis-state"
    assert raised.startswith(f"RunFailed: {sentence}")
    assert answered["outcome"] == "failed"
    assert answered["verdict"].startswith(sentence)
    assert {line["level"] for line in logged} == {"ERROR"}
    assert logged[0]["function_request_id"] == "request-1"
    assert logged[0]["outcome"] == "failed"
    assert "a-secret-key" not in json.dumps(logged)


def test_who_waits_for_a_healthy_cluster_is_failed_without_one(function):
    until = {"action": "reconcile", "until": "healthy"}
    (waited, misspelt), logged = function(until, until | {"until": "ready"}, LEFT_MS="1000")
    assert waited.startswith("RunFailed: No answer from the endpoint for dynamodb")
    assert misspelt.startswith("RunFailed: until is 'ready'")
    assert {line["level"] for line in logged} == {"ERROR"}


def test_wrong_settings_are_a_sentence(function):
    (answer,), _ = function({"action": "status"}, MASTER_COUNT="none")
    assert answer["cluster"] == "redis"
    assert "MASTER_COUNT is 'none'" in answer["verdict"]


def test_events_about_others_are_ignored(function):
    foreign = TASK_EVENT | {"detail": {"group": "service:web"}}
    (answer,), logged = function(foreign)
    assert answer["outcome"] == "ignored"
    assert logged[0]["level"] == "INFO"


def test_an_unknown_event_is_an_error(function):
    (raised, answered), _ = function({}, {"action": "destroy"})
    assert raised.startswith("RunFailed: An event of source None")
    assert answered["outcome"] == "failed"
    assert "'destroy' is not known" in answered["verdict"]
