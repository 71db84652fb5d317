"""Arithmetic of hash slots (Redis Cluster specification, "Key distribution model")."""

from binascii import crc_hqx
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

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


ALL_SLOTS = (SlotRange(0, SLOT_COUNT - 1),)

SlotRanges = tuple[SlotRange, ...]
"""Sorted, disjoint and merged as far as they go."""


def described(ranges: Iterable[SlotRange]) -> str:
    """The ranges as a person reads them, like ``0-5460,9000``."""
    return ",".join(map(str, ranges))


def count(ranges: Iterable[SlotRange]) -> int:
    """How many slots the ranges hold."""
    return sum(map(len, ranges))


def normalized(ranges: Iterable[SlotRange]) -> SlotRanges:
    """The same slots as sorted ranges that neither touch nor overlap."""
    merged: list[SlotRange] = []
    for piece in sorted(ranges):
        if merged and piece.first <= merged[-1].last + 1:
            merged[-1] = SlotRange(merged[-1].first, max(merged[-1].last, piece.last))
        else:
            merged.append(piece)
    return tuple(merged)


def subtract(ranges: Iterable[SlotRange], taken: Iterable[SlotRange]) -> SlotRanges:
    """The slots in ``ranges`` that are not in ``taken``."""
    holes = normalized(taken)
    left: list[SlotRange] = []
    for piece in normalized(ranges):
        first = piece.first
        for hole in holes:
            if hole.last < first:
                continue
            if hole.first > piece.last:
                break
            if hole.first > first:
                left.append(SlotRange(first, hole.first - 1))
            first = hole.last + 1
        if first <= piece.last:
            left.append(SlotRange(first, piece.last))
    return tuple(left)


def common(ranges: Iterable[SlotRange], others: Iterable[SlotRange]) -> SlotRanges:
    """The slots that are in both."""
    pieces = tuple(ranges)
    return subtract(pieces, subtract(pieces, others))


def uncontested(claims: Mapping[str, tuple[int, SlotRanges]]) -> Mapping[str, SlotRanges]:
    """Node id to what of its claim nobody claims by a newer config epoch; from epochs and claims.

    Who has been replaced and does not know it yet is left with nothing.
    """
    pieces = [piece for _, slots in claims.values() for piece in slots]
    if count(pieces) == count(normalized(pieces)):
        return {node_id: slots for node_id, (_, slots) in claims.items()}
    return {
        node_id: subtract(
            slots, (piece for newer, others in claims.values() if newer > epoch for piece in others)
        )
        for node_id, (epoch, slots) in claims.items()
    }


def split(ranges: SlotRanges, wanted: int) -> tuple[SlotRanges, SlotRanges]:
    """The first ``wanted`` slots, and the rest."""
    head: list[SlotRange] = []
    for piece in ranges:
        if wanted:
            head.append(SlotRange(piece.first, min(piece.last, piece.first + wanted - 1)))
            wanted -= len(head[-1])
    return normalized(head), subtract(ranges, head)


def numbers(ranges: Iterable[SlotRange]) -> Iterator[int]:
    """One slot after the other."""
    return chain.from_iterable(range(piece.first, piece.last + 1) for piece in ranges)


def from_numbers(slots: Iterable[int]) -> SlotRanges:
    """The slots with these numbers."""
    return normalized(SlotRange(slot, slot) for slot in set(slots))


def parsed(text: str) -> SlotRanges:
    """Read what ``described`` wrote.

    Raises:
        ValueError: it is something else.

    """
    pieces = (word.partition("-") for word in text.split(",") if word)
    return normalized(SlotRange(int(first), int(last or first)) for first, _, last in pieces)


def key_slot(key: bytes) -> int:
    """The slot of a key; only the part in the first ``{hash tag}`` counts, unless that is empty."""
    opening = key.find(b"{")
    if opening >= 0:
        closing = key.find(b"}", opening + 1)
        if closing > opening + 1:
            key = key[opening + 1 : closing]
    # The specification's CRC16 (XMODEM: polynomial 1021, initial value 0) is binascii's crc_hqx.
    return crc_hqx(key, 0) % SLOT_COUNT
