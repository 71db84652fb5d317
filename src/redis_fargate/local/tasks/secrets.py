"""What ECS resolves before it starts a container: the values behind ``secrets``."""

import json
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from redis_fargate.local.clients import Clients
from redis_fargate.local.errors import CannotStartContainer

# The words that ECS puts before the reason.
_PULL = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
    "retrieval failed: unable to retrieve"
)
_ARN_PARTS = 7


def resolve_secrets(clients: Clients, secrets: Mapping[str, str]) -> dict[str, str]:
    """Give the value of each variable, whose ``valueFrom`` is as in a container definition.

    That is the ARN of a secret, such an ARN with ``:json-key:version-stage:version-id`` behind it
    (each may be empty), or the ARN or name of an SSM parameter. Blocks: call it in a thread.

    Raises:
        CannotStartContainer: one cannot be had; the message never holds a value.

    """
    return {name: _value(clients, value_from) for name, value_from in secrets.items()}


def _value(clients: Clients, value_from: str) -> str:
    parts = value_from.split(":")
    if parts[0] == "arn" and parts[2:3] == ["secretsmanager"]:
        return _from_secrets_manager(clients, parts)
    return _from_ssm(clients, value_from)


def _from_secrets_manager(clients: Clients, parts: list[str]) -> str:
    arn, suffix = ":".join(parts[:_ARN_PARTS]), parts[_ARN_PARTS:]
    json_key, stage, version = [*suffix, "", "", ""][:3]
    which = {"VersionStage": stage, "VersionId": version}
    try:
        answer = clients.client("secretsmanager").get_secret_value(
            SecretId=arn, **{name: value for name, value in which.items() if value}
        )
    except (BotoCoreError, ClientError) as error:
        raise CannotStartContainer(
            f"{_PULL} secret from asm: failed to fetch secret {arn} from secrets manager: {error}"
        ) from error
    if "SecretString" not in answer:
        raise CannotStartContainer(f"{_PULL} secret from asm: {arn} holds bytes and no text")
    text = str(answer["SecretString"])
    if not json_key:
        return text
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or json_key not in document:
        raise CannotStartContainer(
            f"{_PULL} secret from asm: retrieved secret from Secrets Manager did not contain json "
            f"key {json_key}"
        )
    value = document[json_key]
    return value if isinstance(value, str) else json.dumps(value)


def _from_ssm(clients: Clients, name: str) -> str:
    try:
        answer = clients.client("ssm").get_parameters(Names=[name], WithDecryption=True)
    except (BotoCoreError, ClientError) as error:
        raise CannotStartContainer(f"{_PULL} secrets from ssm: {error}") from error
    for parameter in answer["Parameters"]:
        return str(parameter["Value"])
    raise CannotStartContainer(f"{_PULL} secrets from ssm: invalid parameters: {name}")
