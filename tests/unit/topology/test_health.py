"""The judgement, and its one sentence."""

from dataclasses import replace

from model import Controller, Model

from redis_fargate.topology.health import Health, assess
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Role, Trouble

SPEC = Spec(3, 3)


def formed() -> Model:
    model = Model(list("abcabc"))
    Controller(model, SPEC).run()
    return model


def judge(model: Model, spec: Spec = SPEC):
    return assess(model.view(), spec)


def test_as_wanted():
    judged = judge(formed())
    assert judged.health is Health.OK
    assert judged.verdict == "16384 slots on 3 masters, 3 replicas linked, 3 zones: as wanted."
    assert [str(shard.slots[0]) for shard in judged.shards] == [
        "0-5461", "5462-10922", "10923-16383",
    ]  # fmt: skip
    assert judged.others == ()


def test_not_formed():
    judged = judge(Model(list("abc")))
    assert judged.health is Health.FORMING
    assert judged.verdict == "The cluster is not formed yet: 3 of 6 tasks answer."
    assert len(judged.others) == 3


def test_a_shard_without_replica():
    model = formed()
    lost = next(t for t, s in model.servers.items() if s.master_id == model.servers["t001"].id)
    model.kill(lost)
    judged = judge(model)
    assert judged.health is Health.DEGRADED
    assert judged.verdict == "Shard 0-5461 has no replica: 1 wanted. And 1 more."


def test_a_master_that_is_gone():
    model = formed()
    model.kill("t001")
    judged = judge(model)
    assert judged.health is Health.DOWN
    assert judged.verdict.startswith("Shard 0-5461 has no master that answers, 1 replica left.")
    assert judged.shards[0].master is None
    assert len(judged.shards[0].replicas) == 1


def test_a_master_that_does_not_answer():
    model = formed()
    model.troubles["t002"] = Trouble.UNREACHABLE
    judged = judge(model)
    assert judged.health is Health.DOWN
    assert judged.shards[1].master is None
    assert [member.task.id for member in judged.others] == ["t002"]


def test_a_replica_without_link():
    model = formed()
    replica = next(s for s in model.servers.values() if s.role is Role.REPLICA)
    replica.linked = False
    judged = judge(model)
    assert judged.health is Health.DEGRADED
    assert replica.hostname in judged.verdict


def test_a_task_that_is_in_no_shard():
    model = formed()
    model.start("a")
    judged = judge(model)
    assert judged.verdict == "Task t007 is in no shard."


def test_a_member_that_is_stopping():
    model = formed()
    model.tasks["t001"] = replace(model.tasks["t001"], running=False)
    assert judge(model).verdict == "Task t001 of shard 0-5461 is stopping."


def test_another_shape_is_wanted():
    assert judge(formed(), Spec(2, 4)).health is Health.DEGRADED


def test_nothing_at_all():
    model = formed()
    for task_id in list(model.tasks):
        model.kill(task_id)
    judged = judge(model)
    assert judged.health is Health.DOWN
    assert judged.verdict == "Nobody serves the slots 0-16383."
