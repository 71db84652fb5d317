"""How the local cloud's own parts, the command line and the tests talk to its AWS endpoint."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_servicediscovery import ServiceDiscoveryClient

REGION = "us-east-1"
ACCOUNT = "000000000000"
# The endpoint takes any credentials; these are the ones that nobody mistakes for real ones.
ACCESS_KEY = "test"
SECRET_KEY = "test"  # noqa: S105 - no secret


@dataclass
class Clients:
    """boto3 clients of one endpoint, made when they are first needed.

    They never look at the machine's own AWS configuration, so that nothing here can reach a real
    account. Each is made once and may be used from many threads. Close them when done.
    """

    url: str
    """The endpoint, for instance ``http://127.0.0.1:4566``."""
    region: str = REGION
    read_timeout_s: float = 30
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def client(self, service: str) -> Any:  # noqa: ANN401 - each service has a class of its own
        """Give the client of a service, by boto3's name for it."""
        with self._lock:
            if service not in self._made:
                self._made[service] = cast("Any", self._session).client(
                    service, endpoint_url=self.url, config=self._config
                )
            return self._made[service]

    @property
    def ec2(self) -> "EC2Client":
        """The EC2 client."""
        return cast("EC2Client", self.client("ec2"))

    @property
    def events(self) -> "EventBridgeClient":
        """The EventBridge client."""
        return cast("EventBridgeClient", self.client("events"))

    @property
    def functions(self) -> "LambdaClient":
        """The Lambda client."""
        return cast("LambdaClient", self.client("lambda"))

    @property
    def logs(self) -> "CloudWatchLogsClient":
        """The CloudWatch Logs client."""
        return cast("CloudWatchLogsClient", self.client("logs"))

    @property
    def secrets(self) -> "SecretsManagerClient":
        """The Secrets Manager client."""
        return cast("SecretsManagerClient", self.client("secretsmanager"))

    @property
    def servicediscovery(self) -> "ServiceDiscoveryClient":
        """The Cloud Map client."""
        return cast("ServiceDiscoveryClient", self.client("servicediscovery"))

    def close(self) -> None:
        """Close all connections; a client asked for later is made anew."""
        with self._lock:
            for client in self._made.values():
                client.close()
            self._made.clear()

    @cached_property
    def _session(self) -> boto3.Session:
        ours_alone = {
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
            "profile": (None, None, None, None),
        }
        return boto3.Session(
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=self.region,
            botocore_session=botocore.session.Session(session_vars=ours_alone),
        )

    @property
    def _config(self) -> Config:
        return Config(
            connect_timeout=2,
            read_timeout=self.read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=32,
            # Cloud Map's data calls would go to a host named data-127.0.0.1.
            inject_host_prefix=False,
            s3={"addressing_style": "path"},
            proxies={},
        )
