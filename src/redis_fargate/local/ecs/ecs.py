"""The local ECS as a whole: started, asked, closed."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from redis_fargate.local.ecs.addresses import Addresses
from redis_fargate.local.ecs.arns import Arns
from redis_fargate.local.ecs.context import Context, Operation
from redis_fargate.local.ecs.errors import EcsError
from redis_fargate.local.ecs.events import Events
from redis_fargate.local.ecs.keeper import Keeper
from redis_fargate.local.ecs.launch import Surroundings
from redis_fargate.local.ecs.lifecycle import Lifecycle
from redis_fargate.local.ecs.operations import OPERATIONS
from redis_fargate.local.ecs.protocol import Answer, Wire
from redis_fargate.local.ecs.rollouts import Rollouts
from redis_fargate.local.ecs.store import Store
from redis_fargate.local.ports import EventSink, Registry, Subnets, TaskRuntime

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FarEnds:
    """The rest of the local cloud, as ECS uses it."""

    runtime: TaskRuntime
    registry: Registry
    events: EventSink
    subnets: Subnets


class Ecs:
    """ECS of one account in one region; all its methods run on one event loop."""

    def __init__(  # noqa: PLR0913 - what an account and its surroundings are
        self,
        far_ends: FarEnds,
        *,
        account: str,
        region: str,
        directory: Path,
        metadata_endpoint: str,
        addresses: Addresses | None = None,
    ) -> None:
        """Make an ECS without anything in it.

        ``directory`` holds the tasks' disks while they live. ``metadata_endpoint`` is
        ``http://127.0.0.1:<port>``, from which tasks learn their id.
        """
        arns = Arns(account, region)
        store = Store()
        self._events = Events(far_ends.events, arns)
        self._addresses = addresses or Addresses()
        self._lifecycle = Lifecycle(
            runtime=far_ends.runtime,
            registry=far_ends.registry,
            events=self._events,
            addresses=self._addresses,
            store=store,
            around=Surroundings(region, metadata_endpoint, directory),
        )
        rollouts = Rollouts(self._events)
        self._keeper = Keeper(store, self._lifecycle, rollouts, self._events, arns)
        self._lifecycle.observer = self._keeper
        self._context = Context(
            store, arns, self._keeper, self._lifecycle, rollouts, far_ends.subnets
        )
        self._wire = Wire()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to keep services as they should be."""
        self._keeping = asyncio.get_running_loop().create_task(self._keeper.run())
        self._keeping.add_done_callback(_report)

    async def handle(self, operation: str, body: bytes) -> Answer:
        """Carry out one request: ``RunTask`` and its JSON; the HTTP status, headers and body."""
        try:
            request = self._wire.read(operation, body)
            result = await _operation(operation)(self._context, request)
        except EcsError as error:
            return self._wire.refusal(error)
        return self._wire.answer(result)

    async def close(self) -> None:
        """Stop all tasks and forget everything; nothing is published any more.

        Takes as long as the tasks take to stop: their stop timeout and some seconds at most.
        """
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        self._keeper.close()
        await self._events.close()
        await self._lifecycle.close()
        self._keeper.close()
        self._addresses.close()


def _operation(name: str) -> Operation:
    if name not in OPERATIONS:
        raise EcsError(
            "UnknownOperationException",
            f"The local ECS does not carry out {name}. It knows: {', '.join(OPERATIONS)}.",
        )
    return OPERATIONS[name]


def _report(keeping: asyncio.Task[None]) -> None:
    if not keeping.cancelled() and (error := keeping.exception()) is not None:
        _log.critical("the local ECS keeps services no more: a fault of it", exc_info=error)
