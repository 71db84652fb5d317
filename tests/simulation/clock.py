"""An event loop in which nothing takes time but waiting, and waiting takes no time."""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH_S = 1_700_000_000.0
"""What ``time.time`` says when a history begins."""
_MOST_AT_ONCE = 1_000_000
"""Callbacks at one instant, of which a program that waits for nothing makes any number."""


class TimeStandsStill(RuntimeError):
    """The program goes on without ever waiting, and would do so for ever."""


class Timer:
    """What a time was asked for, until it has come; as light as can be: there are millions."""

    __slots__ = ("args", "callback", "context", "when_s")

    def __init__(
        self,
        when_s: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self.when_s = when_s
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        self.callback = None


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs what is ready, in order; then its clock jumps to the next timer.

    Threads are none: what is sent to one (``asyncio.to_thread``) is done at once. So the same
    program takes the same course every time.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self._ready: deque[
            tuple[Callable[..., object], tuple[Any, ...], contextvars.Context | None]
        ] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._error: BaseException | None = None

    def time(self) -> float:
        return self.now_s

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end of ``main``; what else is going on is left where it is."""
        asyncio._set_running_loop(self)
        try:
            return self._run(asyncio.Task(main, loop=self))
        finally:
            asyncio._set_running_loop(None)

    def end_with(self, error: BaseException) -> None:
        """Let ``run`` raise it."""
        self._error = error

    def _run(self, task: asyncio.Task[T]) -> T:
        ready, timers = self._ready, self._timers
        at_once = 0
        while not task.done():
            if ready:
                at_once += 1
                if at_once > _MOST_AT_ONCE:
                    raise TimeStandsStill(f"since {self.now_s} s somebody has not waited at all")
                callback, args, context = ready.popleft()
            else:
                at_once = 0
                _, _, timer = heapq.heappop(timers)
                if timer.callback is None:
                    continue
                callback, args, context = timer.callback, timer.args, timer.context
                self.now_s = max(self.now_s, timer.when_s)
            if context is None:
                callback(*args)
            else:
                context.run(callback, *args)
            if self._error:
                error, self._error = self._error, None
                raise error
        return task.result()

    def passed(self, time_s: float) -> "asyncio.Future[None]":
        """As ``asyncio.sleep``, and lighter: every exchange waits for one."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        self.call_later(time_s, _end, future)
        return future

    def call_soon(  # type: ignore[override]  # nobody cancels it
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> None:
        self._ready.append((callback, args, context))

    call_soon_threadsafe = call_soon

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Timer:
        timer = Timer(when, callback, args, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Timer:
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, **kwargs)

    def run_in_executor(
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - it goes where the result would
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._error = context.get("exception") or RuntimeError(context["message"])

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False


def _end(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Clock:
    """Stands in for the module ``time`` where the loop's clock is meant."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def monotonic(self) -> float:
        return self._loop.now_s

    def time(self) -> float:
        return EPOCH_S + self._loop.now_s
