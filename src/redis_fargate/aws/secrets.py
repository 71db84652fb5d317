"""Passwords and certificates from Secrets Manager."""

import json
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from redis_fargate.aws.errors import AwsRefused, translated

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.type_defs import GetSecretValueRequestTypeDef

    from redis_fargate.aws.clients import Clients

_ARN_PARTS = 7
_SUFFIX_PARTS = 3


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Which text of which secret; see ``parse`` for how it is written."""

    secret: str
    json_key: str = ""
    stage: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> "SecretRef":
        """Read an ARN (or a name) as ECS' ``valueFrom`` has it.

        After the ARN may stand ``:json-key:version-stage:version-id``, each of which may be
        empty or left out at the end (ECS developer guide, "Pass Secrets Manager secrets").

        Raises:
            AwsRefused: it is no such text.

        """
        parts = text.split(":")
        if parts[0] != "arn":
            return cls(text)
        suffix = parts[_ARN_PARTS:]
        if len(parts) < _ARN_PARTS or len(suffix) > _SUFFIX_PARTS:
            raise AwsRefused(
                f"{text!r} is no ARN of a secret: give arn:aws:secretsmanager:REGION:ACCOUNT:"
                "secret:NAME, after which :JSON-KEY:VERSION-STAGE:VERSION-ID may stand."
            )
        json_key, stage, version = (*suffix, "", "", "")[:_SUFFIX_PARTS]
        return cls(":".join(parts[:_ARN_PARTS]), json_key, stage, version)


class Secrets:
    """Reads secrets, and remembers them until ``forget``."""

    def __init__(self, clients: "Clients") -> None:
        self._clients = clients
        self._lock = Lock()
        self._known: dict[str, str] = {}

    def read(self, reference: str) -> str:
        """Read the text that ``reference`` (see ``SecretRef.parse``) names.

        Raises:
            AwsRefused: there is no such secret or key, or it holds no text.
            AccessDenied: the policy does not allow to read it.
            AwsUnavailable: try again.

        """
        with self._lock:
            if reference not in self._known:
                self._known[reference] = self._fetched(SecretRef.parse(reference))
            return self._known[reference]

    def forget(self) -> None:
        """Read every secret anew when it is next asked for: it may have been rotated."""
        with self._lock:
            self._known.clear()

    def _fetched(self, ref: SecretRef) -> str:
        request: GetSecretValueRequestTypeDef = {"SecretId": ref.secret}
        if ref.stage:
            request["VersionStage"] = ref.stage
        if ref.version:
            request["VersionId"] = ref.version
        with translated("secretsmanager", f"secret {ref.secret}"):
            text = self._clients.secretsmanager.get_secret_value(**request).get("SecretString")
        if text is None:
            raise AwsRefused(
                f"The secret {ref.secret} holds bytes: put a text (SecretString) in it."
            )
        return _json_value(text, ref) if ref.json_key else text


def _json_value(text: str, ref: SecretRef) -> str:
    """One key's value; no error shows any of the text."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    value = document.get(ref.json_key) if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise AwsRefused(
            f"The secret {ref.secret} has no key {ref.json_key!r} with a text in it: it must be a "
            "JSON object that has one, or be named without a key."
        )
    return value
