"""Many histories in a time that a test run can spare; ``make simulate`` plays more of them."""

import asyncio
import os
from multiprocessing import Pool

import pytest

from .clock import TimeStandsStill, VirtualLoop
from .history import Ended, play
from .playing import played, prepare

FIRST = int(os.environ.get("SIMULATE_SEED", "0"))
"""The first seed: the same histories at every run, unless told otherwise."""
HISTORIES = 2000
PROCESSES = 2


def test_no_history_breaks_an_invariant() -> None:
    broken = []
    whole = 0
    for ended in played(FIRST, HISTORIES, PROCESSES):
        whole += not ended.broken and not ended.hopeless
        if ended.broken:
            broken.append(ended)
    assert not broken, _described(broken)
    # Where it proves nothing, it should not look as if it did.
    assert whole > HISTORIES // 2


def _described(broken: list[Ended]) -> str:
    lines = [
        f"seed {ended.seed}: {ended.broken}\n  python -m tests.simulation --seed {ended.seed}"
        for ended in sorted(broken, key=lambda ended: ended.seed)
    ]
    return "\n".join((f"{len(broken)} of {HISTORIES} histories are broken:", *lines))


def test_a_seed_is_a_history() -> None:
    seeds = range(FIRST, FIRST + 5)
    with Pool(PROCESSES, initializer=prepare) as pool:
        assert pool.map(play, seeds) == pool.map(play, seeds)


def test_who_never_waits_is_told_of() -> None:
    async def go_on() -> None:
        for _ in range(2_000_000):
            await asyncio.sleep(0)

    with pytest.raises(TimeStandsStill, match=r"since 0\.0 s"):
        VirtualLoop().run(go_on())
