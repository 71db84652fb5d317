"""What a result looks like to a person."""

from dataclasses import replace

import pytest

from redis_fargate.cli.output import Table
from redis_fargate.cli.render import remarks, shard_table, size, verdict
from redis_fargate.controller.result import (
    NodeReport,
    Outcome,
    Result,
    ShardReport,
    StepReport,
)
from redis_fargate.topology.health import Health

MASTER = NodeReport(
    task_id="0123456789abcdef",
    zone="us-east-1a",
    address="127.16.1.1",
    node_id="n1",
    role="master",
    keys=1234,
    used_memory_bytes=3 * 1024**2,
    max_memory_bytes=384 * 1024**2,
    offset=100,
    lag_bytes=None,
    link_up=None,
    version="valkey 9.1.2",
)
REPLICA = replace(
    MASTER, task_id="fedcba", address="127.16.2.1", role="replica", lag_bytes=0, link_up=True
)
SILENT = replace(
    MASTER, task_id="silent", node_id="", role="unreachable", detail="No answer in 2 s."
)
RESULT = Result(
    cluster="redis",
    outcome=Outcome.OBSERVED,
    health=Health.OK,
    verdict="As wanted.",
    run=0,
    shards=(ShardReport("0-16383", 16384, MASTER, (REPLICA,)),),
)


def test_a_row_for_each_node_and_no_column_for_details_that_there_are_none() -> None:
    assert shard_table(RESULT).plain().splitlines() == [
        (
            "SHARD  ROLE     ADDRESS     ZONE        TASK          SLOTS            KEYS"
            "             MEMORY  LAG"
        ),
        (
            "1      master   127.16.1.1  us-east-1a  0123456789ab  0-16383 (16384)  1234"
            "  3.0 MiB / 384 MiB    -"
        ),
        (
            "       replica  127.16.2.1  us-east-1a  fedcba                         1234"
            "  3.0 MiB / 384 MiB  0 B"
        ),
    ]


def test_what_is_wrong_with_a_node_is_told() -> None:
    broken = replace(REPLICA, link_up=False)
    result = replace(
        RESULT, shards=(ShardReport("0-16383", 16384, None, (broken,)),), others=(SILENT,)
    )
    _, lost, replica, silent = shard_table(result).plain().splitlines()
    assert "no master" in lost
    assert "0-16383 (16384)" in lost
    assert replica.endswith("not linked")
    assert silent.endswith("No answer in 2 s.")


def test_sentences() -> None:
    result = replace(
        RESULT,
        health=None,
        outcome=Outcome.FAILED,
        refusals=("No.",),
        waiting=("Later.",),
        remarks=("Odd.",),
        plan=(StepReport("join", "meet", "it is new"),),
    )
    assert verdict(RESULT) == "redis: ok. As wanted."
    assert verdict(result) == "redis: failed. As wanted."
    said = ["refused: No.", "waiting: Later.", "note: Odd.", "planned: meet (it is new)"]
    assert list(remarks(result)) == said


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (150 * 1024**2, "150 MiB"),
        (5 * 1024**5, "5120 TiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_plain_tables_are_aligned_without_trailing_blanks() -> None:
    table = Table(("A", "LONG"), [("xyz", "1"), ("", "22")], frozenset({1}))
    assert table.plain() == "A    LONG\nxyz     1\n       22"
