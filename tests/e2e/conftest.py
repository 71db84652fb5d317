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
