"""The command line, ``redis-fargate``: one file per command."""

from redis_fargate.cli.edge import main

__all__ = ["main"]
