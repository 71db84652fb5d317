"""Elections that Redis holds by itself, on the model cluster."""

import pytest
from model import Controller, Model

from redis_fargate.topology.elections import pending
from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.spec import Spec


@pytest.mark.parametrize("ahead", [0, 1])
def test_who_has_come_farthest_is_likely_to_be_elected(ahead: int) -> None:
    model = Model(list("abcabcabc"))
    Controller(model, Spec(3, 6)).run()
    model.write()
    master = model.servers["t001"]
    heirs = [task_id for task_id, s in model.servers.items() if s.master_id == master.id]
    assert pending(Fleet(model.view())) == ()
    model.kill("t001")
    model.servers[heirs[1 - ahead]].offset -= 1
    (election,) = pending(Fleet(model.view()))
    assert election.master_id == master.id
    assert election.heir.task.id == heirs[ahead]
