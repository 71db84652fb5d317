"""What every operation works with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis_fargate.local.ecs.arns import Arns
from redis_fargate.local.ecs.keeper import Keeper
from redis_fargate.local.ecs.lifecycle import Lifecycle
from redis_fargate.local.ecs.model import Json
from redis_fargate.local.ecs.rollouts import Rollouts
from redis_fargate.local.ecs.store import Store
from redis_fargate.local.ports import Subnets


@dataclass(frozen=True, slots=True)
class Context:
    """The account's state and who acts on it."""

    store: Store
    arns: Arns
    keeper: Keeper
    lifecycle: Lifecycle
    rollouts: Rollouts
    subnets: Subnets


Operation = Callable[[Context, Json], Awaitable[Json]]
"""Carries out a request whose members have been checked; the answer's members."""
