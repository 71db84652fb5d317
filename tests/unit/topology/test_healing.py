"""Joining and forgetting on the model cluster."""

import random
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model import Controller, Killed, Model, NotYet, assert_formed, deaf

from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.health import Health, assess
from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.slots import SlotRange
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import (
    AwaitAgreement,
    AwaitHealthy,
    Failover,
    Forget,
    Meet,
    Protect,
    Replicate,
)
from redis_fargate.topology.view import Marker, Role, Trouble

SPEC = Spec(3, 3)


def formed(zones="abcabc", spec=SPEC) -> Model:
    model = Model(list(zones))
    Controller(model, spec).run()
    assert_formed(model, spec)
    return model


def replica_of(model: Model, task_id: str) -> str:
    master = model.servers[task_id]
    return next(t for t, s in model.servers.items() if s.master_id == master.id)


def test_a_lost_replica_is_replaced():
    model = formed()
    lost = replica_of(model, "t001")
    zone = model.tasks[lost].zone
    model.kill(lost)
    model.start(zone)
    controller = Controller(model, SPEC)
    join = controller.plan()
    assert [type(wave[0]) for wave in join.waves()] == [
        Meet, AwaitAgreement, Replicate, AwaitHealthy,
    ]  # fmt: skip
    controller.execute(join)
    forget = controller.plan()
    protect, forgotten = forget.steps
    assert isinstance(protect, Protect)
    assert protect.task_arns == ("arn/t007",)
    assert isinstance(forgotten, Forget)
    assert len(forgotten.nodes) == 6
    assert forgotten.gone_task_id == lost
    assert controller.run() == Plan()
    model.tick()
    assert controller.run() == Plan()
    assert_formed(model, SPEC)


@pytest.mark.parametrize(("synced", "awaited"), [(False, True), (True, False)])
def test_only_a_first_synchronisation_is_worth_another_look(synced, awaited):
    """Whoever waited for it may have given way, or died; a link that broke may stay so."""
    model = formed()
    replica = model.servers[replica_of(model, "t001")]
    replica.linked, replica.synced = False, synced
    made = Controller(model, SPEC).plan()
    assert made.steps == ()
    assert (made.soon_s > 0) is awaited


def test_a_lost_master_is_forgotten_only_after_its_election():
    model = formed()
    heir = replica_of(model, "t001")
    model.kill("t001")
    controller = Controller(model, SPEC)
    made = controller.plan()
    assert not made.steps
    assert any(f"task {heir} (10." in s and "has to be elected" in s for s in made.waiting)
    model.tick()
    assert model.servers[heir].role is Role.MASTER
    assert [type(step) for step in controller.plan().steps] == [Forget]
    model.start("a")
    assert controller.settle() == Plan()
    assert_balanced(model, SPEC)


def assert_balanced(model: Model, spec: Spec) -> None:
    """Formed, and no master has two replicas more than another."""
    assert_formed(model, spec)
    counts = [
        sum(other.master_id == server.id for other in model.servers.values())
        for server in model.servers.values()
        if server.slots
    ]
    assert max(counts) - min(counts) <= 1


def followed(model: Model, task_id: str) -> str | None:
    """The task of the master that a task's node follows."""
    master_id = model.servers[task_id].master_id
    return next((t for t, s in model.servers.items() if s.id == master_id), None)


def in_one_shard(model: Model, one: str, other: str) -> bool:
    """Whichever of the two is the master by now, for the zones' sake."""
    return followed(model, one) == other or followed(model, other) == one


@pytest.mark.parametrize("noticed", [True, False])
def test_a_newcomer_is_kept_for_the_shard_that_elects_its_master(noticed):
    model = formed()
    heir = replica_of(model, "t001")
    model.kill("t001", noticed=noticed)
    newcomer = model.start("a")
    controller = Controller(model, SPEC)
    assert {type(step) for step in controller.plan().steps} == {Meet, AwaitAgreement}
    made = controller.run()
    assert model.servers[newcomer].table
    assert model.servers[newcomer].role is Role.MASTER
    assert f"({newcomer}) wait for the election of a new master for the slots 0-5461" in str(made)
    assert made.soon_s == 2 * 15 + 5
    model.tick()
    assert controller.run() == Plan()
    assert in_one_shard(model, newcomer, heir)
    assert_balanced(model, SPEC)


def test_only_the_newcomers_that_a_coming_election_calls_for_are_kept():
    model = formed()
    heir = replica_of(model, "t001")
    model.kill(replica_of(model, "t002"))
    model.kill("t001")
    newcomers = [model.start("c"), model.start("c")]
    controller = Controller(model, SPEC)
    controller.run()
    assert {followed(model, task) for task in newcomers} == {"t002", None}
    model.tick()
    assert controller.settle() == Plan()
    assert {followed(model, task) for task in newcomers} == {"t002", heir}


def test_nobody_waits_for_an_election_that_cannot_be_held():
    spec = Spec(2, 2)
    model = formed("abab", spec)
    model.kill("t001")
    newcomer = model.start("a")
    controller = Controller(model, spec)
    controller.run()
    assert followed(model, newcomer) == "t002"
    model.tick()
    assert controller.run().soon_s == 0


@pytest.mark.parametrize("answers", [True, False])
def test_a_newcomer_is_kept_while_the_master_is_stopping(answers):
    model = formed()
    heir = replica_of(model, "t001")
    model.tasks["t001"] = replace(model.tasks["t001"], running=False)
    if not answers:
        model.troubles["t001"] = Trouble.UNREACHABLE
    newcomer = model.start("a")
    controller = Controller(model, SPEC)
    assert controller.run().soon_s
    assert followed(model, newcomer) is None
    model.kill("t001")
    model.tick()
    assert controller.settle() == Plan()
    assert in_one_shard(model, newcomer, heir)


def test_nobody_waits_where_there_is_no_replica_to_elect():
    model = formed("abc", Spec(3, 0))
    model.tasks["t001"] = replace(model.tasks["t001"], running=False)
    newcomer = model.start("a")
    made = Controller(model, Spec(3, 0)).run()
    assert followed(model, newcomer)
    assert made.soon_s == 0


def test_a_master_with_too_few_replicas_is_said():
    model = formed()
    model.kill(replica_of(model, "t001"))
    made = Controller(model, SPEC).run()
    assert any(
        "t001" in sentence and "has 0 of 1 replicas" in sentence for sentence in made.waiting
    )
    judged = assess(model.view(), SPEC)
    assert judged.health is Health.DEGRADED
    assert judged.verdict.startswith("Shard 0-5461 has no replica: 1 wanted.")


def test_a_lost_shard_is_not_forgotten_and_said():
    model = formed()
    model.kill(replica_of(model, "t001"))
    model.kill("t001")
    model.tick()
    controller = Controller(model, SPEC)
    controller.settle()
    made = controller.plan()
    assert not made.steps
    assert any("no replica has a copy" in sentence for sentence in made.waiting)


def test_the_poorest_master_is_served_first_then_another_zone():
    model = formed("abcabcabc", Spec(3, 6))
    for replica in [t for t, s in model.servers.items() if s.master_id]:
        if model.servers[replica].master_id == model.servers["t002"].id:
            model.kill(replica)
    newcomers = [model.start("b"), model.start("a")]
    Controller(model, Spec(3, 6)).run()
    masters = [model.servers[task].master_id for task in newcomers]
    assert masters == [model.servers["t002"].id] * 2


def test_unreachable_members_do_not_block_a_join():
    model = formed()
    model.kill(replica_of(model, "t001"))
    task = model.start("a")
    model.troubles["t003"] = Trouble.UNREACHABLE
    made = Controller(model, SPEC).plan()
    assert any(isinstance(s, Replicate) and s.node.task_id == task for s in made.steps)
    assert any("t003" in sentence for sentence in made.waiting)


def test_a_node_in_trouble_is_not_joined():
    model = formed()
    model.troubles[model.start("a")] = Trouble.WRONG_TASK
    made = Controller(model, SPEC).plan()
    assert not made.steps
    assert any("t007" in sentence for sentence in made.waiting)


def test_a_node_with_keys_is_not_touched():
    model = formed()
    task = model.start("a")
    model.servers[task].keys = 3
    assert not Controller(model, SPEC).plan().steps


def test_every_prefix_of_joining_is_finished():
    def fresh():
        model = formed("abc")
        for zone in "abca":
            model.start(zone)
        return model

    spec = Spec(3, 4)
    whole = Controller(fresh(), spec)
    whole.run()
    for killed_after in range(whole.commands):
        for gossip in (False, True):
            model = fresh()
            with pytest.raises(Killed):
                Controller(model, spec, random.Random(killed_after)).run(until=killed_after)
            if gossip:
                model.gossip()
            assert Controller(model, spec).settle() == Plan()
            assert_balanced(model, spec)


def test_a_node_that_was_met_and_left_alone_gets_its_master():
    model = formed("abcab", Spec(3, 2))
    task = model.start("c")
    model.do("meet", (_ref(model, "t001"), _ref(model, task)))
    model.gossip()
    made = Controller(model, SPEC).plan()
    assert [type(step) for step in made.steps] == [Replicate, AwaitHealthy]


@pytest.mark.parametrize("met", [False, True])
def test_nobody_waits_for_a_master_that_is_cut_off_and_has_been_replaced(met):
    """It claims its slots as before, and cannot hear of the new task."""
    model = formed()
    heir = replica_of(model, "t001")
    task, stale = model.tasks["t001"], model.view().members[0]
    lost = replica_of(model, "t002")
    model.kill("t001")
    model.tick()
    assert model.servers[heir].slots == stale.node.slots
    model.kill(lost)
    newcomer = model.start("c")
    if met:
        model.do("meet", (_ref(model, "t002"), _ref(model, newcomer)))
        model.servers["t003"].table.pop(model.servers[newcomer].id, None)
    view = model.view()
    stale = replace(stale, task=task, node=replace(stale.node, cluster_ok=False))
    view = replace(view, members=(stale, *view.members))
    pairs = [(one, other) for t in model.tasks for one, other in (("t001", t), (t, "t001"))]
    made = plan(deaf(view, *pairs), Spec(3, 3), Policy())
    assert [type(wave[0]) for wave in made.waves()] == [Meet, AwaitAgreement, Replicate]
    (agreement,) = (step for step in made.steps if isinstance(step, AwaitAgreement))
    assert {node.task_id for node in agreement.nodes} == set(model.tasks)
    (joined,) = (step for step in made.steps if isinstance(step, Replicate))
    assert joined.node.task_id == newcomer
    assert joined.master.task_id in {heir, "t002"}
    assert not any("t001" in (s.node.task_id, *(p.task_id for p in s.peers))
                   for s in made.steps if isinstance(s, Meet))  # fmt: skip
    assert any("t001" in s and "do not hear each other" in s for s in made.waiting)


def test_a_node_that_moved_and_hears_nobody_where_they_were_is_introduced():
    """After a restart at other addresses nobody hears anybody: nobody is cut off by that."""
    model = formed()
    for server in model.servers.values():
        for belief in server.table.values():
            belief.address, belief.failed = "10.8.8.8", True
    made = Controller(model, SPEC).plan()
    (agreement,) = (step for step in made.steps if isinstance(step, AwaitAgreement))
    assert len(agreement.nodes) == SPEC.task_count


@pytest.mark.parametrize(("ignorant", "unknown"), [("t001", "t004"), ("t004", "t001")])
def test_incomplete_tables_are_mended(ignorant, unknown):
    """By whom they are incomplete: who knows the other has nothing to do."""
    model = formed()
    del model.servers[ignorant].table[model.servers[unknown].id]
    made = Controller(model, SPEC).plan()
    assert [type(step) for step in made.steps] == [Meet, AwaitAgreement]
    assert made.steps[0].node.task_id == ignorant
    assert Controller(model, SPEC).run() == Plan()


def test_a_node_that_moved_is_met_again():
    model = formed()
    for server in model.servers.values():
        for belief in server.table.values():
            belief.address = "10.8.8.8"
    assert Controller(model, SPEC).run() == Plan()
    assert_formed(model, SPEC)


def test_a_node_that_came_back_after_it_was_forgotten_gets_no_slots_while_it_is_banned():
    """The others know it, and forget it again. By zone it would be the better master."""
    model = formed("abcbca")
    model.tasks["t001"] = replace(model.tasks["t001"], zone="b")
    back = "t006"
    view = replace(model.view(), forgotten={model.servers[back].id: model.now_s})
    made = plan(view, SPEC, Policy())
    assert made.steps == ()
    assert any(f"task {back}" in s and "told to forget it" in s for s in made.waiting)
    made = plan(replace(view, observed_at_s=view.observed_at_s + 66), SPEC, Policy())
    assert [type(step) for step in made.steps] == [Failover, AwaitHealthy]
    assert made.steps[0].node.task_id == back


def test_a_task_that_is_stopping_is_said_and_its_node_not_forgotten():
    model = formed()
    lost = replica_of(model, "t001")
    model.tasks[lost] = replace(model.tasks[lost], running=False)
    model.troubles[lost] = Trouble.UNREACHABLE
    model.start("a")
    controller = Controller(model, SPEC)
    made = controller.run()
    assert made.waiting == ("1 more tasks are starting or stopping.",)
    model.troubles.clear()
    model.kill(lost)
    assert controller.run() == Plan()


def test_a_dead_node_that_still_seems_to_answer_is_not_forgotten():
    model = formed()
    model.kill(replica_of(model, "t001"), noticed=False)
    controller = Controller(model, SPEC)
    made = controller.plan()
    assert not made.steps
    assert any("seems to answer" in sentence for sentence in made.waiting)
    model.tick()
    assert [type(step) for step in controller.plan().steps] == [Forget]


def _ref(model: Model, task_id: str):
    return next(live.ref for live in Fleet(model.view()).lives if live.task.id == task_id)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from("abcd"), min_size=6, max_size=10),
    st.integers(3, 4),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 2), st.booleans()), max_size=4),
    st.randoms(use_true_random=False),
)
def test_tasks_are_replaced_one_after_another(zones, masters, history, chance):
    """Losses that leave every shard a node, and a majority: the cluster is whole again."""
    spec = Spec(masters, len(zones) - masters)
    model = formed(zones, spec)
    for until, losses, noticed in history:
        for _ in range(losses):
            if victim := _spare(model, chance):
                model.kill(victim, noticed=noticed)
                model.start(chance.choice("abcd"))
        with suppress(Killed, NotYet):
            Controller(model, spec, chance).run(until=until)
        model.tick()
        Controller(model, spec).settle()
    assert Controller(model, spec).settle() == Plan()
    assert_balanced(model, spec)


def _spare(model: Model, chance: random.Random) -> str | None:
    """A task whose shard has a synchronised node besides, while no master is missing."""
    if any(b.failed and b.slots for s in model.servers.values() for b in s.table.values()):
        return None
    followers = Counter(s.master_id for s in model.servers.values() if s.synced)
    masters = {s.id for s in model.servers.values() if s.slots}
    if not {s.master_id for s in model.servers.values() if s.master_id} <= masters:
        return None
    spare = [
        task
        for task, server in model.servers.items()
        if server.role is Role.REPLICA or (server.slots and followers[server.id])
    ]
    return chance.choice(sorted(spare)) if spare else None


def test_the_marker_never_changes_again():
    model = formed()
    model.kill("t002")
    model.start("b")
    model.tick()
    Controller(model, SPEC).settle()
    assert model.marker is Marker.FORMED


def test_an_empty_master_becomes_a_replica_unless_slots_are_in_flight():
    model = formed("abc", Spec(3, 0))
    emptied, heir = model.servers["t001"], model.servers["t002"]
    heir.epoch = heir.current_epoch = 9
    heir.slots, emptied.slots = (SlotRange(0, 10922),), ()
    model.gossip()
    made = Controller(model, Spec(2, 1)).plan()
    assert [type(step) for step in made.steps] == [Replicate, AwaitHealthy]
