"""What is measured becomes figures, and figures a verdict."""

from dataclasses import replace

import pytest

from redis_fargate.local.errors import InvalidOption
from redis_fargate.local.rehearsal.judging import (
    Limits,
    Measured,
    figures,
    parse_limits,
    problems,
)
from redis_fargate.local.rehearsal.load import CLIENTS, Write

BEGAN_S, ENDED_S = 100.0, 110.0


def steady() -> list[Write]:
    """Every client writes once in half a second, from two seconds before to the end."""
    return [
        Write(f"{client}:{number}", client, 98.0 + number / 2, 0.001, "127.0.0.1")
        for number in range(24)
        for client in range(CLIENTS)
    ]


def measured(writes: list[Write], *, planned: bool = False, redundant_s: float = 105) -> Measured:
    return Measured(
        planned=planned,
        began_s=BEGAN_S,
        ended_s=ENDED_S,
        redundant_s=redundant_s,
        writes=writes,
        lost=[],
        lost_copied=[],
    )


def judged(measured: Measured, limits: Limits | None = None) -> tuple[str, ...]:
    return problems(measured, figures(measured), limits or Limits())


def failing(writes: list[Write], client: int, first_s: float, last_s: float) -> list[Write]:
    return [
        replace(write, error="TimeoutError", master="")
        if write.client == client and first_s <= write.begun_s <= last_s
        else write
        for write in writes
    ]


def test_a_steady_load_passes() -> None:
    found = figures(measured(steady()))
    assert found.acknowledged == 24 * CLIENTS
    assert (found.failed, found.lost_copied, found.lost_uncopied) == (0, 0, 0)
    assert found.write_gap_s == pytest.approx(0.5)
    assert found.redundancy_s == 5
    assert found.p50_ms == found.max_ms == pytest.approx(1)
    assert judged(measured(steady())) == ()


def test_one_client_that_waits_is_a_gap_though_others_write() -> None:
    writes = failing(steady(), 3, 101, 103)
    assert figures(measured(writes)).write_gap_s == pytest.approx(3)
    assert figures(measured(writes)).failed == 5
    assert judged(measured(writes)) == ()
    (problem,) = judged(measured(writes, planned=True))
    assert "for 3.00 s: 1 s allowed" in problem
    assert judged(measured(writes, planned=True), Limits(planned_gap_s=3.5)) == ()


def test_a_gap_before_it_began_does_not_count() -> None:
    writes = [write for write in steady() if write.begun_s == 98.0 or write.begun_s >= 99.5]
    assert figures(measured(writes)).write_gap_s == pytest.approx(0.5)


def test_a_client_that_never_writes_again() -> None:
    writes = failing(steady(), 0, 101, ENDED_S)
    assert figures(measured(writes)).write_gap_s is None
    assert "could not be written any more" in judged(measured(writes))[0]


def test_a_load_that_stops_is_a_gap() -> None:
    writes = [write for write in steady() if write.client or write.begun_s < 102]
    assert figures(measured(writes)).write_gap_s == pytest.approx(8.5, abs=0.01)


def test_what_was_not_copied_yet_may_be_lost_in_a_crash_but_not_in_a_change() -> None:
    writes = steady()
    crash = replace(measured(writes), lost=writes[:2])
    assert figures(crash).lost_uncopied == 2
    assert judged(crash) == ()
    (problem,) = judged(replace(crash, planned=True))
    assert "2 acknowledged writes are lost in a planned change" in problem


def test_what_a_living_node_had_must_never_be_lost() -> None:
    writes = steady()
    crash = replace(measured(writes), lost=writes[:2], lost_copied=writes[:1])
    assert (figures(crash).lost_copied, figures(crash).lost_uncopied) == (1, 1)
    (problem,) = judged(crash)
    assert "1 acknowledged writes are lost that a living node had" in problem


def test_redundancy_that_is_late_or_never_reached() -> None:
    assert "5 s allowed" not in " ".join(judged(measured(steady()), Limits(redundancy_s=5)))
    assert "4 s allowed" in judged(measured(steady()), Limits(redundancy_s=4))[0]
    never = replace(measured(steady()), redundant_s=None)
    assert judged(never) == ("The cluster did not become as wanted.",)


def test_a_limit_of_latency() -> None:
    assert judged(measured(steady()), Limits(p99_ms=2)) == ()
    assert "0.5 ms allowed" in judged(measured(steady()), Limits(p99_ms=0.5))[0]


def test_limits_are_read() -> None:
    assert parse_limits([]) == Limits()
    assert parse_limits(["planned-gap-s=2.5", "p99-ms=10"]) == Limits(planned_gap_s=2.5, p99_ms=10)
    for wrong in ("planned-gap-s", "planned-gap-s=-1", "planned-gap-s=nan", "speed=1"):
        with pytest.raises(InvalidOption, match="planned-gap-s, unplanned-gap-s"):
            parse_limits([wrong])
