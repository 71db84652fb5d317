"""What an alarm can stand on."""

import json

import pytest

from redis_fargate.controller.handler import _measure
from redis_fargate.controller.result import Outcome, Result
from redis_fargate.topology.health import Health


def test_lost_and_unserved_slots_are_metrics_of_the_cluster(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = Result("redis", Outcome.WAITING, Health.DOWN, "", 1, lost_slots=7, unserved_slots=5461)
    _measure(result)
    document = json.loads(capsys.readouterr().out)
    published = document["_aws"]["CloudWatchMetrics"][0]
    assert published["Namespace"] == "RedisFargate"
    assert published["Dimensions"] == [["Cluster"]]
    assert {metric["Name"]: metric["Unit"] for metric in published["Metrics"]} == {
        "LostSlots": "Count",
        "UnservedSlots": "Count",
    }
    assert (document["Cluster"], document["LostSlots"]) == ("redis", [7.0])
    assert document["UnservedSlots"] == [5461.0]


def test_who_has_not_looked_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _measure(Result("redis", Outcome.BUSY, None, "", 0))
    assert capsys.readouterr().out == ""
