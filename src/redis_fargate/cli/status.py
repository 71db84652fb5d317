"""``redis-fargate status``."""

from typing import Annotated

import typer

from redis_fargate.cli.controller import ask_for_status
from redis_fargate.cli.exitcodes import of_health
from redis_fargate.cli.options import Json
from redis_fargate.cli.output import print_json, progress
from redis_fargate.cli.render import print_result


def status(
    cluster_name: Annotated[str, typer.Option(help="The Terraform module's cluster_name.")],
    region: Annotated[
        str | None, typer.Option(help="AWS region.  [default: as the AWS CLI]")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Profile of the AWS configuration.  [default: as the AWS CLI]"),
    ] = None,
    endpoint_url: Annotated[
        str | None, typer.Option(help="Another AWS endpoint, such as a local one.")
    ] = None,
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
            result = ask_for_status(functions, f"{cluster_name}-initializer")
    if as_json:
        print_json(result.to_dict())
    else:
        print_result(result)
    raise typer.Exit(of_health(result.health))
