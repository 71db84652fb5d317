"""``redis-fargate local status``."""

import typer

from redis_fargate.cli.exitcodes import of_health
from redis_fargate.cli.local_cloud import local_cloud, print_cluster
from redis_fargate.cli.options import Json
from redis_fargate.cli.output import progress


def status(
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Show the local cluster's shards, and how to connect to it.

    \b
    Example:
      redis-fargate local status --json | jq .result.health
    """  # noqa: D301 - click's sign for lines that are not to be joined
    with local_cloud() as cloud:
        with progress() as tell:
            tell("Asking the controller …")
            result = cloud.status()
        print_cluster(cloud, result, as_json=as_json)
    raise typer.Exit(of_health(result.health))
