"""How long a reconcile of a converged cluster takes: connect, observe, plan, find nothing to do.

python benchmarks/reconcile_converged.py --sizes 6 30 100 --runs 20
"""

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reconciling import Reconciler, tasks_of
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import Spec
from servers import PROGRAMS, fleet


def measured(size: int, runs: int) -> tuple[list[float], dict[str, float]]:
    half = size // 2
    with fleet(PROGRAMS["redis-7.0"]()) as started:
        reconciler = Reconciler(tasks_of(started.start(size)), Spec(size - half, half))
        asyncio.run(reconciler.run())
        time.sleep(1)  # let the servers finish what forming left to them
        reconciler.timings.clear()
        took_s = []
        for _ in range(runs):
            start = time.perf_counter()
            assert asyncio.run(reconciler.run()) == Plan()
            took_s.append(time.perf_counter() - start)
        parts = {
            part: statistics.median(took for name, took in reconciler.timings if name == part)
            for part in ("observe", "plan")
        }
        return took_s, parts


def main() -> None:
    parser = argparse.ArgumentParser(description="A reconcile that finds nothing to do.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[6, 30, 100])
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    print("| nodes | reconcile, median (worst) | observe | plan |")
    print("| ---: | ---: | ---: | ---: |")
    for size in options.sizes:
        took_s, parts = measured(size, options.runs)
        print(
            f"| {size} | {statistics.median(took_s) * 1000:.0f} ms ({max(took_s) * 1000:.0f} ms) "
            f"| {parts['observe'] * 1000:.0f} ms | {parts['plan'] * 1000:.0f} ms |",
            flush=True,
        )


if __name__ == "__main__":
    main()
