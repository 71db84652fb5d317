"""The roles' policies, as the module makes them, against the calls that are made with them.

A cluster forms and heals in a local cloud whose IAM enforces the controller's policy for all
services but ECS, which is ours and enforces nothing. Then every call that was made must be allowed
by a statement, whose conditions are judged here, and every action on every resource that is allowed
must have been used, but for those that Lambda uses itself for a function.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rig import Cli, eventually, invoke, nodes_of
from run_terraform import planned
from stand_in import ACCOUNT as PLANNED_ACCOUNT

from redis_fargate.local import processes
from redis_fargate.local.blueprint import SERVICE, Blueprint
from redis_fargate.local.clients import ACCESS_KEY, ACCOUNT, REGION, Clients
from redis_fargate.local.launching import Launched, stop
from redis_fargate.local.package import build
from redis_fargate.local.provision import provision
from redis_fargate.local.statedir import StateDir
from redis_fargate.topology.spec import Spec

HERE = Path(__file__).parent
CLUSTER = "redis-local"
LAMBDAS_OWN = {
    # The network interface in the VPC, the log and the dead letters: what Lambda does with the
    # function's role before and after the function runs.
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:SendMessage",
}
IN_A_TRANSACTION = {
    "ConditionCheck": "ConditionCheckItem", "Delete": "DeleteItem", "Put": "PutItem",
    "Update": "UpdateItem",
}  # fmt: skip


@dataclass(frozen=True)
class _Unstarted(Blueprint):
    """A service without tasks, until the role has its policy."""

    def service(self, *arguments: Any) -> dict[str, Any]:
        return Blueprint.service(self, *arguments) | {"desiredCount": 0}


BLUEPRINT = _Unstarted(CLUSTER, Spec(3, 1), "valkey/valkey:9", [f"{REGION}{z}" for z in "abc"])


@dataclass(frozen=True)
class Need:
    """What a policy must allow for a call."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()

    def allowed_by(self, statement: dict[str, Any]) -> bool:
        context = dict(self.context)
        return (
            statement["Effect"] == "Allow"
            and self.action in statement["Action"]
            and any(fnmatchcase(self.resource, pattern) for pattern in statement["Resource"])
            and all(
                context.get(key) in (values if isinstance(values, list) else [values])
                for conditions in statement.get("Condition", {}).values()
                for key, values in conditions.items()
            )
        )


def needs(call: dict[str, Any]) -> Iterator[Need]:
    """The actions, resources and condition keys of a call (service authorization reference)."""
    service, operation, body = call["service"], call["operation"], call["body"]
    action = f"{service}:{operation}"
    if service == "ecs":
        cluster = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{body['cluster']}"
        services = [
            cluster.replace(":cluster/", ":service/") + f"/{name}"
            for name in body.get("services", [])
        ]
        for resource in body.get("tasks") or services or ["*"]:
            yield Need(action, resource, (("ecs:cluster", cluster),))
    elif service == "servicediscovery":
        names = {f"servicediscovery:{key}": body[key] for key in ("NamespaceName", "ServiceName")}
        yield Need(action, "*", tuple(names.items()))
    elif service == "dynamodb":
        table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"
        for part in body.get("TransactItems", []):
            ((kind, inner),) = part.items()
            yield Need(f"dynamodb:{IN_A_TRANSACTION[kind]}", table + inner["TableName"])
        if "TableName" in body:
            yield Need(action, table + body["TableName"])
    elif service == "secretsmanager":
        yield Need(action, body["SecretId"])
    elif service == "logs":
        stream = f"{body['logGroupName']}:log-stream:{body['logStreamName']}"
        yield Need(action, f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{stream}")
    else:
        raise AssertionError(f"which action does {call} need?")


def assert_no_more_and_no_less(
    statements: list[dict[str, Any]], made: list[dict[str, Any]], own: set[str]
) -> None:
    wanted = {need for call in made for need in needs(call)}
    missing = [need for need in wanted if not any(need.allowed_by(it) for it in statements)]
    assert not missing
    unused = [
        (action, resource)
        for statement in statements
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
        for resource in statement["Resource"]
        if action not in own
        and not any(
            need.allowed_by(statement | {"Action": [action], "Resource": [resource]})
            for need in wanted
        )
    ]
    assert not unused


@contextmanager
def guarded_cloud(state: StateDir, port: int, calls: Path) -> Iterator[None]:
    state.create()
    ours, theirs = socket.socketpair()
    with ours, theirs, state.log.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, HERE / "guarded_cloud.py", "--root", state.root),
                *("--port", str(port), "--control", str(theirs.fileno())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=state.root,
            env={**os.environ, "TMPDIR": str(state.tmp), "CALLS_FILE": str(calls)},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        ticks = processes.start_ticks(process.pid) or 0
        try:
            Launched(state, process, ours, ticks).await_ready()
            yield
        finally:
            stop(process.pid, ticks, state)
            process.wait()


def test_each_role_is_allowed_what_it_uses_and_no_more(
    module: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    cli = Cli(tmp_path / "home")
    clients = Clients(cli.endpoint)
    with guarded_cloud(StateDir(cli.home), cli.port, calls):
        provision(clients, BLUEPRINT, build(tmp_path / "controller.zip"))
        answer = clients.functions.invoke(
            FunctionName=BLUEPRINT.function_name, Payload=json.dumps({"action": "status"})
        )
        assert "AWS denied" in answer["Payload"].read().decode()

        secret = clients.secrets.describe_secret(SecretId=BLUEPRINT.password_secret)["ARN"]
        policies = planned_policies(module, environment, secret)
        clients.client("iam").put_role_policy(
            RoleName=f"{CLUSTER}-initializer",
            PolicyName="initializer",
            PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": enforceable(policies)}
            ),
        )
        before = len(calls.read_text().splitlines())
        count = BLUEPRINT.spec.task_count
        ecs = clients.client("ecs")
        ecs.update_service(cluster=CLUSTER, service=SERVICE, desiredCount=count)
        formed = healthy(clients, count)
        (gone,) = (task for shard in formed["shards"] for task in shard["replicas"])
        ecs.stop_task(cluster=CLUSTER, task=gone["task_id"])
        eventually(
            lambda: {node["task_id"] for node in nodes_of(invoke(clients, "status"))},
            lambda tasks: gone["task_id"] not in tasks,
        )
        healthy(clients, count)
    clients.close()

    made = [json.loads(line) for line in calls.read_text().splitlines()[before:]]
    # The function has credentials of its role's; the rest of the cloud is its root.
    by_controller = [call for call in made if call["key"].startswith("ASIA")]
    by_ecs = [
        call
        for call in made
        if call["key"] == ACCESS_KEY and call["service"] in {"logs", "secretsmanager"}
    ]
    assert_no_more_and_no_less(policies["initializer"], by_controller, LAMBDAS_OWN)
    assert_no_more_and_no_less(policies["execution"], by_ecs, set())


def planned_policies(
    module: Path, environment: dict[str, str], secret: str
) -> dict[str, list[dict[str, Any]]]:
    """Role to the statements that the module gives it for the blueprint's inputs."""
    values = planned(
        module,
        {
            "auth": {"password_secret_arn": secret},
            "cluster_name": CLUSTER,
            "master_count": BLUEPRINT.spec.master_count,
            "private_subnet_ids": ["subnet-a", "subnet-b", "subnet-c"],
            "replica_count": BLUEPRINT.spec.replica_count,
            "vpc_id": "vpc-0123456789abcdef0",
        },
        environment,
    )
    return {
        role: json.loads(
            values[f'aws_iam_role_policy.this["{role}"]']["policy"].replace(
                PLANNED_ACCOUNT, ACCOUNT
            )
        )["Statement"]
        for role in ("execution", "initializer")
    }


def enforceable(policies: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The controller's statements, without the condition keys of Cloud Map: ministack has none."""
    return [
        {key: value for key, value in statement.items() if key != "Condition"}
        if statement["Action"] == ["servicediscovery:DiscoverInstances"]
        else statement
        for statement in policies["initializer"]
    ]


def healthy(clients: Clients, count: int) -> dict[str, Any]:
    return eventually(
        lambda: invoke(clients, "status"),
        lambda seen: seen["health"] == "ok" and len(nodes_of(seen)) == count,
        timeout_s=90,
    )
