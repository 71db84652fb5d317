"""Operations on task definitions."""

import copy
import re

from redis_fargate.local.ecs import fargate
from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.errors import client_error, invalid_parameter
from redis_fargate.local.ecs.model import Definition, Json, is_essential, now
from redis_fargate.local.ecs.paging import page
from redis_fargate.local.ecs.store import tag_list, tag_map

_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MOST_DELETED = 10
_CONTAINER_DEFAULTS: Json = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}
_HEALTH_CHECK_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3}


async def register_task_definition(context: Context, request: Json) -> Json:
    """RegisterTaskDefinition."""
    family = request["family"]
    if not _FAMILY.fullmatch(family):
        raise client_error(
            "Family contains invalid characters: up to 255 letters, numbers, hyphens and "
            "underscores are allowed."
        )
    compatible = request.get("requiresCompatibilities", [])
    _check_containers(request["containerDefinitions"], on_fargate="FARGATE" in compatible)
    if "FARGATE" in compatible:
        fargate.check(request)
    revisions = context.store.families.setdefault(family, [])
    revision = len(revisions) + 1
    arn = context.arns.make("task-definition", f"{family}:{revision}")
    awsvpc = request.get("networkMode") == "awsvpc"
    data = {
        "volumes": [],
        "placementConstraints": [],
        **{name: value for name, value in request.items() if name != "tags"},
        "taskDefinitionArn": arn,
        "containerDefinitions": [
            _filled(container, awsvpc=awsvpc) for container in request["containerDefinitions"]
        ],
        "revision": revision,
        "status": "ACTIVE",
        "requiresAttributes": [],
        "compatibilities": sorted({"EC2", *compatible}),
        "registeredAt": now(),
        "registeredBy": f"arn:aws:iam::{context.arns.account}:root",
    }
    for what in ("cpu", "memory"):
        if what in request:
            data[what] = str(fargate.units(request[what], what))
    tags = tag_map(request.get("tags", []))
    revisions.append(Definition(arn, family, revision, data, tags))
    return {"taskDefinition": data, "tags": tag_list(tags)}


async def describe_task_definition(context: Context, request: Json) -> Json:
    """DescribeTaskDefinition."""
    definition = _find(context, request, "Unable to describe task definition.")
    answer: Json = {"taskDefinition": definition.data}
    if "TAGS" in request.get("include", []):
        answer["tags"] = tag_list(definition.tags)
    return answer


async def list_task_definitions(context: Context, request: Json) -> Json:
    """ListTaskDefinitions, of one family if ``familyPrefix`` names one; ACTIVE ones by default."""
    status = request.get("status", "ACTIVE")
    prefix = request.get("familyPrefix")
    arns = [
        definition.arn
        for family in sorted(context.store.families)
        for definition in context.store.families[family]
        if definition.data["status"] == status and prefix in {None, family}
    ]
    if request.get("sort") == "DESC":
        arns.reverse()
    return page(arns, request, "taskDefinitionArns")


async def list_task_definition_families(context: Context, request: Json) -> Json:
    """ListTaskDefinitionFamilies; a family is ACTIVE while one of its revisions is."""
    status = request.get("status", "ALL")
    prefix = request.get("familyPrefix", "")
    families = []
    for family, revisions in sorted(context.store.families.items()):
        own = "ACTIVE" if any(item.active for item in revisions) else "INACTIVE"
        if family.startswith(prefix) and status in {"ALL", own}:
            families.append(family)
    return page(families, request, "families")


async def deregister_task_definition(context: Context, request: Json) -> Json:
    """DeregisterTaskDefinition: no new task or service may use it, what runs goes on."""
    _check_revision(request["taskDefinition"])
    definition = _find(context, request, "The specified task definition does not exist.")
    if definition.active:
        definition.data["status"] = "INACTIVE"
        definition.data["deregisteredAt"] = now()
    return {"taskDefinition": definition.data}


async def delete_task_definitions(context: Context, request: Json) -> Json:
    """DeleteTaskDefinitions; they stay DELETE_IN_PROGRESS, as AWS may leave them for long."""
    references = request["taskDefinitions"]
    if not 1 <= len(references) <= _MOST_DELETED:
        raise invalid_parameter("The number of task definitions must be between 1 and 10.")
    deleted, failures = [], []
    for reference in references:
        _check_revision(reference)
        definition = context.store.find_definition(reference)
        if definition is None:
            reason = "The specified task definition does not exist. Specify a valid one."
            failures.append({"arn": reference, "reason": reason})
        elif definition.active:
            reason = (
                "The specified task definition is still in ACTIVE status. Please deregister the "
                "target and try again."
            )
            failures.append({"arn": definition.arn, "reason": reason})
        else:
            definition.data["status"] = "DELETE_IN_PROGRESS"
            definition.data.setdefault("deleteRequestedAt", now())
            deleted.append(definition.data)
    return {"taskDefinitions": deleted, "failures": failures}


def _find(context: Context, request: Json, otherwise: str) -> Definition:
    definition = context.store.find_definition(request["taskDefinition"])
    if definition is None:
        raise client_error(otherwise)
    return definition


def _check_revision(reference: str) -> None:
    if ":" not in reference.rsplit("/", 1)[-1]:
        raise invalid_parameter(f"Missing revision number. Task definition: {reference}")


def _check_containers(containers: list[Json], *, on_fargate: bool) -> None:
    if not containers:
        raise client_error("Container list cannot be empty.")
    names = [container.get("name") for container in containers]
    if len(set(names)) < len(names):
        raise client_error("Container names must be unique within a task definition.")
    for container in containers:
        for member in ("name", "image"):
            if not container.get(member):
                raise client_error(f"Container.{member} should not be null or empty.")
        if not on_fargate and not {"memory", "memoryReservation"} & container.keys():
            raise client_error(
                f"Invalid setting for container '{container['name']}'. At least one of 'memory' "
                "or 'memoryReservation' must be specified."
            )
        fargate.check_health_check(container)
    if not any(is_essential(container) for container in containers):
        raise client_error("A task definition must have at least one essential container.")


def _filled(container: Json, *, awsvpc: bool) -> Json:
    """Fill in what AWS fills in, so that what is described equals what AWS describes."""
    filled = {**copy.deepcopy(_CONTAINER_DEFAULTS), **container}
    filled["portMappings"] = [
        {
            "protocol": "tcp",
            **(
                {"hostPort": mapping["containerPort"]}
                if awsvpc and "containerPort" in mapping
                else {}
            ),
            **mapping,
        }
        for mapping in filled["portMappings"]
    ]
    if "healthCheck" in filled:
        filled["healthCheck"] = {**_HEALTH_CHECK_DEFAULTS, **filled["healthCheck"]}
    return filled
