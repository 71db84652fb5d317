"""Does something again and again in a thread, while something else is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def repeating(work: Callable[[], None], period_s: float) -> Iterator[None]:
    """Do ``work``, and pause for ``period_s``, while the block runs."""
    end = Event()

    def repeat() -> None:
        while not end.wait(period_s):
            work()

    thread = Thread(target=repeat, name=work.__qualname__)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
