"""Kills the tasks' processes when the local cloud is gone, however it went.

A program of its own, so that not even SIGKILL of the local cloud leaves a server behind. It reads
lines ``+<process group>`` and ``-<process group>`` from its input; at the end of its input, which
comes when the local cloud closes it or dies, it kills every group that is still on its list.

It needs the standard library only, and is started in isolated mode to be up in no time.
"""

import os
import signal
import sys


def main() -> None:
    """Watch over the groups named on standard input until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        try:  # noqa: SIM105 - contextlib takes longer to import than all of this
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    main()
