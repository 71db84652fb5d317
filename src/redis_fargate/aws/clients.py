"""The AWS clients, each made when it is first asked for."""

import os
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_servicediscovery import ServiceDiscoveryClient

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
ATTEMPTS = 3
"""Tries of one call, the first included (boto's "standard" mode waits in between)."""
POOL_SIZE = 16
"""Calls of one service that may be under way at once."""


class Clients:
    """Clients of one session, safe to be used by several threads.

    Region, credentials and endpoint come from where boto3 looks for them. With
    ``AWS_ENDPOINT_URL`` set there is one host for everything, so Cloud Map's ``data-``
    prefix is left out of its host name.

    The clients are sync; asyncio code calls the rooms that use them through
    ``asyncio.to_thread``.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._session: Session | None = None
        self._made: dict[str, Any] = {}

    @property
    def dynamodb(self) -> "DynamoDBClient":
        """The client of DynamoDB."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @property
    def ecs(self) -> "ECSClient":
        """The client of ECS."""
        client: ECSClient = self._client("ecs")
        return client

    @property
    def secretsmanager(self) -> "SecretsManagerClient":
        """The client of Secrets Manager."""
        client: SecretsManagerClient = self._client("secretsmanager")
        return client

    @property
    def servicediscovery(self) -> "ServiceDiscoveryClient":
        """The client of Cloud Map."""
        client: ServiceDiscoveryClient = self._client("servicediscovery")
        return client

    def _client(self, service: str) -> Any:  # noqa: ANN401 - the properties give it its type
        # A session is not safe to make clients in several threads; the clients themselves are.
        with self._lock:
            if service not in self._made:
                # The import takes a quarter of a second: an ignored event does not wait for it.
                import boto3  # noqa: PLC0415
                from botocore.config import Config  # noqa: PLC0415

                if self._session is None:
                    self._session = boto3.session.Session()
                self._made[service] = self._session.client(
                    service,  # type: ignore[call-overload] # one line for every service
                    config=Config(
                        connect_timeout=CONNECT_TIMEOUT_S,
                        read_timeout=READ_TIMEOUT_S,
                        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                        max_pool_connections=POOL_SIZE,
                        inject_host_prefix=not os.environ.get("AWS_ENDPOINT_URL"),
                    ),
                )
            return self._made[service]
