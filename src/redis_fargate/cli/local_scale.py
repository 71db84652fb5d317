"""``redis-fargate local scale``."""

from typing import Annotated

import typer

from redis_fargate.cli.local_cloud import local_cloud, print_cluster
from redis_fargate.cli.options import Json
from redis_fargate.cli.output import progress
from redis_fargate.cli.waiting import await_as_wanted
from redis_fargate.local.errors import InvalidOption
from redis_fargate.topology.spec import Spec


def scale(
    masters: Annotated[
        int | None, typer.Option(help="Masters, one per shard.  [default: as many as there are]")
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(help="Replicas in total, not per master.  [default: as many as there are]"),
    ] = None,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Give the local cluster more or fewer masters and replicas, and wait until it has them.

    \b
    Example:
      redis-fargate local scale --masters 4 --replicas 8
    """  # noqa: D301 - click's sign for lines that are not to be joined
    if masters is None and replicas is None:
        raise InvalidOption("Nothing is to be changed: give --masters, --replicas or both.")
    from redis_fargate.local.changes import Changes  # noqa: PLC0415 - imports boto3, slowly

    with local_cloud() as cloud, progress() as tell:
        changes = Changes(cloud.clients, cloud.record.cluster_name)
        tell("Looking at the cluster …")
        known = changes.spec()
        spec = Spec(
            known.master_count if masters is None else masters,
            known.replica_count if replicas is None else replicas,
        )
        await_as_wanted(cloud, known.task_count, tell, lambda: None)
        tell(f"Asking for {spec.task_count} tasks …")
        changes.want(spec)
        result = await_as_wanted(cloud, spec.task_count, tell, lambda: None)
    print_cluster(cloud, result, as_json=as_json)
