"""What ECS answers when it refuses: an exception of its API model, and a sentence."""

from redis_fargate.local.errors import LocalCloudError


class NoAddress(LocalCloudError):
    """No loopback address is to be had for a task; the message says what to do."""


class EcsError(LocalCloudError):
    """An error answer; ``code`` is the exception's name in ECS' API model."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def client_error(message: str) -> EcsError:
    """Say, as ECS does of most things, that the client got it wrong."""
    return EcsError("ClientException", message)


def invalid_parameter(message: str) -> EcsError:
    """Say that a parameter is not valid for the operation."""
    return EcsError("InvalidParameterException", message)


def cluster_not_found() -> EcsError:
    """Say that there is no such cluster, or no longer."""
    return EcsError("ClusterNotFoundException", "Cluster not found.")


def service_not_found() -> EcsError:
    """Say that there is no such service, or no longer."""
    return EcsError("ServiceNotFoundException", "Service not found.")
