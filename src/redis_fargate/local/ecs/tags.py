"""Operations on tags."""

from redis_fargate.local.ecs.arns import kind_of, last_part
from redis_fargate.local.ecs.context import Context
from redis_fargate.local.ecs.errors import (
    EcsError,
    cluster_not_found,
    invalid_parameter,
)
from redis_fargate.local.ecs.model import Json, ServiceStatus, Status
from redis_fargate.local.ecs.store import tag_list, tag_map

_MOST_TAGS = 50


async def tag_resource(context: Context, request: Json) -> Json:
    """TagResource."""
    tags = _tags_of(context, request["resourceArn"])
    given = tag_map(request["tags"])
    reserved = [key for key in given if key.lower().startswith("aws:")]
    if reserved:
        raise invalid_parameter(f"Tag keys cannot begin with 'aws:': {', '.join(reserved)}.")
    if len(tags | given) > _MOST_TAGS:
        raise EcsError("LimitExceededException", "A resource can have at most 50 tags.")
    tags.update(given)
    return {}


async def untag_resource(context: Context, request: Json) -> Json:
    """UntagResource."""
    tags = _tags_of(context, request["resourceArn"])
    for key in request["tagKeys"]:
        tags.pop(key, None)
    return {}


async def list_tags_for_resource(context: Context, request: Json) -> Json:
    """ListTagsForResource."""
    return {"tags": tag_list(_tags_of(context, request["resourceArn"]))}


def _tags_of(context: Context, arn: str) -> dict[str, str]:
    """Find the tags of a cluster, service, task or task definition.

    Raises:
        EcsError: there is no such resource, or it is gone.

    """
    store = context.store
    match kind_of(arn):
        case "cluster":
            cluster = store.clusters.get(last_part(arn))
            if cluster is None or not cluster.active or cluster.arn != arn:
                raise cluster_not_found()
            return cluster.tags
        case "service":
            service = store.services.get(arn)
            if service is not None and service.status is not ServiceStatus.INACTIVE:
                return service.tags
        case "task":
            task = store.tasks.get(last_part(arn))
            if task is not None and task.arn == arn and task.status is not Status.STOPPED:
                return task.tags
        case "task-definition":
            definition = store.find_definition(arn)
            if definition is not None and definition.arn == arn:
                return definition.tags
        case _:
            raise invalid_parameter(
                f"Invalid resourceArn {arn!r}: it must name a cluster, service, task or task "
                "definition."
            )
    raise EcsError("ResourceNotFoundException", f"The specified resource was not found: {arn}.")
