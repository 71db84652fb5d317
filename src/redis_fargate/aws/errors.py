"""What AWS may answer, in the words of our error tree."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis_fargate.topology.errors import PermanentError, TemporaryError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


class AwsUnavailable(TemporaryError):
    """AWS, or the way to it, failed: throttled, timed out, unreachable or broken."""


class LeaseLost(TemporaryError):
    """The lease ran out or went to another run, so this one may write nothing more."""


class MarkerChanged(TemporaryError):
    """The formed-marker is no longer what it was when the plan was made."""


class AccessDenied(PermanentError):
    """The credentials are valid, but their policy does not allow the action."""


class AwsRefused(PermanentError):
    """AWS understood the call and will not do it: something named in it is wrong or missing."""


_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_NOT_KNOWN = frozenset({
    "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "InvalidSignatureException",
    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
})  # fmt: skip
_TEMPORARY = frozenset({
    "InternalServerError", "InternalServiceError",
    "ProvisionedThroughputExceededException", "ReplicatedWriteConflictException",
    "RequestLimitExceeded", "ServerException", "ThrottledException", "Throttling",
    "ThrottlingException", "TooManyRequestsException", "TransactionConflictException",
    "TransactionInProgressException",
})  # fmt: skip
_DENIED_ACTION = re.compile(r"not authorized to perform: (\w+:\w+)")
_SERVER_ERRORS = 500
_TOO_MANY_REQUESTS = 429


@contextmanager
def translated(service: str, resource: str) -> Iterator[None]:
    """Turn botocore's errors into ours.

    Args:
        service: as IAM spells it in an action, such as ``ecs``.
        resource: what the calls inside are about, in words, such as ``table redis-state``.

    Raises:
        AwsUnavailable: throttled, timed out, unreachable, or AWS' own failure.
        AccessDenied: names the action and the resource that the policy must allow.
        AwsRefused: anything else; names what was asked and what AWS said.

    """
    # Here, as everything of boto is, so that a run that asks AWS nothing does not wait for it.
    from botocore import exceptions as boto  # noqa: PLC0415

    try:
        yield
    except boto.ClientError as error:
        raise _translation(error, service, resource) from error
    except (boto.ConnectionError, boto.HTTPClientError) as error:
        raise AwsUnavailable(
            f"No answer from the endpoint for {service}, asked about {resource}: {error}. Check "
            "the network path (in a VPC: NAT or an interface endpoint, and the security groups)."
        ) from error
    except boto.NoCredentialsError as error:
        raise AwsRefused(
            f"There are no AWS credentials to ask {service} about {resource} with: log in, or set "
            "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (in a Lambda function or "
            "a task: give it a role)."
        ) from error
    except boto.BotoCoreError as error:
        # No region, an expired login, a value that cannot be one of a parameter.
        raise AwsRefused(f"{service} could not be asked about {resource}: {error}") from error


def _translation(
    error: "ClientError", service: str, resource: str
) -> PermanentError | TemporaryError:
    code = error.response.get("Error", {}).get("Code", "")
    said = error.response.get("Error", {}).get("Message", "") or code
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    action = f"{service}:{error.operation_name}"
    if code in _DENIED:
        # Not always the operation's name: a transaction needs the actions of its parts.
        denied = _DENIED_ACTION.search(said)
        action = denied[1] if denied else action
        return AccessDenied(
            f"AWS denied {action} on {resource}. Allow the action {action} on it in the policy of "
            f"the role that this runs with. AWS said: {said}"
        )
    if code in _NOT_KNOWN:
        return AwsRefused(
            f"AWS does not accept the credentials for {action} ({code}): {_sentence(said)} Renew "
            "them."
        )
    if code in _TEMPORARY or status >= _SERVER_ERRORS or status == _TOO_MANY_REQUESTS:
        return AwsUnavailable(
            f"AWS could not answer {action} on {resource} for now ({code}): {said}"
        )
    return AwsRefused(
        f"AWS refused {action} on {resource} ({code}): {_sentence(said)} Check that it exists "
        "and that its name is right."
    )


def _sentence(said: str) -> str:
    return said if said.endswith((".", "!", "?")) else f"{said}."
