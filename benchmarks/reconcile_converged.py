"""How long a reconcile of a converged cluster takes: connect, observe, plan, find nothing to do.

And how long one that has something to do takes until it knows what: a replica is gone.

python benchmarks/reconcile_converged.py --sizes 6 30 100 --runs 20
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reconciling import Reconciler, tasks_of
from redis_fargate.nodes.connection import Connections
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import Spec
from servers import PROGRAMS, fleet


@dataclass(frozen=True)
class Measured:
    took_s: Sequence[float]
    parts_s: Mapping[str, float]


def measured(size: int, runs: int) -> tuple[Measured, Measured]:
    """With all nodes there, and without the last one."""
    half = size // 2
    with fleet(PROGRAMS["redis-7.0"]()) as started:
        servers = started.start(size)
        reconciler = Reconciler(tasks_of(servers), Spec(size - half, half))
        asyncio.run(reconciler.run())
        time.sleep(1)  # let the servers finish what forming left to them
        whole = _repeated(reconciler, runs)
        assert whole[1] == Plan(), whole[1]
        servers[-1].kill()
        *reconciler.tasks, gone = reconciler.tasks
        reconciler.memory.stopped = frozenset({gone.id})
        lossy = _repeated(reconciler, runs)
        assert lossy[1].steps, lossy[1]
        return whole[0], lossy[0]


def _repeated(reconciler: Reconciler, runs: int) -> tuple[Measured, Plan]:
    """Look, and look again; also the last plan."""
    reconciler.timings.clear()
    took_s = []
    for _ in range(runs):
        start = time.perf_counter()
        made = asyncio.run(_look(reconciler))
        took_s.append(time.perf_counter() - start)
    parts_s = {
        part: statistics.median(took for name, took in reconciler.timings if name == part)
        for part in ("observe", "plan")
    }
    return Measured(took_s, parts_s), made


async def _look(reconciler: Reconciler) -> Plan:
    async with Connections(reconciler.settings) as connections:
        return await reconciler.look(connections)


def main() -> None:
    parser = argparse.ArgumentParser(description="A reconcile that finds nothing to do.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[6, 30, 100])
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    print("| nodes | seen | reconcile, median (worst) | observe | plan |")
    print("| ---: | --- | ---: | ---: | ---: |")
    for size in options.sizes:
        for seen, result in zip(("whole", "one lost"), measured(size, options.runs), strict=True):
            took_s, parts_s = result.took_s, result.parts_s
            print(
                f"| {size} | {seen} "
                f"| {statistics.median(took_s) * 1000:.0f} ms ({max(took_s) * 1000:.0f} ms) "
                f"| {parts_s['observe'] * 1000:.0f} ms | {parts_s['plan'] * 1000:.0f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
