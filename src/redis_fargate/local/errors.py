"""What the local cloud refuses, and what its ports raise (see ``topology.errors`` for the tree)."""

from redis_fargate.topology.errors import PermanentError


class LocalCloudError(PermanentError):
    """The local cloud cannot do what was asked of it."""


class CannotStartContainer(LocalCloudError):  # noqa: N818 - ECS' own word for it
    """A container was not started; the message is in ECS' words (``CannotPullContainerError: …``)."""


class InvalidSubnet(LocalCloudError):  # noqa: N818 - AWS' own word for it
    """There is no such subnet; the message names it."""


class NoAddress(LocalCloudError):  # noqa: N818 - reads as the condition that it is
    """No loopback address is to be had for a task; the message says what to do."""
