"""``redis-fargate local up``."""

from redis_fargate.cli.options import Json, Masters, Port, RedisConfig, Replicas, Server, Zones
from redis_fargate.cli.output import progress
from redis_fargate.local.options import DEFAULT_PORT, DEFAULT_SERVER, Options, parse_redis_config
from redis_fargate.topology.spec import Spec


def up(  # noqa: PLR0913, PLR0917 - the options that it has
    masters: Masters = 3,
    replicas: Replicas = 3,
    zones: Zones = 3,
    server: Server = DEFAULT_SERVER,
    redis_config: RedisConfig = None,
    port: Port = DEFAULT_PORT,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Start a local cloud and let a Redis Cluster form in it.

    It runs in the background until `redis-fargate local down`.

    \b
    Examples:
      redis-fargate local up
      redis-fargate local up --masters 5 --replicas 10 --server redis-server \\
          --redis-config maxmemory-policy=allkeys-lru
    """  # noqa: D301 - click's sign for lines that are not to be joined
    options = Options(
        spec=Spec(masters, replicas),
        zones=zones,
        server=server,
        redis_config=parse_redis_config(redis_config or ()),
        port=port,
    )
    from redis_fargate.cli.bringing_up import brought_up  # noqa: PLC0415 - imports boto3, slowly
    from redis_fargate.cli.local_cloud import print_cluster  # noqa: PLC0415

    with progress() as tell, brought_up(options, tell) as (cloud, result):
        pass
    print_cluster(cloud, result, as_json=as_json)
