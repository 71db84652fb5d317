"""Forming on the model cluster: random fleets, every interruption, losses in between."""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model import Controller, Killed, Model, assert_formed

from redis_fargate.topology.plan import Plan
from redis_fargate.topology.slots import count
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import (
    AddSlots,
    BeginForming,
    ChangeSettings,
    FinishForming,
    Meet,
    Replicate,
)
from redis_fargate.topology.view import Marker, Role, Trouble

fleets = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12)


@st.composite
def fleets_and_specs(draw):
    zones = draw(fleets)
    masters = draw(st.integers(1, len(zones)))
    surplus = draw(st.integers(-2, 2))
    return zones, Spec(masters, max(0, len(zones) - masters + surplus))


@settings(max_examples=1000, deadline=None)
@given(fleets_and_specs())
def test_random_fleets_form(fleet_and_spec):
    zones, spec = fleet_and_spec
    model = Model(zones)
    controller = Controller(model, spec)
    made = controller.run()
    assert_formed(model, spec)
    assert not made.steps
    if len(zones) == spec.task_count:
        assert made == Plan()  # I5
    sizes = [count(server.slots) for server in model.servers.values() if server.slots]
    assert max(sizes) - min(sizes) <= 1
    assert all(len(server.slots) <= 1 for server in model.servers.values())
    _assert_even(model, zones, spec.master_count)


def _assert_even(model, zones, master_count):
    tasks = Counter(zones)
    masters = Counter(model.tasks[t].zone for t, s in model.servers.items() if s.slots)
    for rich in masters:
        for poor in tasks:
            assert masters[rich] - masters[poor] <= 1 or masters[poor] == tasks[poor]
    replicas = [s for s in model.servers.values() if s.role is Role.REPLICA]
    per_master = Counter(s.master_id for s in replicas)
    counts = [per_master[s.id] for s in model.servers.values() if s.slots]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("zones", "spec"),
    [("abcabc", Spec(3, 3)), ("a", Spec(1, 0)), ("abab", Spec(1, 3)), ("abcab", Spec(2, 3))],
    ids=["3+3", "1+0", "1+3", "2+3"],
)
@pytest.mark.parametrize("gossip", [False, True], ids=["at-once", "after-gossip"])
def test_every_prefix_is_finished(zones, spec, gossip):
    whole = Controller(Model(list(zones)), spec)
    whole.run()
    for killed_after in range(whole.commands):
        for seed in range(3):
            model = Model(list(zones))
            first = Controller(model, spec, random.Random(seed))
            with pytest.raises(Killed):
                first.run(until=killed_after)
            if gossip:
                model.gossip()
            assert Controller(model, spec).run() == Plan()
            assert_formed(model, spec)


@settings(max_examples=200, deadline=None)
@given(
    fleets_and_specs(),
    st.lists(
        st.tuples(st.integers(0, 80), st.sampled_from(["", "kill", "start", "replace", "all"])),
        min_size=1,
        max_size=5,
    ),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_interrupted_again_and_again_amid_losses(fleet_and_spec, history, chance, noticed):
    zones, spec = fleet_and_spec
    model = Model(zones)
    for until, event in history:
        with suppress(Killed):
            Controller(model, spec, chance).run(until=until)
        if model.marker is Marker.FORMED:
            break
        if chance.random() < 0.5:
            model.gossip()
        _befall(model, event, chance, noticed=noticed)
    controller = Controller(model, spec)
    for _ in range(12):
        controller.settle()
        if model.marker is Marker.FORMED:
            break
        # Nothing comes by itself any more: the patience ends, or ECS brings another task.
        model.now_s += 1000
        model.start("b")
    assert_formed(model, spec)
    assert not controller.plan().refusals


def _befall(model, event, chance, *, noticed):
    victims = list(model.tasks) if event == "all" else [chance.choice(list(model.tasks))]
    if event in ("kill", "replace", "all"):
        for victim in victims:
            model.kill(victim, noticed=noticed)
    if event in ("start", "replace", "all"):
        for _ in victims:
            model.start(chance.choice("abc"))
    if not model.tasks:
        model.start("a")


@pytest.mark.parametrize(
    ("zones", "spec"),
    [("abcabc", Spec(3, 3)), ("abc", Spec(1, 2)), ("abab", Spec(2, 2)), ("abc", Spec(3, 0))],
    ids=["3+3", "1+2", "2+2", "3+0"],
)
def test_any_task_is_lost_at_any_moment(zones, spec):
    """Also before its replacement comes: what is left is formed as far as it goes."""
    whole = Controller(Model(list(zones)), spec)
    whole.execute(whole.plan())
    for killed_after in range(whole.commands):
        for victim in range(len(zones)):
            model = Model(list(zones))
            with pytest.raises(Killed):
                Controller(model, spec, random.Random(victim)).run(until=killed_after)
            lost = f"t{victim + 1:03}"
            zone = model.tasks[lost].zone
            model.kill(lost)
            if (killed_after + victim) % 2:
                Controller(model, spec).settle()
            model.start(zone)
            assert Controller(model, spec).settle() == Plan()
            assert_formed(model, spec)


def test_the_shape_of_a_forming():
    model = Model(list("abcabc"))
    made = Controller(model, Spec(3, 3)).plan()
    assert [(type(wave[0]).__name__, len(wave)) for wave in made.waves()] == [
        ("BeginForming", 1),
        ("ChangeSettings", 3),
        ("SetConfigEpoch", 6),
        ("AddSlots", 3),
        ("Meet", 6),
        ("AwaitAgreement", 1),
        ("Replicate", 3),
        ("AwaitHealthy", 1),
        ("ChangeSettings", 3),
        ("Protect", 1),
        ("FinishForming", 1),
    ]


def test_settings_that_are_low_already_are_left_alone():
    model = Model([])
    for zone in "abc":
        model.start(zone, **{"cluster-node-timeout": "400", "repl-diskless-sync-delay": "0"})
    made = Controller(model, Spec(3, 0)).plan()
    assert not [step for step in made.steps if isinstance(step, ChangeSettings)]


def test_a_task_that_comes_while_forming_is_recorded_before_it_is_changed():
    model = Model(list("abc"))
    controller = Controller(model, Spec(3, 1))
    model.now_s = 10_000
    with pytest.raises(Killed):
        controller.run(until=5)
    model.start("a", **{"cluster-node-timeout": "7000"})
    made = controller.plan()
    begin = made.steps[0]
    assert isinstance(begin, BeginForming)
    assert begin.settings["t004"]["cluster-node-timeout"] == "7000"
    assert begin.settings["t001"]["cluster-node-timeout"] == "15000"
    controller.run()
    assert model.servers["t004"].settings["cluster-node-timeout"] == "7000"
    assert model.marker is Marker.FORMED


def test_too_few_tasks_wait_and_then_form_degraded():
    model = Model(list("abcab"), started_at_s=950.0)
    controller = Controller(model, Spec(3, 3))
    made = controller.plan()
    assert not made.steps
    assert "5 of 6 tasks run" in made.waiting[0]
    assert "in 70 s" in made.waiting[0]
    model.now_s = 950.0 + Policy().form_patience_s
    controller.run()
    assert_formed(model, Spec(3, 3))


def test_fewer_tasks_than_masters_wait_for_ever():
    model = Model(list("ab"))
    made = Controller(model, Spec(3, 3)).plan()
    assert not made.steps
    assert "3 masters need a task each" in made.waiting[0]


def test_late_tasks_complete_a_degraded_cluster():
    model = Model(list("abc"))
    controller = Controller(model, Spec(3, 3))
    controller.run()
    for zone in "abc":
        model.start(zone)
    assert controller.run() == Plan()
    assert_formed(model, Spec(3, 3))
    for server in model.servers.values():
        if server.role is Role.REPLICA:
            master = next(s for s in model.servers.values() if s.id == server.master_id)
            assert model.tasks[server.hostname].zone != model.tasks[master.hostname].zone


def test_a_whole_cluster_without_marker_is_adopted():
    model = Model(list("abcabc"))
    controller = Controller(model, Spec(3, 3))
    controller.run()
    model.marker = Marker.ABSENT
    assert [type(step) for step in controller.plan().steps] == [FinishForming]
    assert controller.run() == Plan()


def test_slots_that_nodes_have_stay_with_them():
    model = Model(list("abcabc"))
    controller = Controller(model, Spec(3, 3))
    made = controller.plan()
    first = next(i for i, step in enumerate(made.steps) if isinstance(step, AddSlots))
    before = sum(1 for step in made.steps[:first] for _ in model.commands(step))
    with pytest.raises(Killed):
        controller.run(until=before + 1)
    owner = next(s for s in model.servers.values() if s.slots)
    slots = owner.slots
    controller.run()
    assert owner.slots == slots
    assert_formed(model, Spec(3, 3))


def _until_replicated(model, spec):
    made = Controller(model, spec).plan()
    waves = list(made.waves())
    last = next(i for i, wave in enumerate(waves) if isinstance(wave[0], Replicate))
    Controller(model, spec).execute(Plan(steps=tuple(s for w in waves[: last + 1] for s in w)))


def test_more_masters_are_wanted_than_an_interrupted_forming_left_possible():
    model = Model(list("abcabc"))
    _until_replicated(model, Spec(1, 5))
    assert Controller(model, Spec(3, 3)).settle() == Plan()
    assert_formed(model, Spec(3, 3))


def test_new_tasks_are_awaited_by_an_interrupted_forming_that_lacks_masters():
    model = Model(list("abca"))
    _until_replicated(model, Spec(1, 3))
    assert "1 of 4 running tasks can be masters" in Controller(model, Spec(3, 3)).plan().waiting[0]


def test_a_master_that_is_stopping_amid_forming_is_awaited():
    model = Model(list("abcabc"))
    _until_replicated(model, Spec(3, 3))
    model.tasks["t001"] = replace(model.tasks["t001"], running=False)
    controller = Controller(model, Spec(3, 3))
    assert "t001 (10.0.0.2:6379) is stopping and serves slots" in controller.plan().waiting[0]
    model.troubles["t001"] = Trouble.UNREACHABLE
    assert "of task t001 is stopping and owned slots" in controller.plan().waiting[0]
    model.troubles.clear()
    model.kill("t001")
    model.start("a")
    assert controller.settle() == Plan()
    assert_formed(model, Spec(3, 3))


def test_a_replica_with_data_of_a_lost_master_is_awaited():
    model = Model(list("abcabc"))
    _until_replicated(model, Spec(3, 3))
    for server in model.servers.values():
        server.keys, server.linked, server.synced = 5, True, True
    model.kill("t001")
    model.start("a")
    controller = Controller(model, Spec(3, 3))
    assert "has the data of" in controller.plan().waiting[0]
    assert controller.settle() == Plan()
    assert_formed(model, Spec(3, 3))
    assert sum(server.keys > 0 for server in model.servers.values()) == 6


@pytest.mark.parametrize("ignorant", [0, 1])
def test_a_forming_in_which_one_node_heard_of_the_other_and_not_the_other_way_round(ignorant):
    """A handshake ended one way, and then the bus was blocked: nobody else can tell the two."""
    spec = Spec(1, 1)
    model = Model(list("ab"))
    controller = Controller(model, spec)
    while not all(server.table for server in model.servers.values()):
        with suppress(Killed):
            controller.run(until=controller.commands + 1)
    list(model.servers.values())[ignorant].table.clear()
    meets = [step for step in Controller(model, spec).plan().steps if isinstance(step, Meet)]
    assert [step.node.task_id for step in meets] == [list(model.servers)[ignorant]]
    assert Controller(model, spec).run() == Plan()
    assert_formed(model, spec)


def test_a_large_cluster_meets_as_a_star_with_its_timeouts_untouched():
    made = Controller(Model(list("abc") * 60), Spec(90, 90)).plan()
    meets = [step for step in made.steps if isinstance(step, Meet)]
    assert [len(step.peers) for step in meets] == [179]
    changed = {
        name for step in made.steps if isinstance(step, ChangeSettings) for name, _ in step.settings
    }
    assert changed == {"repl-diskless-sync-delay"}
