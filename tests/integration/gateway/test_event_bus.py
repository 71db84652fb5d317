"""An event of AWS' own reaches the Lambda functions whose rules match it."""

import asyncio
import json
import time
import uuid
from typing import Any

import pytest
from functions import create_function

from redis_fargate.local.clients import Clients
from redis_fargate.local.eventbridge import EventBridge

DEADLINE_S = 20
RECORD = """
import boto3, json, time, uuid, redis
def handler(event, context):
    key = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
    boto3.client("s3").put_object(Bucket="events", Key=key, Body=json.dumps(event))
    return redis.FROM
"""


def event(status: str, version: int = 1) -> dict[str, Any]:
    task = f"arn:aws:ecs:us-east-1:000000000000:task/redis-local/{uuid.uuid4().hex}"
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": "000000000000",
        "time": "2026-01-02T03:04:05Z",
        "region": "us-east-1",
        "resources": [task],
        "detail": {
            "taskArn": task,
            "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/redis-local",
            "group": "service:redis-cluster-service",
            "lastStatus": status,
            "desiredStatus": "RUNNING",
            "version": version,
            "attachments": [
                {"type": "eni", "details": [{"name": "privateIPv4Address", "value": "127.1.2.3"}]}
            ],
        },
    }


PATTERN = {
    "source": ["aws.ecs"],
    "detail-type": ["ECS Task State Change"],
    "detail": {
        "clusterArn": ["arn:aws:ecs:us-east-1:000000000000:cluster/redis-local"],
        "group": ["service:redis-cluster-service"],
        "lastStatus": ["RUNNING", "STOPPED"],
    },
}


@pytest.fixture(scope="module")
def function(clients: Clients) -> str:
    clients.client("s3").create_bucket(Bucket="events")
    return create_function(clients, "record", RECORD, redis="FROM = 'the package'")


@pytest.fixture
def rule(clients: Clients, function: str) -> str:
    name = f"redis-local-{uuid.uuid4().hex[:6]}"
    clients.events.put_rule(Name=name, EventPattern=json.dumps(PATTERN))
    clients.events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function}])
    yield name
    clients.events.remove_targets(Rule=name, Ids=["0", "1"])
    clients.events.delete_rule(Name=name)


def publish(clients: Clients, *events: dict[str, Any], then_recorded: int = 0) -> list[Any]:
    """Publish events, and give what the function was invoked with."""

    async def scenario() -> list[Any]:
        bus = EventBridge(clients)
        for one in events:
            await bus.publish(one)
        try:
            return await asyncio.to_thread(recorded, clients, then_recorded)
        finally:
            await bus.close(DEADLINE_S)

    return asyncio.run(scenario())


def recorded(clients: Clients, count: int) -> list[Any]:
    """What the function was invoked with; waits for as many, and forgets them."""
    s3 = clients.client("s3")
    deadline = time.monotonic() + DEADLINE_S
    while True:
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="events").get("Contents", [])]
        if len(keys) >= count:
            break
        assert time.monotonic() < deadline, keys
        time.sleep(0.02)
    found = [json.load(s3.get_object(Bucket="events", Key=key)["Body"]) for key in keys]
    for key in keys:
        s3.delete_object(Bucket="events", Key=key)
    return found


def test_a_matching_event_reaches_its_function(clients: Clients, rule: str) -> None:
    events = [event("PENDING"), event("RUNNING", 2), event("STOPPED", 3)]
    other = {**event("RUNNING"), "detail-type": "ECS Service Action"}
    heard = publish(clients, *events, other, then_recorded=2)  # in any order, as on AWS
    assert sorted(heard, key=lambda each: each["detail"]["version"]) == events[1:]


def test_input_and_disabled_rules(clients: Clients, rule: str, function: str) -> None:
    given = {"Id": "1", "Arn": function, "Input": '{"action": "reconcile"}'}
    clients.events.put_targets(Rule=rule, Targets=[given])
    assert publish(clients, event("RUNNING"), then_recorded=1) == [{"action": "reconcile"}]
    clients.events.disable_rule(Name=rule)
    publish(clients, event("RUNNING"))
    clients.events.enable_rule(Name=rule)
    clients.events.put_targets(
        Rule=rule, Targets=[{"Id": "1", "Arn": function, "InputPath": "$.detail.lastStatus"}]
    )
    assert publish(clients, event("STOPPED"), then_recorded=1) == ["STOPPED"]


def test_targets_that_cannot_be_invoked_are_named(
    clients: Clients, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = "arn:aws:sqs:us-east-1:000000000000:q"
    clients.events.put_targets(Rule=rule, Targets=[{"Id": "0", "Arn": queue}])
    publish(clients, event("RUNNING"), then_recorded=1)
    assert queue in caplog.text


def test_an_endpoint_that_is_gone_loses_events_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = Clients("http://127.0.0.1:1")

    async def scenario() -> None:
        bus = EventBridge(gone)
        await bus.publish(event("RUNNING"))
        await bus.close(DEADLINE_S)

    asyncio.run(scenario())
    gone.close()
    assert "1 events are lost" in caplog.text


def test_the_packages_own_modules_win_over_the_machines(clients: Clients, function: str) -> None:
    answer = clients.functions.invoke(FunctionName=function, Payload=b"{}")
    assert json.load(answer["Payload"]) == "the package"
    recorded(clients, 1)


def test_put_events_refuses_aws_own_events(clients: Clients) -> None:
    """Why there is a bus of ours at all."""
    entry = {"Source": "aws.ecs", "DetailType": "ECS Task State Change", "Detail": "{}"}
    answer = clients.events.put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 1
