"""What the exit code of a command says to a script."""

from enum import IntEnum

from redis_fargate.local.errors import AlreadyRunning, DirectoryInUse, InvalidOption
from redis_fargate.topology.errors import InvalidSpecError, RedisFargateError
from redis_fargate.topology.health import Health


class ExitCode(IntEnum):
    """The exit codes of all commands."""

    OK = 0  # done, or the cluster is as it is wanted
    NOT_AS_WANTED = 1  # the cluster is not as it is wanted, or the command was refused
    USAGE = 2  # an option or argument has no meaning
    FAILED = 3  # something failed: no answer, no permission, nothing there
    INTERRUPTED = 130  # Ctrl-C
    PIPE_CLOSED = 141  # whoever read the output did not want all of it


EXIT_CODES = """\
Exit codes: 0 done, and the cluster is as it is wanted; 1 it is not, or the command was \
refused; 2 wrong options; 3 something failed; 130 Ctrl-C."""
"""For the end of a help text."""


def of_health(health: Health | None) -> ExitCode:
    """Judge the cluster's health for a script."""
    return ExitCode.OK if health is Health.OK else ExitCode.NOT_AS_WANTED


def of_error(error: RedisFargateError) -> ExitCode:
    """Choose the exit code of a command that ended in an error."""
    if isinstance(error, InvalidOption | InvalidSpecError):
        return ExitCode.USAGE
    if isinstance(error, AlreadyRunning | DirectoryInUse):
        return ExitCode.NOT_AS_WANTED
    return ExitCode.FAILED
