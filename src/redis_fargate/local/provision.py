"""Creates through AWS' API what the Terraform module creates, so that no Terraform is needed.

What is created is said in ``blueprint``; here it is done, in the order that references ask for.
The rules and the function are there before the service is, so that the first event of the first
task forms the cluster.
"""

import secrets
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from redis_fargate.local import blueprint as names
from redis_fargate.local.blueprint import Blueprint, trust
from redis_fargate.local.clients import Clients
from redis_fargate.local.errors import StartFailed
from redis_fargate.local.polling import Seen, until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda.literals import RuntimeType

_PASSWORD_BYTES = 24
_READY_TIMEOUT_S = 30
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was created, as far as anybody asks for it later."""

    cluster_arn: str
    service_arn: str
    function_arn: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Network:
    subnets: Sequence[str]
    group: str
    registry: str


@dataclass(frozen=True, slots=True)
class _Roles:
    execution: str
    task: str
    controller: str


def provision(clients: Clients, blueprint: Blueprint, package: Path) -> Provisioned:
    """Create everything; the service's tasks start at the end.

    ``package`` is the controller's zip. Botocore's errors pass through.
    """
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    with ThreadPoolExecutor(thread_name_prefix="provision") as pool:
        # What does not depend on each other, at once: most of the time is each service's own start.
        network = pool.submit(_create_network, clients, blueprint)
        secret = pool.submit(_create_secret, clients, blueprint, password)
        roles = pool.submit(_create_roles, clients, blueprint)
        others = [
            pool.submit(_create_log_groups, clients, blueprint),
            pool.submit(_create_table, clients, blueprint),
        ]
        cluster_arn = _create_cluster(clients, blueprint)
        for other in others:
            other.result()
        function_arn = _create_function(
            clients, blueprint, package, roles.result().controller, secret.result()
        )
        _create_rules(clients, blueprint, cluster_arn, function_arn)
        service_arn = _create_service(
            clients, blueprint, network.result(), roles.result(), secret.result()
        )
    return Provisioned(cluster_arn, service_arn, function_arn, password)


def _create_network(clients: Clients, blueprint: Blueprint) -> _Network:
    ec2 = clients.ec2
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)[
            "Subnet"
        ]["SubnetId"]
        for number, zone in enumerate(blueprint.zones)
    ]
    group = ec2.create_security_group(
        GroupName=blueprint.cluster_name, Description="Nodes of a Redis Cluster", VpcId=vpc
    )["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": port,
                "ToPort": port,
                "UserIdGroupPairs": [{"GroupId": group}],
            }
            for port in (names.REDIS_PORT, names.BUS_PORT)
        ],
    )
    return _Network(subnets, group, _create_registry(clients, vpc))


def _create_registry(clients: Clients, vpc: str) -> str:
    discovery = clients.servicediscovery
    operation_id = discovery.create_private_dns_namespace(Name=names.NAMESPACE, Vpc=vpc)[
        "OperationId"
    ]
    operation = _once(
        lambda: discovery.get_operation(OperationId=operation_id)["Operation"],
        lambda operation: operation["Status"] == "SUCCESS",
        f"The Cloud Map namespace {names.NAMESPACE}",
    )
    return discovery.create_service(
        Name=names.DISCOVERY_SERVICE,
        NamespaceId=operation["Targets"]["NAMESPACE"],
        DnsConfig={
            "RoutingPolicy": "MULTIVALUE",
            "DnsRecords": [{"Type": "A", "TTL": 10}],
        },
        HealthCheckCustomConfig={"FailureThreshold": 1},
    )["Service"]["Arn"]


def _create_secret(clients: Clients, blueprint: Blueprint, password: str) -> str:
    return clients.secrets.create_secret(Name=blueprint.password_secret, SecretString=password)[
        "ARN"
    ]


def _create_roles(clients: Clients, blueprint: Blueprint) -> _Roles:
    iam: IAMClient = clients.client("iam")

    def role(name: str, service: str) -> str:
        return iam.create_role(
            RoleName=f"{blueprint.cluster_name}-{name}", AssumeRolePolicyDocument=trust(service)
        )["Role"]["Arn"]

    return _Roles(
        execution=role("execution", "ecs-tasks"),
        task=role("task", "ecs-tasks"),
        controller=role("initializer", "lambda"),
    )


def _create_log_groups(clients: Clients, blueprint: Blueprint) -> None:
    for name in (blueprint.task_log_group, blueprint.controller_log_group):
        clients.logs.create_log_group(logGroupName=name)


def _create_table(clients: Clients, blueprint: Blueprint) -> None:
    dynamodb: DynamoDBClient = clients.client("dynamodb")
    dynamodb.create_table(**blueprint.table())
    _once(
        lambda: dynamodb.describe_table(TableName=blueprint.state_table)["Table"],
        lambda table: table["TableStatus"] == "ACTIVE",
        f"The table {blueprint.state_table}",
    )
    dynamodb.update_time_to_live(
        TableName=blueprint.state_table,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"},
    )


def _create_cluster(clients: Clients, blueprint: Blueprint) -> str:
    ecs: ECSClient = clients.client("ecs")
    cluster = ecs.create_cluster(
        clusterName=blueprint.cluster_name, capacityProviders=["FARGATE", "FARGATE_SPOT"]
    )
    return cluster["cluster"]["clusterArn"]


def _create_function(
    clients: Clients, blueprint: Blueprint, package: Path, role: str, secret_arn: str
) -> str:
    function = clients.functions.create_function(
        FunctionName=blueprint.function_name,
        # The endpoint runs it in the very Python that we run in.
        Runtime=cast("RuntimeType", f"python3.{sys.version_info.minor}"),
        Role=role,
        Handler=names.HANDLER,
        Code={"ZipFile": package.read_bytes()},
        Timeout=names.CONTROLLER_TIMEOUT_S,
        MemorySize=names.CONTROLLER_MEMORY_MIB,
        Environment={"Variables": blueprint.controller_environment(secret_arn)},
    )
    _once(
        lambda: clients.functions.get_function(FunctionName=blueprint.function_name),
        lambda function: function["Configuration"].get("State", "Active") == "Active",
        f"The function {blueprint.function_name}",
    )
    return function["FunctionArn"]


def _create_rules(
    clients: Clients, blueprint: Blueprint, cluster_arn: str, function_arn: str
) -> None:
    for name, rule in blueprint.rules(cluster_arn).items():
        rule_arn = clients.events.put_rule(Name=name, State="ENABLED", **rule)["RuleArn"]
        clients.functions.add_permission(
            FunctionName=blueprint.function_name,
            StatementId=name,
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=rule_arn,
        )
        clients.events.put_targets(Rule=name, Targets=[{"Id": "controller", "Arn": function_arn}])


def _create_service(
    clients: Clients, blueprint: Blueprint, network: _Network, roles: _Roles, secret_arn: str
) -> str:
    ecs: ECSClient = clients.client("ecs")
    definition = ecs.register_task_definition(
        **blueprint.task_definition(secret_arn, roles.execution, roles.task)
    )["taskDefinition"]["taskDefinitionArn"]
    service = ecs.create_service(
        **blueprint.service(definition, network.subnets, network.group, network.registry)
    )
    return service["service"]["serviceArn"]


def _once(look: Callable[[], Seen], ready: Callable[[Seen], bool], what: str) -> Seen:
    """Look again and again until it is ready; boto3's own waiters wait whole seconds in between."""
    seen = until(look, ready, _READY_TIMEOUT_S, _POLL_S)
    if not ready(seen):
        raise StartFailed(f"{what} was not ready after {_READY_TIMEOUT_S} s: {seen}")
    return seen
