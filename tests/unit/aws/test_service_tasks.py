from datetime import UTC, datetime
from functools import partial

import pytest

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
        self.protected = {}
        self.told = []
        self.failures = []
        self.errors = {}

    def observe(self):
        return self.service().observe()

    def service(self):
        answers = {
            "ListTasks": self._list_tasks,
            "DescribeTasks": self._describe_tasks,
            "DescribeServices": self._describe_services,
            "DiscoverInstances": self._discover_instances,
            "GetTaskProtection": self._get_task_protection,
            "UpdateTaskProtection": self._update_task_protection,
        }
        for client in (self.clients.ecs, self.clients.servicediscovery):
            client._make_api_call = partial(self._answer, client, answers)
        return service(self.clients)

    def _answer(self, client, answers, operation, params):
        if code := self.errors.get(operation):
            said = {"Error": {"Code": code, "Message": "no"}}
            raise client.exceptions.from_code(code)(said, operation)
        return answers[operation](params)

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

    def _describe_services(self, params):
        assert params == {"cluster": "redis", "services": ["redis-cluster-service"]}
        return {"services": [{"taskDefinition": REVISION, "desiredCount": 3}]}

    def _get_task_protection(self, params):
        assert len(params["tasks"]) <= 100
        return {
            "protectedTasks": [
                {"taskArn": arn, "protectionEnabled": True, "expirationDate": self.protected[arn]}
                if arn in self.protected
                else {"taskArn": arn, "protectionEnabled": False}
                for arn in params["tasks"]
            ],
            "failures": [],
        }

    def _update_task_protection(self, params):
        self.told.append(params)
        return {"protectedTasks": [], "failures": self.failures}

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


def test_an_unknown_service_is_named(aws):
    aws.errors["ListTasks"] = "ServiceNotFoundException"
    with pytest.raises(AwsRefused, match=r"service redis-cluster-service in cluster redis"):
        aws.observe()


def test_a_denied_discovery_is_for_a_person(aws):
    aws.errors["DiscoverInstances"] = "AccessDeniedException"
    with pytest.raises(
        AccessDenied, match=r"servicediscovery:DiscoverInstances on .*cluster\.local"
    ):
        aws.observe()


@pytest.mark.parametrize(
    "failure", ["RequestLimitExceeded", "NamespaceNotFound", "ServiceNotFound"]
)
def test_a_failing_discovery_is_only_remarked(aws, failure):
    aws.add(described(1, address="10.0.0.1"))
    aws.errors["DiscoverInstances"] = failure
    observed = aws.observe()
    (remark,) = observed.remarks
    assert failure in remark
    assert observed.tasks[0].address == "10.0.0.1"


def test_a_namespace_of_the_same_name_is_another_clusters(aws):
    aws.add(described(1, address="10.0.0.1"), described(2))
    aws.addresses[task_id(8)] = "10.0.0.1"
    aws.addresses[task_id(9)] = "10.0.0.2"
    observed = aws.observe()
    assert [task.address for task in observed.tasks] == ["10.0.0.1", None]
    assert observed.remarks == ()


def test_protection_is_read(aws):
    aws.add(described(1), described(2))
    aws.protected[PREFIX + task_id(2)] = STARTED
    observed = aws.observe()
    assert [task.protected_until_s for task in observed.tasks] == [None, STARTED.timestamp()]
    assert observed.revision == REVISION
    assert observed.desired_count == 3


def test_stopped_tasks_are_told(aws):
    aws.add(described(1), described(2, last="STOPPED", desired="STOPPED"))
    aws.add(described(3, last="DEPROVISIONING", desired="STOPPED"))
    observed = aws.observe()
    assert [task.id for task in observed.tasks] == [task_id(1)]
    assert observed.stopped == {task_id(2), task_id(3)}


def test_ten_tasks_are_protected_at_once(aws):
    arns = [PREFIX + task_id(number) for number in range(23)]
    assert aws.service().protect(arns, 7200) == ()
    assert [len(told["tasks"]) for told in aws.told] == [10, 10, 3]
    assert aws.told[0]["protectionEnabled"]
    assert aws.told[0]["expiresInMinutes"] == 120
    assert aws.service().protect(arns[:1], 0) == ()
    assert aws.told[-1] == {
        "cluster": "redis", "tasks": arns[:1], "protectionEnabled": False,
    }  # fmt: skip


def test_what_ecs_does_not_protect_is_told(aws):
    aws.failures = [{"arn": PREFIX + task_id(1), "reason": "DEPLOYMENT_BLOCKED"}]
    (remark,) = aws.service().protect([PREFIX + task_id(1)], 7200)
    assert task_id(1) in remark
    assert "DEPLOYMENT_BLOCKED" in remark
