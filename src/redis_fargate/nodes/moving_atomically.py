"""Moving slots as Valkey 9 does it by itself: whole, or not at all.

The source sends a snapshot of the slots and what is written meanwhile, stops writes to them for a
moment, and the target takes them (https://valkey.io/topics/atomic-slot-migration/). Which servers
can, they are asked: a version says less.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from redis_fargate.nodes.connection import Connections, NodeConnection
from redis_fargate.nodes.contact import check_contact
from redis_fargate.nodes.errors import CommandRefused, StepFailed, StillMoving
from redis_fargate.nodes.pacing import Pacer
from redis_fargate.nodes.parse import count_keys, parse_info
from redis_fargate.nodes.polling import attempts
from redis_fargate.topology.slots import SlotRanges, described, from_numbers, numbers
from redis_fargate.topology.steps import MoveSlots

_JOBS = ("CLUSTER", "GETSLOTMIGRATIONS")
_ENDED = frozenset({"success", "failed", "cancelled", "canceled"})


async def is_offered(step: MoveSlots, connections: Connections) -> bool:
    """Whether both servers can."""
    for node in (step.source, step.target):
        try:
            await (await connections.to(node)).call(*_JOBS)
        except CommandRefused as refusal:
            if not refusal.unknown_command:
                raise
            return False
    return True


async def move(
    step: MoveSlots, slots: SlotRanges, connections: Connections, pacer: Pacer, ends_s: float
) -> None:
    """Begin no more jobs from ``ends_s`` on, on the loop's clock.

    Raises:
        PreconditionFailed: the target is out of contact with the cluster.
        StepFailed: a job failed; its slots and keys are where they were.
        StillMoving: a job is under way when the time is over.

    """
    now_s = asyncio.get_running_loop().time
    source = await connections.to(step.source)
    for share in await _shares(source, slots, pacer.most_keys):
        if now_s() >= ends_s:
            return
        await check_contact(await connections.to(step.target))
        before = {job.name for job in await _jobs(step, source)}
        await source.call(
            *("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"),
            *(bound for piece in share.slots for bound in (piece.first, piece.last)),
            *("NODE", step.target.id),
        )
        await await_jobs(step, connections, ends_s)
        failed = [
            job
            for job in await _jobs(step, source)
            if job.name not in before and job.state != "success"
        ]
        if failed:
            raise StepFailed(
                f"{step.source} could not give the slots {described(share.slots)} to "
                f"{step.target}, and still has them: {failed[0].state} {failed[0].message}."
            )
        await pacer.rest(share.data_bytes)


@dataclass(frozen=True, slots=True)
class _Job:
    """A migration that the source knows of; it remembers those that have ended for a while."""

    name: str
    state: str
    message: str


async def _jobs(step: MoveSlots, source: NodeConnection) -> list[_Job]:
    """Those to the step's target: others may be under way at the same time."""
    answer = await source.call(*_JOBS)
    jobs = []
    for entry in answer if isinstance(answer, list) else []:
        facts = dict(zip(map(str, entry[::2]), map(str, entry[1::2]), strict=True))
        if facts["operation"] == "EXPORT" and facts["target_node"] == step.target.id:
            jobs.append(_Job(facts["name"], facts["state"], facts["message"]))
    return jobs


async def await_jobs(step: MoveSlots, connections: Connections, ends_s: float) -> None:
    """Wait until no job from the source to the target is under way.

    Raises:
        StillMoving: one is at ``ends_s``, on the loop's clock.

    """
    source = await connections.to(step.source)
    async for _ in attempts(max(0.0, ends_s - asyncio.get_running_loop().time())):
        if all(job.state in _ENDED for job in await _jobs(step, source)):
            return
    raise StillMoving(
        f"Slots are still on their way from {step.source} to {step.target}: the next look goes on."
    )


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
