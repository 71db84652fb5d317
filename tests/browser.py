"""A headless Chromium, driven by the protocol of its developer tools over a pipe."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_TIMEOUT_S = 60
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    # It is to look at one file, and at nothing of the network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


# It wants the two pipes as file descriptors 3 and 4.
_WITH_PIPES = """
import os, sys
read, write = map(os.dup, map(int, sys.argv[1:3]))
os.dup2(read, 3), os.dup2(write, 4)
os.set_inheritable(3, True), os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""


class MissingBrowserError(Exception):
    """There is no Chromium; the message says what to do."""


def program() -> str:
    """Path of a Chromium."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise MissingBrowserError(
            f"None of {', '.join(NAMES)} is on PATH: `make .cache/programs/ready` unpacks Debian's."
        )
    return found


class Page:
    """A page; ``complaints`` are errors and warnings of its console, and what it failed to load."""

    def __init__(self, to: int, answers: int) -> None:
        self._to = to
        self._answers = answers
        self._rest = b""
        self._number = 0
        self._session: dict[str, str] = {}
        self._waiting: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, url: str, width: int = 1120, height: int = 900) -> None:
        """Load a page, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._waiting:
            self._take(self._read())
        self._waiting.clear()

    def evaluate(self, script: str) -> Any:
        """Evaluate JavaScript; its value."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Do something with the mouse, as ``Input.dispatchMouseEvent`` has it."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; its result."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._to, json.dumps(request).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._take(message)

    def _take(self, event: dict[str, Any]) -> None:
        match event["method"], event["params"]:
            case "Runtime.exceptionThrown", told:
                self.complaints.append(str(told["exceptionDetails"]))
            case "Runtime.consoleAPICalled", told if told["type"] in {"error", "warning"}:
                self.complaints.append(str(told["args"]))
            case "Log.entryAdded", told:
                self.complaints.append(str(told["entry"]))
            case "Network.requestWillBeSent", told if told["request"]["url"].startswith("http"):
                self.complaints.append(f"it asks the network for {told['request']['url']}")
            case name, _:
                self._waiting.append(name)

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], deadline - time.monotonic())
            assert ready, f"Chromium says nothing for {_TIMEOUT_S} s"
            piece = os.read(self._answers, 65536)
            assert piece, "Chromium has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """A page of a Chromium of its own, which ends with the block."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", _WITH_PIPES, str(theirs_in), str(theirs_out)),
                *(program(), *_OPTIONS, f"--user-data-dir={home}"),
            ],
            pass_fds=[theirs_in, theirs_out],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": home},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(ours_out, ours_in)
        finally:
            os.close(ours_out)  # which ends it
            os.close(ours_in)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
