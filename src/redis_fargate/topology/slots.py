"""Arithmetic of hash slots (Redis Cluster specification, "Key distribution model")."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SLOT_COUNT = 16384


@dataclass(frozen=True, slots=True, order=True)
class SlotRange:
    """The slots ``first`` to ``last``, both included."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < SLOT_COUNT:
            raise ValueError(f"{self.first}-{self.last} is no range of slots 0-{SLOT_COUNT - 1}")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


SlotRanges = tuple[SlotRange, ...]
"""Sorted, disjoint and merged as far as they go."""


def count(ranges: Iterable[SlotRange]) -> int:
    """How many slots the ranges hold."""
    return sum(map(len, ranges))


def normalized(ranges: Iterable[SlotRange]) -> SlotRanges:
    """The same slots as sorted ranges that neither touch nor overlap."""
    raise NotImplementedError


def subtract(ranges: Iterable[SlotRange], taken: Iterable[SlotRange]) -> SlotRanges:
    """The slots in ``ranges`` that are not in ``taken``."""
    raise NotImplementedError


def balanced(parts: int) -> Sequence[SlotRange]:
    """All slots as ``parts`` contiguous ranges whose sizes differ by at most one."""
    raise NotImplementedError


def key_slot(key: bytes) -> int:
    """The slot of a key; only the part in the first non-empty ``{hash tag}`` counts."""
    raise NotImplementedError
