"""Whatever is interrupted or killed, and whenever: nothing is left."""

import os
import signal
from typing import TYPE_CHECKING

import pytest
from rig import Cli

if TYPE_CHECKING:
    import subprocess

MOMENTS = ["Starting the AWS endpoint", "Creating the cluster", "Waiting for"]


def wait_for(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stderr
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"`up` ended before it said {words!r}")


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_during_up(cli: Cli, moment: str) -> None:
    with cli.started("local", "up", "--port", str(cli.port)) as process:
        wait_for(process, moment)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    cli.assert_nothing_left()


@pytest.mark.parametrize("moment", MOMENTS)
def test_up_itself_is_killed(cli: Cli, moment: str) -> None:
    with cli.started("local", "up", "--port", str(cli.port)) as process:
        wait_for(process, moment)
        process.kill()
    cli.assert_nothing_left()


def test_the_cloud_is_killed(cli: Cli) -> None:
    up = cli.up("--masters", "1", "--replicas", "0")
    os.kill(up.document["pid"], signal.SIGKILL)
    assert "has died" in cli.run("local", "status", code=3).stderr
    cli.run("local", "down")
    cli.assert_nothing_left()
