"""The load: clients that write unique keys, remember what was acknowledged, and read it back.

Each client writes into a share of the slots of its own, so that a shard that does not answer
keeps only its own clients waiting, and shows as a gap in what they write.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from threading import Event

from redis.cluster import ClusterNode, RedisCluster
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisClusterException, RedisError

from redis_fargate.local.blueprint import REDIS_PORT

CLIENTS = 6
"""So many clients, one after the other, cover the slots."""
_TIMEOUT_S = 1.0
"""For a connection, and for an answer."""
_READ_AT_ONCE = 1000
_READ_TIMEOUT_S = 60.0
CLIENT_ERRORS = (
    RedisError,
    RedisClusterException,
    OSError,
    # redis-py's own, when it is sent to a node that it has not heard of (ASK), or while it learns
    # of nodes anew.
    AttributeError,
)


@dataclass(frozen=True, slots=True)
class Write:
    """One write, acknowledged or not."""

    key: str
    client: int
    begun_s: float
    """Seconds since the epoch."""
    took_s: float
    master: str
    """Address of the node that acknowledged it."""
    error: str = ""
    """Name of the error, if it was not acknowledged; it may have been carried out all the same."""

    @property
    def ended_s(self) -> float:
        """Seconds since the epoch."""
        return self.begun_s + self.took_s


@dataclass(frozen=True, slots=True)
class Entry:
    """How clients get in."""

    discover: Callable[[], Sequence[str]]
    """Gives the addresses behind the cluster's name, as it resolves now."""
    password: str

    def client(self) -> RedisCluster:
        """Connect as an application would, but for timeouts that are short.

        Raises:
            RedisClusterException, RedisError, OSError: no node answers.

        """
        return RedisCluster(
            startup_nodes=[
                ClusterNode(address, REDIS_PORT)  # type: ignore[no-untyped-call]
                for address in self.discover()
            ],
            password=self.password,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )


class Load:
    """Clients that write while it runs; see ``running``."""

    def __init__(self, entry: Entry, prefix: str, writes_per_s: float) -> None:
        self._entry = entry
        self._prefix = prefix
        self._period_s = CLIENTS / writes_per_s
        self._end = Event()
        self._made: list[list[Write]] = [[] for _ in range(CLIENTS)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write while the block runs."""
        with ThreadPoolExecutor(CLIENTS, thread_name_prefix="client") as pool:
            writing = [pool.submit(self._write, number) for number in range(CLIENTS)]
            try:
                yield
            finally:
                self._end.set()
            for each in writing:
                each.result()

    def writes(self) -> list[Write]:
        """Give all writes that have ended by now, in the order in which they ended."""
        made = [write for each in self._made for write in each.copy()]
        return sorted(made, key=lambda write: write.ended_s)

    def _write(self, number: int) -> None:
        made = self._made[number]
        keys = _keys(f"{self._prefix}:{number}", number)
        client: RedisCluster | None = None
        due_s = time.monotonic() + self._period_s * number / CLIENTS
        while not self._end.wait(max(0.0, due_s - time.monotonic())):
            key = next(keys)
            # What could not be sent in time is not made up for: no burst after a gap.
            due_s = max(due_s + self._period_s, time.monotonic())
            begun_s, begun = time.time(), time.perf_counter()
            master, error = "", ""
            try:
                client = client or self._entry.client()
                client.set(key, key)
            except CLIENT_ERRORS as failure:
                error = type(failure).__name__
                if isinstance(failure, RedisClusterException) and client is not None:
                    # It knows no node any more that answers: an application starts anew.
                    client.close()
                    client = None
            else:
                master = client.nodes_manager.get_node_from_slot(key_slot(key.encode())).host
            took_s = time.perf_counter() - begun
            made.append(Write(key, number, begun_s, took_s, master, error))
        if client is not None:
            client.close()


def read_back(entry: Entry, keys: Sequence[str]) -> set[str]:
    """Find the keys that do not have the value that was written.

    Raises:
        RedisClusterException, RedisError, OSError: the cluster does not answer.

    """
    deadline = time.monotonic() + _READ_TIMEOUT_S
    missing: set[str] = set()
    client = entry.client()
    try:
        for start in range(0, len(keys), _READ_AT_ONCE):
            some = keys[start : start + _READ_AT_ONCE]
            missing |= {
                key
                for key, value in zip(some, _values(client, some, deadline), strict=True)
                if value != key.encode()
            }
    finally:
        client.close()
    return missing


def _values(client: RedisCluster, keys: Sequence[str], deadline: float) -> list[bytes | None]:
    while True:
        try:
            values: list[bytes | None] = client.mget_nonatomic(*keys)
        except CLIENT_ERRORS:
            if time.monotonic() > deadline:
                raise
            with suppress(*CLIENT_ERRORS):
                client.nodes_manager.initialize()
            time.sleep(0.1)
        else:
            return values


def _keys(prefix: str, share: int) -> Iterator[str]:
    """Name keys whose slots are all in one client's share."""
    for number in count():
        for salt in count():
            key = f"{prefix}:{number}:{salt}"
            if key_slot(key.encode()) * CLIENTS // REDIS_CLUSTER_HASH_SLOTS == share:
                yield key
                break


def acknowledged(writes: Iterable[Write]) -> list[Write]:
    """Choose those that were."""
    return [write for write in writes if not write.error]
