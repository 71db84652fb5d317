"""Changes what is wanted of the local cluster, as an apply of the Terraform module does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from redis_fargate.aws.errors import translated
from redis_fargate.local.blueprint import CONTROLLER_TIMEOUT_S, SERVICE
from redis_fargate.local.clients import Clients
from redis_fargate.topology.spec import Spec

if TYPE_CHECKING:
    from botocore.model import StructureShape
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ecs import ECSClient

_LEASE = {"kind": {"S": "lease"}, "id": {"S": "lease"}}
_MARKER = {"kind": {"S": "marker"}, "id": {"S": "marker"}}


@dataclass(frozen=True, slots=True)
class Changes:
    """The service, the controller's function and its table of one cluster.

    Every method raises AwsUnavailable, AccessDenied or AwsRefused as ``errors.translated`` of
    ``aws`` does.
    """

    clients: Clients
    cluster_name: str

    @property
    def function_name(self) -> str:
        """The controller's function."""
        return f"{self.cluster_name}-initializer"

    def spec(self) -> Spec:
        """Give what the controller is told to be wanted."""
        variables = self._variables()
        return Spec(int(variables["MASTER_COUNT"]), int(variables["REPLICA_COUNT"]))

    def want(self, spec: Spec, *, run_timeout_s: int = CONTROLLER_TIMEOUT_S) -> None:
        """Want another number of tasks. The controller is told first.

        It judges the tasks that come by what is wanted; and it takes masters that are to go out of
        service, and the protection from their tasks, before ECS may stop any.

        ``run_timeout_s`` is how long a run of the controller may take from now on.

        """
        counts = {"MASTER_COUNT": str(spec.master_count), "REPLICA_COUNT": str(spec.replica_count)}
        variables = self._variables() | counts
        with translated("lambda", f"function {self.function_name}"):
            self.clients.functions.update_function_configuration(
                FunctionName=self.function_name,
                Environment={"Variables": variables},
                Timeout=run_timeout_s,
            )
        with translated("ecs", f"service {SERVICE}"):
            self._ecs.update_service(
                cluster=self.cluster_name, service=SERVICE, desiredCount=spec.task_count
            )
        with translated("lambda", f"function {self.function_name}"):
            # As an apply does: where the counts change and their sum does not, ECS says nothing.
            self.clients.functions.invoke(
                FunctionName=self.function_name,
                InvocationType="Event",
                Payload=b'{"action": "reconcile"}',
            )

    def deploy(self, changes: Mapping[str, Any]) -> str:
        """Roll out a new revision of the task definition; its ARN.

        ``changes`` are made to the container's definition; none is a new revision all the same.
        """
        with translated("ecs", f"service {SERVICE}"):
            service = self.service()
            definition = cast(
                "dict[str, Any]",
                self._ecs.describe_task_definition(taskDefinition=service["taskDefinition"])[
                    "taskDefinition"
                ],
            )
            asked = self._ecs.meta.service_model.shape_for("RegisterTaskDefinitionRequest")
            request = {
                name: value
                for name, value in definition.items()
                if name in cast("StructureShape", asked).members
            }
            request["containerDefinitions"][0] |= changes
            arn = self._ecs.register_task_definition(**request)["taskDefinition"][
                "taskDefinitionArn"
            ]
            self._ecs.update_service(cluster=self.cluster_name, service=SERVICE, taskDefinition=arn)
        return arn

    def stop_task(self, task_id: str) -> None:
        """Have ECS stop a task, protected or not, as it does where a host is retired."""
        with translated("ecs", f"task {task_id}"):
            self._ecs.stop_task(cluster=self.cluster_name, task=task_id, reason="a rehearsal")

    def service(self) -> dict[str, Any]:
        """Describe the ECS service, as ECS does."""
        with translated("ecs", f"service {SERVICE}"):
            found = self._ecs.describe_services(cluster=self.cluster_name, services=[SERVICE])
        return cast("dict[str, Any]", found["services"][0])

    def at_work(self) -> bool:
        """Whether a run of the controller holds the lease."""
        return "owner" in self._item(_LEASE)

    def slots_moving(self) -> bool:
        """Whether the controller has written down that slots may be in flight."""
        return bool(self._item(_MARKER).get("moving", {}).get("S"))

    def _item(self, key: Mapping[str, Any]) -> Mapping[str, Any]:
        table = f"{self.cluster_name}-state"
        tables: DynamoDBClient = self.clients.client("dynamodb")
        with translated("dynamodb", f"table {table}"):
            return tables.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})

    def _variables(self) -> dict[str, str]:
        with translated("lambda", f"function {self.function_name}"):
            function = self.clients.functions.get_function_configuration(
                FunctionName=self.function_name
            )
        return function["Environment"]["Variables"]

    @property
    def _ecs(self) -> "ECSClient":
        return cast("ECSClient", self.clients.client("ecs"))
