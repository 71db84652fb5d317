"""The user's own AWS session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from redis_fargate.aws.errors import translated

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 60


@contextmanager
def lambda_client(
    region: str | None, profile: str | None, endpoint_url: str | None
) -> Iterator["LambdaClient"]:
    """Open a Lambda client; what is None is looked up where the AWS CLI looks.

    Raises:
        AwsRefused: no region, no credentials, or no such profile.

    """
    with translated("lambda", "its client"):
        session = boto3.Session(region_name=region, profile_name=profile)
        client = session.client(
            "lambda",
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=_READ_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": 2},
            ),
        )
    try:
        yield client
    finally:
        client.close()
