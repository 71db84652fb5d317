"""A master gave itself an epoch when it was cut off: whoever replaces it is to have a newer one."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from model import Controller, Model

from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.slots import split
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import AdvanceEpoch, Outrank
from redis_fargate.topology.unheard import steps
from redis_fargate.topology.view import Member, View


def formed(spec: Spec) -> Model:
    model = Model(["abc"[number % 3] for number in range(spec.task_count)])
    Controller(model, spec).run()
    return model


def masters(model: Model) -> list[str]:
    """Task ids, in the order of the node ids."""
    owners = [task_id for task_id, server in model.servers.items() if server.slots]
    return sorted(owners, key=lambda task_id: model.servers[task_id].id)


def replicas(model: Model) -> list[str]:
    return [task_id for task_id, server in model.servers.items() if server.master_id]


def seen(
    model: Model,
    config: Mapping[str, int],
    current: Mapping[str, int],
    heard: Mapping[str, Collection[str]],
) -> View:
    """By task id: the epochs that nodes have, and who has heard of the first."""
    ids = {server.id: task_id for task_id, server in model.servers.items()}
    view = model.view()

    def changed(member: Member) -> Member:
        node, task_id = member.node, member.task.id
        assert node is not None
        peers = []
        for peer in node.peers:
            known = task_id in heard.get(ids[peer.id], ())
            peers.append(replace(peer, config_epoch=config[ids[peer.id]]) if known else peer)
        node = replace(
            node,
            config_epoch=config.get(task_id, node.config_epoch),
            current_epoch=current.get(task_id, node.current_epoch),
            peers=tuple(peers),
        )
        return replace(member, node=node)

    return replace(view, members=tuple(map(changed, view.members)))


@pytest.mark.parametrize("hearing", [0, 1, 2, 3])
def test_no_election_may_choose_that_epoch(hearing):
    """Its own replicas first: they would be elected. Who has heard of it chooses a newer one."""
    model = formed(Spec(4, 8))
    one, *others = masters(model)
    knowing, *behind = (
        t for t in replicas(model) if model.servers[t].master_id == model.servers[one].id
    )
    view = seen(
        model,
        config={one: 20},
        current=dict.fromkeys((one, *others[:hearing], knowing), 20),
        heard={one: others[:hearing]},
    )
    made = steps(Fleet(view))
    if hearing >= 2:
        assert made == ()
    else:
        (step,) = made
        assert isinstance(step, AdvanceEpoch)
        assert (step.nodes[0].task_id, step.epoch) == (behind[0], 20)
        assert {node.task_id for node in step.nodes} == {*replicas(model)} - {knowing}


@pytest.mark.parametrize("order", ["keeps it", "gets another"])
@pytest.mark.parametrize("used", [False, True])
def test_nobody_else_keeps_that_epoch(order, used):
    """Of two masters with one epoch Redis gives a newer one to who has the lower node id."""
    model = formed(Spec(3, 3))
    low, high, other = masters(model)
    one, rival = (low, high) if order == "keeps it" else (high, low)
    view = seen(
        model,
        config={one: 20, rival: 20},
        current={
            one: 20,
            other: 20,
            rival: 20,
            **dict.fromkeys(replicas(model), 21 if used else 20),
        },
        heard={rival: [other, *replicas(model)]},
    )
    made = steps(Fleet(view))
    if order == "gets another":
        assert made == ()
    elif not used:
        assert [(type(step), step.epoch) for step in made] == [(AdvanceEpoch, 21)]
    else:
        (step,) = made
        assert isinstance(step, Outrank)
        assert (step.node.task_id, step.rival.task_id) == (rival, one)


def test_who_has_no_replica_may_be_alone_with_its_epoch():
    model = formed(Spec(3, 0))
    one, *others = masters(model)
    view = seen(model, dict.fromkeys((one, others[0]), 20), dict.fromkeys((one, *others), 20), {})
    assert steps(Fleet(view)) == ()


def test_nobody_gets_a_newer_epoch_of_whom_others_believe_too_much():
    """They would believe it more than who has the slots that it gave away."""
    model = formed(Spec(3, 3))
    one, rival, other = masters(model)
    view = seen(
        model,
        config={one: 20, rival: 20},
        current={one: 20, other: 21, rival: 21, **dict.fromkeys(replicas(model), 21)},
        heard={rival: [other, *replicas(model)]},
    )
    assert [type(step) for step in steps(Fleet(view))] == [Outrank]
    kept, _ = split(model.servers[rival].slots, 1000)

    def given_away(member: Member) -> Member:
        assert member.node is not None
        own = member.task.id == rival
        return replace(member, node=replace(member.node, slots=kept)) if own else member

    view = replace(view, members=tuple(map(given_away, view.members)))
    assert steps(Fleet(view)) == ()
