"""What the local cloud refuses.

LocalCloudError (a PermanentError)
├── CannotStartContainer     the task stops before it runs, with ECS' words for the reason
└── InvalidSubnet            a service names a subnet that does not exist
"""

from redis_fargate.topology.errors import PermanentError


class LocalCloudError(PermanentError):
    """The local cloud cannot do what was asked of it."""


class CannotStartContainer(LocalCloudError):  # noqa: N818 - ECS calls its own errors so
    """A container cannot be started; the message becomes the task's ``stoppedReason``."""


class InvalidSubnet(LocalCloudError):  # noqa: N818 - EC2 calls its own errors so
    """A subnet does not exist; the message names it."""
