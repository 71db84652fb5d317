"""Slot arithmetic against sets, and key slots against the specification's examples."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_fargate.topology.slots import (
    ALL_SLOTS,
    SLOT_COUNT,
    SlotRange,
    common,
    count,
    described,
    from_numbers,
    key_slot,
    normalized,
    numbers,
    parsed,
    split,
    subtract,
    uncontested,
)


@st.composite
def ranges(draw):
    bounds = draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=6))
    return tuple(SlotRange(first, first + size) for first, size in bounds)


def as_set(pieces):
    return {slot for piece in pieces for slot in range(piece.first, piece.last + 1)}


def assert_normal(pieces):
    assert all(a.last + 1 < b.first for a, b in pairwise(pieces))


@given(ranges())
def test_normalized(pieces):
    result = normalized(pieces)
    assert as_set(result) == as_set(pieces)
    assert_normal(result)
    assert count(result) == len(as_set(pieces))


@given(ranges(), ranges())
def test_subtract(pieces, taken):
    result = subtract(pieces, taken)
    assert as_set(result) == as_set(pieces) - as_set(taken)
    assert_normal(result)


@given(ranges(), ranges())
def test_common(pieces, others):
    result = common(pieces, others)
    assert as_set(result) == as_set(pieces) & as_set(others)
    assert_normal(result)


@given(ranges(), st.integers(0, 80))
def test_split(pieces, wanted):
    pieces = normalized(pieces)
    head, rest = split(pieces, wanted)
    slots = sorted(as_set(pieces))
    assert list(numbers(head)) == slots[:wanted]
    assert list(numbers(rest)) == slots[wanted:]
    assert from_numbers(reversed(slots)) == pieces


@given(ranges())
def test_parsed_as_described(pieces):
    pieces = normalized(pieces)
    assert parsed(described(pieces)) == pieces


def test_what_describes_no_slots():
    with pytest.raises(ValueError, match="invalid literal"):
        parsed("0-x")


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (5, 4), (0, SLOT_COUNT)])
def test_what_is_no_range(first, last):
    with pytest.raises(ValueError, match="is no range"):
        SlotRange(first, last)


def test_described():
    assert described((SlotRange(0, 5460), SlotRange(9000, 9000))) == "0-5460,9000"


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3),  # the specification's test vector for its CRC16
        (b"", 0),
        (b"foo", 12182),
        (b"bar", 5061),
    ],
)
def test_key_slot(key, slot):
    assert key_slot(key) == slot


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"{user1000}.following", b"user1000"),
        (b"foo{}{bar}", b"foo{}{bar}"),
        (b"foo{{bar}}zap", b"{bar"),
        (b"foo{bar}{zap}", b"bar"),
        (b"foo{bar", b"foo{bar"),
        (b"}foo{bar}", b"bar"),
    ],
)
def test_hash_tags(key, hashed):
    assert key_slot(key) == _plain(hashed)


def _plain(key: bytes) -> int:
    """CRC16 bit by bit, as the specification words it."""
    crc = 0
    for byte in key:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % SLOT_COUNT


def test_newer_claims_count():
    every = ALL_SLOTS
    half, rest = split(every, 9000)
    assert uncontested({"a": (1, half), "b": (2, rest)}) == {"a": half, "b": rest}
    assert uncontested({"a": (1, half), "b": (2, half), "c": (3, rest)}) == {
        "a": (), "b": half, "c": rest,
    }  # fmt: skip
    assert uncontested({"a": (1, every), "b": (2, half)}) == {"a": rest, "b": half}
    assert uncontested({"a": (1, half), "b": (1, half)}) == {"a": half, "b": half}
