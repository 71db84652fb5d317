"""HashiCorp's AWS provider applies the module to the local cloud, and clusters form in it.

The provider is the one that ``fetch_provider.py`` got. What it does not know, being old, is dropped
from the copies that are applied (``fitting.py``); that is printed. Terraform is made to run it
whatever version the module asks for, by a development override.

The configurations live through their lives at the same time: the provider mostly waits.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fitting import fit
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import AuthenticationError, RedisError
from rig import Cli, eventually, invoke, nodes_of
from run_terraform import terraform
from stand_in import SOURCE

from redis_fargate.local.clients import ACCESS_KEY, SECRET_KEY, Clients
from redis_fargate.local.launching import launched, stop
from redis_fargate.local.module import write_root
from redis_fargate.local.statedir import StateDir
from servers import PORT

ROOT = Path(__file__).parent.parent.parent
PROVIDER = ROOT / ".cache/provider"
KEYS = 1000
CLI_CONFIG = """
provider_installation {
  dev_overrides {
    "hashicorp/aws" = "%s"
  }
}
"""


@dataclass(frozen=True)
class Root:
    """A root configuration whose resources go to the local cloud."""

    folder: Path
    cli_config: Path

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output."""
        settings = {"TF_CLI_CONFIG_FILE": str(self.cli_config)}
        return terraform(self.folder, *arguments, serving_environment=settings)

    def done(self, *arguments: str) -> str:
        """Output of what has to succeed."""
        code, output = self.run(*arguments)
        assert code == 0, output
        return output

    def apply(self) -> None:
        self.done("apply", "-no-color", "-auto-approve")

    def assert_nothing_to_do(self) -> None:
        code, output = self.run("plan", "-no-color", "-detailed-exitcode")
        assert code == 0, output

    def change(self, old: str, new: str) -> None:
        main = self.folder / "main.tf"
        text = main.read_text()
        assert text.count(old) == 1
        main.write_text(text.replace(old, new))

    @contextmanager
    def overridden(self, **arguments: object) -> Iterator[None]:
        """With other arguments of the module."""
        override = self.folder / "module_override.tf.json"
        override.write_text(json.dumps({"module": {"redis_cluster": arguments}}))
        yield
        override.unlink()

    def destroy(self, clients: Clients, cluster: str) -> None:
        code, output = self.run("destroy", "-no-color", "-auto-approve")
        if code != 0 and "ClusterContainsTasksException" in output:
            # A provider of 2021 does not wait until the last tasks have stopped.
            eventually(lambda: not unstopped(clients, cluster))
            code, output = self.run("destroy", "-no-color", "-auto-approve")
        assert code == 0, output
        assert "Destroy complete!" in output


@dataclass(frozen=True)
class Roots:
    quickstart: Root
    """What `init` writes."""
    production: Root
    tls: Root
    changes: list[str]
    """What was made of the copies, for the provider's sake."""

    def __iter__(self) -> Iterator[Root]:
        yield from (self.quickstart, self.production, self.tls)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """An empty local cloud."""
    cli = Cli(tmp_path_factory.mktemp("applied") / "home")
    state = StateDir(cli.home)
    state.create()
    clients = Clients(cli.endpoint)
    with launched(state, cli.port) as cloud:
        try:
            cloud.await_ready()
            yield clients
        finally:
            clients.close()
            stop(cloud.process.pid, cloud.started_ticks, state)
            cloud.process.wait()
    state.remove()
    cli.assert_nothing_left()


@pytest.fixture(scope="module")
def roots(cloud: Clients, tmp_path_factory: pytest.TempPathFactory) -> Roots:
    """What `init` writes, and beside it two examples, for the provider that there is."""
    assert (PROVIDER / "ready").exists(), "there is no provider: run `make .cache/provider/ready`"
    home = tmp_path_factory.mktemp("roots")
    cli_config = home / "terraform.rc"
    cli_config.write_text(CLI_CONFIG % PROVIDER)
    folder = home / "init"
    write_root(folder, "my-redis-cluster", "us-east-1")
    for example in ("production", "tls"):
        text = (ROOT / f"examples/{example}/main.tf").read_text()
        (folder / example).mkdir()
        (folder / example / "main.tf").write_text(text.replace('"../.."', '"../redis-fargate"'))

    quickstart = Root(folder, cli_config)
    quickstart.done("get")
    schemas = json.loads(quickstart.done("providers", "schema", "-json"))
    provider = schemas["provider_schemas"][SOURCE]
    changes = adapt(folder, provider)
    roots = Roots(
        quickstart,
        Root(folder / "production", cli_config),
        Root(folder / "tls", cli_config),
        changes,
    )
    override = {"provider": {"aws": at(cloud.url, provider["provider"])}}
    for root in roots:
        root.done("get")
        (root.folder / "provider_override.tf.json").write_text(json.dumps(override))
    return roots


def adapt(folder: Path, provider: dict[str, Any]) -> list[str]:
    """Make the files below what the provider knows; gives what was changed, in words."""
    if "ephemeral_resource_schemas" in provider:
        return fit(folder, provider)
    # A provider of before 2025. It knows the settings of a cluster, but never reads them back, and
    # would set them again with each apply: hashicorp/terraform-provider-aws#20937.
    cluster = provider["resource_schemas"]["aws_ecs_cluster"]["block"]
    cluster["block_types"].pop("setting")
    # It has the list of Lambda's runtimes of its day. The endpoint runs its own Python anyway.
    function = {"aws_lambda_function": {"controller": {"runtime": "python3.8"}}}
    override = folder / "redis-fargate/runtime_override.tf.json"
    override.write_text(json.dumps({"resource": function}))
    change = "redis-fargate/controller.tf: resource aws_lambda_function.controller: runtime is 3.8"
    return [change, *fit(folder, provider)]


def at(url: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The provider's arguments by which it finds the local cloud."""
    endpoints = schema["block"]["block_types"]["endpoints"]["block"]["attributes"]
    return {
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "endpoints": dict.fromkeys(endpoints, url),
    }


def status(clients: Clients, cluster: str) -> dict[str, Any]:
    return invoke(clients, "status", f"{cluster}-initializer")


def roles(result: dict[str, Any]) -> dict[str, set[str]]:
    """Role to the tasks that have it."""
    masters = {shard["master"]["task_id"] for shard in result["shards"]}
    replicas = {node["task_id"] for shard in result["shards"] for node in shard["replicas"]}
    return {"master": masters, "replica": replicas}


def unstopped(clients: Clients, cluster: str) -> list[str]:
    """The tasks of a cluster that have not stopped yet."""
    ecs = clients.client("ecs")
    tasks = [
        task
        for desired in ("RUNNING", "STOPPED")
        for task in ecs.list_tasks(cluster=cluster, desiredStatus=desired)["taskArns"]
    ]
    described = ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"] if tasks else []
    return [task["taskArn"] for task in described if task["lastStatus"] != "STOPPED"]


def left_over(clients: Clients) -> dict[str, Any]:
    """What there is of everything that the configurations create."""
    ec2, discovery = clients.ec2, clients.servicediscovery
    state = [{"Name": "state", "Values": ["available", "pending", "deleting"]}]
    return {
        "clusters": clients.client("ecs").list_clusters()["clusterArns"],
        "definitions": clients.client("ecs").list_task_definitions()["taskDefinitionArns"],
        "functions": clients.functions.list_functions()["Functions"],
        "rules": clients.events.list_rules()["Rules"],
        "tables": clients.client("dynamodb").list_tables()["TableNames"],
        "queues": clients.client("sqs").list_queues().get("QueueUrls", []),
        "groups": clients.logs.describe_log_groups()["logGroups"],
        "secrets": clients.secrets.list_secrets()["SecretList"],
        "roles": clients.client("iam").list_roles()["Roles"],
        "namespaces": discovery.list_namespaces()["Namespaces"],
        "services": discovery.list_services()["Services"],
        "VPCs": [vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"]],
        "subnets": [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]],
        "firewalls": [
            group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]
        ],
        "tables of routes": len(ec2.describe_route_tables()["RouteTables"]),
        "gateways": len(ec2.describe_internet_gateways()["InternetGateways"]),
        "NAT": ec2.describe_nat_gateways(Filters=state)["NatGateways"],
        "addresses": ec2.describe_addresses()["Addresses"],
        # A key is not deleted at once, but after a week at least.
        "keys": [
            key["KeyId"]
            for key in clients.client("kms").list_keys()["Keys"]
            if clients.client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Enabled"]
        ],
    }


def quickstart_lives(clients: Clients, root: Root) -> None:
    name = "my-redis-cluster"
    root.apply()
    formed = status(clients, name)
    assert formed["health"] == "ok", formed
    assert {role: len(tasks) for role, tasks in roles(formed).items()} == {
        "master": 3,
        "replica": 3,
    }
    root.assert_nothing_to_do()
    host = formed["shards"][0]["master"]["address"]
    with RedisCluster(host=host, port=PORT) as client:
        for number in range(KEYS):
            client.set(f"key:{number}", number)

    root.change("timeout          = 300", "timeout          = 600")
    root.apply()
    rolled = status(clients, name)
    assert rolled["health"] == "ok", rolled
    assert len(nodes_of(rolled)) == 6
    assert not tasks_of(rolled) & tasks_of(formed)
    with RedisCluster(host=rolled["shards"][0]["master"]["address"], port=PORT) as client:
        answers = client.config_get("timeout", target_nodes=RedisCluster.ALL_NODES)
        assert [answer["timeout"] for answer in answers.values()] == ["600"] * 6
        values = client.mget_nonatomic(*(f"key:{number}" for number in range(KEYS)))
        assert values == [str(number).encode() for number in range(KEYS)]
    root.assert_nothing_to_do()
    root.destroy(clients, name)


def tasks_of(result: dict[str, Any]) -> set[str]:
    return {node["task_id"] for node in nodes_of(result)}


def production_lives(clients: Clients, root: Root) -> None:
    name = "redis-production"
    # Nobody asks the controller to act: rules call it.
    with root.overridden(wait_for_healthy=False):
        root.apply()
    formed = eventually(
        lambda: status(clients, name), lambda seen: seen["health"] == "ok", timeout_s=120
    )
    assert {role: len(tasks) for role, tasks in roles(formed).items()} == {
        "master": 3,
        "replica": 6,
    }
    host = formed["shards"][0]["master"]["address"]
    with Redis(host=host, port=PORT) as client, pytest.raises(AuthenticationError):
        client.ping()
    password = clients.secrets.get_secret_value(SecretId=f"{name}-password")["SecretString"]
    with RedisCluster(host=host, port=PORT, password=password) as client:
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "allkeys-lfu"

    root.change("replica_count              = 6", "replica_count              = 9")
    root.apply()
    grown = status(clients, name)
    assert grown["health"] == "ok", grown
    assert roles(grown)["master"] == roles(formed)["master"]
    assert roles(grown)["replica"] > roles(formed)["replica"]
    assert len(roles(grown)["replica"]) == 9
    root.assert_nothing_to_do()
    root.destroy(clients, name)


def tls_lives(clients: Clients, root: Root) -> None:
    name = "redis-tls"
    made = subprocess.run(
        ["sh", ROOT / "examples/tls/certificates.sh"], capture_output=True, text=True, check=True
    ).stdout
    variables = root.folder / "terraform.tfvars.json"
    variables.write_text(json.dumps({"certificates": made}))
    # The endpoint has a namespace of a name once, whatever the VPC.
    with root.overridden(cloudmap_namespace="redis-cluster.tls"):
        root.apply()
        formed = status(clients, name)
        assert formed["health"] == "ok", formed
        assert {role: len(tasks) for role, tasks in roles(formed).items()} == {
            "master": 3,
            "replica": 3,
        }
        password = clients.secrets.get_secret_value(SecretId=f"{name}-password")["SecretString"]
        server = {
            "host": formed["shards"][0]["master"]["address"],
            "port": PORT,
            "password": password,
        }
        with Redis(**server) as client, pytest.raises(RedisError):
            client.ping()
        trust = {"ssl_ca_data": json.loads(made)["ca"], "ssl_check_hostname": False}
        with RedisCluster(**server, ssl=True, **trust) as client:
            assert client.set("key", "value")
            assert client.get("key") == b"value"
        root.assert_nothing_to_do()
        root.destroy(clients, name)


@pytest.fixture(scope="module")
def before(cloud: Clients) -> dict[str, Any]:
    return left_over(cloud)


@pytest.fixture(scope="module")
def lives(
    cloud: Clients, before: dict[str, Any], roots: Roots
) -> Iterator[dict[str, "Future[None]"]]:
    with ThreadPoolExecutor(3) as pool:
        yield {
            "quickstart": pool.submit(quickstart_lives, cloud, roots.quickstart),
            "production": pool.submit(production_lives, cloud, roots.production),
            "tls": pool.submit(tls_lives, cloud, roots.tls),
        }


def test_what_the_provider_does_not_know(roots: Roots, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *roots.changes, ""]))
    for root in roots:
        root.done("validate", "-no-color")


@pytest.mark.parametrize("life", ["quickstart", "production", "tls"])
def test_applied_changed_and_destroyed(lives: dict[str, "Future[None]"], life: str) -> None:
    lives[life].result()


def test_nothing_is_left(
    cloud: Clients, before: dict[str, Any], lives: dict[str, "Future[None]"]
) -> None:
    for life in lives.values():
        life.exception()
    assert left_over(cloud) == before
