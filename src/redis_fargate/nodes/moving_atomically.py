"""Moving slots as newer servers do it by themselves: whole, or not at all.

The source sends a snapshot of the slots and what is written meanwhile, stops writes to them for a
moment, and the target takes them. Valkey's source is told to, from 9.0 on
(https://valkey.io/topics/atomic-slot-migration/); Redis' target is, from 8.4 on
(https://redis.io/docs/latest/commands/cluster-migration/). Which servers can, they are asked: a
version says less.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeAlias

from redis_fargate.nodes.connection import Command, Connections, NodeConnection
from redis_fargate.nodes.contact import check_contact, check_giver
from redis_fargate.nodes.errors import CommandRefused, StepFailed, StillMoving
from redis_fargate.nodes.pacing import Pacer
from redis_fargate.nodes.parse import count_keys, parse_info
from redis_fargate.nodes.polling import attempts
from redis_fargate.topology.slots import SlotRanges, described, from_numbers, numbers
from redis_fargate.topology.steps import MoveSlots
from redis_fargate.topology.view import SlotMigration

_ENDED = frozenset({"success", "completed", "cancelled", "canceled", "failed"})
_MOVED = frozenset({"success", "completed"})
_Job: TypeAlias = Mapping[str, str]
"""What a server tells of a move."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How servers of a kind are told to move slots, and how they tell of it."""

    jobs: Command
    """What lists the moves."""
    imports: bool
    """Whether the target is told and asked, else the source is.

    Such a target drops what it has of the slots before, heeds no ``maxmemory`` meanwhile, does one
    move at a time, and begins one that has failed again by itself until it is cancelled.
    """
    told: str
    """What it is to who was told to."""
    name: str
    source: str
    target: str
    error: str

    def pair(self, job: _Job) -> SlotMigration:
        return SlotMigration(job.get(self.source, ""), job.get(self.target, ""))

    def goes_on(self, job: _Job) -> bool:
        """Whether it has not ended for good."""
        begins_again = self.imports and job["operation"] == self.told
        return job["state"] not in _ENDED or (job["state"] == "failed" and begins_again)


_VALKEY = _Kind(
    jobs=("CLUSTER", "GETSLOTMIGRATIONS"),
    imports=False,
    told="EXPORT",
    name="name",
    source="source_node",
    target="target_node",
    error="message",
)
_REDIS = _Kind(
    jobs=("CLUSTER", "MIGRATION", "STATUS", "ALL"),
    imports=True,
    told="import",
    name="id",
    source="source",
    target="dest",
    error="last_error",
)


_KINDS = (_VALKEY, _REDIS)


@dataclass(frozen=True, slots=True)
class AtomicMove:
    """A move that both servers can make by themselves."""

    step: MoveSlots
    kind: _Kind
    source: NodeConnection
    target: NodeConnection
    turn: asyncio.Lock
    """For who moves anything to the target, if that does one at a time."""

    @property
    def drops_old_keys(self) -> bool:
        """Whether nothing of the slots that the target has of a former life outlives the move."""
        return self.kind.imports

    @property
    def _told(self) -> NodeConnection:
        return self.target if self.kind.imports else self.source

    async def move(self, slots: SlotRanges, pacer: Pacer, ends_s: float) -> None:
        """Begin no more jobs from ``ends_s`` on, on the loop's clock.

        Raises:
            PreconditionFailed: another has been elected in the source's place, or may be; or the
                target is out of contact with the cluster.
            StepFailed: a job failed, or the target has no memory for it; its slots and keys are
                where they were.
            StillMoving: a job is under way when the time is over.

        """
        now_s = asyncio.get_running_loop().time
        for share in await _shares(self.source, slots, pacer.most_keys):
            async with self.turn if self.kind.imports else nullcontext():
                if now_s() >= ends_s:
                    return
                await self._move(share, ends_s)
            await pacer.rest(share.data_bytes)

    async def _move(self, share: "_Share", ends_s: float) -> None:
        await check_contact(self.target)
        await check_giver(self.step, self.source, self.target)
        before = {job[self.kind.name] for job in await self._jobs()}
        bounds = [bound for piece in share.slots for bound in (piece.first, piece.last)]
        if self.kind.imports:
            await self._check_memory(share)
            await self.target.call("CLUSTER", "MIGRATION", "IMPORT", *bounds)
        else:
            node = self.step.target.id
            await self.source.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", *bounds, "NODE", node)
        await self.await_jobs(ends_s)
        for job in await self._jobs():
            if job[self.kind.name] not in before and job["state"] not in _MOVED:
                raise StepFailed(
                    f"{self.step.source} could not give the slots {described(share.slots)} to "
                    f"{self.step.target}, and still has them: {job['state']} "
                    f"{job[self.kind.error]}."
                )

    async def _check_memory(self, share: "_Share") -> None:
        info = parse_info(str(await self.target.call("INFO", "memory")))
        left_bytes = int(info["maxmemory"]) - int(info["used_memory"]) - share.data_bytes
        if int(info["maxmemory"]) and info["maxmemory_policy"] == "noeviction" and left_bytes < 0:
            raise StepFailed(
                f"{self.step.target} lacks {-left_bytes:.0f} bytes of memory (maxmemory) for the "
                f"slots {described(share.slots)}, which {self.step.source} still has."
            )

    async def await_jobs(self, ends_s: float) -> None:
        """Wait until no job from the source to the target is under way.

        One that fails again and again is cancelled at the end.

        Raises:
            StillMoving: one is at ``ends_s``, on the loop's clock.

        """
        await _await_ended(self._told, self.kind, ends_s, self._pair)

    async def _jobs(self) -> Sequence[_Job]:
        return await _jobs(self._told, self.kind, self._pair)

    @property
    def _pair(self) -> SlotMigration:
        return SlotMigration(self.step.source.id, self.step.target.id)


async def _jobs(
    node: NodeConnection, kind: _Kind, pair: SlotMigration | None = None
) -> Sequence[_Job]:
    """All that a server knows of, or those of a pair: others may be under way at the same time.

    It remembers those that have ended for a while.
    """
    (answer,) = await node.exchange([kind.jobs])
    return [job for job in _listed(answer) if pair in (None, kind.pair(job))]


def _listed(answer: object) -> Sequence[_Job]:
    """None where the server does not know the command."""
    if isinstance(answer, CommandRefused) and not answer.unknown_command:
        raise answer
    entries = answer if isinstance(answer, list) else []
    words = [[str(word) for word in entry] for entry in entries]
    return [dict(zip(each[::2], each[1::2], strict=True)) for each in words]


async def under_way(node: NodeConnection) -> tuple[SlotMigration, ...]:
    """Say which moves from or to a master have not ended, by its own word."""
    answers = await node.exchange([kind.jobs for kind in _KINDS])
    found = {
        kind.pair(job): None
        for kind, answer in zip(_KINDS, answers, strict=True)
        for job in _listed(answer)
        if kind.goes_on(job)
    }
    return tuple(found)


async def await_ended(node: NodeConnection, ends_s: float) -> None:
    """Wait until no slots are on their way from or to a master; as ``AtomicMove.await_jobs``."""
    for kind in _KINDS:
        await _await_ended(node, kind, ends_s)


async def _await_ended(
    node: NodeConnection, kind: _Kind, ends_s: float, pair: SlotMigration | None = None
) -> None:
    going: Sequence[_Job] = ()
    async for _ in attempts(max(0.0, ends_s - asyncio.get_running_loop().time())):
        going = [job for job in await _jobs(node, kind, pair) if kind.goes_on(job)]
        if not going:
            return
    failing = [job for job in going if job["state"] == "failed"]
    for job in failing:
        await node.call("CLUSTER", "MIGRATION", "CANCEL", "ID", job[kind.name])
    if len(failing) < len(going):
        pairs = ", ".join(sorted({str(kind.pair(job)) for job in going}))
        raise StillMoving(f"Slots are still on their way {pairs}: the next look goes on.")


async def offered(
    step: MoveSlots, connections: Connections, turn: asyncio.Lock
) -> AtomicMove | None:
    """Ask both servers whether they can, in the same way."""
    source, target = await connections.to(step.source), await connections.to(step.target)
    for kind in _KINDS:
        if await _knows(source, kind.jobs) and await _knows(target, kind.jobs):
            return AtomicMove(step, kind, source, target, turn)
    return None


async def hides_keys(node: NodeConnection) -> bool:
    """Whether a server tells of no keys in slots that are not its own, as Redis 8.4 does."""
    return await _knows(node, _REDIS.jobs)


async def _knows(node: NodeConnection, command: Command) -> bool:
    """Whether a server has a command."""
    try:
        await node.call(*command)
    except CommandRefused as refusal:
        if not refusal.unknown_command:
            raise
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Share:
    """Slots that move in one job."""

    slots: SlotRanges
    data_bytes: float


async def _shares(source: NodeConnection, slots: SlotRanges, most_keys: float) -> Sequence[_Share]:
    """The slots in parts of so many keys, or of one slot if that has more.

    What a job leaves behind is deleted in one go, while clients wait.
    """
    every = tuple(numbers(slots))
    info, *counts = await source.pipeline(
        ("INFO",), *(("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in every)
    )
    facts = parse_info(str(info))
    key_bytes = int(facts["used_memory"]) / max(1, count_keys(facts))
    shares = []
    part: list[int] = []
    keys = 0
    for slot, answer in zip(every, counts, strict=True):
        more = int(str(answer))
        if part and keys + more > most_keys:
            shares.append(_Share(from_numbers(part), keys * key_bytes))
            part, keys = [], 0
        part.append(slot)
        keys += more
    return (*shares, _Share(from_numbers(part), keys * key_bytes))
