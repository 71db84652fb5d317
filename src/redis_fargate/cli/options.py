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

# What a local cloud is started with.
Masters = Annotated[int, typer.Option(help="Masters, one per shard.")]
Replicas = Annotated[int, typer.Option(help="Replicas in total, not per master.")]
Zones = Annotated[int, typer.Option(help="Availability zones to spread over, 1 to 6.")]
Server = Annotated[
    str,
    typer.Option(
        help="Server program: redis-server, a path, or an image such as valkey/valkey:8.1."
    ),
]
RedisConfig = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="A redis.conf option; may be given often."),
]
Port = Annotated[int, typer.Option(help="Port of the AWS endpoint.")]
