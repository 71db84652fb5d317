"""Outcomes as documents, for JSON and for the report's page."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from redis_fargate.controller.result import NodeReport, Result
from redis_fargate.local.rehearsal.judging import quantile
from redis_fargate.local.rehearsal.load import Write
from redis_fargate.local.rehearsal.running import Outcome
from redis_fargate.local.rehearsal.watching import Sight

BUCKET_S = 0.1
_MS = 1000

Json = dict[str, Any]


def summary(outcome: Outcome) -> Json:
    """Make what ``--json`` prints of a scenario; times are seconds since it began."""
    scenario = outcome.scenario
    return {
        "name": scenario.name,
        "what": scenario.what,
        "planned": scenario.planned,
        "passed": outcome.passed,
        "problems": list(outcome.problems),
        "figures": asdict(outcome.figures),
        "marks": [
            {**asdict(mark), "at_s": round(mark.at_s - outcome.began_s, 3)}
            for mark in outcome.marks
        ],
    }


def detail(outcome: Outcome) -> Json:
    """Make what the page shows of a scenario: the summary, the timeline, and three pictures."""
    sights = {"before": outcome.before, "during": outcome.during, "after": outcome.after}
    return summary(outcome) | {
        "bucket_s": BUCKET_S,
        "timeline": list(_timeline(outcome.writes, outcome.began_s)),
        "topology": {name: _picture(sight, outcome.began_s) for name, sight in sights.items()},
    }


def _timeline(writes: Sequence[Write], began_s: float) -> Iterator[Json]:
    """Count the writes that ended in each tenth of a second; those without any are left out."""
    buckets: dict[int, list[Write]] = {}
    for write in writes:
        buckets.setdefault(int((write.ended_s - began_s) // BUCKET_S), []).append(write)
    for number, some in sorted(buckets.items()):
        took_ms = sorted(write.took_s * _MS for write in some if not write.error)
        errors = [write.error for write in some if write.error]
        yield {
            "at_s": round(number * BUCKET_S, 3),
            "acknowledged": len(took_ms),
            "failed": len(errors),
            "errors": sorted(set(errors)),
            "p50_ms": _rounded(quantile(took_ms, 0.5)),
            "max_ms": _rounded(took_ms[-1] if took_ms else None),
        }


def _picture(sight: Sight, began_s: float) -> Json:
    result: Result = sight.result
    return {
        "at_s": round(sight.at_s - began_s, 2),
        "health": result.health.value if result.health else "unknown",
        "verdict": result.verdict,
        "shards": [
            {
                "slots": shard.slots,
                "slot_count": shard.slot_count,
                "nodes": [
                    _node(node) for node in (shard.master, *shard.replicas) if node is not None
                ],
            }
            for shard in result.shards
        ],
        "others": [_node(node) for node in result.others],
    }


def _node(node: NodeReport) -> Json:
    return {
        "address": node.address,
        "zone": node.zone,
        "role": node.role,
        "task": node.task_id,
        "linked": node.link_up,
        "detail": node.detail,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)
