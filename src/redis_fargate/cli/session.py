"""The user's own AWS session."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import typer
from botocore import exceptions as boto
from botocore.config import Config

from redis_fargate.aws.errors import AwsRefused

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_CONNECT_TIMEOUT_S = 5
LOOK_TIMEOUT_S = 60
RUN_TIMEOUT_S = 905
"""A little more than the longest time that a function may take."""


@contextmanager
def lambda_client(
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
    timeout_s: float = LOOK_TIMEOUT_S,
) -> Iterator["LambdaClient"]:
    """Open a Lambda client; what is None is looked up where the AWS CLI looks.

    Credentials are looked for at the first call, not here. An answer is awaited for ``timeout_s``.

    Raises:
        AwsRefused: no region, no such profile, or a configuration that cannot be read.
        typer.BadParameter: the region or the URL cannot be one.

    """
    client = _client(region, profile, endpoint_url, timeout_s)
    try:
        yield client
    finally:
        client.close()


def _client(
    region: str | None, profile: str | None, endpoint_url: str | None, timeout_s: float
) -> "LambdaClient":
    try:
        # AWS_REGION is the AWS CLI's word; boto3 knows AWS_DEFAULT_REGION alone.
        session = boto3.Session(
            region_name=region or os.environ.get("AWS_REGION"), profile_name=profile
        )
        return session.client(
            "lambda",
            endpoint_url=endpoint_url,
            config=Config(
                connect_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=timeout_s,
                tcp_keepalive=True,  # an idle connection through NAT is forgotten after 350 s
                retries={"mode": "standard", "total_max_attempts": 2},
            ),
        )
    except boto.NoRegionError as error:
        raise AwsRefused(
            "It is not known in which AWS region the cluster is: give --region, or set AWS_REGION "
            "or AWS_DEFAULT_REGION."
        ) from error
    except boto.ProfileNotFound as error:
        raise AwsRefused(
            f"The AWS configuration has no profile {error.kwargs['profile']!r}: give another with "
            "--profile or AWS_PROFILE (`aws configure list-profiles` names those that there are)."
        ) from error
    except boto.InvalidRegionError as error:
        raise typer.BadParameter(
            f"{error.kwargs['region_name']!r} is no name of a region: they are like eu-west-1.",
            param_hint="'--region'",
        ) from error
    except boto.BotoCoreError as error:
        raise AwsRefused(f"The AWS configuration cannot be used: {error}.") from error
    except ValueError as error:
        # All that boto says to an endpoint that is no URL.
        raise typer.BadParameter(
            f"{error}. Give a URL, such as http://127.0.0.1:4566.", param_hint="'--endpoint-url'"
        ) from error
