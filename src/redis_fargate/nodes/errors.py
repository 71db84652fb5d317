"""What can go wrong between us and a node (the tree is drawn in ``topology.errors``)."""

from redis_fargate.topology.errors import PermanentError, TemporaryError


class NodeUnreachable(TemporaryError):
    """No connection to a node, or no answer before the deadline."""


class NodeLoading(TemporaryError):
    """The node is up, and reading its data set into memory."""


class CommandRefused(TemporaryError):
    """The node answered a command with an error.

    ``reply`` is the error in the server's words, without its leading ``ERR``;
    ``no_permission`` says that our user's ACL forbids the command.
    """

    def __init__(self, message: str, reply: str, *, no_permission: bool = False) -> None:
        super().__init__(message)
        self.reply = reply
        self.no_permission = no_permission

    @property
    def unknown_command(self) -> bool:
        """Whether the server does not have the command: too old for it, or it was renamed."""
        return self.reply.lower().startswith(("unknown command", "unknown subcommand"))


class PreconditionFailed(TemporaryError):
    """The node is no longer as the plan saw it, so the step was not taken."""


class StepFailed(TemporaryError):
    """A step was taken, and its effect was not seen before the deadline."""


class StillMoving(TemporaryError):
    """Slots are on their way, and their time in this wave is over; the next look goes on."""


class AuthenticationFailed(PermanentError):
    """The node refuses our credentials, or does not ask for the password that it should have."""


class NotInClusterMode(PermanentError):
    """The server runs with ``cluster-enabled no``."""
