"""Judges what was measured in a scenario: figures, limits, and a verdict with its reasons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from redis_fargate.local.errors import InvalidOption
from redis_fargate.local.rehearsal.load import CLIENTS, Write, acknowledged

_MS = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a scenario may come to. No limit allows for a loss: see ``problems``."""

    planned_gap_s: float = 1.0
    """The longest that a client may go without an acknowledged write, in a planned change."""
    unplanned_gap_s: float = 10.0
    """The same after a fault."""
    redundancy_s: float = 180.0
    """Until the cluster has all its replicas, and is as wanted."""
    p99_ms: float = float("inf")
    """Of acknowledged writes."""


def parse_limits(settings: Sequence[str]) -> Limits:
    """Read ``name=number`` pairs.

    Raises:
        InvalidOption: not of that form.

    """
    known = {field.name.replace("_", "-"): field.name for field in fields(Limits)}
    given: dict[str, float] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if name not in known or not number >= 0:
            raise InvalidOption(
                f"--limit {setting!r} is not of the form NAME=NUMBER with one of "
                f"{', '.join(known)}: write it as in --limit planned-gap-s=0.5."
            )
        given[known[name]] = number
    return Limits(**given)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured; moments are seconds since the epoch."""

    planned: bool
    began_s: float
    """When the fault or the change began."""
    ended_s: float
    """When writing ended."""
    redundant_s: float | None
    """When the cluster was as wanted again, fully redundant; None if it never was."""
    writes: Sequence[Write]
    lost: Sequence[Write]
    """Acknowledged writes, this scenario's and those before it, that are not there any more."""
    lost_copied: Sequence[Write]
    """Those of them that a node had that did not crash."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a scenario comes to. Latencies are those since it began."""

    acknowledged: int
    failed: int
    lost_uncopied: int
    """Acknowledged writes that are lost, and were known to be on no node that lived on."""
    lost_copied: int
    """Acknowledged writes that are lost although a node that lived on had them."""
    write_gap_s: float | None
    """The longest that one of the clients, each with its share of the slots, had to wait from one
    acknowledged write to the next; None if it waits still."""
    redundancy_s: float | None
    """From the beginning to full redundancy; None if it was not reached."""
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


def figures(measured: Measured) -> Figures:
    """Work the figures out."""
    since = [write for write in measured.writes if write.ended_s >= measured.began_s]
    took_ms = sorted(write.took_s * _MS for write in acknowledged(since))
    redundant_s = measured.redundant_s
    return Figures(
        acknowledged=len(acknowledged(measured.writes)),
        failed=sum(bool(write.error) for write in measured.writes),
        lost_uncopied=len(measured.lost) - len(measured.lost_copied),
        lost_copied=len(measured.lost_copied),
        write_gap_s=_longest_gap_s(measured),
        redundancy_s=None if redundant_s is None else redundant_s - measured.began_s,
        p50_ms=quantile(took_ms, 0.5),
        p99_ms=quantile(took_ms, 0.99),
        max_ms=took_ms[-1] if took_ms else None,
    )


def problems(measured: Measured, found: Figures, limits: Limits) -> tuple[str, ...]:
    """Say why it is not passed, a sentence each; nothing if it is."""
    return tuple(_problems(measured, found, limits))


def _problems(measured: Measured, found: Figures, limits: Limits) -> Iterator[str]:
    if found.lost_copied:
        yield f"{found.lost_copied} acknowledged writes are lost that a living node had."
    if measured.planned and found.lost_uncopied:
        yield f"{found.lost_uncopied} acknowledged writes are lost in a planned change."
    gap_s = limits.planned_gap_s if measured.planned else limits.unplanned_gap_s
    if found.write_gap_s is None:
        yield "Some slots could not be written any more."
    elif found.write_gap_s > gap_s:
        yield f"Some slots could not be written for {found.write_gap_s:.2f} s: {gap_s:g} s allowed."
    if found.redundancy_s is None:
        yield "The cluster did not become as wanted."
    elif found.redundancy_s > limits.redundancy_s:
        yield (
            f"It took {found.redundancy_s:.1f} s to full redundancy: {limits.redundancy_s:g} s "
            "allowed."
        )
    if found.p99_ms is not None and found.p99_ms > limits.p99_ms:
        yield f"The 99th percentile is {found.p99_ms:.1f} ms: {limits.p99_ms:g} ms allowed."


def _longest_gap_s(measured: Measured) -> float | None:
    longest_s = 0.0
    for client in range(CLIENTS):
        mine = [write for write in measured.writes if write.client == client]
        ends_s = [write.ended_s for write in acknowledged(mine)]
        if not ends_s or mine[-1].error:
            return None
        ends_s.append(max(measured.ended_s, ends_s[-1]))
        gaps_s = (
            after_s - before_s
            for before_s, after_s in pairwise(ends_s)
            if after_s >= measured.began_s
        )
        longest_s = max(longest_s, max(gaps_s, default=0.0))
    return longest_s


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Give the number below which a share of ordered numbers is; None of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
