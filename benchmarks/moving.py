"""How fast slots move to a new master, ours and ``redis-cli --cluster rebalance`` side by side.

Three masters hold the keys, a fourth comes, and a fourth of all slots goes to it. Each run has
fresh servers; the client is the one that goes with them. Meanwhile a client in another process asks
one of the masters for its keys: how long it waits is the price.

    python benchmarks/moving.py --runs 5
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from redis import Redis

from reconciling import Reconciler, tasks_of
from redis_fargate.topology.slots import key_slot
from redis_fargate.topology.spec import Pace, Policy, Spec
from redis_fargate.topology.steps import MoveSlots
from servers import MOVERS, PORT, Fleet, Server, fleet

_AT_ONCE = 5000
_PROBE = Path(__file__).with_name("probe.py")


@dataclass(frozen=True)
class Case:
    name: str
    program: str
    keys: int
    value_bytes: int


CASES = (
    Case("small values, few keys a slot", "redis-7.0", 75_000, 100),
    Case("10 KB values", "redis-7.0", 12_000, 10_000),
    Case("small values, many keys a slot", "redis-7.0", 3_000_000, 100),
    Case("small values, few keys a slot", "valkey-9.1", 75_000, 100),
    Case("small values, many keys a slot", "valkey-9.1", 3_000_000, 100),
    Case("small values, few keys a slot", "redis-8", 75_000, 100),
    Case("small values, many keys a slot", "redis-8", 3_000_000, 100),
)


def filled(servers: Sequence[Server], case: Case) -> None:
    """Write the keys to whom they belong, in pipelines: some 200 000 in a second."""
    clients = [Redis(server.address, PORT) for server in servers]
    pipelines = [client.pipeline(transaction=False) for client in clients]
    value = b"x" * case.value_bytes
    for number in range(case.keys):
        key = b"key:%d" % number
        # Three masters, as forming shares slots out: 5462, 5461, 5461.
        owner = max(0, key_slot(key) - 1) // 5461
        pipelines[owner].set(key, value)
        if number % _AT_ONCE == _AT_ONCE - 1 or number == case.keys - 1:
            for pipeline in pipelines:
                pipeline.execute()
    for client in clients:
        client.close()


def ours(pace: Pace) -> Callable[[Fleet, Reconciler], float]:
    def move(_started: Fleet, reconciler: Reconciler) -> float:
        reconciler.policy = Policy(pace=pace)
        reconciler.timings.clear()
        asyncio.run(reconciler.run())
        # What comes before is the same for both sides: the new master gets known, and says ok.
        return sum(took for name, took in reconciler.timings if name == MoveSlots.__name__)

    return move


def theirs(started: Fleet, reconciler: Reconciler) -> float:
    any_address = reconciler.tasks[0].address
    newcomer = reconciler.tasks[-1].address
    started.cli("--cluster", "add-node", f"{newcomer}:{PORT}", f"{any_address}:{PORT}")
    client = Redis(newcomer, PORT)
    while client.cluster("info")["cluster_state"] != "ok":
        time.sleep(0.05)
    begun = time.perf_counter()
    subprocess.run(
        [started.program.cli, "--cluster", "rebalance", f"{any_address}:{PORT}",
         "--cluster-use-empty-masters"],
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.perf_counter() - begun


@dataclass(frozen=True)
class Figures:
    keys_per_s: float
    p99_ms: float


def measured(case: Case, move: Callable[[Fleet, Reconciler], float]) -> Figures:
    with fleet(MOVERS[case.program]()) as started:
        servers = started.start(4)
        reconciler = Reconciler(tasks_of(servers[:3]), Spec(3, 0))
        asyncio.run(reconciler.run())
        filled(servers[:3], case)
        reconciler.tasks, reconciler.spec = tasks_of(servers), Spec(4, 0)
        probe = subprocess.Popen(
            [sys.executable, _PROBE, servers[0].address, str(PORT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        took_s = move(started, reconciler)
        answer, _ = probe.communicate()
        with Redis(servers[3].address, PORT) as client:
            moved = client.dbsize()
        assert abs(moved - case.keys / 4) < case.keys / 20, moved
        return Figures(moved / took_s, float(answer.split()[1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Moving slots, against redis-cli --cluster rebalance."
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cases", type=int, nargs="+", default=list(range(len(CASES))))
    options = parser.parse_args()
    print("| case | | keys per second | ratio | a client's p99 |")
    print("| --- | --- | ---: | ---: | ---: |")
    sides = {"ours": ours(Pace()), "ours, --fast": ours(Pace(None)), "redis-cli": theirs}
    for case in (CASES[index] for index in options.cases):
        figures: dict[str, list[Figures]] = {side: [] for side in sides}
        for run in range(options.runs):
            for side, move in sides.items():
                figures[side].append(measured(case, move))
                print(f"  {case.name}, run {run + 1}, {side}: {figures[side][-1]}", file=sys.stderr)
        keys_per_s = {
            side: statistics.median(each.keys_per_s for each in found)
            for side, found in figures.items()
        }
        for side, found in figures.items():
            p99_ms = statistics.median(each.p99_ms for each in found)
            ratio = keys_per_s[side] / keys_per_s["redis-cli"]
            print(
                f"| {case.name}, {case.program} | {side} | {keys_per_s[side]:,.0f} | {ratio:.1f} "
                f"| {p99_ms:.1f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
