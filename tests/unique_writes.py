"""A client that writes one key after the other, and knows which writes were acknowledged."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from redis.cluster import RedisCluster

from redis_fargate.local.rehearsal.load import CLIENT_ERRORS

LAST_S = 60.0
"""For so long the last write may fail."""


@dataclass
class UniqueWrites:
    """Keys in the order in which they were acknowledged, and when that was."""

    keys: list[str] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)
    failed: int = 0

    def lost(self, client: RedisCluster) -> list[str]:
        """Those that are not there, or with another value."""
        return [key for key in self.keys if client.get(key) != key.encode()]

    def longest_gap_s(self) -> float:
        """The longest time without an acknowledged write."""
        return max(later - sooner for sooner, later in itertools.pairwise(self.at_s))


@contextmanager
def writing(client: RedisCluster, prefix: str, pause_s: float = 0) -> Iterator[UniqueWrites]:
    """Write meanwhile, with a pause after each; at the end, until one more is acknowledged."""
    writes, ending = UniqueWrites(), threading.Event()

    def write() -> None:
        ends_s = float("inf")
        for number in itertools.count():
            ends = ending.is_set()
            if ends:
                ends_s = min(ends_s, time.monotonic() + LAST_S)
            assert time.monotonic() < ends_s, "no write gets through"
            key = f"{prefix}{number}"
            try:
                client.set(key, key)
            except CLIENT_ERRORS:  # not acknowledged
                writes.failed += 1
                with suppress(*CLIENT_ERRORS):
                    client.nodes_manager.initialize()
                continue
            writes.at_s.append(time.monotonic())
            writes.keys.append(key)
            if ends:
                return
            ending.wait(pause_s)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield writes
    finally:
        ending.set()
        writer.join()
