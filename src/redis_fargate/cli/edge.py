"""The edge: where errors become sentences and exit codes."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from redis_fargate.cli.exitcodes import ExitCode, of_error
from redis_fargate.topology.errors import RedisFargateError


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    _have_streams()
    try:
        # Within reach of the handler below: Ctrl-C may come this early.
        from redis_fargate.cli.app import app  # noqa: PLC0415

        app(prog_name="redis-fargate")
    except RedisFargateError as error:
        _say(str(error))
        sys.exit(of_error(error))
    except OSError as error:
        # A full disk, no file descriptors left: nothing that a command could know about.
        _say(f"{error.strerror}: {error.filename}." if error.filename else f"{error}.")
        sys.exit(ExitCode.FAILED)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def _have_streams() -> None:
    """See that there is something to write to, whatever is written."""
    # Python has None for a stream that is closed (`>&-`).
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - it stays open
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - it stays open
    if isinstance(sys.stdout, TextIOWrapper):
        # A log may hold what the terminal's encoding cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")


def _say(problem: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"Error: {problem}\n")
