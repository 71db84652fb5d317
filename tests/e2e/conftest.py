import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The command line; whatever the test leaves running is brought down, and must be gone."""
    command_line = Cli(tmp_path / "home")
    yield command_line
    command_line.run("local", "down")
    command_line.assert_nothing_left()


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard() -> None:
    """Programs started by the tests hear Ctrl-C, also where the tests run in the background.

    A shell without job control starts background jobs with SIGINT ignored, and what is ignored
    is inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
