from datetime import UTC, datetime

import pytest
from botocore.stub import Stubber

from redis_fargate.aws.clients import Clients
from redis_fargate.aws.errors import AccessDenied, AwsRefused
from redis_fargate.aws.tasks import ServiceTasks
from redis_fargate.topology.view import Task

PREFIX = "arn:aws:ecs:us-east-1:000000000000:task/redis/"
REVISION = "arn:aws:ecs:us-east-1:000000000000:task-definition/redis:1"
STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def task_id(number):
    return f"{number:032x}"


def described(number, last="RUNNING", desired="RUNNING", address="", **more):
    details = [{"name": "subnetId", "value": "subnet-1"}]
    if address:
        details.append({"name": "privateIPv4Address", "value": address})
    return {
        "taskArn": PREFIX + task_id(number),
        "taskDefinitionArn": REVISION,
        "lastStatus": last,
        "desiredStatus": desired,
        "availabilityZone": "us-east-1a",
        "healthStatus": "UNKNOWN",
        "startedAt": STARTED,
        "attachments": [{"type": "ElasticNetworkInterface", "details": details}],
        **more,
    }


class Aws:
    """ECS and Cloud Map that answer any number of threads from lists."""

    def __init__(self, monkeypatch):
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        self.clients = Clients()
        self.tasks = {}
        self.describe_sizes = []
        self.addresses = {}

    def observe(self):
        answers = {
            "ListTasks": self._list_tasks,
            "DescribeTasks": self._describe_tasks,
            "DiscoverInstances": self._discover_instances,
        }
        for client in (self.clients.ecs, self.clients.servicediscovery):
            client._make_api_call = lambda operation, params: answers[operation](params)
        return service(self.clients).observe()

    def _discover_instances(self, params):
        assert params == {
            "NamespaceName": "local",
            "ServiceName": "redis-cluster",
            "MaxResults": 1000,
            "HealthStatus": "ALL",
        }
        instances = self.addresses.items()
        return {
            "Instances": [
                {"InstanceId": name, "Attributes": {"AWS_INSTANCE_IPV4": address}}
                for name, address in instances
            ]
        }

    def _list_tasks(self, params):
        assert params["serviceName"] == "redis-cluster-service"
        arns = [a for a, t in self.tasks.items() if t["desiredStatus"] == params["desiredStatus"]]
        start = int(params.get("nextToken", 0))
        page = {"taskArns": arns[start : start + 100]}
        return page | ({"nextToken": str(start + 100)} if arns[start + 100 :] else {})

    def _describe_tasks(self, params):
        self.describe_sizes.append(len(params["tasks"]))
        known = [self.tasks[arn] for arn in params["tasks"] if arn in self.tasks]
        return {"tasks": known, "failures": []}

    def add(self, *tasks):
        self.tasks |= {task["taskArn"]: task for task in tasks}


def service(clients):
    return ServiceTasks(clients, "redis", "redis-cluster-service", "local", "redis-cluster")


@pytest.fixture
def aws(monkeypatch):
    return Aws(monkeypatch)


def test_a_task_is_read_whole(aws):
    aws.add(described(1, address="10.0.0.1", healthStatus="HEALTHY"))
    aws.addresses[task_id(1)] = "10.0.0.1"
    observed = aws.observe()
    assert observed.remarks == ()
    assert observed.tasks == (
        Task(
            arn=PREFIX + task_id(1),
            id=task_id(1),
            zone="us-east-1a",
            address="10.0.0.1",
            revision=REVISION,
            running=True,
            started_at_s=STARTED.timestamp(),
            healthy=True,
        ),
    )


def test_services_of_any_size(aws):
    aws.add(*(described(n, address=f"10.0.{n // 250}.{n % 250}") for n in range(230, -1, -1)))
    tasks = aws.observe().tasks
    assert [task.id for task in tasks] == [task_id(n) for n in range(231)]
    assert sorted(aws.describe_sizes) == [31, 100, 100]


@pytest.mark.parametrize(
    ("last", "desired", "seen", "running"),
    [
        ("PENDING", "RUNNING", True, False),
        ("RUNNING", "RUNNING", True, True),
        ("RUNNING", "STOPPED", True, False),
        ("STOPPING", "STOPPED", True, False),
        ("DEPROVISIONING", "STOPPED", False, False),
        ("STOPPED", "STOPPED", False, False),
    ],
)
def test_a_task_is_seen_until_its_containers_have_stopped(aws, last, desired, seen, running):
    aws.add(described(1, last, desired))
    assert [task.running for task in aws.observe().tasks] == ([running] if seen else [])


def test_a_task_without_an_interface_yet(aws):
    aws.add(described(1, "PROVISIONING", attachments=[], startedAt=STARTED))
    (task,) = aws.observe().tasks
    assert task.address is None


def test_cloud_map_fills_in_an_address(aws):
    aws.add(described(1))
    aws.addresses[task_id(1)] = "10.0.0.9"
    observed = aws.observe()
    assert observed.tasks[0].address == "10.0.0.9"
    assert observed.remarks == ()


def test_the_interface_wins_over_cloud_map_and_the_difference_is_told(aws):
    aws.add(described(1, address="10.0.0.1"))
    aws.addresses[task_id(1)] = "10.0.0.9"
    observed = aws.observe()
    assert observed.tasks[0].address == "10.0.0.1"
    (remark,) = observed.remarks
    assert task_id(1) in remark
    assert "10.0.0.9" in remark


def observe_with_error(clients, operation, code):
    """Look with one kind of call failing, as botocore's own model has it."""
    ecs, discovery = Stubber(clients.ecs), Stubber(clients.servicediscovery)
    if operation == "list_tasks":
        ecs.add_client_error(operation, code, "no", 400)
        ecs.add_client_error(operation, code, "no", 400)
        discovery.add_response("discover_instances", {"Instances": []})
    else:
        ecs.add_response("list_tasks", {"taskArns": []})
        ecs.add_response("list_tasks", {"taskArns": []})
        discovery.add_client_error(operation, code, "no", 400)
    with ecs, discovery:
        return service(clients).observe()


def test_an_unknown_service_is_named(aws):
    with pytest.raises(AwsRefused, match=r"service redis-cluster-service in cluster redis"):
        observe_with_error(aws.clients, "list_tasks", "ServiceNotFoundException")


def test_a_denied_discovery_is_for_a_person(aws):
    with pytest.raises(
        AccessDenied, match=r"servicediscovery:DiscoverInstances on .*cluster\.local"
    ):
        observe_with_error(aws.clients, "discover_instances", "AccessDeniedException")


def test_a_failing_discovery_is_only_remarked(aws):
    observed = observe_with_error(aws.clients, "discover_instances", "RequestLimitExceeded")
    assert "RequestLimitExceeded" in observed.remarks[0]
