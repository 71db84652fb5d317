"""An AWS endpoint of its own for these tests, on loopback."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import pytest

from redis_fargate.aws.clients import Clients
from redis_fargate.aws.state import StateTable

START_DEADLINE_S = 60


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    """The URL of an endpoint that lives as long as the test run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("endpoint")
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            cwd=home,
            env={**os.environ, "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1"}
            | {"TMPDIR": str(home), "LOG_LEVEL": "WARNING"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                with urllib.request.urlopen(f"{url}/_ministack/health", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, (home / "log").read_text()
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def aws_environment(endpoint, monkeypatch):
    """The variables that a Lambda function of the local cloud has."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def clients(aws_environment):
    return Clients()


@pytest.fixture
def table_name(clients):
    """A state table, as the module makes it."""
    name = f"redis-{uuid.uuid4().hex[:8]}-state"
    clients.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "kind", "KeyType": "HASH"},
            {"AttributeName": "id", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "kind", "AttributeType": "S"},
            {"AttributeName": "id", "AttributeType": "S"},
        ],
    )
    clients.dynamodb.get_waiter("table_exists").wait(TableName=name)
    yield name
    clients.dynamodb.delete_table(TableName=name)


class Clock:
    """Seconds since the epoch, as the test wants them."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(clients, table_name, clock):
    return StateTable(clients, table_name, clock=clock)
