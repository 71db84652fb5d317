"""Watches the cluster while something happens to it, through the controller's eyes."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Condition

from redis_fargate.aws.errors import translated
from redis_fargate.controller.result import NodeReport, Result
from redis_fargate.local.changes import Changes
from redis_fargate.local.polling import until
from redis_fargate.local.rehearsal.ports import Cloud
from redis_fargate.topology.errors import RedisFargateError

_LOG_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen, and when (since the epoch) it was asked for."""

    at_s: float
    result: Result


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, for the timeline."""

    at_s: float
    kind: str
    """``fault`` or ``change``, which we do; ``step`` of the controller; ``ecs``."""
    text: str


class Watch:
    """Asks the controller for the cluster's status, again and again."""

    def __init__(self, cloud: Cloud, first: Result) -> None:
        self._cloud = cloud
        self._seen = Condition()
        self.sights = [Sight(time.time(), first)]

    @property
    def latest(self) -> Result:
        """What was seen last."""
        return self.sights[-1].result

    def addresses(self) -> list[str]:
        """Addresses of the nodes that were seen last."""
        return [node.address for node in nodes_of(self.latest) if node.node_id]

    def when(
        self, reached: Callable[[Result], bool], since_s: float, timeout_s: float
    ) -> float | None:
        """Wait until what is seen is as wanted; when it was asked for, or None if it is too late.

        ``since_s``, seconds since the epoch: what was asked for earlier does not count.
        """
        deadline = time.monotonic() + timeout_s
        with self._seen:
            while True:
                sight = self.sights[-1]
                if sight.at_s > since_s and reached(sight.result):
                    return sight.at_s
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not self._seen.wait(left_s):
                    return None

    def look(self) -> None:
        """Ask once."""
        at_s = time.time()
        # Our question ends with the function's process where a scenario kills it: the next one is
        # answered.
        with suppress(RedisFargateError):
            result = self._cloud.status()
            with self._seen:
                self.sights.append(Sight(at_s, result))
                self._seen.notify_all()


def nodes_of(result: Result) -> list[NodeReport]:
    """List all nodes of a result, and the tasks that are in no shard."""
    return [
        node
        for shard in result.shards
        for node in (shard.master, *shard.replicas)
        if node is not None
    ] + list(result.others)


def said_by_ecs(changes: Changes, since_s: float) -> list[Mark]:
    """Read in the service's events what ECS has done since a moment."""
    events = changes.service()["events"]
    marks = [Mark(event["createdAt"].timestamp(), "ecs", event["message"]) for event in events]
    return [mark for mark in marks if mark.at_s >= since_s]


def steps_taken(cloud: Cloud, since_s: float) -> list[Mark]:
    """Read in the controller's log which steps it has taken since a moment.

    What a run has logged arrives a moment after its end.
    """
    return until(lambda: _steps_logged(cloud, since_s), bool, _LOG_TIMEOUT_S)


def _steps_logged(cloud: Cloud, since_s: float) -> list[Mark]:
    group = f"/aws/lambda/{cloud.function_name}"
    marks = []
    with translated("logs", f"log group {group}"):
        pages = cloud.clients.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=int(since_s * 1000)
        )
        for page in pages:
            for event in page["events"]:
                try:
                    line = json.loads(event["message"])
                except ValueError:
                    continue  # the function's runtime logs lines of its own
                if isinstance(line, dict) and "took_ms" in line:
                    text = f"{line['phase']}: {line['message']} ({line['why']})"
                    # The event's own time is that of the run's end.
                    done = datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z")
                    begun_s = done.timestamp() - line["took_ms"] / 1000
                    marks.append(Mark(begun_s, "step", text))
    return [mark for mark in marks if mark.at_s >= since_s]
