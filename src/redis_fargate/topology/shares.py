"""Shares of slots: of those that nobody owns, and of those that some master has too many of."""

from collections.abc import Iterator, Sequence

from redis_fargate.topology.fleet import Live
from redis_fargate.topology.slots import SLOT_COUNT, SlotRanges, count, split


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

    As few slots as possible move, between as few pairs as that takes or nearly so. Where not all
    can have as many, those that have the most keep one more, so that a plan made half way asks for
    nothing that the first one did not.
    """
    each, extra = divmod(SLOT_COUNT, len(masters))
    richest = sorted(masters, key=lambda live: (-count(live.node.slots), live.task.id))
    surplus = {
        live.task.id: count(live.node.slots) - each - (rank < extra)
        for rank, live in enumerate(richest)
    }
    surplus |= {live.task.id: count(live.node.slots) for live in leaving}
    givers = sorted(
        (live for live in (*masters, *leaving) if surplus[live.task.id] > 0),
        key=lambda live: (-surplus[live.task.id], live.task.id),
    )
    takers = sorted(
        (live for live in masters if surplus[live.task.id] < 0),
        key=lambda live: (surplus[live.task.id], live.task.id),
    )
    left = {live.task.id: live.node.slots for live in givers}
    while givers and takers:
        giver, taker = givers[0], takers[0]
        amount = min(surplus[giver.task.id], -surplus[taker.task.id])
        # From the end: those that stay are in one piece then.
        kept, moved = split(left[giver.task.id], count(left[giver.task.id]) - amount)
        left[giver.task.id] = kept
        surplus[giver.task.id] -= amount
        surplus[taker.task.id] += amount
        yield giver, taker, moved
        givers = [live for live in givers if surplus[live.task.id] > 0]
        takers = [live for live in takers if surplus[live.task.id] < 0]
