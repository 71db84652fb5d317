"""``redis-fargate init``."""

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from redis_fargate.cli.options import Json
from redis_fargate.cli.output import print_json, print_line
from redis_fargate.local.errors import DirectoryInUse

CLUSTER_NAME = "my-redis-cluster"
REGION = "us-east-1"
_CLUSTER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")],
    cluster_name: Annotated[
        str, typer.Option(help="What everything is named after.")
    ] = CLUSTER_NAME,
    region: Annotated[str, typer.Option(help="AWS region.")] = REGION,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Write a Terraform configuration that makes a Redis Cluster on AWS.

    It holds the module, the controller's package and a network of its own, and asks nothing but
    HashiCorp's AWS provider of the internet.

    \b
    Example:
      redis-fargate init redis --cluster-name redis-prod --region eu-west-1
      cd redis && terraform init && terraform apply
    """  # noqa: D301 - click's sign for lines that are not to be joined
    _check(cluster_name, region)
    _check_free(directory)
    from redis_fargate.local.module import write_root  # noqa: PLC0415 - needed by this one alone

    write_root(directory, cluster_name, region)
    if as_json:
        print_json({
            "directory": str(directory.absolute()),
            "cluster_name": cluster_name,
            "region": region,
        })  # fmt: skip
        return
    print_line(f"Written to {directory}:")
    print_line("  main.tf         what you want: look at it, the network above all")
    print_line("  network/        a VPC with a NAT gateway, for those who have none")
    print_line("  redis-fargate/  the module, with the controller's package")
    print_line("Then:")
    print_line(f"  cd {shlex.quote(str(directory))} && terraform init && terraform apply")


def _check(cluster_name: str, region: str) -> None:
    if not _CLUSTER_NAME.fullmatch(cluster_name):
        raise typer.BadParameter(
            f"{cluster_name!r}: use at most 40 letters, digits and '-', a letter first.",
            param_hint="'--cluster-name'",
        )
    if not _REGION.fullmatch(region):
        raise typer.BadParameter(
            f"{region!r} is no name of a region: they are like eu-west-1.", param_hint="'--region'"
        )


def _check_free(directory: Path) -> None:
    """See that nothing of anybody's would be written over, or be applied together with this."""
    if not directory.exists() and not directory.is_symlink():
        return
    if not directory.is_dir():
        raise DirectoryInUse(f"{directory} is no directory: name a new or an empty one.")
    if any(directory.iterdir()):
        raise DirectoryInUse(
            f"{directory} is not empty, and Terraform would take everything in it together: name a "
            "new or an empty directory."
        )
