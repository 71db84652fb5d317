"""Knows up to when each master's writes were copied to its replicas.

Redis acknowledges a write before any replica has it. So an acknowledged write that is lost is
either one that no surviving replica had yet, which is what asynchronous replication admits, or
one that a replica had: that would be somebody's mistake. To tell the two apart a master is asked
how far it is, and then a replica: once the replica has come that far, it has every write that had
been acknowledged before the master was asked.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from redis_fargate.local.blueprint import REDIS_PORT

_TIMEOUT_S = 0.5


class Copies:
    """Asks all nodes, again and again; close it when done."""

    def __init__(self, addresses: Callable[[], Sequence[str]], password: str) -> None:
        self._addresses = addresses
        self._password = password
        self._clients: dict[str, Redis] = {}
        self._copied_s: dict[tuple[str, str], float] = {}

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def copied_until_s(self, master: str, gone: Collection[str]) -> float:
        """Until when (since the epoch) writes to a master are known to be on another node.

        ``gone`` are addresses of nodes that do not count. 0 if nothing is known.
        """
        return max(
            (
                until_s
                for (source, replica), until_s in self._copied_s.copy().items()
                if source == master and replica not in gone
            ),
            default=0.0,
        )

    def look(self) -> None:
        """Ask once."""
        asked: dict[str, tuple[float, dict[str, Any]]] = {}
        for address in self._addresses():
            at_s = time.time()
            with suppress(RedisError, OSError):
                asked[address] = (at_s, self._replication(address))
        for address, (_, first) in asked.items():
            at_s, master = asked.get(first.get("master_host", ""), (0.0, {}))
            if first["role"] != "slave" or master.get("role") != "master":
                continue
            with suppress(RedisError, OSError):
                # Again: a replica that was asked before its master is behind it, as a rule.
                said = self._replication(address)
                same = said["master_replid"] == master["master_replid"]
                if same and said.get("slave_repl_offset", -1) >= master["master_repl_offset"]:
                    self._copied_s[first["master_host"], address] = at_s

    def _replication(self, address: str) -> dict[str, Any]:
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = Redis(
                address,
                REDIS_PORT,
                password=self._password,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
                # Who waits for one node knows nothing of the others meanwhile.
                retry=Retry(NoBackoff(), 0),
            )
        said: dict[str, Any] = client.info("replication")
        return said
