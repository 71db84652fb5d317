"""Patience has an end, and the last attempt is at it."""

import asyncio

import pytest

from redis_fargate.nodes.polling import attempts, together


def test_the_last_attempt_is_at_the_end_of_patience() -> None:
    async def collect() -> list[float]:
        return [waited_s async for waited_s in attempts(0.1, slowest_s=0.03)]

    waits = asyncio.run(collect())

    assert waits[0] < 0.05
    assert waits == sorted(waits)
    assert waits[-1] >= 0.1
    assert len(waits) >= 3


def test_together_does_all_and_then_tells_of_the_first_failure() -> None:
    done = []

    async def work(number: int) -> int:
        await asyncio.sleep(0)
        if number in (1, 2):
            raise ValueError(number)
        done.append(number)
        return number

    with pytest.raises(ValueError, match=r"^1$"):
        asyncio.run(_run(work(number) for number in range(4)))
    assert done == [0, 3]
    assert asyncio.run(_run(work(number) for number in (5, 6))) == [5, 6]


async def _run(works):
    return await together(works)
