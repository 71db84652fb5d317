"""``redis-fargate status``."""

import typer

from redis_fargate.cli.controller import STATUS, ask
from redis_fargate.cli.exitcodes import of_health
from redis_fargate.cli.options import ClusterName, EndpointUrl, Json, Profile, Region
from redis_fargate.cli.output import print_json, progress
from redis_fargate.cli.render import print_result


def status(
    cluster_name: ClusterName,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: EndpointUrl = None,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Show a cluster's shards, and whether it is as it is wanted.

    Asks the controller, so it sees what the controller sees; nothing is changed.

    \b
    Example:
      redis-fargate status --cluster-name redis-prod --region eu-west-1
    """  # noqa: D301 - click's sign for lines that are not to be joined
    from redis_fargate.cli.session import lambda_client  # noqa: PLC0415 - imports boto3, slowly

    with progress() as tell:
        tell(f"Asking the controller of {cluster_name} …")
        with lambda_client(region, profile, endpoint_url) as functions:
            result = ask(functions, f"{cluster_name}-initializer", STATUS)
    if as_json:
        print_json(result.to_dict())
    else:
        print_result(result)
    raise typer.Exit(of_health(result.health))
