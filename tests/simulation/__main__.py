"""``python -m tests.simulation``: play many histories, or one again."""

# ruff: noqa: T201 - it is a program that prints

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pool, cpu_count

from .few_slots import use_few_slots
from .history import Ended, play

PROGRESS = 5000
"""After so many histories, it is said how many they were."""


def played(first: int, count: int, processes: int) -> Iterator[Ended]:
    """Play the histories with the seeds from ``first`` on, in any order."""
    with Pool(processes, initializer=prepare) as pool:
        yield from pool.imap_unordered(_short, range(first, first + count), chunksize=8)


def prepare() -> None:
    """Make a process one that plays histories, and does nothing else."""
    use_few_slots()
    # Histories leave cycles behind; to look for them as often as usual takes long.
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def _short(seed: int) -> Ended:
    ended = play(seed)
    return Ended(seed, ended.broken, ended.hopeless, ended.runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one history, and print all of it")
    parser.add_argument("--first", type=int, default=0, help="the first seed of many")
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=cpu_count())
    parser.add_argument("--failures", type=int, default=5, help="stop after so many")
    given = parser.parse_args()
    if given.seed is not None:
        prepare()
        ended = play(given.seed, verbose=True)
        print("\n".join(ended.log))
        print(f"seed {ended.seed}: {ended.broken or ended.hopeless or 'whole'}")
        return bool(ended.broken)
    return _many(given)


def _many(given: argparse.Namespace) -> int:
    begun_s = time.monotonic()
    reasons: Counter[str] = Counter()
    number = 0
    histories = played(given.first, given.histories, given.processes)
    failures = []
    for ended in histories:
        number += 1
        reasons[ended.hopeless or "whole"] += not ended.broken
        if number % PROGRESS == 0:
            print(f"{number} histories, {len(failures)} of them broken …", file=sys.stderr)
        if ended.broken:
            failures.append(ended)
            print(f"seed {ended.seed}: {ended.broken}", file=sys.stderr)
            print(f"  again: python -m tests.simulation --seed {ended.seed}", file=sys.stderr)
            if len(failures) >= given.failures:
                break
    took_s = time.monotonic() - begun_s
    print(f"{number} histories in {took_s:.0f} s ({number / took_s:.0f}/s): {dict(reasons)}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
