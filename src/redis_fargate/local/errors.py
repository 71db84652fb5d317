"""What the local cloud refuses, and what can go wrong with it.

LocalCloudError
├── InvalidOption             an option has a value that cannot work
│   └── UnknownServer         no such server program
├── AlreadyRunning            one local cloud per state directory
├── NotRunning                there is none to ask
├── StateDirUnusable          no permission, or somebody else's files in it
├── PortInUse                 the endpoint's port is taken
├── LoopbackUnavailable       127.x.y.z cannot be bound (macOS)
├── StartFailed               it did not come up
├── Unreadable                what a rehearsal has written cannot be read back
├── NoSuchTask                no task, or several, by that name
├── NoSuchZone                no task runs there
├── CannotCut                 a node's peers cannot be kept from it, or led back
├── CannotStartContainer      becomes a task's stoppedReason
├── InvalidSubnet             a subnet that does not exist
└── DirectoryInUse            `init` writes into an empty directory only
"""

from redis_fargate.topology.errors import PermanentError


class LocalCloudError(PermanentError):
    """The local cloud cannot do what it was asked for."""


class InvalidOption(LocalCloudError):
    """An option has a value that cannot work; the message names both."""


class UnknownServer(InvalidOption):
    """There is no such server program, or it is none that we can run."""


class AlreadyRunning(LocalCloudError):
    """A local cloud runs in this state directory, or is just being started there."""


class NotRunning(LocalCloudError):
    """No local cloud runs in this state directory."""


class StateDirUnusable(LocalCloudError):
    """The state directory cannot be used: no permission, or it holds files that are not ours."""


class PortInUse(LocalCloudError):
    """Another program listens on the port that the endpoint was to have."""


class LoopbackUnavailable(LocalCloudError):
    """The machine does not let us use addresses such as 127.16.0.1."""


class StartFailed(LocalCloudError):
    """The local cloud did not come up; whatever had been started is stopped again."""


class Unreadable(LocalCloudError):
    """What a rehearsal has written cannot be read back: the cluster does not answer."""


class NoSuchTask(LocalCloudError):
    """What was given names no task that runs, or more than one."""


class NoSuchZone(LocalCloudError):
    """What was given names no zone in which a task runs."""


class CannotCut(LocalCloudError):
    """Nodes cannot be cut off from their peers now, or not be led back to them."""


class CannotStartContainer(LocalCloudError):
    """A container cannot be started; the message is ECS' words for the reason."""


class InvalidSubnet(LocalCloudError):
    """A subnet that was named does not exist."""


class DirectoryInUse(LocalCloudError):
    """There is something already where a root configuration was to be written."""
