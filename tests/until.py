"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable


def until(met: Callable[[], bool], deadline_s: float = 30) -> None:
    """Wait until a condition is met."""
    ends_s = time.monotonic() + deadline_s
    while not met():
        assert time.monotonic() < ends_s
        time.sleep(0.005)
