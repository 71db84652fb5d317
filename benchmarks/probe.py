"""How long a client's commands take while something else goes on, from a process of its own.

    python benchmarks/probe.py HOST PORT    until its input ends; prints p50 and p99 in ms

One command at a time, a thousand in a second, to keys that are on that server.
"""

import select
import sys
import time
from contextlib import suppress

from redis import Redis
from redis.exceptions import ResponseError

_PERIOD_S = 0.001


def main() -> None:
    client = Redis(sys.argv[1], int(sys.argv[2]))
    took_ms: list[float] = []
    while not select.select([sys.stdin], [], [], _PERIOD_S)[0]:
        begun = time.perf_counter()
        with suppress(ResponseError):  # MOVED and ASK are answers, too
            client.get(f"key:{len(took_ms)}")
        took_ms.append((time.perf_counter() - begun) * 1000)
    took_ms.sort()
    print(took_ms[len(took_ms) // 2], took_ms[len(took_ms) * 99 // 100])


if __name__ == "__main__":
    main()
