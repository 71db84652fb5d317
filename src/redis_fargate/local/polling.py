"""Looks again and again until something is ready."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def until(
    look: Callable[[], Seen], ready: Callable[[Seen], bool], timeout_s: float, period_s: float = 0.1
) -> Seen:
    """Look until what is seen is ready, or time is out; what was seen last, ready or not."""
    deadline = time.monotonic() + timeout_s
    while not ready(seen := look()) and time.monotonic() < deadline:
        time.sleep(period_s)
    return seen
