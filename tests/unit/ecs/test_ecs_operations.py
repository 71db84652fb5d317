"""Every operation through boto3: answers fit botocore's shapes, and hold what was said."""

import json
import urllib.request

import pytest
from ecs_cloud import SUBNETS, TARGET

from redis_fargate.local.ecs.operations import OPERATIONS

OFTEN = {"Delay": 0.02, "MaxAttempts": 500}
NETWORK = {"awsvpcConfiguration": {"subnets": list(SUBNETS)}}


@pytest.fixture(scope="module")
def ecs(shared):
    return shared.client


@pytest.fixture(scope="module")
def definition(shared):
    return shared.register()


def test_every_operation_fits_its_output_shape(fresh):
    ecs = fresh.client
    definition = fresh.register()
    fresh.create_service(definition, desired=2)
    fresh.wait_steady()
    arns = [task["taskArn"] for task in fresh.tasks()]
    ecs.update_task_protection(cluster="c", tasks=[*arns, "none"], protectionEnabled=True)
    protection = ecs.get_task_protection(cluster="c")["protectedTasks"]
    assert {task["taskArn"] for task in protection} == set(arns)
    assert all("expirationDate" in task for task in protection)
    ecs.update_task_protection(cluster="c", tasks=arns, protectionEnabled=False)
    ecs.update_service(cluster="c", service="redis", forceNewDeployment=True)
    fresh.wait_steady()
    deployments = ecs.list_service_deployments(cluster="c", service="redis", status=["SUCCESSFUL"])
    briefs = deployments["serviceDeployments"]
    assert len(briefs) == 2
    names = [brief["serviceDeploymentArn"] for brief in briefs]
    described = ecs.describe_service_deployments(serviceDeploymentArns=[*names, "none"])
    assert len(described["failures"]) == 1
    assert [len(item["sourceServiceRevisions"]) for item in described["serviceDeployments"]] == [
        1,
        0,
    ]
    revisions = [brief["targetServiceRevisionArn"] for brief in briefs]
    revisions = ecs.describe_service_revisions(serviceRevisionArns=[*revisions, "none"])
    assert len(revisions["serviceRevisions"]) == 2

    run_and_stop(ecs, definition)
    look_around(ecs)
    put_settings(ecs)
    ecs.delete_service(cluster="c", service="redis", force=True)
    ecs.deregister_task_definition(taskDefinition="redis:1")
    ecs.delete_task_definitions(taskDefinitions=["redis:1", "redis:9"])
    ecs.create_cluster(clusterName="empty")
    ecs.delete_cluster(cluster="empty")
    assert fresh.shapes.seen == set(OPERATIONS)


def run_and_stop(ecs, definition):
    tags = [{"key": "team", "value": "cache"}]
    run = ecs.run_task(
        cluster="c",
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration=NETWORK,
        tags=tags,
        count=2,
        overrides={"containerOverrides": [{"name": "redis", "command": ["sleep"]}]},
    )
    task = run["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_running").wait(cluster="c", tasks=[task], WaiterConfig=OFTEN)
    ecs.tag_resource(resourceArn=task, tags=[{"key": "more", "value": "1"}])
    ecs.untag_resource(resourceArn=task, tagKeys=["team"])
    listed = ecs.list_tags_for_resource(resourceArn=task)["tags"]
    assert listed == [{"key": "more", "value": "1"}]
    assert ecs.stop_task(cluster="c", task=task)["task"]["desiredStatus"] == "STOPPED"
    ecs.get_waiter("tasks_stopped").wait(cluster="c", tasks=[task], WaiterConfig=OFTEN)
    stopped = ecs.describe_tasks(cluster="c", tasks=[task, "none"], include=["TAGS"])
    assert stopped["tasks"][0]["stopCode"] == "UserInitiated"
    assert stopped["failures"][0]["reason"] == "MISSING"


def look_around(ecs):
    ecs.list_services(cluster="c")
    ecs.describe_task_definition(taskDefinition="redis", include=["TAGS"])
    ecs.list_task_definitions(familyPrefix="redis", sort="DESC")
    ecs.list_task_definition_families()


def put_settings(ecs):
    ecs.put_account_setting(name="containerInsights", value="enabled")
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    assert ecs.list_account_settings()["settings"][0]["value"] == "enabled"
    assert len(ecs.list_account_settings(effectiveSettings=True)["settings"]) > 5
    ecs.put_cluster_capacity_providers(
        cluster="c",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}],
    )
    ecs.describe_capacity_providers(capacityProviders=["FARGATE", "mine"])
    ecs.update_cluster_settings(
        cluster="c", settings=[{"name": "containerInsights", "value": "enhanced"}]
    )
    ecs.update_cluster(
        cluster="c", configuration={"executeCommandConfiguration": {"logging": "DEFAULT"}}
    )
    everything = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"]
    clusters = ecs.describe_clusters(clusters=["c", "none"], include=everything)
    [cluster] = clusters["clusters"]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    assert cluster["configuration"]["executeCommandConfiguration"]["logging"] == "DEFAULT"
    assert cluster["runningTasksCount"] == 3
    assert ecs.list_clusters()["clusterArns"] == [cluster["clusterArn"]]


def test_service_echoes_what_was_registered(shared, ecs, definition):
    said = {
        "deploymentConfiguration": {
            "maximumPercent": 150,
            "minimumHealthyPercent": 100,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        "availabilityZoneRebalancing": "DISABLED",
        "enableExecuteCommand": True,
        "enableECSManagedTags": True,
        "propagateTags": "SERVICE",
        "healthCheckGracePeriodSeconds": 7,
        "schedulingStrategy": "REPLICA",
        "serviceRegistries": [{"registryArn": "arn:aws:servicediscovery:r:0:service/srv-1"}],
        "platformVersion": "LATEST",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-a"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "ENABLED",
            }
        },
        "tags": [{"key": "team", "value": "cache"}],
    }
    shared.create_service(definition, name="echo", desired=1, **said)
    shared.wait_steady("echo")
    answer = ecs.describe_services(cluster="c", services=["echo"], include=["TAGS"])
    [service] = answer["services"]
    rolling = service.pop("deploymentConfiguration")
    wanted = said.pop("deploymentConfiguration")
    assert {name: rolling[name] for name in wanted} == wanted
    assert {name: service[name] for name in said} == said
    assert service["launchType"] == "FARGATE"
    assert service["deploymentController"] == {"type": "ECS"}
    [task] = shared.tasks("echo")
    described = ecs.describe_tasks(cluster="c", tasks=[task["taskArn"]], include=["TAGS"])
    tags = {tag["key"]: tag["value"] for tag in described["tasks"][0]["tags"]}
    assert tags == {
        "team": "cache",
        "aws:ecs:clusterName": "c",
        "aws:ecs:serviceName": "echo",
    }
    assert "tags" not in shared.service("echo")


def test_definition_is_echoed_with_aws_defaults(ecs):
    container = {
        "name": "redis",
        "image": "redis:7",
        "portMappings": [{"containerPort": 6379}],
        "healthCheck": {"command": ["CMD-SHELL", "true"], "startPeriod": 10},
        "ulimits": [{"name": "nofile", "softLimit": 65536, "hardLimit": 65536}],
    }
    answer = ecs.register_task_definition(
        family="echo",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="1 vCPU",
        memory="2GB",
        runtimePlatform={"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        ephemeralStorage={"sizeInGiB": 30},
        executionRoleArn="arn:aws:iam::000000000000:role/x",
        volumes=[{"name": "data"}],
        tags=[{"key": "a", "value": "b"}],
        containerDefinitions=[container],
    )
    assert answer["tags"] == [{"key": "a", "value": "b"}]
    described = ecs.describe_task_definition(taskDefinition="echo:1")["taskDefinition"]
    assert described == answer["taskDefinition"]
    assert (described["cpu"], described["memory"]) == ("1024", "2048")
    assert described["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert described["ephemeralStorage"] == {"sizeInGiB": 30}
    [filled] = described["containerDefinitions"]
    assert filled["essential"] is True
    assert filled["portMappings"] == [{"containerPort": 6379, "hostPort": 6379, "protocol": "tcp"}]
    assert filled["healthCheck"] == {
        "command": ["CMD-SHELL", "true"],
        "interval": 30,
        "timeout": 5,
        "retries": 3,
        "startPeriod": 10,
    }


def test_definition_revisions_and_their_ends(ecs):
    ecs_register = {
        "containerDefinitions": [{"name": "x", "image": "y", "memory": 64}],
    }
    for _ in range(3):
        ecs.register_task_definition(family="many", **ecs_register)
    ecs.deregister_task_definition(taskDefinition="many:3")
    latest = ecs.describe_task_definition(taskDefinition="many")["taskDefinition"]
    assert latest["revision"] == 2
    listed = ecs.list_task_definitions(familyPrefix="many", sort="DESC")["taskDefinitionArns"]
    assert [arn.rsplit(":", 1)[-1] for arn in listed] == ["2", "1"]
    inactive = ecs.list_task_definitions(familyPrefix="many", status="INACTIVE")
    assert len(inactive["taskDefinitionArns"]) == 1
    deleted = ecs.delete_task_definitions(taskDefinitions=["many:3", "many:1"])
    assert deleted["taskDefinitions"][0]["status"] == "DELETE_IN_PROGRESS"
    assert "still in ACTIVE status" in deleted["failures"][0]["reason"]
    families = ecs.list_task_definition_families(familyPrefix="ma", status="ACTIVE")
    assert families["families"] == ["many"]


def test_pages_of_250_tasks(fresh):
    ecs = fresh.client
    definition = fresh.register(health_check=False)
    fresh.create_service(definition, desired=250)
    fresh.wait_for(lambda: fresh.service()["runningCount"] == 250)
    first = ecs.list_tasks(cluster="c")
    assert len(first["taskArns"]) == 100
    pages = list(ecs.get_paginator("list_tasks").paginate(cluster="c", serviceName="redis"))
    assert [len(page["taskArns"]) for page in pages] == [100, 100, 50]
    arns = [arn for page in pages for arn in page["taskArns"]]
    assert len(set(arns)) == 250
    small = ecs.list_tasks(cluster="c", maxResults=7, nextToken=first["nextToken"])
    assert small["taskArns"] == arns[100:107]
    assert len(ecs.describe_tasks(cluster="c", tasks=arns[:100])["tasks"]) == 100
    assert fresh.client.list_tasks(cluster="c", launchType="EC2")["taskArns"] == []
    assert fresh.client.list_tasks(cluster="c", family="none")["taskArns"] == []
    addresses = {
        task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
        for task in ecs.describe_tasks(cluster="c", tasks=arns[:100])["tasks"]
    }
    assert len(addresses) == 100


def test_stopped_tasks_are_listed_apart(shared, ecs, definition):
    shared.create_service(definition, name="apart", desired=1)
    shared.wait_steady("apart")
    [task] = shared.tasks("apart")
    ecs.stop_task(cluster="c", task=task["taskArn"], reason="enough")
    stopped = ecs.list_tasks(cluster="c", serviceName="apart", desiredStatus="STOPPED")
    assert stopped["taskArns"] == [task["taskArn"]]
    shared.wait_steady("apart")
    [gone] = ecs.describe_tasks(cluster="c", tasks=[task["taskArn"]])["tasks"]
    assert gone["stoppedReason"] == "enough"


def test_capacity_providers_share_tasks_by_base_and_weight(shared, ecs, definition):
    ecs.create_cluster(clusterName="spot", capacityProviders=["FARGATE", "FARGATE_SPOT"])
    strategy = [
        {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    ecs.create_service(
        cluster="spot",
        serviceName="redis",
        taskDefinition=definition,
        desiredCount=6,
        capacityProviderStrategy=strategy,
        networkConfiguration=NETWORK,
    )
    arns = shared.wait_for(
        lambda: len(found := ecs.list_tasks(cluster="spot")["taskArns"]) == 6 and found
    )
    tasks = ecs.describe_tasks(cluster="spot", tasks=arns)["tasks"]
    providers = sorted(task["capacityProviderName"] for task in tasks)
    assert providers == ["FARGATE"] * 3 + ["FARGATE_SPOT"] * 3
    ecs.delete_service(cluster="spot", service="redis", force=True)


def test_run_task_with_a_token_runs_once(shared, ecs, definition):
    request = {
        "cluster": "c",
        "taskDefinition": definition,
        "launchType": "FARGATE",
        "networkConfiguration": NETWORK,
        "clientToken": "once",
        "startedBy": "token",
    }
    first = ecs.run_task(**request)["tasks"][0]["taskArn"]
    assert ecs.run_task(**request)["tasks"][0]["taskArn"] == first
    assert ecs.list_tasks(cluster="c", startedBy="token")["taskArns"] == [first]
    with pytest.raises(ecs.exceptions.ConflictException):
        ecs.run_task(**{**request, "count": 2})
    ecs.stop_task(cluster="c", task=first)


def call(shared, operation, body):
    request = urllib.request.Request(
        shared.url,
        data=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers={"X-Amz-Target": TARGET + operation},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("ListClusters", b"{", "SerializationException"),
        ("ListClusters", [], "SerializationException"),
        ("ListClusters", {"maxResults": "many"}, "SerializationException"),
        ("ListClusters", {"noSuchMember": 1}, "SerializationException"),
        ("DeleteCluster", {}, "InvalidParameterException"),
        ("ListTasks", {"cluster": "c", "launchType": "NONE"}, "InvalidParameterException"),
        ("ListTasks", {"cluster": "c", "maxResults": 0}, "InvalidParameterException"),
        ("ListTasks", {"cluster": "c", "nextToken": "x"}, "InvalidParameterException"),
        ("ExecuteCommand", {"command": "x", "interactive": True, "task": "t"}, "UnknownOperation"),
        ("MakeCoffee", {}, "UnknownOperation"),
    ],
)
def test_bad_requests_get_an_error_and_a_sentence(shared, operation, body, code):
    status, answer = call(shared, operation, body)
    assert status == 400
    assert answer["__type"].startswith(code)
    assert len(answer["message"].split()) > 1


def test_null_members_are_members_that_were_not_given(shared):
    assert call(shared, "ListClusters", {"nextToken": None})[0] == 200
