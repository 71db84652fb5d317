"""An AWS endpoint on loopback for the tests, and what they keep in it."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

from redis_fargate.aws.clients import Clients

START_DEADLINE_S = 60


def free_port() -> int:
    """A port that nobody listens on, and that is not given out to connections meanwhile.

    Each of the processes that run tests at a time (pytest-xdist) has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        port = random.randrange(20_000 + worker, 30_000, workers)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextlib.contextmanager
def aws_endpoint() -> Iterator[str]:
    """The URL of an endpoint that lives as long as the block."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="redis-fargate-test-") as home:
        log = Path(home) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ministack"],
                cwd=home,
                env={**os.environ, "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1"}
                | {"TMPDIR": home, "LOG_LEVEL": "WARNING"}
                # Neither more ports than the one, nor a look at anybody's containers.
                | {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
                | {"DOCKER_HOST": f"unix://{home}/no-docker.sock"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _await_answer(f"{url}/_ministack/health", process, log)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _await_answer(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def environment(url: str) -> dict[str, str]:
    """The variables by which boto3 finds the endpoint."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


@contextlib.contextmanager
def state_table(clients: Clients) -> Iterator[str]:
    """The name of an empty state table, as the module makes it."""
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
    try:
        yield name
    finally:
        clients.dynamodb.delete_table(TableName=name)
