"""The service scheduler's decisions, apart from acting on them: which tasks to start and stop.

``decide`` is a pure function of what a service wants and which of its tasks are meant to run. It
never lets a stop of its own take the healthy tasks below ``minimumHealthyPercent`` (rounded up),
never starts a task above ``maximumPercent`` (rounded down), and never stops a protected task, but
for one: a task that fails its health check is replaced whether it is protected or not, as on AWS.
Sources: ECS' API reference, ``DeploymentConfiguration`` and ``UpdateTaskProtection``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

_BREAKER_LEAST = 3
_BREAKER_MOST = 200


class Condition(Enum):
    """A task as the scheduler sees it."""

    STARTING = "starting"
    """Not running yet, or its health check has not answered yet."""
    HEALTHY = "healthy"
    """Running, and healthy if it has a health check."""
    UNHEALTHY = "unhealthy"


class StopReason(Enum):
    """Why the scheduler stops a task."""

    DEPLOYMENT = "deployment"
    SCALE_IN = "scale-in"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task that is meant to run (``desiredStatus`` RUNNING)."""

    id: str
    deployment: str
    zone: str
    number: int
    """Grows with each task of the service: newer tasks have higher numbers."""
    condition: Condition
    protected: bool = False


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What a service wants, and the tasks that it has."""

    desired: int
    minimum_healthy_percent: int
    maximum_percent: int
    primary: str
    """The deployment that new tasks belong to."""
    zones: Sequence[str]
    """Where the primary deployment's tasks may be placed."""
    tasks: Sequence[TaskView]
    may_start: bool = True
    """False while starts are throttled, and when the primary deployment has failed."""

    @property
    def minimum_healthy(self) -> int:
        """So many tasks stay healthy."""
        return -(-self.desired * self.minimum_healthy_percent // 100)

    @property
    def maximum(self) -> int:
        """No start takes the tasks beyond this."""
        return self.desired * self.maximum_percent // 100


@dataclass(frozen=True, slots=True)
class Stop:
    """A task to stop, and why."""

    task_id: str
    reason: StopReason


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. When any of it has been done, the next decision is due."""

    start: tuple[str, ...] = ()
    """A zone for each task to start."""
    stop: tuple[Stop, ...] = ()
    held: int = 0
    """Protected tasks that would be stopped otherwise: deployment or scale-in waits for them."""
    stuck: bool = False
    """The two percentages leave no room to start a task, nor to stop one."""


@dataclass(slots=True)
class _Stops:
    """Picks the tasks to stop: unprotected, from the fullest zone, the newest first."""

    healthy: int
    """Healthy tasks that are left."""
    left: list[TaskView]
    chosen: list[Stop] = field(default_factory=list)

    def take(self, task: TaskView, reason: StopReason) -> None:
        self.left.remove(task)
        self.chosen.append(Stop(task.id, reason))
        if task.condition is Condition.HEALTHY:
            self.healthy -= 1

    def take_some(
        self, among: Sequence[TaskView], number: int, keep_healthy: int, reason: StopReason
    ) -> int:
        """Stop up to ``number`` tasks and keep ``keep_healthy`` healthy ones; how many were held.

        Held are those that protection alone kept from being stopped.
        """
        pool = [task for task in among if task in self.left]
        while number > 0:
            free = [
                task
                for task in pool
                if not task.protected
                and (task.condition is not Condition.HEALTHY or self.healthy > keep_healthy)
            ]
            if not free:
                break
            crowd = Counter(task.zone for task in pool)
            victim = max(
                free,
                key=lambda task: (
                    task.condition is not Condition.HEALTHY,
                    crowd[task.zone],
                    task.number,
                ),
            )
            pool.remove(victim)
            self.take(victim, reason)
            number -= 1
        spare = max(0, self.healthy - keep_healthy)
        held = [
            task
            for task in pool
            if task.protected and (task.condition is not Condition.HEALTHY or spare > 0)
        ]
        return max(0, min(number, len(held)))


def decide(view: ServiceView) -> Decision:
    """Decide which tasks to start and to stop now."""
    new = [task for task in view.tasks if task.deployment == view.primary]
    old = [task for task in view.tasks if task.deployment != view.primary]
    sound = [task for task in new if task.condition is not Condition.UNHEALTHY]
    healthy = sum(task.condition is Condition.HEALTHY for task in view.tasks)
    missing = max(0, view.desired - len(sound))
    room = max(0, view.maximum - len(view.tasks))
    starts = min(missing, room) if view.may_start else 0
    # Old tasks make room for new ones only if those could be started then.
    short = missing - starts if view.may_start else 0

    stops = _Stops(healthy=healthy, left=list(view.tasks))
    _replace_unhealthy(view, new, stops, short=short)
    held = _leave_old(view, old, stops, missing=missing, short=short)
    surplus = [task for task in sound if task in stops.left]
    held += stops.take_some(
        surplus, len(surplus) - view.desired, view.minimum_healthy, StopReason.SCALE_IN
    )
    settled = all(task.condition is not Condition.STARTING for task in view.tasks)
    stuck = short > 0 and starts == 0 and not stops.chosen and settled and held == 0
    return Decision(
        start=_zones_for(starts, view), stop=tuple(stops.chosen), held=held, stuck=stuck
    )


def _replace_unhealthy(
    view: ServiceView, new: Sequence[TaskView], stops: _Stops, *, short: int
) -> None:
    """Stop unhealthy tasks: all once healthy ones took their place, else one to make room."""
    unhealthy = [task for task in view.tasks if task.condition is Condition.UNHEALTHY]
    replaced = sum(task.condition is Condition.HEALTHY for task in new) >= view.desired
    if not replaced:
        waiting = any(task.condition is Condition.STARTING for task in new)
        unhealthy = [] if waiting or not short else unhealthy
    by_age = sorted(unhealthy, key=lambda task: (task.deployment == view.primary, task.number))
    for task in by_age if replaced else by_age[:1]:
        stops.take(task, StopReason.UNHEALTHY)


def _leave_old(
    view: ServiceView, old: Sequence[TaskView], stops: _Stops, *, missing: int, short: int
) -> int:
    """Stop tasks of former deployments, as many as new ones replace; how many were held.

    While the maximum allows it new tasks come first, so only healthy tasks beyond the desired
    count go. Where it does not, old tasks make room, down to the minimum.
    """
    left = [task for task in old if task in stops.left]
    replaceable = view.may_start or not missing
    starting = [task for task in left if replaceable and task.condition is not Condition.HEALTHY]
    held = stops.take_some(starting, len(starting), 0, StopReason.DEPLOYMENT)
    to_make_room = min(short, max(0, stops.healthy - view.minimum_healthy))
    number = max(stops.healthy - view.desired, to_make_room)
    return held + stops.take_some(left, number, view.minimum_healthy, StopReason.DEPLOYMENT)


def _zones_for(starts: int, view: ServiceView) -> tuple[str, ...]:
    """Choose each new task's zone: the one of the fewest new tasks, then of the fewest at all."""
    new = Counter(task.zone for task in view.tasks if task.deployment == view.primary)
    total = Counter(task.zone for task in view.tasks)
    chosen: list[str] = []
    for _ in range(starts):
        zone = min(view.zones, key=lambda name: (new[name], total[name], name))
        new[zone] += 1
        total[zone] += 1
        chosen.append(zone)
    return tuple(chosen)


def breaker_threshold(desired: int, kind: str = "BOUNDED_PERCENT", value: int = 50) -> int:
    """So many failed tasks trip the deployment circuit breaker (``thresholdConfiguration``)."""
    if kind == "COUNT":
        return value
    share = -(-desired * value // 100)
    if kind == "UNBOUNDED_PERCENT":
        return max(1, share)
    return min(_BREAKER_MOST, max(_BREAKER_LEAST, share))
