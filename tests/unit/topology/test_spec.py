"""Impossible shapes are refused with the reason."""

import pytest

from redis_fargate.topology.errors import InvalidSpecError
from redis_fargate.topology.spec import Spec


@pytest.mark.parametrize(
    ("masters", "replicas", "words"),
    [
        (0, 3, "at least 1 master"),
        (16385, 0, "16384 hash slots"),
        (3, -1, "use 0 for no replicas"),
        (300, 300, "makes 600 tasks"),
    ],
)
def test_impossible(masters, replicas, words):
    with pytest.raises(InvalidSpecError, match=words):
        Spec(masters, replicas)


@pytest.mark.parametrize(("masters", "replicas"), [(1, 0), (2, 2), (3, 0), (250, 250)])
def test_possible(masters, replicas):
    assert Spec(masters, replicas).task_count == masters + replicas
