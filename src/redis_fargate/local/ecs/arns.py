"""Names, ids and ARNs, made and taken apart."""

import secrets
import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arns:
    """Makes the ARNs of one account in one region."""

    account: str
    region: str

    def make(self, kind: str, *parts: str) -> str:
        """Make an ECS ARN: ``make("task", cluster, id)``."""
        return f"arn:aws:ecs:{self.region}:{self.account}:{kind}/{'/'.join(parts)}"


def last_part(reference: str) -> str:
    """Find the name or id that a reference ends in, be it an ARN or that name alone."""
    return reference.rsplit("/", 1)[-1]


def kind_of(arn: str) -> str:
    """Say what an ECS ARN points to: ``cluster``, ``task``…; empty for another string."""
    head, _, _ = arn.partition("/")
    return head.rsplit(":", 1)[-1] if head.startswith("arn:") else ""


def new_id() -> str:
    """Make an id as of tasks: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def new_uuid() -> str:
    """Make an id as of attachments and events."""
    return str(uuid.uuid4())


def new_number() -> str:
    """Make an id as of deployments: 19 digits."""
    return str(secrets.randbelow(9 * 10**18) + 10**18)


def new_interface_id() -> str:
    """Make an id as of network interfaces."""
    return f"eni-{secrets.token_hex(8)}{secrets.token_hex(1)[0]}"


def new_mac_address() -> str:
    """Make a locally administered MAC address, as EC2's begin."""
    return "0a:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))
