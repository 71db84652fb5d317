"""What is not safe to judge is refused, in a sentence that names the task and what to do."""

from dataclasses import replace

import pytest
from model import Controller, Killed, Model, Server

from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.slots import ALL_SLOTS, SlotRange
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.view import Marker, Trouble

SPEC = Spec(3, 3)


def formed() -> Model:
    model = Model(list("abcabc"))
    Controller(model, SPEC).run()
    return model


def refusal(model: Model) -> str:
    made = Controller(model, SPEC).plan()
    assert not made.steps
    assert made.refusals
    return made.refusals[0]


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Trouble.UNREACHABLE, "does not answer"),
        (Trouble.AUTHENTICATION, "refuses the password"),
        (Trouble.NOT_CLUSTER_MODE, "not in cluster mode"),
        (Trouble.LOADING, "still loading"),
        (Trouble.WRONG_TASK, "belongs to another task"),
    ],
)
def test_a_running_task_in_trouble_before_forming(trouble, words):
    model = Model(list("abcabc"))
    model.troubles["t004"] = trouble
    sentence = refusal(model)
    assert sentence.startswith("Task t004 (10.0.0.5) ")
    assert words in sentence
    assert sentence.endswith("(It is so).")


def test_a_running_task_in_trouble_amid_forming():
    model = Model(list("abcabc"))
    with pytest.raises(Killed):
        Controller(model, SPEC).run(until=30)
    model.troubles["t004"] = Trouble.UNREACHABLE
    assert "t004" in refusal(model)


def test_a_task_in_trouble_that_does_not_run_yet_is_awaited():
    model = Model(list("abcabc"))
    model.troubles["t004"] = Trouble.UNREACHABLE
    model.tasks["t004"] = replace(model.tasks["t004"], running=False, address=None)
    model.now_s = 10.0
    made = Controller(model, SPEC).plan()
    assert not made.refusals
    assert "5 of 6 tasks run" in made.waiting[0]


def test_a_formed_cluster_goes_on_with_a_task_in_trouble():
    model = formed()
    model.troubles["t004"] = Trouble.UNREACHABLE
    made = Controller(model, SPEC).plan()
    assert not made.refusals
    assert "t004" in made.waiting[0]


@pytest.mark.parametrize("marker", [Marker.ABSENT, Marker.FORMING])
def test_keys_without_slots(marker):
    model = Model(list("abcabc"))
    if marker is Marker.FORMING:
        with pytest.raises(Killed):
            Controller(model, SPEC).run(until=1)
    model.servers["t002"].keys = 7
    sentence = refusal(model)
    assert "t002" in sentence
    assert "7 keys" in sentence


def test_slots_without_marker():
    model = Model(list("abcabc"))
    model.servers["t002"].slots = (SlotRange(0, 100),)
    assert "0-100" in refusal(model)
    assert "101 of 16384 slots" in refusal(model)


def test_a_cluster_without_marker_that_is_not_healthy():
    model = formed()
    model.marker = Marker.ABSENT
    model.kill("t001")
    assert "no marker" in refusal(model)


def test_another_cluster_s_node_before_forming():
    model = Model(list("abcabc"))
    _tie_to_a_stranger(model, "t003")
    assert "t003" in refusal(model)
    assert "another cluster's node" in refusal(model)


def test_another_cluster_s_node_after_forming():
    model = formed()
    model.start("a")
    _tie_to_a_stranger(model, "t007")
    assert "t007" in refusal(model)
    assert "belongs to another cluster" in refusal(model)


def test_a_stranger_in_the_cluster_s_own_tables_is_only_told_of():
    model = formed()
    _tie_to_a_stranger(model, "t003")
    made = Controller(model, SPEC).plan()
    assert not made.refusals
    assert not made.steps
    assert "ECS lists no such task" in made.waiting[0]


def _tie_to_a_stranger(model: Model, task_id: str) -> None:
    stranger = Server("f" * 40, "10.9.9.9", "another-cluster-s-task")
    model.servers[task_id].table[stranger.id] = stranger.introduce()


def test_total_loss():
    model = formed()
    for task_id in list(model.tasks):
        model.kill(task_id)
    for zone in "abcabc":
        model.start(zone)
    assert "all data is lost" in refusal(model)


def test_no_total_loss_while_a_task_does_not_answer():
    model = formed()
    for task_id in list(model.tasks)[1:]:
        model.kill(task_id)
    for zone in "abcab":
        model.start(zone)
    model.troubles["t001"] = Trouble.UNREACHABLE
    made = Controller(model, SPEC).plan()
    assert not made.refusals
    assert not made.steps
    assert made.waiting


def test_no_total_loss_while_a_replica_is_left():
    model = Model(list("ab"))
    Controller(model, Spec(1, 1)).run()
    model.kill("t001")
    made = Controller(model, Spec(1, 1)).plan()
    assert not made.refusals
    assert not made.steps
    assert any("no replica has a copy" in sentence for sentence in made.waiting)


def test_no_total_loss_without_tasks():
    model = formed()
    for task_id in list(model.tasks):
        model.kill(task_id)
    made = Controller(model, SPEC).plan()
    assert made.refusals == made.steps == ()
    assert "0 tasks run" in made.waiting[0]


def test_two_clusters_with_data():
    model = formed()
    other = model.start("a")
    model.servers[other].slots = ALL_SLOTS
    sentence = refusal(model)
    assert "2 clusters" in sentence
    assert "t007" in sentence


def test_the_same_slots_twice_amid_forming():
    model = Model(list("abcabc"))
    with pytest.raises(Killed):
        Controller(model, SPEC).run(until=20)
    assert any(server.slots for server in model.servers.values())
    model.servers["t006"].slots = ALL_SLOTS
    assert "serve the same slots" in refusal(model)


def test_a_hostname_that_is_not_known_is_tolerated():
    model = Model(list("abcabc"))
    for server in model.servers.values():
        server.hostname = ""
    controller = Controller(model, SPEC)
    assert controller.run() == Plan()
    model.kill("t006")
    model.tick()
    assert [step.gone_task_id for step in controller.plan().steps] == [""]


def test_an_empty_view_waits():
    made = plan(Model([]).view(), SPEC, Policy())
    assert not made.steps
    assert not made.refusals
    assert "0 of 6 tasks run" in made.waiting[0]
