"""Options that several commands have."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
ClusterName = Annotated[str, typer.Option(help="The Terraform module's cluster_name.")]
Region = Annotated[str | None, typer.Option(help="AWS region.  [default: as the AWS CLI]")]
Profile = Annotated[
    str | None, typer.Option(help="Profile of the AWS configuration.  [default: as the AWS CLI]")
]
EndpointUrl = Annotated[str | None, typer.Option(help="Another AWS endpoint, such as a local one.")]
