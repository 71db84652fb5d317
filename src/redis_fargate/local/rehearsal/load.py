"""The load: clients that write unique keys, remember what was acknowledged, and read it back.

Each client writes into a share of the slots of its own, so that a shard that does not answer
keeps only its own clients waiting, and shows as a gap in what they write.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from threading import Event

from redis.cluster import ClusterNode, RedisCluster
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisClusterException, RedisError

from redis_fargate.local.blueprint import REDIS_PORT
from redis_fargate.local.errors import Unreadable
from redis_fargate.topology.errors import TemporaryError

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
    TemporaryError,  # of who looks the addresses up
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
            TemporaryError: the addresses cannot be looked up.

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
                with suppress(*CLIENT_ERRORS):  # nobody's, by what it has just learnt
                    master = client.nodes_manager.get_node_from_slot(key_slot(key.encode())).host
            took_s = time.perf_counter() - begun
            made.append(Write(key, number, begun_s, took_s, master, error))
        if client is not None:
            client.close()


def read_back(entry: Entry, keys: Sequence[str]) -> set[str]:
    """Find the keys that do not have the value that was written.

    Raises:
        Unreadable: a minute is over, and the cluster, or who knows its addresses, does not answer.

    """
    deadline = time.monotonic() + _READ_TIMEOUT_S
    missing: set[str] = set()
    left = [keys[start : start + _READ_AT_ONCE] for start in range(0, len(keys), _READ_AT_ONCE)]
    while left:
        try:
            with closing(entry.client()) as client:
                while left:
                    values = client.mget_nonatomic(*left[-1])
                    pairs = zip(left.pop(), values, strict=True)
                    missing |= {key for key, value in pairs if value != key.encode()}
        except CLIENT_ERRORS as error:
            if time.monotonic() > deadline:
                raise Unreadable(
                    "What clients have written cannot be read back, so nobody knows whether it is "
                    f"lost: after more than {_READ_TIMEOUT_S:g} s the cluster did not answer "
                    f"({type(error).__name__}: {error}). Rehearse again, perhaps on a machine that "
                    "has less to do."
                ) from error
            time.sleep(0.1)
    return missing


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
