"""One port: ECS is ours, the rest is there, and the end of it is the end of all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from functions import create_function
from gateway_rig import DEADLINE_S, PROGRAM, running_gateway

from redis_fargate.local.clients import Clients


def test_ecs_is_ours(clients: Clients) -> None:
    ecs = clients.client("ecs")
    assert ecs.list_clusters()["clusterArns"] == ["ListClusters", "0"]
    long = "x" * 3_000_000
    assert ecs.list_clusters(nextToken=long)["clusterArns"] == ["ListClusters", "3000000"]
    with pytest.raises(ecs.exceptions.ClusterNotFoundException, match="Cluster not found"):
        ecs.describe_clusters()


def test_everything_else_is_there(clients: Clients) -> None:
    assert clients.client("sts").get_caller_identity()["Account"] == "000000000000"
    s3 = clients.client("s3")
    s3.create_bucket(Bucket="a-bucket")
    s3.put_object(Bucket="a-bucket", Key="k", Body=b"1")
    assert s3.get_object(Bucket="a-bucket", Key="k")["Body"].read() == b"1"


def test_clients_ignore_the_machines_own_configuration(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    clients = Clients(endpoint)
    assert clients.client("sts").get_caller_identity()["Account"] == "000000000000"
    clients.close()


def test_conditional_writes(clients: Clients) -> None:
    table = clients.client("dynamodb")
    table.create_table(
        TableName="a-table",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    put = {"TableName": "a-table", "ConditionExpression": "attribute_not_exists(id)"}
    table.put_item(Item={"id": {"S": "1"}}, **put)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        table.put_item(Item={"id": {"S": "1"}}, **put)


def test_a_port_that_is_taken(endpoint: str, tmp_path: Path) -> None:
    port = endpoint.rpartition(":")[2]
    answer = subprocess.run(
        [sys.executable, PROGRAM, tmp_path, port],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert answer.returncode != 0
    assert f"PortInUse: Port {port} of 127.0.0.1 cannot be had" in answer.stderr


WAIT = """
import os, time
def handler(event, context):
    with open(event["pid_file"] + "~", "w") as file:
        file.write(str(os.getpid()))
    os.rename(event["pid_file"] + "~", event["pid_file"])
    time.sleep(event.get("sleep_s", 1000))
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize(("killed", "sleep_s"), [(False, 1000), (True, 0)])
def test_functions_end_with_the_gateway(tmp_path: Path, killed: object, sleep_s: int) -> None:
    """A killed gateway's idle worker reads the end of its input; a busy one does, when done."""
    (tmp_path / "tmp").mkdir()
    pid_file = tmp_path / "pid"
    deadline = time.monotonic() + DEADLINE_S
    with running_gateway(tmp_path / "tmp") as (url, process):
        clients = Clients(url)
        arn = create_function(clients, "wait", WAIT)
        payload = f'{{"pid_file": "{pid_file}", "sleep_s": {sleep_s}}}'
        clients.functions.invoke(FunctionName=arn, InvocationType="Event", Payload=payload)
        clients.close()
        while not pid_file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pid = int(pid_file.read_text())
        assert is_running(pid)
        if killed:
            os.kill(process.pid, signal.SIGKILL)
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
