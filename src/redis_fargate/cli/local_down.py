"""``redis-fargate local down``."""

import os

from redis_fargate.cli.options import Json
from redis_fargate.cli.output import print_json, print_line, progress
from redis_fargate.local.launching import stop
from redis_fargate.local.statedir import Record, StateDir


def down(
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Stop the local cloud, and remove everything that it left on disk.

    \b
    Example:
      redis-fargate local down
    """  # noqa: D301 - click's sign for lines that are not to be joined
    state = StateDir.chosen(os.environ)
    record = state.read()
    if record is not None:
        with progress() as tell:
            tell("Stopping the tasks and the AWS endpoint …")
            bring_down(record, state)
    else:
        state.remove()
    if as_json:
        print_json({"stopped": record is not None, "state_directory": str(state.root)})
    elif record is None:
        print_line("No local cloud runs: nothing to stop.")
    else:
        print_line("Stopped. Nothing is left.")


def bring_down(record: Record, state: StateDir) -> None:
    """Stop a local cloud; nothing of it is left."""
    stop(record.pid, record.started_ticks, state)
    state.remove()
