import json

import pytest

from redis_fargate.controller.report import other_reports, shard_reports, step_report
from redis_fargate.controller.result import NodeReport, Outcome, Result, ShardReport, StepReport
from redis_fargate.topology.health import Assessment, Health, Shard
from redis_fargate.topology.slots import ALL_SLOTS, SlotRange
from redis_fargate.topology.steps import (
    AddSlots,
    AwaitAgreement,
    AwaitHealthy,
    ChangeSettings,
    Forget,
    Meet,
    NodeRef,
    Phase,
    Replicate,
    SetConfigEpoch,
)
from redis_fargate.topology.view import Member, Node, Replication, Role, Task, Trouble


def member(name, role=Role.MASTER, *, offset=0, slots=ALL_SLOTS, running=True):
    task = Task(f"arn/{name}", name, "a", "10.0.0.1", "redis:1", running, started_at_s=0.0)
    node = Node(
        id=f"node-{name}",
        address="10.0.0.1",
        port=6379,
        role=role,
        master_id=None,
        config_epoch=1,
        current_epoch=1,
        cluster_ok=True,
        slots=slots,
        open_slots=(),
        keys=3,
        peers=(),
        replication=Replication(offset, link_up=role is Role.REPLICA or None),
        hostname=name,
        version="redis 7.0.15",
        used_memory_bytes=10,
        max_memory_bytes=20,
    )
    return Member(task, node)


MASTER = member("m", offset=100)
REPLICA = member("r", Role.REPLICA, offset=90, slots=())
UNREACHABLE = Member(
    Task("arn/u", "u", "b", None, "redis:1", running=False, started_at_s=None),
    trouble=Trouble.UNREACHABLE,
    detail="Task u has no address yet.",
)
LEAVING = member("l", slots=(), running=False)
ASSESSMENT = Assessment(
    Health.DEGRADED,
    "One task is missing.",
    (Shard(MASTER, (REPLICA,), ALL_SLOTS), Shard(None, (REPLICA,), ())),
    (UNREACHABLE, LEAVING),
)


def test_shards_become_rows():
    served, lost = shard_reports(ASSESSMENT)
    assert (served.slots, served.slot_count) == ("0-16383", 16384)
    assert served.master is not None
    assert (served.master.role, served.master.keys, served.master.lag_bytes) == ("master", 3, None)
    assert (served.replicas[0].role, served.replicas[0].lag_bytes) == ("replica", 10)
    assert served.replicas[0].link_up is True
    assert lost.master is None
    assert lost.replicas[0].lag_bytes is None


def test_tasks_in_no_shard_become_rows():
    unreachable, leaving = other_reports(ASSESSMENT)
    assert (unreachable.role, unreachable.address) == ("unreachable", "")
    assert unreachable.detail == "Task u has no address yet."
    assert leaving.detail == "This task is starting or stopping."


ONE, OTHER = NodeRef("n1", "10.0.0.1", 6379, "t1"), NodeRef("n2", "10.0.0.2", 6379, "t2")


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (ChangeSettings(ONE, (("a", "1"), ("b", "2")), "w"), "set a 1, b 2 on 10.0.0.1:6379"),
        (SetConfigEpoch(ONE, 3, "w"), "set config epoch 3 on 10.0.0.1:6379"),
        (AddSlots(ONE, (SlotRange(0, 5),), "w"), "add slots 0-5 to 10.0.0.1:6379"),
        (Meet(ONE, (OTHER,), "w", Phase.JOIN), "introduce 10.0.0.2:6379 to 10.0.0.1:6379"),
        (AwaitAgreement((ONE, OTHER), "w", Phase.FORM), "wait until 2 nodes know each other"),
        (Replicate(ONE, OTHER, "w", Phase.FORM), "make 10.0.0.1:6379 a replica of 10.0.0.2:6379"),
        (AwaitHealthy((ONE, OTHER), "w", Phase.FORM), "wait until 2 nodes are well"),
        (Forget("n3", "t3", (ONE,), "w"), "forget node n3 of task t3"),
    ],
)
def test_every_step_has_its_sentence(step, sentence):
    assert step_report(step) == StepReport(step.phase.value, sentence, "w")


def test_json_there_and_back():
    shards = shard_reports(ASSESSMENT)
    result = Result(
        cluster="redis",
        outcome=Outcome.OUT_OF_TIME,
        health=Health.DEGRADED,
        verdict="Well.",
        run=4,
        shards=shards,
        others=other_reports(ASSESSMENT),
        plan=(StepReport("form", "do it", "because"),),
        done=(StepReport("form", "did it", "because"),),
        waiting=("a",),
        refusals=("b",),
        remarks=("c",),
        timings_ms={"total": 1.5},
    )
    document = result.to_dict()
    assert json.loads(json.dumps(document)) == document
    assert Result.from_dict(document) == result
    assert isinstance(shards[0], ShardReport)
    assert isinstance(shards[0].master, NodeReport)


def test_json_of_an_empty_result():
    result = Result("redis", Outcome.BUSY, None, "Busy.", run=0)
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result
