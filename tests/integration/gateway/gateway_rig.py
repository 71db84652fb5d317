"""Starts the gateway in a process of its own, as there can be one in a process."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("gateway_process.py")
DEADLINE_S = 30


@contextlib.contextmanager
def running_gateway(tmp: Path) -> "Iterator[tuple[str, subprocess.Popen[str]]]":
    log = tmp / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, PROGRAM, tmp, "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdin
    assert process.stdout
    with process.stdin, process.stdout:
        url = process.stdout.readline().strip()
        assert url, log.read_text()
        try:
            yield url, process
        finally:
            process.stdin.close()
            began = time.monotonic()
            process.wait(DEADLINE_S)
            assert process.returncode in {0, -signal.SIGKILL}, log.read_text()
            assert time.monotonic() - began < 10
