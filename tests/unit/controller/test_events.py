import dataclasses

import pytest

from redis_fargate.controller.events import Action, InvalidEvent, Request, Trigger, understood
from redis_fargate.controller.settings import Settings
from redis_fargate.topology.spec import Policy, Spec

REGION = "arn:aws:ecs:us-east-1:000000000000"
CLUSTER = f"{REGION}:cluster/redis"
SERVICE = f"{REGION}:service/redis/redis-cluster-service"
SETTINGS = Settings(
    "redis", "redis", "redis-cluster-service", "local", "redis-cluster", "redis-state",
    Spec(3, 3), Policy(),
)  # fmt: skip


def task_event(cluster=CLUSTER, group="service:redis-cluster-service"):
    detail = {"clusterArn": cluster, "group": group, "lastStatus": "RUNNING"}
    return {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": detail}


def service_event(service=SERVICE, cluster=CLUSTER):
    return {
        "source": "aws.ecs",
        "detail-type": "ECS Service Action",
        "resources": [service],
        "detail": {"eventName": "SERVICE_STEADY_STATE", "clusterArn": cluster},
    }


def deployment_event(service=SERVICE):
    return {
        "source": "aws.ecs",
        "detail-type": "ECS Deployment State Change",
        "resources": [service],
        "detail": {"eventName": "SERVICE_DEPLOYMENT_COMPLETED", "deploymentId": "ecs-svc/1"},
    }


@pytest.mark.parametrize("name", ["redis", CLUSTER], ids=["cluster by name", "cluster by ARN"])
@pytest.mark.parametrize(
    ("event", "trigger"),
    [
        (task_event(), Trigger.TASK),
        (service_event(), Trigger.SERVICE),
        (service_event(f"{REGION}:service/redis-cluster-service"), Trigger.SERVICE),
        (deployment_event(), Trigger.DEPLOYMENT),
        ({"source": "aws.events", "detail-type": "Scheduled Event"}, Trigger.SCHEDULE),
    ],
    ids=["task", "service", "service in the old form", "deployment", "schedule"],
)
def test_events_about_our_service(event, trigger, name):
    settings = dataclasses.replace(SETTINGS, ecs_cluster=name)
    assert understood(event, settings) == Request(trigger)


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (task_event(group="service:web"), "service:web"),
        (task_event(group="family:redis"), "family:redis"),
        (task_event(cluster=f"{REGION}:cluster/other"), "cluster/other"),
        (service_event(f"{REGION}:service/redis/web"), "service/redis/web"),
        (service_event(f"{REGION}:service/other/redis-cluster-service"), "service/other"),
        (deployment_event(f"{REGION}:service/redis/web"), "service/redis/web"),
    ],
)
def test_events_about_others_are_known_as_such(event, named):
    assert named in understood(event, SETTINGS).foreign


@pytest.mark.parametrize(
    ("event", "request_"),
    [
        ({"action": "reconcile"}, Request(Trigger.DIRECT)),
        ({"action": "reconcile", "dry_run": True}, Request(Trigger.DIRECT, dry_run=True)),
        ({"action": "reconcile", "until": "healthy"}, Request(Trigger.DIRECT, until_healthy=True)),
        ({"action": "status"}, Request(Trigger.DIRECT, Action.STATUS)),
    ],
)
def test_direct_invocations(event, request_):
    assert understood(event, SETTINGS) == request_


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({}, "is not understood"),
        ({"source": "aws.s3", "detail-type": "Object Created"}, "'aws.s3'"),
        ({"source": "mine", "detail-type": "ECS Task State Change"}, "'mine'"),
        ({"source": "aws.ecs", "detail-type": "Scheduled Event"}, "is not understood"),
        ({"source": "aws.ecs", "detail-type": "direct invocation"}, "is not understood"),
        ({"action": "destroy"}, "'destroy' is not known"),
        ({"action": "reconcile", "dry_run": "yes"}, "dry_run is 'yes'"),
        ({"action": "reconcile", "fast": 1}, "fast is 1: use true or false"),
        ({"action": "status", "fast": True}, "fast is true, and nothing is to be moved"),
        ({"action": "reconcile", "until": "ready"}, "until is 'ready'"),
        ({"action": "reconcile", "until": ["healthy"]}, "until is"),
        ({"action": "reconcile", "until": "healthy", "dry_run": True}, "without dry_run"),
        ({"action": "status", "until": "healthy"}, 'with the action "reconcile"'),
    ],
)
def test_anything_else_gets_a_sentence(event, sentence):
    with pytest.raises(InvalidEvent, match=sentence):
        understood(event, SETTINGS)
