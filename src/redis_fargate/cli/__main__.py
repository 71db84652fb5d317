"""``python -m redis_fargate.cli`` is ``redis-fargate``."""

from redis_fargate.cli.edge import main

main()
