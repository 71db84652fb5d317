"""A task's life: PROVISIONING, PENDING, ACTIVATING, RUNNING, and back down to STOPPED.

Each change raises the task's version, is published as an event, and is told to the observer.
"""

import asyncio
import logging
import shutil
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from redis_fargate.local.ecs.addresses import Addresses
from redis_fargate.local.ecs.errors import NoAddress
from redis_fargate.local.ecs.events import Events
from redis_fargate.local.ecs.launch import DEFAULT_STOP_TIMEOUT_S, Surroundings, launch_of
from redis_fargate.local.ecs.model import (
    ContainerState,
    Status,
    StopCode,
    Task,
    has_health_check,
    is_essential,
    now,
)
from redis_fargate.local.ecs.store import Store
from redis_fargate.local.errors import CannotStartContainer
from redis_fargate.local.ports import (
    Container,
    ContainerHealth,
    HealthListener,
    Registry,
    TaskRuntime,
)
from redis_fargate.topology.errors import RedisFargateError

_log = logging.getLogger(__name__)

_REGISTRY_TIMEOUT_S = 10
_CLOSE_GRACE_S = 10
_FAR_END_ERRORS = (RedisFargateError, BotoCoreError, ClientError, OSError, TimeoutError)


class Observer(Protocol):
    """Whoever keeps services as they should be."""

    def changed(self, task: Task) -> None:
        """Take a task's change of any kind."""

    def ended(self, task: Task) -> None:
        """Take that a task is to stop from now on; called once for each task."""


@dataclass(frozen=True, slots=True)
class _Started:
    """A container that runs, and the task that waits for its end."""

    state: ContainerState
    container: Container
    watch: asyncio.Task[None]


class Lifecycle:
    """Starts tasks and stops them."""

    def __init__(  # noqa: PLR0913 - the ports that a task's life needs
        self,
        *,
        runtime: TaskRuntime,
        registry: Registry,
        events: Events,
        addresses: Addresses,
        store: Store,
        around: Surroundings,
    ) -> None:
        self._runtime = runtime
        self._registry = registry
        self._events = events
        self._addresses = addresses
        self._store = store
        self._around = around
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._pushes: dict[str, asyncio.Task[None]] = {}
        """The last push of health of each registered task."""
        self.observer: Observer | None = None

    def begin(self, task: Task) -> None:
        """Start a task; returns at once."""
        self._store.forget_old_tasks()
        self._store.tasks[task.id] = task
        self._tell(task)
        life = asyncio.get_running_loop().create_task(self._live(task), name=f"task {task.id}")
        self._lives[task.id] = life
        life.add_done_callback(lambda done: self._over(task, done))

    def stop(self, task: Task, code: StopCode, reason: str) -> None:
        """Stop a task; returns at once. A task that is stopping already goes on as it is."""
        if not task.live:
            return
        task.desired = Status.STOPPED
        task.stop_code = code
        task.stopped_reason = reason
        task.times["stoppingAt"] = now()
        if self.observer is not None:
            self.observer.ended(task)
        self._changed(task)
        task.stop_wanted.set()

    async def close(self) -> None:
        """Stop every task and wait for it, as long as the tasks' stop timeouts allow."""
        patience_s = _CLOSE_GRACE_S + max(
            (
                container.definition.get("stopTimeout", DEFAULT_STOP_TIMEOUT_S)
                for task in self._store.tasks.values()
                if task.id in self._lives
                for container in task.containers
            ),
            default=0,
        )
        for task in list(self._store.tasks.values()):
            self.stop(task, StopCode.USER_INITIATED, "The local cloud is going down")
        lives = list(self._lives.values())
        if lives:
            _, late = await asyncio.wait(lives, timeout=patience_s)
            for life in late:
                _log.error("%s did not stop in %s s", life.get_name(), patience_s)
                life.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _live(self, task: Task) -> None:
        started: list[_Started] = []
        try:
            await self._start(task, started)
            await task.stop_wanted.wait()
        finally:
            await self._end(task, started)

    def _over(self, task: Task, life: asyncio.Task[None]) -> None:
        del self._lives[task.id]
        if not life.cancelled() and (error := life.exception()) is not None:
            _log.error("task %s ended by a fault of the local ECS", task.id, exc_info=error)

    async def _start(self, task: Task, started: list[_Started]) -> None:
        try:
            task.address = self._addresses.take(task.zone)
        except NoAddress as error:
            reason = f"Unexpected EC2 error while attempting to Create Network Interface: {error}"
            self.stop(task, StopCode.FAILED_TO_START, reason)
            return
        task.attachment_status = "ATTACHED"
        task.times["connectivityAt"] = task.times["pullStartedAt"] = now()
        self._advance(task, Status.PENDING)
        for state in task.containers:
            launch = launch_of(task, state, self._around)
            launch.directory.mkdir(parents=True)
            try:
                container = await self._runtime.start(launch, self._listener(task, state))
            except CannotStartContainer as error:
                state.reason = str(error)
                if is_essential(state.definition):
                    self.stop(task, StopCode.FAILED_TO_START, str(error))
                    return
                state.status = Status.STOPPED
                _log.warning("Task %s goes on without %s: %s", task.id, launch.container, error)
                continue
            state.status = Status.RUNNING
            watch = asyncio.get_running_loop().create_task(self._watch(task, state, container))
            started.append(_Started(state, container, watch))
            if not task.live:
                return
        task.times["pullStoppedAt"] = now()
        self._advance(task, Status.ACTIVATING)
        if await self._register(task) and task.live:
            task.times["startedAt"] = now()
            self._advance(task, Status.RUNNING)

    async def _end(self, task: Task, started: list[_Started]) -> None:
        self.stop(task, StopCode.FAILED_TO_START, "A fault of the local ECS; its log says which")
        if task.status in {Status.ACTIVATING, Status.RUNNING}:
            self._advance(task, Status.DEACTIVATING)
            await self._deregister(task)
        self._advance(task, Status.STOPPING)
        await asyncio.gather(
            *(item.container.stop() for item in started if item.state.exit_code is None)
        )
        await asyncio.gather(*(item.watch for item in started))
        for state in task.containers:
            state.status = Status.STOPPED
        task.times["executionStoppedAt"] = now()
        self._advance(task, Status.DEPROVISIONING)
        await asyncio.to_thread(shutil.rmtree, self._around.directory / task.id, ignore_errors=True)
        task.attachment_status = "DELETED"
        task.times["stoppedAt"] = now()
        if task.address is not None:
            self._addresses.give_back(task.address)
        self._advance(task, Status.STOPPED)

    async def _watch(self, task: Task, state: ContainerState, container: Container) -> None:
        state.exit_code = await container.wait()
        state.status = Status.STOPPED
        if is_essential(state.definition):
            reason = "Essential container in task exited"
            self.stop(task, StopCode.ESSENTIAL_CONTAINER_EXITED, reason)
        if task.live:
            self._changed(task)

    def _listener(self, task: Task, state: ContainerState) -> HealthListener:
        def listen(health: ContainerHealth) -> None:
            state.health = health
            before, task.health = task.health, _health_of(task)
            if task.health is before:
                return
            if task.status in {Status.ACTIVATING, Status.RUNNING}:
                self._changed(task)
                self._push_health(task)

        return listen

    def _push_health(self, task: Task) -> None:
        if not task.registered or task.health is ContainerHealth.UNKNOWN:
            return
        push = asyncio.get_running_loop().create_task(
            self._push_after(self._pushes.get(task.id), task)
        )
        self._pushes[task.id] = push

    async def _push_after(self, former: asyncio.Task[None] | None, task: Task) -> None:
        if former is not None:
            await asyncio.wait({former})
        healthy = task.health is ContainerHealth.HEALTHY
        call = self._registry.set_health(task.registry_arn or "", task.id, healthy=healthy)
        await self._call(call, f"set the health of task {task.id} in")

    async def _register(self, task: Task) -> bool:
        """Register the task if its service wants that; whether it may run now."""
        if task.registry_arn is None:
            return True
        call = self._registry.register(task.registry_arn, task.id, self._attributes(task))
        failure = await self._call(call, f"register task {task.id} with")
        if failure:
            self.stop(task, StopCode.FAILED_TO_START, failure)
            return False
        task.registered = True
        self._push_health(task)
        return True

    async def _deregister(self, task: Task) -> None:
        task.registered = False
        if (push := self._pushes.pop(task.id, None)) is not None:
            await asyncio.wait({push})
        if task.registry_arn is not None:
            call = self._registry.deregister(task.registry_arn, task.id)
            await self._call(call, f"deregister task {task.id} from")

    async def _call(self, call: Coroutine[None, None, None], what: str) -> str:
        """Call the registry; what went wrong, in a sentence, or an empty one."""
        try:
            async with asyncio.timeout(_REGISTRY_TIMEOUT_S):
                await call
        except _FAR_END_ERRORS as error:
            failure = f"Unable to {what} service discovery: {type(error).__name__}: {error}"
            _log.warning("%s", failure)
            return failure
        return ""

    def _attributes(self, task: Task) -> Mapping[str, str]:
        """Make what ECS writes into Cloud Map for the task."""
        service = task.service
        return {
            "AWS_INSTANCE_IPV4": task.address or "",
            "AVAILABILITY_ZONE": task.zone,
            "ECS_CLUSTER_NAME": task.cluster.name,
            "ECS_SERVICE_NAME": service.name if service is not None else "",
            "ECS_TASK_DEFINITION_FAMILY": task.definition.family,
            "REGION": self._around.region,
        }

    def _advance(self, task: Task, status: Status) -> None:
        task.status = status
        self._changed(task)

    def _changed(self, task: Task) -> None:
        task.version += 1
        self._tell(task)

    def _tell(self, task: Task) -> None:
        self._events.task_changed(task)
        if self.observer is not None:
            self.observer.changed(task)


def _health_of(task: Task) -> ContainerHealth:
    """Sum up the essential containers that have a health check."""
    checked = [
        state.health
        for state in task.containers
        if is_essential(state.definition) and has_health_check(state.definition)
    ]
    if ContainerHealth.UNHEALTHY in checked:
        return ContainerHealth.UNHEALTHY
    if not checked or ContainerHealth.UNKNOWN in checked:
        return ContainerHealth.UNKNOWN
    return ContainerHealth.HEALTHY
