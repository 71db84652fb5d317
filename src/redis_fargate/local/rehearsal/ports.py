"""What a rehearsal needs of the local cloud that it runs on."""

from typing import Protocol

from redis_fargate.controller.result import Result
from redis_fargate.local.clients import Clients
from redis_fargate.local.statedir import Record, StateDir


class Cloud(Protocol):
    """A local cloud that runs."""

    @property
    def record(self) -> Record:
        """What was started."""

    @property
    def state(self) -> StateDir:
        """Where its files are."""

    @property
    def clients(self) -> Clients:
        """Clients of its endpoint."""

    @property
    def function_name(self) -> str:
        """The controller's function."""

    def status(self) -> Result:
        """Ask the controller how the cluster is.

        Raises:
            TemporaryError, PermanentError: it does not say.

        """

    def password(self) -> str:
        """Read the nodes' password."""
