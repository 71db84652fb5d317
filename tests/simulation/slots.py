"""Sets of slots as the bits of a number: quick to join, compare and take apart."""

from collections.abc import Iterator
from functools import lru_cache

from redis_fargate.topology.slots import SLOT_COUNT

COUNT = SLOT_COUNT
ALL = (1 << COUNT) - 1


def mask(first: int, last: int) -> int:
    return ((1 << (last - first + 1)) - 1) << first


def without(slots: int, taken: int) -> int:
    """``slots & ~taken``, in a third of the time: numbers below 0 are slow to work with."""
    return slots ^ (slots & taken)


@lru_cache(maxsize=2048)
def ranges(slots: int) -> tuple[tuple[int, int], ...]:
    """First and last of each run of slots."""
    found = []
    offset = 0
    while slots:
        gap = (slots & -slots).bit_length() - 1
        slots >>= gap
        length = (~slots & (slots + 1)).bit_length() - 1
        found.append((offset + gap, offset + gap + length - 1))
        slots >>= length
        offset += gap + length
    return tuple(found)


@lru_cache(maxsize=2048)
def text(slots: int) -> str:
    """As CLUSTER NODES prints them."""
    return " ".join(
        str(first) if first == last else f"{first}-{last}" for first, last in ranges(slots)
    )


def each(slots: int) -> Iterator[int]:
    for first, last in ranges(slots):
        yield from range(first, last + 1)
