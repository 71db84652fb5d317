"""What of an event reaches a target, and which rules are worth a question."""

import json
from typing import Any

import pytest

from redis_fargate.local.eventbridge import _may_match, _payload

EVENT: dict[str, Any] = {
    "id": "1",
    "source": "aws.ecs",
    "detail-type": "ECS Task State Change",
    "detail": {"lastStatus": "RUNNING", "version": 3},
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["aws.ecs"]}, True),
        ({"source": ["aws.ec2", "aws.ecs"]}, True),
        ({"source": ["aws.ec2"]}, False),
        ({"source": [{"prefix": "aws."}]}, True),
        ({"source": ["aws.ec2", {"prefix": "aws."}]}, True),
        ({"detail-type": ["ECS Service Action"]}, False),
        ({"source": ["aws.ecs"], "detail-type": ["ECS Service Action"]}, False),
        ({"detail": {"lastStatus": ["STOPPED"]}}, True),
        ({"$or": [{"source": ["x"]}, {"source": ["aws.ecs"]}]}, True),
    ],
)
def test_only_what_cannot_match_is_sorted_out(pattern: dict[str, Any], expected: object) -> None:
    assert _may_match(json.dumps(pattern), EVENT) is expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, EVENT),
        ({"Input": '{"action": "reconcile"}'}, {"action": "reconcile"}),
        ({"InputPath": "$.detail"}, EVENT["detail"]),
        ({"InputPath": "$.detail.version"}, 3),
        ({"InputPath": "$"}, EVENT),
        ({"InputPath": "$.nothing.here"}, None),
    ],
)
def test_payload(target: Any, expected: object) -> None:
    assert json.loads(_payload(EVENT, target)) == expected


@pytest.mark.parametrize(
    "target", [{"InputTransformer": {"InputTemplate": "x"}}, {"InputPath": "$.detail[0]"}]
)
def test_what_the_local_cloud_cannot_do_is_refused(target: Any) -> None:
    with pytest.raises(ValueError, match="Input"):
        _payload(EVENT, target)
