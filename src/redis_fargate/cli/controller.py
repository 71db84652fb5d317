"""Asks the controller, wherever its function runs."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from redis_fargate.aws.errors import translated
from redis_fargate.controller.result import Result
from redis_fargate.topology.errors import TemporaryError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


STATUS = {"action": "status"}


class ControllerFailed(TemporaryError):
    """The controller's function ended without a result; the message is its last word."""


def ask(functions: "LambdaClient", function_name: str, request: Mapping[str, object]) -> Result:
    """Invoke the controller's function, and await the result; ``controller.events`` has requests.

    Raises:
        ControllerFailed: the function failed, or its answer is no result.
        AwsUnavailable, AccessDenied, AwsRefused: it could not be invoked.

    """
    with translated("lambda", f"function {function_name}"):
        answer = functions.invoke(FunctionName=function_name, Payload=json.dumps(request))
        payload = answer["Payload"].read()
    try:
        document = json.loads(payload)
        if "FunctionError" in answer:
            raise ControllerFailed(
                f"The controller {function_name} failed: {document.get('errorType', 'Error')}: "
                f"{document.get('errorMessage', payload)}. Its log group is "
                f"/aws/lambda/{function_name}."
            )
        return Result.from_dict(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ControllerFailed(
            f"The controller {function_name} answered what is no result of this version "
            f"({error!r}): {payload[:200]!r}"
        ) from error
