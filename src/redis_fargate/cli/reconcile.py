"""``redis-fargate reconcile``."""

import time
from typing import Annotated

import typer

from redis_fargate.cli.controller import ask
from redis_fargate.cli.exitcodes import ExitCode, of_health
from redis_fargate.cli.options import ClusterName, EndpointUrl, Json, Profile, Region
from redis_fargate.cli.output import print_json, progress
from redis_fargate.cli.render import print_result, verdict
from redis_fargate.controller.result import Outcome

_GO_ON = frozenset({Outcome.BUSY, Outcome.OUT_OF_TIME})
_PAUSE_S = 1.0
"""Between two requests. Each that finds another run at work makes that run look once more."""


def reconcile(  # noqa: PLR0913, PLR0917 - a command has options
    cluster_name: ClusterName,
    fast: Annotated[  # noqa: FBT002 - an option, given by name
        bool, typer.Option("--fast", help="Move slots as fast as it goes, however clients fare.")
    ] = False,
    dry_run: Annotated[  # noqa: FBT002
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")
    ] = False,
    region: Region = None,
    profile: Profile = None,
    endpoint_url: EndpointUrl = None,
    as_json: Json = False,  # noqa: FBT002
) -> None:
    """Let the controller bring a cluster to what it should be, now.

    It does so by itself, at every event and every minute. This waits until it is done, through as
    many runs as that takes.

    \b
    Example:
      redis-fargate reconcile --cluster-name redis-prod --dry-run
    """  # noqa: D301 - click's sign for lines that are not to be joined
    from redis_fargate.cli.session import (  # noqa: PLC0415 - imports boto3, slowly
        RUN_TIMEOUT_S,
        lambda_client,
    )

    request = {"action": "reconcile", "fast": fast, "dry_run": dry_run}
    with progress() as tell:
        tell(f"Asking the controller of {cluster_name} …")
        with lambda_client(region, profile, endpoint_url, RUN_TIMEOUT_S) as functions:
            while True:
                result = ask(functions, f"{cluster_name}-initializer", request)
                if result.outcome not in _GO_ON:
                    break
                tell(verdict(result))
                time.sleep(_PAUSE_S)
    if as_json:
        print_json(result.to_dict())
    else:
        print_result(result)
    well = result.outcome not in {Outcome.FAILED, Outcome.REFUSED}
    raise typer.Exit(of_health(result.health) if well else ExitCode.NOT_AS_WANTED)
