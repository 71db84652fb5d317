"""How long writes stop when a master goes, ours and Redis alone side by side.

Three masters and three replicas; a client (redis-py's) writes one key after the other to the shard
that loses its master. Each run has fresh servers.

``SIGTERM``: the container is stopped. Ours runs ``node/entrypoint.sh``, which hands over before it
ends the server; Redis alone is the server by itself. The longest time without a write counts.

``SIGKILL``: from the kill to the next write, and to full redundancy: three masters, each with a
replica that is linked. Ours is told at once that the task has stopped, as ECS' event tells it, and
takes a blank server in, which stands ready; Redis alone has a second replica of that shard from the
start, which is all the help that it can be given.

    python benchmarks/failover.py --timeouts 1 5 15 --runs 3
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/integration/node_scripts"))

from redis.cluster import RedisCluster
from scripts_cluster import Cluster as ScriptsCluster
from scripts_rig import Shell, Starter

from checking import key_of
from clustering import SETTINGS, Cluster
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.observe import observe
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Member, Role
from servers import PORT, PROGRAMS, fleet
from unique_writes import UniqueWrites, writing
from until import until

_PATIENCE_S = 120


@dataclass(frozen=True)
class Killed:
    to_write_s: float
    to_redundancy_s: float


@contextmanager
def written(host: str, shard: Member) -> Iterator[UniqueWrites]:
    """A client that another master has told of the cluster writes to a shard."""
    prefix = key_of(shard.node.slots[0].first).rpartition(":")[0]
    with (
        RedisCluster(host=host, port=PORT, socket_timeout=1) as client,
        writing(client, f"{prefix}:") as writes,
    ):
        until(lambda: len(writes.keys) >= 1000)
        yield writes


def redundant(cluster: Cluster) -> bool:
    """Whether three masters serve, and each has a replica that is linked, by their own words."""

    async def look() -> tuple[Member, ...]:
        async with Connections(SETTINGS) as connections:
            return await observe(cluster.tasks(), connections)

    nodes = [member.node for member in asyncio.run(look()) if member.node]
    masters = {node.id for node in nodes if node.role is Role.MASTER and node.slots}
    followed = {node.master_id for node in nodes if node.replication.link_up}
    return len(masters) == cluster.spec.master_count and masters <= followed


def killed(timeout_s: int, *, alone: bool) -> Killed:
    with fleet(PROGRAMS["redis-7.0"]()) as started, ThreadPoolExecutor() as pool:
        spec = Spec(3, 4) if alone else Spec(3, 3)
        cluster = Cluster(started, spec, cluster_node_timeout=str(timeout_s * 1000))
        members = cluster.reconciler.members
        victim = max(
            cluster.masters(), key=lambda m: sum(o.node.master_id == m.node.id for o in members)
        )
        spare = [] if alone else started.start(1, **cluster.config)
        time.sleep(2.5)  # tasks are older than CLUSTER_WRITABLE_DELAY when ECS says that they run
        other = next(master for master in cluster.masters() if master is not victim)
        with written(other.task.address, victim) as writes:
            killed_s = time.monotonic()
            cluster.kill(victim)
            sooner = len(writes.at_s)
            redundancy = pool.submit(_timed, cluster, killed_s)
            if not alone:
                cluster.run(*spare)
                cluster.until_well()
            until(lambda: len(writes.at_s) > sooner + 1, _PATIENCE_S)
            return Killed(writes.at_s[sooner + 1] - killed_s, redundancy.result())


def _timed(cluster: Cluster, since_s: float) -> float:
    until(lambda: redundant(cluster), _PATIENCE_S)
    return time.monotonic() - since_s


def stopped_alone() -> float:
    """The longest gap between two writes, while ECS stops a master's task: the server by itself."""
    with fleet(PROGRAMS["redis-7.0"]()) as started:
        cluster = Cluster(started, Spec(3, 3), cluster_node_timeout="15000")
        victim, other, _ = cluster.masters()
        process = cluster.server(victim).process
        return _gap(process, other.task.address, victim)


def stopped_ours() -> float:
    """The same with the entry script."""
    program = PROGRAMS["redis-7.0"]()
    with tempfile.TemporaryDirectory() as directory:
        start = Starter(Shell(["/bin/sh", "-c"], Path(os.defpath)), Path(directory))
        environment = {
            "REDIS_SERVER": program.server,
            "REDIS_CLI": program.cli,
            "REDIS_DATA_DIR": f"{directory}/data",
        }
        try:
            cluster = ScriptsCluster(start, environment, Spec(3, 3))
            victim, other, _ = (m for m in cluster.members if m.node and m.node.slots)
            return _gap(cluster.node(victim).process, other.task.address, victim)
        finally:
            for node in start.nodes:
                with suppress(ProcessLookupError):
                    os.killpg(node.process.pid, signal.SIGKILL)
                node.process.wait()


def _gap(process: subprocess.Popen[bytes], host: str, victim: Member) -> float:
    with written(host, victim) as writes:
        process.terminate()
        process.wait()
        sooner = len(writes.at_s)
        until(lambda: len(writes.at_s) > sooner + 100, _PATIENCE_S)
        return writes.longest_gap_s()


def main() -> None:
    parser = argparse.ArgumentParser(description="How long writes stop when a master goes.")
    parser.add_argument("--timeouts", type=int, nargs="+", default=[1, 5, 15], help="seconds")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print("| signal | node timeout | to | ours, median (worst) | Redis alone, median (best) |")
    print("| --- | ---: | --- | ---: | ---: |")
    ours_s, alone_s = [], []
    for _ in range(options.runs):
        ours_s.append(stopped_ours())
        alone_s.append(stopped_alone())
    _print("SIGTERM", 15, "the next write", ours_s, alone_s)
    for timeout_s in options.timeouts:
        ours, alone = [], []
        for _ in range(options.runs):
            ours.append(killed(timeout_s, alone=False))
            alone.append(killed(timeout_s, alone=True))
        for end, of in (
            ("the next write", lambda each: each.to_write_s),
            ("full redundancy", lambda each: each.to_redundancy_s),
        ):
            _print("SIGKILL", timeout_s, end, list(map(of, ours)), list(map(of, alone)))


def _print(
    signal_name: str, timeout_s: int, end: str, ours_s: Sequence[float], alone_s: Sequence[float]
) -> None:
    print(
        f"| {signal_name} | {timeout_s} s | {end} "
        f"| {statistics.median(ours_s):.2f} s ({max(ours_s):.2f} s) "
        f"| {statistics.median(alone_s):.2f} s ({min(alone_s):.2f} s) |",
        flush=True,
    )


if __name__ == "__main__":
    main()
