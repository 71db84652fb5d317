"""How long forming takes, ours against ``redis-cli --cluster create``, side by side.

From all servers answering PING to every node saying ``cluster_state:ok``, knowing all others
and every replica's link being up; ours ends when the settings are restored, too. Each run has
fresh servers, with the default node timeout of 15 s. They rest first: in the first 2 s of
its life a Redis master never says ``ok`` (CLUSTER_WRITABLE_DELAY), whoever asks it to; tasks on
Fargate are older than that when ECS says that they run. Without the rest (``--rest 0``),
both sides wait for it.

    python benchmarks/forming.py --sizes 6 30 100 --runs 5
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

from reconciling import Reconciler, tasks_of
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.parse import parse_cluster_ok, parse_info
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.spec import Spec
from servers import PORT, PROGRAMS, Fleet, Server, fleet

_OPTIONS = ("--cluster-replicas", "1", "--cluster-yes")
PATIENT = ConnectionSettings(connect_timeout_s=30, answer_timeout_s=30)


@dataclass(frozen=True)
class Comparison:
    size: int
    ours_s: Sequence[float]
    theirs_s: Sequence[float]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours_s) / statistics.median(self.theirs_s)


def ours(_: Fleet, servers: Sequence[Server]) -> None:
    half = len(servers) // 2
    reconciler = Reconciler(tasks_of(servers), Spec(len(servers) - half, half))
    asyncio.run(reconciler.form())


def theirs(started: Fleet, servers: Sequence[Server]) -> None:
    addresses = [f"{server.address}:{PORT}" for server in servers]
    subprocess.run(
        [started.program.cli, "--cluster", "create", *addresses, *_OPTIONS],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    asyncio.run(_until_whole(servers))


async def _until_whole(servers: Sequence[Server]) -> None:
    """Poll until everything is there that our own forming waits for."""
    async with Connections(PATIENT) as connections:
        waiting = list(servers)
        while waiting:
            opened = await asyncio.gather(*(connections.at(each.address) for each in waiting))
            answers = await asyncio.gather(
                *(each.pipeline(("CLUSTER", "INFO"), ("INFO", "replication")) for each in opened)
            )
            waiting = [
                server
                for server, (cluster, replication) in zip(waiting, answers, strict=True)
                if not _whole(parse_info(str(cluster)), parse_info(str(replication)), len(servers))
            ]
            await asyncio.sleep(0.05)


def _whole(cluster: dict[str, str], replication: dict[str, str], size: int) -> bool:
    return (
        parse_cluster_ok(cluster)
        and int(cluster["cluster_known_nodes"]) == size
        and replication.get("master_link_status", "up") == "up"
    )


async def _verified(servers: Sequence[Server]) -> None:
    """Every node, asked afresh, says that all is well, and has the settings that it had."""
    async with Connections(PATIENT) as connections:
        for member in await observe(tasks_of(servers), connections):
            node = member.node
            assert node, member.detail
            assert node.cluster_ok, f"{node.address} says fail"
            assert len(node.peers) == len(servers) - 1, f"{node.address} knows {len(node.peers)}"
            assert node.replication.link_up is not False, f"{node.address} has no link"
            assert node.settings["cluster-node-timeout"] == "15000", node.settings
            assert node.settings["repl-diskless-sync-delay"] == "5", node.settings


def measured(form: Callable[[Fleet, Sequence[Server]], None], size: int, rest_s: float) -> float:
    with fleet(PROGRAMS["redis-7.0"]()) as started:
        servers = started.start(size)
        time.sleep(rest_s)
        start = time.perf_counter()
        form(started, servers)
        took_s = time.perf_counter() - start
        asyncio.run(_verified(servers))
        return took_s


def compared(size: int, runs: int, rest_s: float, *, alone: bool) -> Comparison:
    ours_s, theirs_s = [], []
    for run in range(runs):
        ours_s.append(measured(ours, size, rest_s))
        theirs_s.append(float("nan") if alone else measured(theirs, size, rest_s))
        print(
            f"  {size} nodes, run {run + 1}: {ours_s[-1]:.2f} s against {theirs_s[-1]:.2f} s",
            file=sys.stderr,
        )
    return Comparison(size, ours_s, theirs_s)


def main() -> None:
    parser = argparse.ArgumentParser(description="Forming, against redis-cli --cluster create.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[6, 30, 100])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rest", type=float, default=2.5, help="seconds between start and forming")
    parser.add_argument("--ours-only", action="store_true", help="do not run redis-cli")
    options = parser.parse_args()
    print("| nodes | ours, median (worst) | redis-cli, median (best) | ratio |")
    print("| ---: | ---: | ---: | ---: |")
    for size in options.sizes:
        result = compared(size, options.runs, options.rest, alone=options.ours_only)
        print(
            f"| {size} "
            f"| {statistics.median(result.ours_s):.2f} s ({max(result.ours_s):.2f} s) "
            f"| {statistics.median(result.theirs_s):.2f} s ({min(result.theirs_s):.2f} s) "
            f"| {result.ratio:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
