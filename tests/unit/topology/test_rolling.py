"""Deployments, scaling of replicas, and balance, on the model cluster and its ECS."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import Controller, Model, assert_formed, deaf

from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.protecting import LASTS_S, RENEWED_S
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import (
    AwaitHealthy,
    Failover,
    Phase,
    Protect,
    Release,
    Replicate,
    Reset,
    Unprotect,
)
from redis_fargate.topology.view import Role

SPEC = Spec(3, 3)


class Service(Controller):
    """A controller, and an ECS that deploys and scales, and stops only what is not protected."""

    def __init__(self, zones: str, spec: Spec) -> None:
        self.revision = "rev:1"
        super().__init__(Model(list(zones)), spec)
        self.zones = zones
        self.run()
        assert_formed(self.model, spec)
        self.model.write()

    def plan(self) -> Plan:
        return plan(replace(self.model.view(), revision=self.revision), self.spec, Policy())

    def surplus(self, desired: int, revision: str) -> list[str]:
        """The tasks that ECS may stop now: old ones first, and as many as are too many."""
        tasks = sorted(
            self.model.tasks.values(), key=lambda task: (task.revision == revision, task.id)
        )
        spare = [task.id for task in tasks if task.protected_until_s is None]
        return spare[: max(0, len(tasks) - desired)]

    def start(self, count: int, revision: str) -> None:
        for number in range(count):
            task_id = self.model.start(self.zones[number % len(self.zones)])
            self.model.tasks[task_id] = replace(self.model.tasks[task_id], revision=revision)

    def stop(self, task_ids: list[str]) -> None:
        for task_id in task_ids:
            assert not self.model.servers[task_id].slots, "ECS stops a master"
            self.model.kill(task_id)

    def rounds(self, desired: int, revision: str, at_once: int) -> None:
        """Let ECS and the controller take turns until the service is as desired."""
        for _ in range(60):
            tasks = self.model.tasks.values()
            old = sum(task.revision != revision for task in tasks)
            missing = desired - (len(tasks) - old)
            self.start(min(missing, desired + at_once - len(tasks)), revision)
            self.settle()
            self.stop(self.surplus(desired, revision))
            self.model.tick()
            if {task.revision for task in tasks} == {revision} and len(tasks) == desired:
                self.settle()
                return
        raise AssertionError("the deployment never ends")


def protected(model: Model) -> set[str]:
    return {task.id for task in model.tasks.values() if task.protected_until_s}


def test_a_formed_cluster_is_protected_whole():
    service = Service("abcabc", SPEC)
    assert protected(service.model) == set(service.model.tasks)
    assert service.plan() == Plan()


def test_protection_is_renewed_in_good_time():
    service = Service("abcabc", SPEC)
    service.model.now_s += LASTS_S - RENEWED_S - 1
    assert service.plan() == Plan()
    service.model.now_s += 2
    (step,) = service.plan().steps
    assert isinstance(step, Protect)
    assert len(step.task_arns) == 6


@pytest.mark.parametrize(("desired_count", "first"), [(7, [Protect]), (6, [])])
def test_who_is_to_take_over_is_protected_before_as_far_as_ecs_takes_it(desired_count, first):
    service = Service("abcabc", SPEC)
    service.revision = "rev:2"
    service.start(1, "rev:2")
    service.execute(service.plan())
    view = replace(service.model.view(), revision="rev:2", desired_count=desired_count)
    made = plan(view, SPEC, Policy())
    assert [type(step) for step in made.steps] == [*first, Failover, AwaitHealthy]
    heir = made.steps[-2].node.task_id
    assert all(step.task_arns == (f"arn/{heir}",) for step in made.steps[:-2])


def test_nobody_is_let_go_for_those_whom_ecs_would_not_protect():
    """It has been scaled in, and the controller has not heard yet: both would stop, old and new."""
    service = Service("abcabc", SPEC)
    service.revision = "rev:2"
    service.start(6, "rev:2")

    def made(desired_count: int) -> Plan:
        view = replace(service.model.view(), revision="rev:2", desired_count=desired_count)
        return plan(view, SPEC, Policy())

    def let_go(desired_count: int) -> set[str]:
        steps = made(desired_count).steps
        return {step.node.task_id for step in steps if isinstance(step, Unprotect)}

    for _ in range(20):
        if let_go(6):
            break
        service.execute(made(6))
        service.model.tick()
    assert let_go(6) == protected(service.model)
    assert let_go(5) == set()


def test_while_ecs_cannot_be_told_nobody_takes_over_and_new_tasks_join():
    service = Service("abcabc", SPEC)
    service.revision = "rev:2"
    service.start(1, "rev:2")
    view = replace(service.model.view(), revision="rev:2")
    join = plan(view, SPEC, Policy(), {Phase.PROTECT})
    assert {step.phase for step in join.steps} == {Phase.JOIN}
    service.execute(join)
    view = replace(service.model.view(), revision="rev:2")
    assert not plan(view, SPEC, Policy(), {Phase.PROTECT}).steps


@pytest.mark.parametrize("at_once", [1, 2, 6])
@pytest.mark.parametrize("spec", [Spec(1, 1), Spec(2, 2), SPEC, Spec(3, 6), Spec(3, 4)], ids=str)
def test_a_deployment_keeps_all_data(spec, at_once):
    service = Service(("abc" * 4)[: spec.task_count], spec)
    before = {server.keys for server in service.model.servers.values()}
    service.revision = "rev:2"
    service.rounds(spec.task_count, "rev:2", at_once)
    assert_formed(service.model, spec)
    assert {server.keys for server in service.model.servers.values()} == before


def test_a_deployment_that_never_synchronises_stops_nobody():
    service = Service("abcabc", SPEC)
    old = set(service.model.tasks)
    service.revision = "rev:2"
    service.start(6, "rev:2")
    for task_id in set(service.model.tasks) - old:
        service.model.servers[task_id].linked = False
    service.model._sync = lambda server: None
    made = service.plan()
    assert not any(isinstance(step, Unprotect) for step in made.steps)
    assert protected(service.model) == old


DEAF = {
    "nobody": ([], True),
    "one master does not hear it": ([("t002", "heir")], True),
    "most masters do not hear it": ([("t002", "heir"), ("t003", "heir")], False),
    "it does not hear most masters": ([("heir", "t002"), ("heir", "t003")], False),
    "its master does not hear it": ([("t001", "heir")], False),
    "it does not hear its master": ([("heir", "t001")], False),
}


@pytest.mark.parametrize(("pairs", "takes_over"), DEAF.values(), ids=DEAF)
@pytest.mark.parametrize("cause", ["an old task definition", "a crowded zone"])
def test_only_who_is_heard_takes_over_as_planned(cause, pairs, takes_over):
    """Its master has to hear it on the cluster bus, and most masters have to vote for it."""
    model = Service("abcabc", SPEC).model
    (heir,) = (t for t, s in model.servers.items() if s.master_id == model.servers["t001"].id)
    for task in list(model.tasks.values()):
        zone = "b" if task.id == heir else "a"
        revision = "rev:2" if task.id == heir else "rev:1"
        model.tasks[task.id] = (
            replace(task, zone=zone)
            if cause == "a crowded zone"
            else replace(task, revision=revision)
        )
    view = replace(model.view(), revision=None if cause == "a crowded zone" else "rev:2")
    named = [tuple(heir if each == "heir" else each for each in pair) for pair in pairs]
    made = plan(deaf(view, *named), SPEC, Policy())
    assert [s.node.task_id for s in made.steps if isinstance(s, Failover)] == [heir] * takes_over
    assert takes_over or any(heir in s and "do not hear each other" in s for s in made.waiting)


def test_of_two_masters_both_have_to_vote():
    model = Service("abab", Spec(2, 2)).model
    (heir,) = (t for t, s in model.servers.items() if s.master_id == model.servers["t001"].id)
    model.tasks[heir] = replace(model.tasks[heir], revision="rev:2")
    view = deaf(replace(model.view(), revision="rev:2"), ("t002", heir))
    made = plan(view, Spec(2, 2), Policy())
    assert not made.steps
    assert any(heir in s and "too many masters" in s for s in made.waiting)


def test_another_heir_takes_over_instead_of_who_is_cut_off():
    spec = Spec(3, 6)
    model = Service("abcabcabc", spec).model
    cut_off, other = (
        t for t, s in model.servers.items() if s.master_id == model.servers["t001"].id
    )
    for task_id in (cut_off, other):
        model.tasks[task_id] = replace(model.tasks[task_id], revision="rev:2")
    view = replace(model.view(), revision="rev:2")
    for one, rest in ((cut_off, other), (other, cut_off)):
        pairs = [p for t in model.tasks for p in ((one, t), (t, one)) if t != one]
        step, healthy = plan(deaf(view, *pairs), spec, Policy()).steps
        assert step.node.task_id == rest
        assert one not in {node.task_id for node in healthy.nodes}


def test_who_is_cut_off_is_the_last_to_become_something_else():
    """It would know nobody, and could not be introduced to anybody."""
    spec = Spec(4, 5)
    model = Service("abcabcabc", Spec(3, 6)).model
    (chosen,) = plan(model.view(), spec, Policy()).steps
    cut_off = chosen.node.task_id
    pairs = [p for t in model.tasks for p in ((cut_off, t), (t, cut_off)) if t != cut_off]
    (other,) = plan(deaf(model.view(), *pairs), spec, Policy()).steps
    assert isinstance(other, Reset)
    assert other.node.task_id != cut_off


def test_fewer_replicas():
    service = Service("abcabcabc", Spec(3, 6))
    service.spec = SPEC
    service.rounds(6, "rev:1", 0)
    assert_formed(service.model, SPEC)
    followers = Counter(server.master_id for server in service.model.servers.values())
    assert sorted(followers.values()) == [1, 1, 1, 3]


def test_more_replicas():
    service = Service("abcabc", SPEC)
    service.spec = Spec(3, 6)
    service.rounds(9, "rev:1", 3)
    assert_formed(service.model, Spec(3, 6))
    assert protected(service.model) == set(service.model.tasks)


def test_a_service_that_is_to_run_no_tasks_protects_none():
    service = Service("abcabc", SPEC)
    view = replace(service.model.view(), desired_count=0)
    (step,) = plan(view, SPEC, Policy()).steps
    assert isinstance(step, Release)
    assert len(step.task_arns) == 6


def test_who_is_short_of_replicas_spares_nobody():
    service = Service("abcabc", SPEC)
    (replica,) = (
        task_id
        for task_id, server in service.model.servers.items()
        if server.master_id == service.model.servers["t001"].id
    )
    service.model.servers[replica].linked = False
    assert not service.plan().steps


def test_replicas_of_a_lost_master_stay_protected():
    """They are all that is left of its data."""
    service = Service("abab", Spec(2, 2))
    for server in service.model.servers.values():
        server.offset = 0
    service.model.kill("t001")
    service.settle()
    assert protected(service.model) == set(service.model.tasks)


def test_masters_spread_over_zones_again():
    service = Service("abcabc", SPEC)
    model = service.model
    master = next(s for t, s in model.servers.items() if s.slots and model.tasks[t].zone == "a")
    replica = next(s for s in model.servers.values() if s.master_id == master.id)
    crowded = next(zone for zone in "bc" if zone != model.tasks[replica.hostname].zone)
    model.tasks[master.hostname] = replace(model.tasks[master.hostname], zone=crowded)
    model.tasks[replica.hostname] = replace(model.tasks[replica.hostname], zone="a")
    step, _ = service.plan().steps
    assert isinstance(step, Failover)
    service.settle()
    zones = Counter(model.tasks[t].zone for t, server in model.servers.items() if server.slots)
    assert max(zones.values()) == 1


def test_a_poor_master_gets_a_rich_one_s_replica():
    service = Service("abcabcabc", Spec(3, 6))
    model = service.model
    rich, poor = (s for s in model.servers.values() if s.slots and s.hostname != "t001")
    for server in model.servers.values():
        if server.master_id == poor.id:
            server.master_id = rich.id
    step, _ = service.plan().steps
    assert isinstance(step, Replicate)
    service.settle()
    followers = Counter(s.master_id for s in model.servers.values() if s.role is Role.REPLICA)
    assert sorted(followers.values()) == [2, 2, 2]


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32))
def test_no_two_steps_undo_each_other(master_count, each, zone_count, seed):
    """From any roles in any zones on any revisions, shaping comes to an end."""
    chance = random.Random(seed)
    spec = Spec(master_count, master_count * each)
    service = Service(
        "".join(chance.choice("abcd"[:zone_count]) for _ in range(spec.task_count)), spec
    )
    model = service.model
    for task_id, task in model.tasks.items():
        model.tasks[task_id] = replace(
            task,
            zone=chance.choice("abcd"[:zone_count]),
            revision=chance.choice(["rev:1", "rev:2"]),
        )
    masters = [server for server in model.servers.values() if server.slots]
    for server in model.servers.values():
        if server.role is Role.REPLICA:
            server.master_id = chance.choice(masters).id
    service.revision = "rev:2"
    seen = []
    for _ in range(4 * spec.task_count + 10):
        made = service.plan()
        if not made.steps:
            break
        seen.append(made.steps)
        service.execute(made)
    else:
        raise AssertionError(f"no end: {seen[-4:]}")
