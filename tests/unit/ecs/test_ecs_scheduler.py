"""The service scheduler's promises, whatever becomes of the tasks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_fargate.local.ecs.scheduler import (
    Condition,
    Decision,
    ServiceView,
    StopReason,
    TaskView,
    breaker_threshold,
    decide,
)

ZONES = ("a", "b", "c")


def fleet(number, *, deployment="new", condition=Condition.HEALTHY, protected=0, first=0):
    return [
        TaskView(
            id=f"{deployment}-{index}",
            deployment=deployment,
            zone=ZONES[index % len(ZONES)],
            number=first + index,
            condition=condition,
            protected=index < protected,
        )
        for index in range(number)
    ]


def service(tasks, desired=6, minimum=100, maximum=200, *, may_start=True):
    return ServiceView(
        desired=desired,
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
        primary="new",
        zones=ZONES,
        tasks=tasks,
        may_start=may_start,
    )


def test_starts_a_new_service_spread_over_its_zones():
    decision = decide(service([]))
    assert sorted(decision.start) == ["a", "a", "b", "b", "c", "c"]
    assert decision.stop == ()


def test_leaves_a_steady_service_alone():
    assert decide(service(fleet(6))) == Decision()


def test_places_a_missing_task_where_the_fewest_are():
    tasks = [task for task in fleet(6) if task.zone != "b"]
    assert decide(service(tasks)).start == ("b", "b")


def test_deployment_starts_new_tasks_first_when_the_maximum_allows():
    decision = decide(service(fleet(6, deployment="old")))
    assert len(decision.start) == 6
    assert decision.stop == ()


def test_deployment_stops_one_old_task_for_each_healthy_new_one():
    tasks = fleet(6, deployment="old") + fleet(4, condition=Condition.STARTING, first=6)
    assert decide(service(tasks)).stop == ()
    tasks = fleet(6, deployment="old") + fleet(2, first=6)
    assert len(decide(service(tasks)).stop) == 2


def test_deployment_without_room_stops_down_to_the_minimum():
    decision = decide(service(fleet(4, deployment="old"), desired=4, minimum=50, maximum=100))
    assert decision.start == ()
    assert len(decision.stop) == 2


def test_deployment_without_any_room_says_that_it_is_stuck():
    decision = decide(service(fleet(4, deployment="old"), desired=4, minimum=100, maximum=100))
    assert decision == Decision(stuck=True)


def test_deployment_waits_for_protected_tasks():
    tasks = fleet(6, deployment="old", protected=2) + fleet(6, first=6)
    decision = decide(service(tasks))
    assert {stop.task_id for stop in decision.stop} == {f"old-{index}" for index in range(2, 6)}
    assert decision.held == 2


def test_failed_deployment_leaves_the_old_tasks_alone():
    tasks = fleet(4, deployment="old") + fleet(1, first=6)
    assert decide(service(tasks, may_start=False)) == Decision()


def test_scale_in_takes_unprotected_tasks_of_the_fullest_zones():
    tasks = fleet(7, protected=1)
    decision = decide(service(tasks, desired=4))
    assert [stop.task_id for stop in decision.stop] == ["new-6", "new-5", "new-4"]
    assert {stop.reason for stop in decision.stop} == {StopReason.SCALE_IN}


def test_scale_in_never_takes_protected_tasks():
    decision = decide(service(fleet(6, protected=6), desired=2))
    assert decision == Decision(held=4)


def test_scale_in_takes_tasks_that_do_not_serve_yet_first():
    tasks = fleet(3) + fleet(2, deployment="x", condition=Condition.STARTING, first=3)
    tasks = [replace(task, deployment="new") for task in tasks]
    assert {stop.task_id for stop in decide(service(tasks, desired=3)).stop} == {"x-0", "x-1"}


def test_unhealthy_task_is_replaced_before_it_is_stopped():
    tasks = [*fleet(5), TaskView("sick", "new", "c", 9, Condition.UNHEALTHY, protected=True)]
    first = decide(service(tasks))
    assert len(first.start) == 1
    assert first.stop == ()
    waiting = [*tasks, TaskView("next", "new", "c", 10, Condition.STARTING)]
    assert decide(service(waiting)) == Decision()
    replaced = [*tasks, TaskView("next", "new", "c", 10, Condition.HEALTHY)]
    assert [stop.task_id for stop in decide(service(replaced)).stop] == ["sick"]


def test_unhealthy_tasks_go_one_by_one_when_there_is_no_room():
    tasks = fleet(3) + fleet(3, deployment="x", condition=Condition.UNHEALTHY, first=3)
    tasks = [replace(task, deployment="new") for task in tasks]
    decision = decide(service(tasks, maximum=100))
    assert decision.start == ()
    assert len(decision.stop) == 1


@pytest.mark.parametrize(
    ("desired", "threshold"), [(1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (2000, 200)]
)
def test_breaker_threshold(desired, threshold):
    assert breaker_threshold(desired) == threshold


def test_breaker_threshold_configuration():
    assert breaker_threshold(10, "COUNT", 7) == 7
    assert breaker_threshold(1000, "UNBOUNDED_PERCENT", 50) == 500


tasks_of = st.builds(
    TaskView,
    id=st.uuids().map(str),
    deployment=st.sampled_from(["new", "old", "older"]),
    zone=st.sampled_from([*ZONES, "elsewhere"]),
    number=st.integers(0, 100),
    condition=st.sampled_from(Condition),
    protected=st.booleans(),
)
services = st.builds(
    service,
    tasks=st.lists(tasks_of, max_size=24, unique_by=lambda task: task.id),
    desired=st.integers(0, 12),
    minimum=st.integers(0, 100),
    maximum=st.integers(100, 200),
    may_start=st.booleans(),
)


def healthy(tasks):
    return sum(task.condition is Condition.HEALTHY for task in tasks)


def after(view, decision, condition=Condition.STARTING):
    stopped = {stop.task_id for stop in decision.stop}
    number = max((task.number for task in view.tasks), default=0)
    started = [
        TaskView(f"s{number + index}", view.primary, zone, number + index, condition)
        for index, zone in enumerate(decision.start, 1)
    ]
    return replace(view, tasks=[t for t in view.tasks if t.id not in stopped] + started)


@given(services)
def test_bounds_hold(view):
    decision = decide(view)
    then = after(view, decision)
    assert healthy(then.tasks) >= min(view.minimum_healthy, healthy(view.tasks))
    if decision.start:
        assert len(view.tasks) + len(decision.start) <= view.maximum
    by_id = {task.id: task for task in view.tasks}
    for stop in decision.stop:
        task = by_id[stop.task_id]
        assert not task.protected or task.condition is Condition.UNHEALTHY
    assert len({stop.task_id for stop in decision.stop}) == len(decision.stop)
    assert decision.start == () or view.may_start


@given(services, st.randoms(use_true_random=False))
def test_converges_once_tasks_are_unprotected_and_become_healthy(view, chance):
    # With 100 and 100 percent, or where rounding leaves no room, a deployment cannot go on.
    if view.minimum_healthy >= view.maximum and view.desired:
        view = replace(view, minimum_healthy_percent=50, maximum_percent=200)
    view = replace(
        view, tasks=[replace(task, protected=False) for task in view.tasks], may_start=True
    )
    for _ in range(200):
        starting = [task for task in view.tasks if task.condition is Condition.STARTING]
        decision = decide(view)
        if decision == Decision() and not starting:
            break
        view = after(view, decision)
        view = replace(
            view,
            tasks=[
                replace(task, condition=Condition.HEALTHY)
                if task.condition is Condition.STARTING and chance.random() < 0.7
                else task
                for task in view.tasks
            ],
        )
    assert decide(view) == Decision()
    assert len(view.tasks) == view.desired
    assert all(
        task.deployment == "new" and task.condition is Condition.HEALTHY for task in view.tasks
    )
