"""What ECS refuses, by the exception classes of its API model."""

import pytest
from ecs_cloud import SUBNETS

NETWORK = {"awsvpcConfiguration": {"subnets": list(SUBNETS)}}


@pytest.fixture(scope="module")
def ecs(shared):
    shared.register()
    return shared.client


@pytest.fixture(scope="module")
def service(shared, ecs):
    shared.create_service("redis", name="errors", desired=1)
    shared.wait_steady("errors")
    return "errors"


def define(ecs, **members):
    members = {
        "family": "size",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": "redis", "image": "redis:7"}],
        **members,
    }
    return ecs.register_task_definition(**{k: v for k, v in members.items() if v is not None})


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (
            {"cpu": "512", "memory": "512"},
            "No Fargate configuration exists for given values: 512 CPU, 512 memory",
        ),
        ({"cpu": "8192", "memory": "17408"}, "No Fargate configuration"),
        ({"cpu": None}, "Fargate requires that 'cpu' be defined at the task level"),
        ({"memory": None}, "Fargate requires that 'memory' be defined at the task level"),
        ({"cpu": "lots"}, "Invalid 'cpu' setting"),
        ({"networkMode": "bridge"}, "Fargate only supports network mode 'awsvpc'"),
        ({"family": "a b"}, "Family contains invalid characters"),
        ({"containerDefinitions": []}, "Container list cannot be empty"),
        ({"containerDefinitions": [{"name": "a"}]}, "Container.image"),
        ({"containerDefinitions": [{"name": "a", "image": "b"}] * 2}, "unique"),
        (
            {"containerDefinitions": [{"name": "a", "image": "b", "essential": False}]},
            "essential",
        ),
        (
            {"containerDefinitions": [{"name": "a", "image": "b", "memory": 1024}]},
            "The 'memory' setting for container 'a' is greater than for the task",
        ),
        (
            {"containerDefinitions": [{"name": "a", "image": "b", "stopTimeout": 121}]},
            "stopTimeout",
        ),
        (
            {
                "containerDefinitions": [
                    {"name": "a", "image": "b", "healthCheck": {"command": ["x"], "interval": 1}}
                ]
            },
            "interval",
        ),
        ({"ephemeralStorage": {"sizeInGiB": 20}}, "ephemeral storage"),
    ],
)
def test_definitions_that_fargate_cannot_run(ecs, members, words):
    with pytest.raises(ecs.exceptions.ClientException, match=words):
        define(ecs, **members)


@pytest.mark.parametrize(
    ("cpu", "memory"), [("256", "2048"), ("4096", "30720"), ("16384", "122880")]
)
def test_definitions_that_fargate_can_run(ecs, cpu, memory):
    assert define(ecs, cpu=cpu, memory=memory)["taskDefinition"]["status"] == "ACTIVE"


def test_definitions_that_do_not_exist(ecs):
    with pytest.raises(ecs.exceptions.ClientException, match="Unable to describe"):
        ecs.describe_task_definition(taskDefinition="none")
    with pytest.raises(ecs.exceptions.ClientException, match="does not exist"):
        ecs.deregister_task_definition(taskDefinition="none:1")
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="revision"):
        ecs.deregister_task_definition(taskDefinition="none")


@pytest.mark.parametrize(
    ("members", "error", "words"),
    [
        ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found."),
        ({"serviceName": "errors"}, "InvalidParameterException", "not idempotent"),
        ({"serviceName": "a b"}, "InvalidParameterException", "Invalid service name"),
        ({"taskDefinition": "none"}, "ClientException", "TaskDefinition not found"),
        ({"launchType": "EC2"}, "InvalidParameterException", "Set launchType to FARGATE"),
        ({"launchType": None}, "InvalidParameterException", "EC2 \\(the default\\)"),
        ({"networkConfiguration": None}, "InvalidParameterException", "Network Configuration"),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-x"]}}},
            "InvalidParameterException",
            "'subnet-x' does not exist",
        ),
        ({"platformVersion": "9.9"}, "PlatformUnknownException", "9.9"),
        ({"desiredCount": -1}, "InvalidParameterException", "desiredCount"),
        ({"schedulingStrategy": "DAEMON"}, "InvalidParameterException", "daemon"),
        (
            {"deploymentController": {"type": "CODE_DEPLOY"}},
            "UnsupportedFeatureException",
            "rolling",
        ),
        (
            {"deploymentConfiguration": {"maximumPercent": 50}},
            "InvalidParameterException",
            "maximumPercent",
        ),
        (
            {
                "deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 50},
                "availabilityZoneRebalancing": "ENABLED",
            },
            "InvalidParameterException",
            "rebalancing",
        ),
        (
            {
                "launchType": None,
                "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
            },
            "InvalidParameterException",
            "PutClusterCapacityProviders",
        ),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
            "InvalidParameterException",
            "both a launch type and capacity provider strategy",
        ),
    ],
)
def test_services_that_cannot_be(ecs, service, members, error, words):
    request = {
        "cluster": "c",
        "serviceName": "another",
        "taskDefinition": "redis",
        "desiredCount": 0,
        "launchType": "FARGATE",
        "networkConfiguration": NETWORK,
        **members,
    }
    request = {name: value for name, value in request.items() if value is not None}
    with pytest.raises(getattr(ecs.exceptions, error), match=words):
        ecs.create_service(**request)


def test_services_that_are_not_there(shared, ecs):
    for call in (ecs.update_service, ecs.delete_service):
        with pytest.raises(ecs.exceptions.ServiceNotFoundException):
            call(cluster="c", service="none")
    with pytest.raises(ecs.exceptions.ServiceNotFoundException):
        ecs.list_tasks(cluster="c", serviceName="none")
    answer = ecs.describe_services(cluster="c", services=["none"])
    assert answer["failures"][0]["reason"] == "MISSING"
    shared.create_service("redis", name="gone", desired=0)
    ecs.delete_service(cluster="c", service="gone")
    shared.wait_for(lambda: shared.service("gone")["status"] == "INACTIVE")
    with pytest.raises(ecs.exceptions.ServiceNotActiveException):
        ecs.update_service(cluster="c", service="gone", desiredCount=1)


def test_inactive_definition_runs_nothing_new(shared, ecs, service):
    inactive = shared.register()
    ecs.deregister_task_definition(taskDefinition=inactive)
    with pytest.raises(ecs.exceptions.ClientException, match="inactive"):
        ecs.update_service(cluster="c", service=service, taskDefinition=inactive)


def test_too_many_deployments(shared, ecs):
    shared.create_service(shared.register(), name="busy", desired=5)
    shared.wait_steady("busy")
    held = set()
    for number in range(2, 7):
        tasks = shared.wait_for(
            lambda: [task for task in shared.tasks("busy") if task["taskArn"] not in held]
        )
        held.add(tasks[0]["taskArn"])
        answer = ecs.update_task_protection(
            cluster="c", tasks=[tasks[0]["taskArn"]], protectionEnabled=True
        )
        assert not answer["failures"]
        if number == 6:
            break
        ecs.update_service(cluster="c", service="busy", forceNewDeployment=True)

        def rolled_on(running=number - 1):
            deployments = shared.service("busy")["deployments"]
            counts = [item["runningCount"] for item in deployments]
            return counts == [5] + [1] * running

        shared.wait_for(rolled_on)
    with pytest.raises(ecs.exceptions.ClientException, match="5 active deployments exist"):
        ecs.update_service(cluster="c", service="busy", forceNewDeployment=True)
    ecs.delete_service(cluster="c", service="busy", force=True)
    shared.wait_for(lambda: shared.service("busy")["status"] == "INACTIVE")


def test_protection_of_what_cannot_be_protected(shared, ecs, service):
    protect = ecs.update_task_protection
    [task] = [item["taskArn"] for item in shared.tasks(service)]
    alone = ecs.run_task(
        cluster="c", taskDefinition="redis", launchType="FARGATE", networkConfiguration=NETWORK
    )["tasks"][0]["taskArn"]
    answer = protect(cluster="c", tasks=[alone, "none", task], protectionEnabled=True)
    reasons = [failure["reason"] for failure in answer["failures"]]
    assert reasons == ["TASK_NOT_VALID", "MISSING"]
    assert answer["protectedTasks"][0]["taskArn"] == task
    got = ecs.get_task_protection(cluster="c", tasks=[alone])
    assert got["failures"][0]["reason"] == "TASK_NOT_VALID"
    for members in (
        {"tasks": ["x"] * 11},
        {"tasks": []},
        {"tasks": [task], "expiresInMinutes": 0},
        {"tasks": [task], "expiresInMinutes": 2881},
    ):
        with pytest.raises(ecs.exceptions.InvalidParameterException):
            protect(**{"cluster": "c", "protectionEnabled": True, **members})
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        protect(cluster="none", tasks=[task], protectionEnabled=True)
    ecs.stop_task(cluster="c", task=alone)


def test_protecting_more_tasks_than_are_desired_is_blocked(shared, ecs):
    shared.create_service(shared.register(), name="full", desired=1)
    shared.wait_steady("full")
    [old] = [task["taskArn"] for task in shared.tasks("full")]
    ecs.update_task_protection(cluster="c", tasks=[old], protectionEnabled=True)
    ecs.update_service(cluster="c", service="full", forceNewDeployment=True)
    tasks = shared.wait_for(lambda: len(found := shared.tasks("full")) == 2 and found)
    new = next(task["taskArn"] for task in tasks if task["taskArn"] != old)
    answer = ecs.update_task_protection(cluster="c", tasks=[new, old], protectionEnabled=True)
    assert [failure["reason"] for failure in answer["failures"]] == ["DEPLOYMENT_BLOCKED"]
    assert [item["taskArn"] for item in answer["protectedTasks"]] == [old]


def test_tasks_that_are_not_there(ecs):
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="not found"):
        ecs.stop_task(cluster="c", task="none")
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.list_tasks(cluster="none")
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.describe_tasks(cluster="c", tasks=["x"] * 101)
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="count"):
        ecs.run_task(cluster="c", taskDefinition="redis", count=11)


def test_tags_of_what_is_not_there(ecs):
    arn = "arn:aws:ecs:us-east-1:000000000000:"
    with pytest.raises(ecs.exceptions.ResourceNotFoundException):
        ecs.tag_resource(resourceArn=f"{arn}service/c/none", tags=[])
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.tag_resource(resourceArn=f"{arn}cluster/none", tags=[])
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="resourceArn"):
        ecs.list_tags_for_resource(resourceArn="none")
    cluster = f"{arn}cluster/c"
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="aws:"):
        ecs.tag_resource(resourceArn=cluster, tags=[{"key": "aws:x", "value": "1"}])
    many = [{"key": f"k{index}", "value": ""} for index in range(50)]
    ecs.tag_resource(resourceArn=cluster, tags=many)
    with pytest.raises(ecs.exceptions.LimitExceededException):
        ecs.tag_resource(resourceArn=cluster, tags=[{"key": "more", "value": ""}])
    ecs.untag_resource(resourceArn=cluster, tagKeys=[tag["key"] for tag in many])


def test_clusters_and_their_capacity(ecs):
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="Invalid identifier"):
        ecs.create_cluster(clusterName="a b")
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="was not found: mine"):
        ecs.create_cluster(clusterName="x", capacityProviders=["mine"])
    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.update_cluster(cluster="none")
    answer = ecs.describe_clusters(clusters=["none"])
    assert answer["failures"][0]["reason"] == "MISSING"
