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


@pytest.mark.parametrize("start_s", [0.1, 0.7, 10.1, 86.7, 93.8595867742349])
def test_patience_has_one_end_however_it_is_rounded(start_s: float) -> None:
    async def count() -> int:
        made = 0
        async for _ in attempts(0.1):
            made += 1
            if made > 100:
                break
        return made

    with asyncio.Runner(loop_factory=lambda: _MovedByPauses(start_s)) as runner:
        assert runner.run(count()) == 6


class _MovedByPauses(asyncio.SelectorEventLoop):
    """Its clock stands still but for pauses, and those pass at once."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        super().__init__()

    def time(self) -> float:
        return self._now_s

    def call_later(self, delay, callback, *args, context=None):
        self._now_s += delay
        return self.call_soon(callback, *args, context=context)


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
