"""Lambda's queue of asynchronous invocations.

The endpoint starts a process for each invocation that is under way. A service's start is a burst
of events, and a process for each would keep a laptop busy for half a minute; on AWS each would
have a machine of its own. So they queue here, and the same processes take one after the other: one
that works for long, and one more that can tell it of what has happened meanwhile.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from botocore.exceptions import BotoCoreError, ClientError

from redis_fargate.local.clients import Clients

_ATTEMPTS = 3
_RETRY_AFTER_S = 1.0
_LONGEST_RUN_S = 930
"""A function may run for 15 minutes."""
_logger = logging.getLogger(__name__)


class Invocations:
    """Invokes functions, two at a time, and again (twice at most) if they fail."""

    def __init__(self, url: str) -> None:
        self._clients = Clients(url, read_timeout_s=_LONGEST_RUN_S)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="invocation")
        self._closed = Event()

    def submit(self, function: str, payload: bytes) -> None:
        """Invoke a function, named by its ARN, when its turn has come."""
        self._pool.submit(self._invoke, function, payload)

    def close(self) -> None:
        """Forget what waits; what is under way ends with the endpoint."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._clients.close()

    def _invoke(self, function: str, payload: bytes) -> None:
        for attempt in range(_ATTEMPTS):
            # Lambda waits a minute and then two; here nobody has that time.
            if self._closed.wait(attempt * _RETRY_AFTER_S):
                return
            try:
                answer = self._clients.functions.invoke(FunctionName=function, Payload=payload)
                failure = answer["Payload"].read() if "FunctionError" in answer else None
            except (BotoCoreError, ClientError) as error:
                failure = str(error).encode()
            if failure is None or self._closed.is_set():
                return
            _logger.warning("%s failed: %s", function, failure.decode(errors="replace")[:1000])
