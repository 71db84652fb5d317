"""Waiting for conditions, and doing things at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_S = 0.01
SLOWEST_PAUSE_S = 0.1


async def attempts(patience_s: float, slowest_s: float = SLOWEST_PAUSE_S) -> AsyncIterator[float]:
    """Yield the seconds since the first attempt, in growing intervals, until patience ends.

    There is always an attempt at the very end, so that a condition that was met in time
    is not missed for a long pause.
    """
    clock = asyncio.get_running_loop().time
    start = clock()
    # One sum for all: rounded otherwise, the end can have come for the pause and not for the loop.
    end = start + patience_s
    pause_s = FIRST_PAUSE_S
    while (now := clock()) < end:
        yield now - start
        await asyncio.sleep(min(pause_s, end - clock()))
        pause_s = min(pause_s * 1.5, slowest_s)
    yield now - start


async def together(works: Iterable[Awaitable[T]]) -> list[T]:
    """Do everything at once and to its end, then raise the first error if there was one.

    One node's failure does not undo what is done on the others: each step is bounded by
    its own deadline, and the next run takes up what is left.
    """
    results = await asyncio.gather(*works, return_exceptions=True)
    done: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
