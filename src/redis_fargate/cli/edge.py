"""The edge: where errors become sentences and exit codes."""

import sys

from redis_fargate.cli.exitcodes import ExitCode, of_error
from redis_fargate.topology.errors import RedisFargateError


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    try:
        # Within reach of the handler below: Ctrl-C may come this early.
        from redis_fargate.cli.app import app  # noqa: PLC0415

        app(prog_name="redis-fargate")
    except RedisFargateError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(of_error(error))
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
