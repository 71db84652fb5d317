"""What the commands of the local cloud share: which one runs, and how to reach its cluster."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis_fargate.aws.errors import translated
from redis_fargate.cli.controller import STATUS, ask
from redis_fargate.cli.output import print_json, print_line
from redis_fargate.cli.render import print_result
from redis_fargate.controller.result import NodeReport, Result
from redis_fargate.local.blueprint import REDIS_PORT
from redis_fargate.local.launching import running
from redis_fargate.local.statedir import Record, StateDir

if TYPE_CHECKING:
    from redis_fargate.local.clients import Clients


@dataclass(frozen=True, slots=True)
class LocalCloud:
    """A local cloud that runs, and its clients."""

    record: Record
    state: StateDir
    clients: "Clients"

    @property
    def function_name(self) -> str:
        """The controller's function."""
        return f"{self.record.cluster_name}-initializer"

    def status(self) -> Result:
        """Ask the controller; raises as ``ask`` does."""
        return ask(self.clients.functions, self.function_name, STATUS)

    def password(self) -> str:
        """Read the nodes' password; raises as ``aws.errors.translated`` does."""
        name = f"{self.record.cluster_name}-password"
        with translated("secretsmanager", f"secret {name}"):
            return self.clients.secrets.get_secret_value(SecretId=name)["SecretString"]


@contextmanager
def local_cloud() -> Iterator[LocalCloud]:
    """Give the local cloud that runs.

    Raises:
        NotRunning: none does.

    """
    state = StateDir.chosen(os.environ)
    record = running(state)
    with opened(record, state) as cloud:
        yield cloud


@contextmanager
def opened(record: Record, state: StateDir) -> Iterator[LocalCloud]:
    """Open the clients of a local cloud."""
    from redis_fargate.local.clients import Clients  # noqa: PLC0415 - imports boto3, slowly

    clients = Clients(record.endpoint)
    try:
        yield LocalCloud(record, state, clients)
    finally:
        clients.close()


def print_cluster(cloud: LocalCloud, result: Result, *, as_json: bool) -> None:
    """Print what a local cluster is like, and how to connect to it."""
    password = cloud.password()
    node = _entry(result)
    if as_json:
        print_json(_document(cloud, result, node, password))
        return
    print_result(result)
    if node is None:
        return
    client = next(filter(shutil.which, ("redis-cli", "valkey-cli")), "redis-cli")
    print_line()
    print_line("Connect:")
    print_line(f"  REDISCLI_AUTH={password} {client} -c -h {node.address}")
    print_line(
        f'  python -c \'from redis.cluster import RedisCluster as R; r = R("{node.address}", '
        f'{REDIS_PORT}, password="{password}"); r.set("hello", "world"); print(r.get("hello"))\''
    )
    print_line(f"AWS API: export AWS_ENDPOINT_URL={cloud.record.endpoint} (any credentials)")


def _entry(result: Result) -> NodeReport | None:
    """Choose a node that a client can begin with."""
    return next((shard.master for shard in result.shards if shard.master), None)


def _document(
    cloud: LocalCloud, result: Result, node: NodeReport | None, password: str
) -> dict[str, Any]:
    return {
        "endpoint_url": cloud.record.endpoint,
        "region": cloud.clients.region,
        "pid": cloud.record.pid,
        "state_directory": str(cloud.state.root),
        "options": cloud.record.options,
        "connect": {
            "host": node.address if node else None,
            "port": REDIS_PORT,
            "password": password,
        },
        "result": result.to_dict(),
    }
