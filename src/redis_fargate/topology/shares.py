"""Shares of slots: of those that nobody owns, and of those that some master has too many of."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from redis_fargate.topology.fleet import Live
from redis_fargate.topology.slots import (
    SLOT_COUNT,
    SlotRange,
    SlotRanges,
    count,
    normalized,
    split,
)


def shared_out(unowned: SlotRanges, masters: Sequence[Live]) -> Iterator[tuple[Live, SlotRanges]]:
    """Share slots out so that all have as many, as far as what they hold allows."""
    for live, quota in zip(masters, _quotas(masters, count(unowned)), strict=True):
        if quota:
            share, unowned = split(unowned, quota)
            yield live, share


def _quotas(masters: Sequence[Live], supply: int) -> list[int]:
    held = [count(live.node.slots) for live in masters]

    def given(level: int) -> list[int]:
        return [max(0, level - slots) for slots in held]

    # The highest common level that the supply suffices for, by bisection.
    low, high = 0, max(held, default=0) + supply + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if sum(given(middle)) <= supply else (low, middle)
    quotas = given(low)
    rest = supply - sum(quotas)
    for index, slots in enumerate(held):
        if rest and slots <= low:
            quotas[index] += 1
            rest -= 1
    return quotas


def transfers(
    masters: Sequence[Live], leaving: Sequence[Live] = ()
) -> Iterator[tuple[Live, Live, SlotRanges]]:
    """From whom to whom which slots go, until ``masters`` have as many and ``leaving`` none.

    As few slots as possible move: first to who owns the slots before them, then to who owns those
    after them, then to whoever lacks some. A move begins with its first slot, so a plan made half
    way finds what is left right after what its taker has got, and gives it to the same one. For
    that, too, task ids say who has one more where not all can have as many.
    """
    lives = {live.task.id: live for live in (*masters, *leaving)}
    each, extra = divmod(SLOT_COUNT, len(masters))
    lacking = {task_id: -count(live.node.slots) for task_id, live in lives.items()}
    # Those that have more already keep it.
    order = sorted(masters, key=lambda live: (count(live.node.slots) <= each, live.task.id))
    for rank, live in enumerate(order):
        lacking[live.task.id] += each + (rank < extra)
    given: defaultdict[tuple[str, str], list[SlotRange]] = defaultdict(list)

    def give(slots: SlotRanges, giver: str, *takers: str, from_end: bool) -> SlotRanges:
        """Give each taker in turn as many as it lacks; the rest."""
        for taker in takers:
            amount = max(0, min(count(slots), lacking.get(taker, 0)))
            head, tail = split(slots, count(slots) - amount if from_end else amount)
            part, slots = (tail, head) if from_end else (head, tail)
            if part:
                lacking[taker] -= amount
                given[giver, taker] += part
        return slots

    left: list[tuple[SlotRanges, str]] = []
    before = {piece.last + 1: live.task.id for live in masters for piece in live.node.slots}
    after = {piece.first - 1: live.task.id for live in masters for piece in live.node.slots}
    for piece, giver in _surplus(lives, lacking):
        left.append((give((piece,), giver, before.get(piece.first, ""), from_end=False), giver))
    for rest, giver in reversed(left):
        if rest:
            give(rest, giver, after.get(rest[-1].last, ""), *sorted(lacking), from_end=True)
    for (giver, taker), pieces in given.items():
        yield lives[giver], lives[taker], normalized(pieces)


def _surplus(
    lives: Mapping[str, Live], lacking: Mapping[str, int]
) -> Sequence[tuple[SlotRange, str]]:
    """What each has too many of, in order of slots; from its end, so that the rest is together."""
    return sorted(
        (piece, task_id)
        for task_id, live in lives.items()
        if lacking[task_id] < 0
        for piece in split(live.node.slots, count(live.node.slots) + lacking[task_id])[1]
    )
