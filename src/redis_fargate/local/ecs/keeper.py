"""Keeps services as they should be: carries out what the scheduler decides.

It does so whenever a service or one of its tasks changed, and when time alone changes something.
"""

import asyncio
import time
from collections.abc import Sequence

from redis_fargate.local.ecs.arns import Arns
from redis_fargate.local.ecs.events import Events, ServiceAction
from redis_fargate.local.ecs.launch import Origin, choose_subnet, new_task
from redis_fargate.local.ecs.lifecycle import Lifecycle
from redis_fargate.local.ecs.model import (
    Deployment,
    Rollout,
    Service,
    ServiceStatus,
    Status,
    StopCode,
    Task,
    now,
)
from redis_fargate.local.ecs.rollouts import Rollouts, breaker_of
from redis_fargate.local.ecs.scheduler import (
    Condition,
    Decision,
    ServiceView,
    StopReason,
    TaskView,
    decide,
)
from redis_fargate.local.ecs.store import Store
from redis_fargate.local.ports import ContainerHealth

YOUNG_S = 10
"""A task that ends sooner than this after its creation counts as a failed start."""

_THROTTLE_FIRST_S = 0.5
_THROTTLE_MOST_S = 10
_GOING = frozenset({Status.DEACTIVATING, Status.STOPPING, Status.DEPROVISIONING, Status.STOPPED})


class Keeper:
    """Reconciles services with what is wanted of them."""

    def __init__(
        self, store: Store, lifecycle: Lifecycle, rollouts: Rollouts, events: Events, arns: Arns
    ) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._rollouts = rollouts
        self._events = events
        self._arns = arns
        self._due: dict[str, Service] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wakened = asyncio.Event()

    async def run(self) -> None:
        """Reconcile services as they become due, until cancelled."""
        while True:
            await self._wakened.wait()
            self._wakened.clear()
            due, self._due = self._due, {}
            for service in due.values():
                self._reconcile(service)

    def close(self) -> None:
        """Drop the timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def wake(self, service: Service) -> None:
        """Make a service due."""
        self._due[service.arn] = service
        self._wakened.set()

    def changed(self, task: Task) -> None:
        """Take a task's change (see ``lifecycle.Observer``)."""
        service, deployment = task.service, task.deployment
        if service is None or deployment is None:
            return
        if task.live and not task.was_healthy and _condition(task) is Condition.HEALTHY:
            task.was_healthy = True
            if breaker_of(service).get("resetOnHealthyTask", True):
                deployment.failed_tasks = 0
        self.wake(service)

    def ended(self, task: Task) -> None:
        """Take that a task is to stop, and count it if it failed (see ``lifecycle.Observer``)."""
        service, deployment = task.service, task.deployment
        died = {StopCode.FAILED_TO_START, StopCode.ESSENTIAL_CONTAINER_EXITED}
        unhealthy = task.health is ContainerHealth.UNHEALTHY
        if service is None or deployment is None or not (task.stop_code in died or unhealthy):
            return
        age_s = (now() - task.created_at).total_seconds()
        service.young_deaths = service.young_deaths + 1 if age_s < YOUNG_S else 0
        delay_s = _throttle_s(service)
        if delay_s:
            service.start_not_before = time.monotonic() + delay_s
            self._rollouts.complain(
                service,
                "is unable to consistently start tasks successfully. For more information, see "
                "the Troubleshooting section of the Amazon ECS Developer Guide.",
                ServiceAction.TASK_START_IMPAIRED,
            )
        if not task.was_healthy:
            deployment.failed_tasks += 1
            self._rollouts.break_circuit(service, deployment)

    def _reconcile(self, service: Service) -> None:
        if service.status is not ServiceStatus.ACTIVE:
            self._drain(service)
            return
        tasks = self._store.tasks_of(service)
        live = [task for task in tasks if task.live]
        self._drop_finished(service, tasks)
        decision = decide(_view(service, tasks))
        if decision.start:
            self._start(service, decision.start)
        self._stop(service, live, decision)
        self._explain(service, decision)
        for former in service.deployments[1:]:
            former.desired = sum(task.live and task.deployment is former for task in live)
        service.primary.desired = service.desired
        live = [task for task in self._store.tasks_of(service) if task.live]
        healthy = sum(_condition(task) is Condition.HEALTHY for task in live)
        self._rollouts.judge(service, live=len(live), healthy=healthy)
        self._set_timer(service, live)

    def _drain(self, service: Service) -> None:
        tasks = self._store.tasks_of(service)
        for task in tasks:
            self._lifecycle.stop(task, StopCode.SERVICE_SCHEDULER_INITIATED, _scaling_reason(task))
        if all(task.status in _GOING for task in tasks):
            service.status = ServiceStatus.INACTIVE

    def _start(self, service: Service, zones: Sequence[str]) -> None:
        deployment = service.primary
        placement = deployment.placement
        started = []
        for zone in zones:
            siblings = [task for task in self._store.tasks_of(service) if task.live]
            task = new_task(
                service.cluster,
                deployment.definition,
                placement,
                Origin(
                    group=f"service:{service.name}",
                    started_by=deployment.id,
                    tags=self._tags(service, deployment),
                    service=service,
                    deployment=deployment,
                    execute_command=service.settings["enableExecuteCommand"],
                ),
                subnet=choose_subnet(placement.zones.items(), zone, siblings),
                siblings=siblings,
                arns=self._arns,
            )
            self._lifecycle.begin(task)
            started.append(task)
        names = " ".join(f"(task {task.id})" for task in started)
        self._rollouts.log(
            service, f"(service {service.name}) has started {len(started)} tasks: {names}."
        )

    @staticmethod
    def _tags(service: Service, deployment: Deployment) -> dict[str, str]:
        tags: dict[str, str] = {}
        if service.settings["enableECSManagedTags"]:
            tags["aws:ecs:clusterName"] = service.cluster.name
            tags["aws:ecs:serviceName"] = service.name
        match service.settings["propagateTags"]:
            case "SERVICE":
                tags |= service.tags
            case "TASK_DEFINITION":
                tags |= deployment.definition.tags
        return tags

    def _stop(self, service: Service, live: Sequence[Task], decision: Decision) -> None:
        by_id = {task.id: task for task in live}
        for stop in decision.stop:
            task = by_id[stop.task_id]
            if stop.reason is StopReason.UNHEALTHY:
                self._events.service_action(service, ServiceAction.INSTANCE_UNHEALTHY)
                reason = "Task failed container health checks"
            else:
                reason = _scaling_reason(task)
            self._lifecycle.stop(task, StopCode.SERVICE_SCHEDULER_INITIATED, reason)
        if decision.stop:
            names = " ".join(f"(task {stop.task_id})" for stop in decision.stop)
            number = len(decision.stop)
            self._rollouts.log(
                service, f"(service {service.name}) has stopped {number} running tasks: {names}."
            )
            self._events.service_action(service, ServiceAction.TASKS_STOPPED)

    def _explain(self, service: Service, decision: Decision) -> None:
        """Say once why the service is not as it should be, while that is so."""
        if decision.held:
            self._rollouts.complain(
                service,
                "was unable to reach steady state because "
                f"(taskSet {service.deployments[-1].id}) was unable to scale in due to "
                f"(reason {decision.held} tasks under protection)",
            )
        elif decision.stuck:
            self._rollouts.complain(
                service,
                "was unable to stop or start tasks during a deployment because of the service "
                "deployment configuration. Update the minimumHealthyPercent or maximumPercent "
                "value and try again.",
            )

    def _drop_finished(self, service: Service, tasks: Sequence[Task]) -> None:
        """Drop former deployments that have no task left."""
        kept = {task.deployment for task in tasks}
        service.deployments[1:] = [item for item in service.deployments[1:] if item in kept]

    def _set_timer(self, service: Service, live: Sequence[Task]) -> None:
        """Make the service due when time alone changes something next."""
        former = self._timers.pop(service.arn, None)
        if former is not None:
            former.cancel()
        at = now()
        waits_s = [service.start_not_before - time.monotonic()]
        for task in live:
            if task.protected_until is not None:
                waits_s.append((task.protected_until - at).total_seconds())
            if task.health is ContainerHealth.UNHEALTHY:
                waits_s.append(_grace_left_s(task))
        future_s = [wait_s for wait_s in waits_s if wait_s > 0]
        if future_s:
            loop = asyncio.get_running_loop()
            self._timers[service.arn] = loop.call_later(min(future_s), self.wake, service)


def _throttle_s(service: Service) -> float:
    """How long to wait before the next start: nothing at first, doubled with each round."""
    rounds = (service.young_deaths - 1) // max(1, service.desired)
    if rounds <= 0:
        return 0
    return min(_THROTTLE_MOST_S, _THROTTLE_FIRST_S * 2.0 ** min(rounds - 1, 10))


def _scaling_reason(task: Task) -> str:
    deployment = f"deployment {task.deployment.id}" if task.deployment else "service"
    return f"Scaling activity initiated by ({deployment})"


def _grace_left_s(task: Task) -> float:
    """How long a task's bad health is still overlooked."""
    started = task.times.get("startedAt")
    if started is None or task.service is None:
        return 0
    grace_s = float(task.service.settings.get("healthCheckGracePeriodSeconds", 0))
    return grace_s - (now() - started).total_seconds()


def _condition(task: Task) -> Condition:
    if task.status is not Status.RUNNING:
        return Condition.STARTING
    if not task.definition.has_health_check or task.health is ContainerHealth.HEALTHY:
        return Condition.HEALTHY
    if task.health is ContainerHealth.UNHEALTHY and _grace_left_s(task) <= 0:
        return Condition.UNHEALTHY
    return Condition.STARTING


def _view(service: Service, tasks: Sequence[Task]) -> ServiceView:
    at = now()
    primary = service.primary
    rolling = service.settings["deploymentConfiguration"]
    throttled = service.start_not_before > time.monotonic()
    return ServiceView(
        desired=service.desired,
        minimum_healthy_percent=rolling["minimumHealthyPercent"],
        maximum_percent=rolling["maximumPercent"],
        primary=primary.id,
        zones=sorted(set(primary.placement.zones.values())),
        tasks=[
            TaskView(
                id=task.id,
                deployment=task.deployment.id if task.deployment else "",
                zone=task.zone,
                number=number,
                condition=_condition(task),
                protected=task.is_protected(at),
            )
            for number, task in enumerate(tasks)
            if task.live
        ],
        may_start=not throttled and primary.rollout is not Rollout.FAILED,
    )
