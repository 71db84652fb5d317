import json
import uuid

import pytest

from redis_fargate.aws.errors import AwsRefused
from redis_fargate.aws.secrets import Secrets


@pytest.fixture
def create(clients):
    def create(**content):
        name = f"redis-{uuid.uuid4().hex[:8]}"
        return clients.secretsmanager.create_secret(Name=name, **content)["ARN"]

    return create


def test_a_text(clients, create):
    assert Secrets(clients).read(create(SecretString="hush")) == "hush"


def test_one_key_of_a_document(clients, create):
    arn = create(SecretString=json.dumps({"password": "hush", "number": 1}))
    assert Secrets(clients).read(f"{arn}:password::") == "hush"
    for key in ("number", "missing"):
        with pytest.raises(AwsRefused, match=f"has no key '{key}'") as caught:
            Secrets(clients).read(f"{arn}:{key}")
        assert "hush" not in str(caught.value)


def test_a_key_of_a_plain_text(clients, create):
    with pytest.raises(AwsRefused, match="JSON object") as caught:
        Secrets(clients).read(create(SecretString="hush") + ":password")
    assert "hush" not in str(caught.value)


def test_bytes_are_refused(clients, create):
    with pytest.raises(AwsRefused, match="holds bytes"):
        Secrets(clients).read(create(SecretBinary=b"hush"))


def test_a_missing_secret_is_named(clients):
    with pytest.raises(AwsRefused, match="secretsmanager:GetSecretValue on secret nowhere"):
        Secrets(clients).read("nowhere")


def test_read_once_until_forgotten(clients, create):
    secrets = Secrets(clients)
    arn = create(SecretString="old")
    assert secrets.read(arn) == "old"
    clients.secretsmanager.put_secret_value(SecretId=arn, SecretString="new")
    assert secrets.read(arn) == "old"
    secrets.forget()
    assert secrets.read(arn) == "new"
