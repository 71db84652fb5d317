import pytest

from redis_fargate.aws.errors import AwsRefused
from redis_fargate.aws.secrets import SecretRef

ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:redis-password-AbCdEf"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis-password", SecretRef("redis-password")),
        (ARN, SecretRef(ARN)),
        (f"{ARN}:password", SecretRef(ARN, "password")),
        (f"{ARN}:password::", SecretRef(ARN, "password")),
        (f"{ARN}::AWSPREVIOUS:", SecretRef(ARN, "", "AWSPREVIOUS")),
        (f"{ARN}:password::v-1", SecretRef(ARN, "password", "", "v-1")),
    ],
)
def test_reads_what_ecs_reads(text, expected):
    assert SecretRef.parse(text) == expected


@pytest.mark.parametrize("text", ["arn:aws:secretsmanager:us-east-1", f"{ARN}:a:b:c:d"])
def test_anything_else_is_refused(text):
    with pytest.raises(AwsRefused, match="is no ARN of a secret"):
        SecretRef.parse(text)
