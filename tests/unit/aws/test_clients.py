import subprocess
import sys
import time

import pytest

from redis_fargate.aws.clients import Clients
from redis_fargate.aws.errors import AwsUnavailable, translated


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def test_importing_makes_no_client_and_imports_no_boto():
    rooms = ", ".join(f"redis_fargate.aws.{name}" for name in (
        "clients", "errors", "secrets", "state", "tasks",
    ))  # fmt: skip
    program = f"import sys, {rooms}; print([n for n in sys.modules if n.startswith('boto')])"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert run.stdout == "[]\n"


def test_a_client_is_made_once():
    clients = Clients()
    assert clients.ecs is clients.ecs
    assert clients.ecs.meta.service_model.service_name == "ecs"
    assert clients.servicediscovery.meta.service_model.service_name == "servicediscovery"


def test_a_local_endpoint_has_one_host_for_everything(monkeypatch):
    assert Clients().servicediscovery.meta.config.inject_host_prefix
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert not Clients().servicediscovery.meta.config.inject_host_prefix


def test_an_endpoint_that_is_down_is_said_soon(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    begun = time.monotonic()
    with pytest.raises(AwsUnavailable, match=r"No answer .*http://127\.0\.0\.1:1/"):  # noqa: SIM117
        with translated("ecs", "cluster redis"):
            Clients().ecs.list_tasks(cluster="redis")
    assert time.monotonic() - begun < 30
