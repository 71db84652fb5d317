"""Moving slots key by key, with MIGRATE, as every version of Redis Cluster can.

A slot is *importing* on the target and *migrating* on the source while its keys go over; clients
find each key on the one that has it (ASK). It becomes the target's only once the source has no key
of it left: after a MIGRATE that failed it stays as it is, and a later run goes on.

What takes long with few keys in each slot are the turns between us and the servers, so many slots
are opened, looked through and closed together. What takes long with many or large keys is the
source's work; how much of that is done at a time, the pace says.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from redis_fargate.nodes.connection import Command, Connections, NodeConnection
from redis_fargate.nodes.contact import check_contact, check_giver
from redis_fargate.nodes.errors import CommandRefused, PreconditionFailed, StepFailed, StillMoving
from redis_fargate.nodes.pacing import Pacer
from redis_fargate.nodes.parse import parse_info
from redis_fargate.nodes.polling import together
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.slots import SlotRanges, described, from_numbers, numbers
from redis_fargate.topology.steps import MoveSlots

_WORKERS = 2
"""So many groups of slots are in flight between two masters: while one waits for the target, the
source works for the other."""
_FIRST_GROUP = 8
_LARGEST_GROUP = 64
_CHECKED_S = 0.2
"""For so long a target counts as in contact: that it is not, shows after seconds only."""
_KEYS_AT_ONCE = 1000
"""Looked up, and weighed, in one exchange: some 2 ms of the source's time."""
_GRACE_S = 5.0
"""For so long after the end of its slice a slot may go on until it is through."""
_KEY_BYTES = 128
"""What handing over a key costs beside its data, in bytes of data that take as long."""
_COMMAND_BYTES = 2048
"""What one more MIGRATE costs, likewise."""
_PATIENCE_S = 2.0
_SLOWEST_BYTES_PER_S = 10e6
"""A source waits for its target for so long, and for the time that the keys take at the slowest."""


Key: TypeAlias = str | bytes
"""As the server gave it."""


async def move(
    step: MoveSlots, slots: SlotRanges, connections: Connections, pacer: Pacer, ends_s: float
) -> None:
    """Open no more slots from ``ends_s`` on, on the loop's clock, and bring those that are through.

    Raises:
        PreconditionFailed: there are keys of other databases; another has been elected in the
            source's place, or may be; or the target is out of contact with the cluster.
        StepFailed: keys could not be handed over; what is in flight stays so.
        StillMoving: a slot is in flight long after its time.

    """
    both = await connections.to(step.source), await connections.to(step.target)
    await _check_databases(step, both[0])
    keys_of, credentials = await connections.bulk(step.source), _credentials(connections.settings)
    mover = _Mover(step, slots, keys_of, both, credentials, pacer, ends_s)
    await together(mover.work() for _ in range(_WORKERS))


async def _check_databases(step: MoveSlots, source: NodeConnection) -> None:
    """Refuse to leave keys behind: Valkey 9 may have some in other databases than the first."""
    info = parse_info(str(await source.call("INFO", "keyspace")))
    others = [name for name in info if name.startswith("db") and name != "db0"]
    if others:
        raise PreconditionFailed(
            f"{step.source} has keys in the databases {', '.join(others)}, which only go over with "
            f"CLUSTER MIGRATESLOTS, and {step.target} may be too old for that. Nothing was moved."
        )


def _credentials(settings: ConnectionSettings) -> tuple[str, ...]:
    """What MIGRATE is told to authenticate itself with."""
    if settings.password is None:
        return ()
    if settings.username is None:
        return ("AUTH", settings.password)
    return ("AUTH2", settings.username, settings.password)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Keys that are handed over in one exchange, by slot."""

    keys: dict[int, list[Key]]
    cost_bytes: int


class _Mover:
    """The moves of one pair of masters."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        step: MoveSlots,
        slots: SlotRanges,
        source: NodeConnection,
        both: tuple[NodeConnection, NodeConnection],
        credentials: Sequence[str],
        pacer: Pacer,
        ends_s: float,
    ) -> None:
        self._step = step
        self._left = deque(numbers(slots))
        self._source = source
        """For keys, which need not be text."""
        self._both = both
        self._target = both[1]
        self._credentials = credentials
        self._pacer = pacer
        self._ends_s = ends_s
        self._group_size = _FIRST_GROUP
        self._checked_s = float("-inf")
        self._now_s = asyncio.get_running_loop().time

    async def work(self) -> None:
        """Move one group of slots after the other; one at the least, so that it goes on."""
        first = True
        while self._left and (first or self._now_s() < self._ends_s):
            first = False
            group = [self._left.popleft() for _ in range(min(self._group_size, len(self._left)))]
            await self._open(group)
            await self._empty(group)
            await self._close(group)

    async def _open(self, group: Sequence[int]) -> None:
        source, target = self._step.source.id, self._step.target.id
        await self._target.pipeline(
            *(("CLUSTER", "SETSLOT", slot, "IMPORTING", source) for slot in group)
        )
        await self._source.pipeline(
            *(("CLUSTER", "SETSLOT", slot, "MIGRATING", target) for slot in group)
        )

    async def _close(self, group: Sequence[int]) -> None:
        """Give the slots to the target; to the source, which has no keys of them, at last."""
        if self._now_s() - self._checked_s > _CHECKED_S:
            await check_contact(self._target)
            self._checked_s = self._now_s()
        await check_giver(self._step, *self._both)
        commands = [("CLUSTER", "SETSLOT", slot, "NODE", self._step.target.id) for slot in group]
        await self._target.pipeline(*commands)
        await self._source.pipeline(*commands)

    async def _empty(self, group: Sequence[int]) -> None:
        """Hand over keys until the source has none of these slots."""
        while group:
            if self._now_s() > self._ends_s + _GRACE_S:
                raise StillMoving(
                    f"The slots {described(from_numbers(group))} are still on their way from "
                    f"{self._step.source} to {self._step.target}: the next look goes on."
                )
            at_once = max(1, _KEYS_AT_ONCE // len(group))
            found = await self._source.pipeline(
                *(("CLUSTER", "GETKEYSINSLOT", slot, at_once) for slot in group)
            )
            keys: dict[int, list[Key]] = {
                slot: names
                for slot, names in zip(group, found, strict=True)
                if isinstance(names, list) and names
            }
            number = sum(map(len, keys.values()))
            self._group_size = min(
                _LARGEST_GROUP, max(1, _KEYS_AT_ONCE * len(group) // max(1, number))
            )
            for batch in self._batches(keys, await self._sizes_bytes(keys)):
                await self._hand_over(batch)
            group = tuple(keys)

    async def _sizes_bytes(self, keys: dict[int, list[Key]]) -> Iterator[int]:
        """How large each key is, in order; 0 where it has gone, of which the source says ASK."""
        sizes = await self._source.exchange(
            [("MEMORY", "USAGE", name) for names in keys.values() for name in names]
        )
        return (size if isinstance(size, int) else 0 for size in sizes)

    def _batches(self, keys: dict[int, list[Key]], sizes: Iterator[int]) -> Iterator[_Batch]:
        """As many keys together as the pace allows; a large one alone."""
        batch: dict[int, list[Key]] = {}
        total_bytes = 0
        for slot, names in keys.items():
            for name in names:
                cost_bytes = next(sizes) + _KEY_BYTES + (0 if slot in batch else _COMMAND_BYTES)
                if batch and total_bytes + cost_bytes > self._pacer.budget_bytes:
                    yield _Batch(batch, total_bytes)
                    batch, total_bytes = {}, 0
                batch.setdefault(slot, []).append(name)
                total_bytes += cost_bytes
        if batch:
            yield _Batch(batch, total_bytes)

    async def _hand_over(self, batch: _Batch) -> None:
        patience_s = _PATIENCE_S + batch.cost_bytes / _SLOWEST_BYTES_PER_S
        node = self._step.target
        head = ("MIGRATE", node.address, node.port, "", 0, int(patience_s * 1000), "REPLACE")
        commands: list[Command] = [
            (*head, *self._credentials, "KEYS", *names) for names in batch.keys.values()
        ]
        begun_s = self._now_s()
        answers = await self._source.exchange(commands, patience_s * len(commands) + _PATIENCE_S)
        self._pacer.took(batch.cost_bytes, self._now_s() - begun_s)
        for answer in answers:
            if isinstance(answer, CommandRefused):
                raise StepFailed(
                    f"Keys of the slots {described(from_numbers(batch.keys))} could not be handed "
                    f"over from {self._step.source} to {self._step.target}, and are where they "
                    f"were: {answer.reply}"
                )
        await self._pacer.rest(batch.cost_bytes)
