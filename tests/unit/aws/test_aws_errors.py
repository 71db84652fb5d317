import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)

from redis_fargate.aws.errors import AccessDenied, AwsRefused, AwsUnavailable, translated

URL = "http://127.0.0.1:1"


def client_error(code, message="because", status=400):
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {
                "HTTPStatusCode": status, "RequestId": "r", "HostId": "h", "HTTPHeaders": {},
                "RetryAttempts": 3,
            },
        },
        "ListTasks",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error("AccessDeniedException"), AccessDenied),
        (client_error("ThrottlingException"), AwsUnavailable),
        (client_error("RequestLimitExceeded"), AwsUnavailable),
        (client_error("Whatever", status=503), AwsUnavailable),
        (client_error("Whatever", status=429), AwsUnavailable),
        (client_error("ClusterNotFoundException"), AwsRefused),
        (client_error("ExpiredTokenException"), AwsRefused),
        (EndpointConnectionError(endpoint_url=URL), AwsUnavailable),
        (ConnectTimeoutError(endpoint_url=URL), AwsUnavailable),
        (ReadTimeoutError(endpoint_url=URL), AwsUnavailable),
        (NoCredentialsError(), AwsRefused),
        (NoRegionError(), AwsRefused),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_every_error_has_its_place_in_the_tree(error, expected):
    with pytest.raises(expected) as caught, translated("ecs", "cluster redis"):
        raise error
    assert type(caught.value) is expected
    assert caught.value.__cause__ is error


def test_a_denial_says_what_to_allow_on_what():
    said = "User: arn:aws:sts::1:assumed-role/r is not authorized to perform: ecs:ListTasks"
    with pytest.raises(AccessDenied) as caught, translated("ecs", "cluster redis"):
        raise client_error("AccessDeniedException", said)
    message = str(caught.value)
    assert message.startswith("AWS denied ecs:ListTasks on cluster redis. Allow the action")
    assert said in message


def test_a_denial_names_the_action_that_aws_names():
    said = "User: x is not authorized to perform: dynamodb:ConditionCheckItem on resource: arn:y"
    denied = client_error("AccessDeniedException", said)
    with pytest.raises(AccessDenied, match=r"^AWS denied dynamodb:ConditionCheckItem on table t\."):  # noqa: SIM117
        with translated("dynamodb", "table t"):
            raise denied


def test_an_unreachable_endpoint_is_named():
    with pytest.raises(AwsUnavailable, match=URL), translated("ecs", "cluster redis"):
        raise EndpointConnectionError(endpoint_url=URL)


def test_a_missing_thing_is_named():
    with pytest.raises(AwsRefused, match=r"ecs:ListTasks on cluster redis \(ClusterNotFound"):  # noqa: SIM117
        with translated("ecs", "cluster redis"):
            raise client_error("ClusterNotFoundException")


def test_credentials_that_aws_does_not_take():
    expired = client_error("ExpiredTokenException", "The security token is expired")
    with pytest.raises(AwsRefused) as caught, translated("ecs", "cluster redis"):
        raise expired
    assert str(caught.value).endswith(
        "(ExpiredTokenException): The security token is expired. Renew them."
    )
    with pytest.raises(AwsRefused) as caught, translated("ecs", "cluster redis"):
        raise NoCredentialsError
    assert str(caught.value).startswith(
        "There are no AWS credentials to ask ecs about cluster redis"
    )


def test_what_is_not_aws_passes():
    with pytest.raises(KeyError), translated("ecs", "cluster redis"):
        raise KeyError
