"""``python -m tests.simulation``: play many histories, or one again."""

# ruff: noqa: T201 - it is a program that prints

import argparse
import sys
import time
from collections import Counter
from multiprocessing import cpu_count

from .history import play
from .playing import played, prepare

PROGRESS = 5000
"""After so many histories, it is said how many they were."""


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
