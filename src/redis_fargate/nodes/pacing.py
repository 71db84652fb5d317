"""How much is handed over at a time, so that clients do not wait longer than they may.

A server does nothing else while it hands keys over: what one exchange with it takes is what a
client's command may have to wait. So the exchanges' own times say whether they are too large.
"""

import asyncio

from redis_fargate.topology.spec import Pace

_FIRST_BYTES = 64 * 1024
_LEAST_BYTES = 1024
_MOST_BYTES = 16 * 2**20
"""Of keys in one exchange: as much again is in the source's memory meanwhile."""
_DELETED_PER_S = 5e6
"""So many keys a server deletes in a second that it does nothing else in."""
_SHARE = 0.5
"""An exchange may take so much of the bound: a command that waits for one may then find another."""


class Pacer:
    """The pace at which one master hands over keys; all moves from it share one."""

    def __init__(self, pace: Pace) -> None:
        self._goal_s = pace.max_latency_ms / 1000 * _SHARE if pace.max_latency_ms else None
        self._most_bytes_per_s = pace.max_bytes_per_s
        self._free_at_s = 0.0
        self.budget_bytes = _MOST_BYTES if self._goal_s is None else _FIRST_BYTES

    @property
    def most_keys(self) -> float:
        """How many keys may be deleted in one go."""
        return float("inf") if self._goal_s is None else self._goal_s * _DELETED_PER_S

    def took(self, handed_over_bytes: int, took_s: float) -> None:
        """Learn from an exchange."""
        if self._goal_s is None:
            return
        if took_s > self._goal_s:
            fitting = int(handed_over_bytes * self._goal_s / took_s)
            self.budget_bytes = min(self.budget_bytes, max(fitting, self.budget_bytes // 2))
        elif handed_over_bytes * 2 > self.budget_bytes:
            self.budget_bytes = self.budget_bytes * 5 // 4
        self.budget_bytes = min(_MOST_BYTES, max(_LEAST_BYTES, self.budget_bytes))

    async def rest(self, handed_over_bytes: float) -> None:
        """Wait for as long as the limit of bytes per second says."""
        if self._most_bytes_per_s is None:
            return
        now_s = asyncio.get_running_loop().time()
        self._free_at_s = max(self._free_at_s, now_s) + handed_over_bytes / self._most_bytes_per_s
        await asyncio.sleep(self._free_at_s - now_s)
