"""The default event bus, for events that PutEvents refuses because their source is AWS itself.

Which rules there are, whether their patterns match and what their targets are is asked of the
endpoint; only the order of asking is ours.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from redis_fargate.local.clients import Clients
from redis_fargate.local.invoking import Invocations

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import TargetOutputTypeDef

_LONGEST_QUEUE = 10_000
# EventBridge's InputPath is a JSONPath; this is the part of it that names a member.
_MEMBER_PATH = re.compile(r"\$(\.[A-Za-z0-9_-]+)*")
_logger = logging.getLogger(__name__)

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    pattern: str


class EventBridge:
    """Delivers events to Lambda functions; a :class:`~redis_fargate.local.ports.EventSink`.

    Events are delivered in the order of their publication. Rules are read when an event is at the
    head of the queue, so a rule counts for every event that is published after it was put.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._invocations = Invocations(clients.url)
        self._queue: asyncio.Queue[Event] = asyncio.Queue(_LONGEST_QUEUE)
        self._task: asyncio.Task[None] | None = None

    async def publish(self, event: Event) -> None:
        """Take one event in EventBridge's envelope; waits only while the queue is full."""
        if self._task is None:
            self._task = asyncio.create_task(self._deliver_all(), name="event bus")
        await self._queue.put(event)

    async def close(self, timeout_s: float = 5) -> None:
        """Find the targets of what waits, for so long at most, and forget invocations that wait."""
        if self._task is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._queue.join()
            except TimeoutError:
                _logger.warning("%d events were not delivered in time.", self._queue.qsize())
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._invocations.close()

    async def _deliver_all(self) -> None:
        while True:
            events = [await self._queue.get()]
            while not self._queue.empty():
                events.append(self._queue.get_nowait())
            await asyncio.to_thread(self._deliver, events)
            for _ in events:
                self._queue.task_done()

    def _deliver(self, events: Sequence[Event]) -> None:
        try:
            rules = self._rules()
        except (BotoCoreError, ClientError) as error:
            _logger.warning("%d events are lost, as rules cannot be read: %s", len(events), error)
            return
        for event in events:
            for rule in rules:
                try:
                    self._offer(event, rule)
                except (BotoCoreError, ClientError) as error:
                    _logger.warning("Rule %s missed %s: %s", rule.name, _title(event), error)

    def _rules(self) -> list[_Rule]:
        """Read the enabled rules that wait for events (and not for the clock)."""
        rules = []
        token: dict[str, str] = {}
        while True:
            answer = self._clients.client("events").list_rules(**token)
            rules += [
                _Rule(rule["Name"], rule["EventPattern"])
                for rule in answer["Rules"]
                if rule.get("EventPattern") and rule.get("State") != "DISABLED"
            ]
            if not answer.get("NextToken"):
                return rules
            token = {"NextToken": answer["NextToken"]}

    def _offer(self, event: Event, rule: _Rule) -> None:
        if not _may_match(rule.pattern, event):
            return
        events = self._clients.events
        text = json.dumps(event)
        if not events.test_event_pattern(EventPattern=rule.pattern, Event=text)["Result"]:
            return
        pages = events.get_paginator("list_targets_by_rule").paginate(Rule=rule.name)
        for target in (target for page in pages for target in page["Targets"]):
            self._invoke(event, rule, target)

    def _invoke(self, event: Event, rule: _Rule, target: "TargetOutputTypeDef") -> None:
        if not target["Arn"].startswith("arn:aws:lambda:"):
            _logger.warning(
                "Rule %s: the target %s is no Lambda function; the local cloud knows no other.",
                rule.name, target["Arn"],
            )  # fmt: skip
            return
        try:
            payload = _payload(event, target)
        except ValueError as error:
            _logger.warning("Rule %s, target %s: %s", rule.name, target["Id"], error)
            return
        self._invocations.submit(target["Arn"], payload)
        _logger.info("Rule %s: %s invokes %s.", rule.name, _title(event), target["Arn"])


def _may_match(pattern: str, event: Event) -> bool:
    """Sort out what cannot match, without a question to the endpoint: most events do not."""
    wanted = json.loads(pattern)
    for name in ("source", "detail-type"):
        values = wanted.get(name, [event[name]])
        if all(isinstance(value, str) for value in values) and event[name] not in values:
            return False
    return True


def _payload(event: Event, target: "TargetOutputTypeDef") -> bytes:
    """Make what a target is invoked with.

    Raises:
        ValueError: the target asks for something that the local cloud cannot do.

    """
    if "InputTransformer" in target:
        raise ValueError(
            "InputTransformer is not known to the local cloud: use Input or InputPath."
        )
    if "Input" in target:
        return target["Input"].encode()
    part: Any = event
    if "InputPath" in target:
        path = target["InputPath"]
        if not _MEMBER_PATH.fullmatch(path):
            raise ValueError(f"InputPath {path!r} is no path of members, such as $.detail.")
        for name in path.split(".")[1:]:
            part = part.get(name) if isinstance(part, Mapping) else None
    return json.dumps(part).encode()


def _title(event: Event) -> str:
    return f"{event['detail-type']} {event['id']}"
