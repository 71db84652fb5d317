"""HashiCorp's AWS provider applies the module to the local cloud, and clusters form in it.

The provider is the one that ``fetch_provider.py`` got. What it does not know, being old, is dropped
from the copies that are applied (``fitting.py``); that is printed. Terraform is made to run it
whatever version the module asks for, by a development override.

The configurations live through their lives at the same time: the provider mostly waits.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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

from redis_fargate.local.clients import ACCESS_KEY, REGION, SECRET_KEY, Clients
from redis_fargate.local.launching import launched, stop
from redis_fargate.local.module import write_root
from redis_fargate.local.statedir import StateDir
from servers import PORT

ROOT = Path(__file__).parent.parent.parent
PROVIDER = ROOT / ".cache/provider"
KEYS = 1000
AT_ONCE = 3
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

    def destroy(self, clients: Clients, *clusters: str) -> None:
        code, output = self.run("destroy", "-no-color", "-auto-approve")
        if code != 0 and "ClusterContainsTasksException" in output:
            # A provider of 2021 does not wait until the last tasks have stopped.
            eventually(lambda: not unstopped(clients, *clusters))
            code, output = self.run("destroy", "-no-color", "-auto-approve")
        assert code == 0, output
        assert "Destroy complete!" in output


@dataclass(frozen=True)
class Roots:
    by_name: dict[str, Root]
    """The examples; ``quickstart`` is what `init` writes."""
    changes: list[str]
    """What was made of the copies, for the provider's sake."""


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
    """What `init` writes, and beside it the other examples, for the provider that there is."""
    assert (PROVIDER / "ready").exists(), "there is no provider: run `make .cache/provider/ready`"
    home = tmp_path_factory.mktemp("roots")
    cli_config = home / "terraform.rc"
    cli_config.write_text(CLI_CONFIG % PROVIDER)
    folder = home / "init"
    write_root(folder, "my-redis-cluster", "us-east-1")
    roots = {"quickstart": Root(folder, cli_config)}
    for example in LIVES.keys() - roots.keys():
        (folder / example).mkdir()
        for file in (ROOT / f"examples/{example}").glob("*.tf"):
            text = file.read_text().replace('"../..', '"../redis-fargate')
            (folder / example / file.name).write_text(text)
        roots[example] = Root(folder / example, cli_config)

    roots["quickstart"].done("get")
    schemas = json.loads(roots["quickstart"].done("providers", "schema", "-json"))
    provider = schemas["provider_schemas"][SOURCE]
    changes = adapt(folder, provider)
    override = {"provider": {"aws": at(cloud.url, provider["provider"])}}
    for root in roots.values():
        root.done("get")
        (root.folder / "provider_override.tf.json").write_text(json.dumps(override))
    return Roots(roots, changes)


def adapt(folder: Path, provider: dict[str, Any]) -> list[str]:
    """Make the files below what the provider knows; gives what was changed, in words."""
    if "ephemeral_resource_schemas" in provider:
        return fit(folder, provider)
    # A provider of before 2025. It knows the settings of a cluster, but never reads them back, and
    # would set them again with each apply: hashicorp/terraform-provider-aws#20937.
    cluster = provider["resource_schemas"]["aws_ecs_cluster"]["block"]
    cluster["block_types"].pop("setting")
    older = {
        # It has the list of Lambda's runtimes of its day. The endpoint runs its own Python anyway.
        "aws_lambda_function": {"controller": {"runtime": "python3.8"}},
        # What is a resource of its own today.
        "aws_ecs_cluster": {"this": {"capacity_providers": ["FARGATE", "FARGATE_SPOT"]}},
    }
    override = folder / "redis-fargate/older_override.tf.json"
    override.write_text(json.dumps({"resource": older}))
    # In the protocol of its day, the endpoint does not say all of an alarm.
    alarms = {"aws_cloudwatch_metric_alarm": {"redis": {"lifecycle": {"ignore_changes": "all"}}}}
    override = folder / "production/older_override.tf.json"
    override.write_text(json.dumps({"resource": alarms}))
    return [
        "redis-fargate/controller.tf: resource aws_lambda_function.controller: runtime is 3.8",
        "redis-fargate/service.tf: resource aws_ecs_cluster.this: capacity_providers are set here",
        "production/alarms.tf: resource aws_cloudwatch_metric_alarm.redis: changes are ignored",
        *fit(folder, provider),
    ]


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


def unstopped(clients: Clients, *clusters: str) -> list[str]:
    """The tasks that have not stopped yet, of those of the clusters that are still there."""
    ecs = clients.client("ecs")
    found = []
    for cluster in ecs.describe_clusters(clusters=list(clusters))["clusters"]:
        if cluster["status"] != "ACTIVE":
            continue
        of_cluster = {"cluster": cluster["clusterArn"]}
        arns = [
            arn
            for desired in ("RUNNING", "STOPPED")
            for arn in ecs.list_tasks(**of_cluster, desiredStatus=desired)["taskArns"]
        ]
        found += ecs.describe_tasks(**of_cluster, tasks=arns)["tasks"] if arns else []
    return [task["taskArn"] for task in found if task["lastStatus"] != "STOPPED"]


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
        # An invocation that outlasts its function logs: the endpoint makes a group for it, without
        # asking whether the role may. The module's roles may not, and its groups have a retention.
        "groups": [
            group
            for group in clients.logs.describe_log_groups()["logGroups"]
            if "retentionInDays" in group
        ],
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
        "endpoints": ec2.describe_vpc_endpoints()["VpcEndpoints"],
        "alarms": clients.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "repositories": clients.client("ecr").describe_repositories()["repositories"],
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
    host = rolled["shards"][0]["master"]["address"]
    # Servers tell clients of a replica once they have heard how much of the data it has.
    answers = eventually(
        partial(timeouts_of, host), lambda seen: len(seen) == len(nodes_of(rolled))
    )
    assert answers == ["600"] * 6
    with RedisCluster(host=host, port=PORT) as client:
        values = client.mget_nonatomic(*(f"key:{number}" for number in range(KEYS)))
        assert values == [str(number).encode() for number in range(KEYS)]
    root.assert_nothing_to_do()
    root.destroy(clients, name)


def timeouts_of(host: str) -> list[str]:
    """What the nodes that a client is told of are set to."""
    with RedisCluster(host=host, port=PORT) as client:
        answers = client.config_get("timeout", target_nodes=RedisCluster.ALL_NODES)
    return [answer["timeout"] for answer in answers.values()]


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


@contextmanager
def infrastructure(clients: Clients) -> Iterator[dict[str, object]]:
    """What examples/existing-infrastructure finds.

    Gives the arguments that it would find by data sources which the provider of 2021 lacks.
    """
    ec2, ecs, discovery = clients.ec2, clients.client("ecs"), clients.servicediscovery
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "Name", "Value": "main"}])
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("abc")
    ]
    ec2.create_tags(Resources=subnets, Tags=[{"Key": "Tier", "Value": "private"}])
    ecs.create_cluster(clusterName="main")
    operation = discovery.create_private_dns_namespace(Name="internal.example.com", Vpc=vpc)
    made = discovery.get_operation(OperationId=operation["OperationId"])["Operation"]
    namespace = made["Targets"]["NAMESPACE"]
    clients.secrets.create_secret(Name="redis/password", SecretString="of-old")
    try:
        yield {"existing_namespace": {"id": namespace}, "private_subnet_ids": subnets}
    finally:
        clients.secrets.delete_secret(SecretId="redis/password", ForceDeleteWithoutRecovery=True)
        discovery.delete_namespace(Id=namespace)
        eventually(lambda: not unstopped(clients, "main"))
        ecs.delete_cluster(cluster="main")
        for subnet in subnets:
            ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)


def example_lives(
    clusters: Mapping[str, tuple[int, int]], clients: Clients, root: Root, **arguments: object
) -> None:
    """An example that makes clusters, whose names these are, of so many masters and replicas."""
    with root.overridden(**arguments):
        root.apply()
        for name, counts in clusters.items():
            formed = status(clients, name)
            assert formed["health"] == "ok", formed
            found = roles(formed)
            assert (len(found["master"]), len(found["replica"])) == counts
        root.assert_nothing_to_do()
        root.destroy(clients, *clusters)


def existing_infrastructure_lives(clients: Clients, root: Root) -> None:
    with infrastructure(clients) as found:
        example_lives({"redis-existing": (3, 3)}, clients, root, **found)


def high_memory_lives(clients: Clients, root: Root) -> None:
    # The server of the Python package is built without the allocator that this needs.
    root.change("    activedefrag         = true\n", "")
    namespace = {"cloudmap_namespace": "redis-cluster.memory"}
    example_lives({"redis-high-memory": (5, 5)}, clients, root, **namespace)


LIVES: dict[str, Callable[[Clients, Root], None]] = {
    "production": production_lives,
    "quickstart": quickstart_lives,
    "existing-infrastructure": existing_infrastructure_lives,
    "tls": tls_lives,
    "multi-environment": partial(
        example_lives,
        {"redis-dev": (1, 1), "redis-staging": (2, 2), "redis-prod": (3, 6)},
        cluster_name='redis-${each.key == "production" ? "prod" : each.key}',
    ),
    "high-memory": high_memory_lives,
    "spot": partial(example_lives, {"redis-spot": (3, 6)}, cloudmap_namespace="redis-cluster.spot"),
    "no-internet": partial(
        example_lives,
        {"redis-no-internet": (3, 3)},
        cloudmap_namespace="redis-cluster.no-internet",
    ),
}
"""Name of an example to what is done with it, the longest first.

A name that several would give to their Cloud Map namespaces is another one here: the endpoint has a
namespace of a name once, whatever the VPC.
"""


@pytest.fixture(scope="module")
def before(cloud: Clients) -> dict[str, Any]:
    return left_over(cloud)


@pytest.fixture(scope="module")
def lives(
    cloud: Clients, before: dict[str, Any], roots: Roots
) -> Iterator[dict[str, "Future[None]"]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(live, cloud, roots.by_name[name]) for name, live in LIVES.items()}


def test_what_the_provider_does_not_know(roots: Roots, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *roots.changes, ""]))


@pytest.mark.parametrize("life", LIVES)
def test_applied_changed_and_destroyed(lives: dict[str, "Future[None]"], life: str) -> None:
    lives[life].result()


def test_nothing_is_left(
    cloud: Clients, before: dict[str, Any], lives: dict[str, "Future[None]"]
) -> None:
    for life in lives.values():
        life.exception()
    assert left_over(cloud) == before
