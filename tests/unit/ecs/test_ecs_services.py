"""Histories of services, driven through boto3: deployments, protection, failures, scaling."""

import time

import pytest
from ecs_cloud import SUBNETS

from redis_fargate.local.ports import ContainerHealth

REGISTRY = "arn:aws:servicediscovery:us-east-1:000000000000:service/srv-redis"


def test_service_comes_up_fast_and_spread_over_zones(fresh):
    definition = fresh.register()
    begin = time.monotonic()
    fresh.create_service(definition)
    service = fresh.wait_steady()
    assert time.monotonic() - begin < 2
    tasks = fresh.tasks()
    zones = [task["availabilityZone"] for task in tasks]
    assert sorted(zones) == sorted([*SUBNETS.values()] * 2)
    addresses = {
        task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] for task in tasks
    }
    assert len(addresses) == 6
    details = {item["name"]: item["value"] for item in tasks[0]["attachments"][0]["details"]}
    assert details["subnetId"] in SUBNETS
    assert details["privateIPv4Address"] in addresses
    assert details.keys() >= {"networkInterfaceId", "macAddress", "privateDnsName"}
    assert {task["healthStatus"] for task in tasks} == {"HEALTHY"}
    assert service["deployments"][0]["status"] == "PRIMARY"
    messages = [event["message"] for event in service["events"]]
    assert messages[0] == "(service redis) has reached a steady state."
    assert "has started 6 tasks" in messages[-1]


def test_launch_has_what_a_node_needs(fresh):
    definition = fresh.register(
        health_check=False,
        environment=[{"name": "REDIS_PORT", "value": "6379"}],
        secrets=[{"name": "REDIS_PASSWORD", "valueFrom": "arn:secret"}],
        logConfiguration={
            "logDriver": "awslogs",
            "options": {"awslogs-group": "/aws/ecs/c", "awslogs-stream-prefix": "redis"},
        },
    )
    fresh.create_service(definition, desired=1)
    fresh.wait_steady()
    [((task_id, name), container)] = fresh.runtime.containers.items()
    launch = container.launch
    assert (name, launch.task_id) == ("redis", task_id)
    assert launch.entry_point == ("/bin/sh", "-c")
    assert launch.command == ("exec redis-server",)
    assert launch.environment["REDIS_PORT"] == "6379"
    metadata = launch.environment["ECS_CONTAINER_METADATA_URI_V4"]
    assert metadata == f"{fresh.url}/v4/{task_id}-0000000000"
    assert launch.secrets == {"REDIS_PASSWORD": "arn:secret"}
    assert launch.log.group == "/aws/ecs/c"
    assert launch.log.stream == f"redis/redis/{task_id}"
    assert launch.health_check is None
    assert launch.stop_timeout_s == 2


def test_task_is_registered_and_deregistered_before_it_is_stopped(fresh):
    fresh.create_service(fresh.register(), desired=1, serviceRegistries=[{"registryArn": REGISTRY}])
    fresh.wait_steady()
    [task] = fresh.tasks()
    task_id = task["taskArn"].rsplit("/", 1)[-1]
    address = task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    assert fresh.registry.instances[task_id] == {
        "AWS_INSTANCE_IPV4": address,
        "AVAILABILITY_ZONE": task["availabilityZone"],
        "ECS_CLUSTER_NAME": "c",
        "ECS_SERVICE_NAME": "redis",
        "ECS_TASK_DEFINITION_FAMILY": "redis",
        "REGION": "us-east-1",
    }
    fresh.wait_for(lambda: fresh.registry.health.get(task_id) is True)
    fresh.client.stop_task(cluster="c", task=task_id, reason="a test")
    fresh.wait_for(lambda: task_id not in fresh.registry.instances)
    own = [name for name, arn, instance in fresh.registry.calls if instance == task_id]
    assert own == ["register", "health", "deregister"]


def test_task_events_tell_its_whole_life(fresh):
    fresh.create_service(fresh.register(), desired=1)
    fresh.wait_steady()
    [task] = fresh.tasks()
    fresh.client.update_service(cluster="c", service="redis", desiredCount=0)
    fresh.wait_steady()
    kind = "ECS Task State Change"
    fresh.wait_for(lambda: fresh.sink.details(kind)[-1]["lastStatus"] == "STOPPED")
    details = fresh.sink.details(kind)
    statuses = list(dict.fromkeys(detail["lastStatus"] for detail in details))
    assert statuses == [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ]
    versions = [detail["version"] for detail in details]
    assert versions == sorted(set(versions))
    last = details[-1]
    assert last["taskArn"] == task["taskArn"]
    assert last["group"] == "service:redis"
    assert last["stopCode"] == "ServiceSchedulerInitiated"
    assert last["stoppedReason"].startswith("Scaling activity initiated by (deployment ecs-svc/")
    assert last["containers"][0]["exitCode"] == 143
    assert last["stoppedAt"].endswith("Z")
    assert last["attachments"][0]["type"] == "eni"
    envelope = next(event for event in fresh.sink.events if event["detail-type"] == kind)
    assert envelope["source"] == "aws.ecs"
    assert envelope["resources"] == [task["taskArn"]]
    assert envelope.keys() == {
        *("version", "id", "detail-type", "source", "account", "time", "region"),
        *("resources", "detail"),
    }


def test_deployment_replaces_every_task_within_its_bounds(fresh):
    fresh.create_service(fresh.register())
    before = {task["taskArn"] for task in fresh.wait_steady() and fresh.tasks()}
    second = fresh.register("redis:8")
    answer = fresh.client.update_service(cluster="c", service="redis", taskDefinition=second)
    assert [item["status"] for item in answer["service"]["deployments"]] == ["PRIMARY", "ACTIVE"]
    service = fresh.wait_steady()
    assert service["taskDefinition"] == second
    after = {task["taskArn"] for task in fresh.tasks()}
    assert not before & after
    assert {task["taskDefinitionArn"] for task in fresh.tasks()} == {second}
    names = [
        (detail["eventName"], detail["deploymentId"])
        for detail in fresh.sink.details("ECS Deployment State Change")
    ]
    assert [name for name, _ in names] == [
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_COMPLETED",
    ] * 2
    running, least, most = set(), 6, 0
    for event in fresh.sink.details("ECS Task State Change"):
        (running.add if event["desiredStatus"] == "RUNNING" else running.discard)(event["taskArn"])
        most = max(most, len(running))
        if len(running - before) > 0:
            least = min(least, len(running))
    assert most <= 12
    assert least >= 6


def test_same_revision_deploys_only_when_forced(fresh):
    definition = fresh.register()
    fresh.create_service(definition, desired=1)
    first = fresh.wait_steady()["deployments"][0]["id"]
    fresh.client.update_service(cluster="c", service="redis", taskDefinition=definition)
    assert fresh.wait_steady()["deployments"][0]["id"] == first
    fresh.client.update_service(cluster="c", service="redis", forceNewDeployment=True)
    fresh.wait_for(lambda: fresh.wait_steady()["deployments"][0]["id"] != first)


def test_deployment_waits_for_protected_tasks(fresh):
    fresh.create_service(fresh.register(), desired=3)
    fresh.wait_steady()
    old = [task["taskArn"] for task in fresh.tasks()]
    protect = fresh.client.update_task_protection
    answer = protect(cluster="c", tasks=old[:2], protectionEnabled=True, expiresInMinutes=5)
    assert [item["protectionEnabled"] for item in answer["protectedTasks"]] == [True, True]
    assert not answer["failures"]
    fresh.client.update_service(cluster="c", service="redis", forceNewDeployment=True)
    complaint = "(reason 2 tasks under protection)"
    fresh.wait_for(lambda: complaint in fresh.service()["events"][0]["message"])
    service = fresh.service()
    assert [item["runningCount"] for item in service["deployments"]] == [3, 2]
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    protect(cluster="c", tasks=old, protectionEnabled=False)
    fresh.wait_steady()
    assert not {task["taskArn"] for task in fresh.tasks()} & set(old)


def test_scale_in_spares_protected_tasks_and_scale_out_adds(fresh):
    fresh.create_service(fresh.register(), desired=2)
    fresh.wait_steady()
    kept = [task["taskArn"] for task in fresh.tasks()]
    fresh.client.update_task_protection(cluster="c", tasks=kept, protectionEnabled=True)
    fresh.client.update_service(cluster="c", service="redis", desiredCount=5)
    fresh.wait_steady()
    fresh.client.update_service(cluster="c", service="redis", desiredCount=2)
    fresh.wait_steady()
    assert {task["taskArn"] for task in fresh.tasks()} == set(kept)
    fresh.client.update_service(cluster="c", service="redis", desiredCount=1)
    fresh.wait_for(lambda: "under protection" in fresh.service()["events"][0]["message"])
    assert len(fresh.tasks()) == 2


def test_protection_expires(fresh):
    fresh.create_service(fresh.register(), desired=1)
    fresh.wait_steady()
    [task] = fresh.tasks()
    fresh.client.update_task_protection(
        cluster="c", tasks=[task["taskArn"]], protectionEnabled=True, expiresInMinutes=1
    )
    fresh.client.update_service(cluster="c", service="redis", desiredCount=0)
    fresh.wait_for(lambda: "under protection" in fresh.service()["events"][0]["message"])

    def shorten():
        # A minute is the shortest that the API takes; a test has no minute.
        store = fresh.ecs._context.store
        held = store.tasks[task["taskArn"].rsplit("/", 1)[-1]]
        held.protected_until = held.protected_until.now(held.protected_until.tzinfo).replace(
            microsecond=0
        )
        fresh.ecs._keeper.wake(held.service)

    fresh.on_loop(shorten)
    fresh.wait_for(lambda: not fresh.tasks())


def test_dead_task_is_replaced_in_its_zone(fresh):
    fresh.create_service(fresh.register())
    fresh.wait_steady()
    dead = fresh.tasks()[0]
    fresh.kill(dead["taskArn"].rsplit("/", 1)[-1])
    fresh.wait_for(lambda: dead["taskArn"] not in {task["taskArn"] for task in fresh.tasks()})
    fresh.wait_steady()
    zones = sorted(task["availabilityZone"] for task in fresh.tasks())
    assert zones == sorted([*SUBNETS.values()] * 2)
    [gone] = fresh.client.describe_tasks(cluster="c", tasks=[dead["taskArn"]])["tasks"]
    assert gone["stopCode"] == "EssentialContainerExited"
    assert gone["stoppedReason"] == "Essential container in task exited"
    assert gone["containers"][0]["exitCode"] == 137


def test_unhealthy_task_is_replaced_before_it_stops(fresh):
    fresh.create_service(fresh.register(), desired=2)
    fresh.wait_steady()
    sick = fresh.tasks()[0]["taskArn"]
    fresh.report_health(sick.rsplit("/", 1)[-1], ContainerHealth.UNHEALTHY)
    fresh.wait_for(lambda: sick not in {task["taskArn"] for task in fresh.tasks()})
    fresh.wait_steady()
    [gone] = fresh.client.describe_tasks(cluster="c", tasks=[sick])["tasks"]
    assert gone["stoppedReason"] == "Task failed container health checks"
    names = [detail["eventName"] for detail in fresh.sink.details("ECS Service Action")]
    assert "SERVICE_DISCOVERY_INSTANCE_UNHEALTHY" in names


BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


@pytest.mark.parametrize("image", ["missing:1", "crash:1", "unhealthy:1"])
def test_circuit_breaker_rolls_back(fresh, image):
    good = fresh.register()
    fresh.create_service(good, desired=3, deploymentConfiguration=BREAKER)
    first = fresh.wait_steady()["deployments"][0]["id"]
    bad = fresh.register(image)
    fresh.client.update_service(cluster="c", service="redis", taskDefinition=bad)
    fresh.wait_for(
        lambda: any("rolling back" in event["message"] for event in fresh.service()["events"])
    )
    service = fresh.wait_steady()
    assert service["taskDefinition"] == good
    assert service["deployments"][0]["id"] == first
    names = [detail["eventName"] for detail in fresh.sink.details("ECS Deployment State Change")]
    assert "SERVICE_DEPLOYMENT_FAILED" in names
    briefs = fresh.client.list_service_deployments(cluster="c", service="redis")
    failed = briefs["serviceDeployments"][0]
    assert failed["status"] == "ROLLBACK_SUCCESSFUL"
    arns = [failed["serviceDeploymentArn"]]
    full = fresh.client.describe_service_deployments(serviceDeploymentArns=arns)
    [deployment] = full["serviceDeployments"]
    assert deployment["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    assert deployment["deploymentCircuitBreaker"]["threshold"] == 3


def test_circuit_breaker_without_rollback_leaves_the_old_tasks(fresh):
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    fresh.create_service(fresh.register(), desired=2, deploymentConfiguration=breaker)
    fresh.wait_steady()
    bad = fresh.register("missing:1")
    fresh.client.update_service(cluster="c", service="redis", taskDefinition=bad)

    def states():
        return [item["rolloutState"] for item in fresh.service()["deployments"]]

    fresh.wait_for(lambda: states() == ["FAILED", "COMPLETED"])
    fresh.wait_for(lambda: fresh.service()["runningCount"] == 2)


def test_tasks_that_fail_again_and_again_are_throttled(fresh):
    fresh.create_service(fresh.register("missing:1"), desired=1)
    fresh.wait_for(
        lambda: (
            "unable to consistently start"
            in "".join(e["message"] for e in fresh.service()["events"])
        )
    )
    failed = fresh.tasks(status="STOPPED")
    assert 2 <= len(failed) <= 4
    assert {task["stopCode"] for task in failed} == {"TaskFailedToStart"}
    assert {task["stoppedReason"] for task in failed} == {
        "CannotPullContainerError: no image missing:1"
    }


def test_sidecar_that_is_not_essential_may_end(fresh):
    fresh.client.register_task_definition(
        family="pair",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="1 vCPU",
        memory="2 GB",
        containerDefinitions=[
            {"name": "redis", "image": "redis:7"},
            {"name": "exporter", "image": "exporter", "essential": False},
        ],
    )
    fresh.create_service("pair", desired=1)
    fresh.wait_steady()
    [task] = fresh.tasks()
    fresh.kill(task["taskArn"].rsplit("/", 1)[-1], 3, "exporter")

    def exporter():
        [now] = fresh.tasks()
        return next(item for item in now["containers"] if item["name"] == "exporter")

    fresh.wait_for(lambda: exporter().get("exitCode") == 3)
    assert fresh.tasks()[0]["lastStatus"] == "RUNNING"


def test_task_goes_on_without_a_sidecar_that_cannot_start(fresh):
    fresh.client.register_task_definition(
        family="pair",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="1 vCPU",
        memory="2 GB",
        containerDefinitions=[
            {"name": "exporter", "image": "missing:1", "essential": False},
            {"name": "redis", "image": "redis:7"},
        ],
    )
    fresh.create_service("pair", desired=1)
    fresh.wait_steady()
    [task] = fresh.tasks()
    assert {item["name"]: item["lastStatus"] for item in task["containers"]} == {
        "exporter": "STOPPED",
        "redis": "RUNNING",
    }
    assert task["containers"][0]["reason"] == "CannotPullContainerError: no image missing:1"


def test_deleted_service_drains_and_is_gone(fresh):
    """It is once its tasks are stopping; its cluster may go once they have stopped."""
    fresh.create_service(fresh.register(), desired=2)
    fresh.wait_steady()
    arns = [task["taskArn"] for task in fresh.tasks()]

    def stopped():
        tasks = fresh.client.describe_tasks(cluster="c", tasks=arns)["tasks"]
        return all(task["lastStatus"] == "STOPPED" for task in tasks)

    with pytest.raises(fresh.client.exceptions.InvalidParameterException, match="scaled above 0"):
        fresh.client.delete_service(cluster="c", service="redis")
    with pytest.raises(fresh.client.exceptions.ClusterContainsServicesException):
        fresh.client.delete_cluster(cluster="c")
    answer = fresh.client.delete_service(cluster="c", service="redis", force=True)
    assert answer["service"]["status"] == "DRAINING"
    fresh.wait_for(lambda: fresh.service()["status"] == "INACTIVE")
    assert fresh.client.list_services(cluster="c")["serviceArns"] == []
    fresh.client.get_waiter("services_inactive").wait(cluster="c", services=["redis"])
    fresh.create_service("redis", desired=0)
    fresh.client.delete_service(cluster="c", service="redis")
    fresh.wait_for(lambda: fresh.service()["status"] == "INACTIVE")
    fresh.wait_for(stopped)
    assert fresh.client.delete_cluster(cluster="c")["cluster"]["status"] == "INACTIVE"
