"""A master got a slot, and some node believes a newer claim of who gave it away."""

from dataclasses import replace

import pytest
from model import Controller, Model, deaf

from redis_fargate.topology.disbelieved import steps
from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.slots import normalized, split
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Member, View


def with_epochs(view: View, epochs: dict[str, int]) -> View:
    """By task id; everybody has heard of them."""
    ids = {member.node.id: member.task.id for member in view.members}

    def changed(member: Member) -> Member:
        peers = tuple(
            replace(peer, config_epoch=epochs.get(ids[peer.id], peer.config_epoch))
            for peer in member.node.peers
        )
        epoch = epochs.get(member.task.id, member.node.config_epoch)
        return replace(member, node=replace(member.node, config_epoch=epoch, peers=peers))

    return replace(view, members=tuple(map(changed, view.members)))


@pytest.mark.parametrize("case", ["newer", "older", "owner gave some away", "owner is cut off"])
def test_who_is_not_believed_gets_a_newer_epoch(case):
    spec = Spec(3, 3)
    model = Model(["abc"[number % 3] for number in range(spec.task_count)])
    Controller(model, spec).run()
    former, owner, other = (task_id for task_id, server in model.servers.items() if server.slots)
    believer = next(t for t, s in model.servers.items() if s.master_id == model.servers[former].id)
    kept, given = split(model.servers[former].slots, 1000)
    some, _ = split(model.servers[other].slots, 10)
    slots = {former: kept, owner: normalized((*model.servers[owner].slots, *given))}
    ids = {task_id: server.id for task_id, server in model.servers.items()}

    def given_away(member: Member) -> Member:
        peers = []
        for peer in member.node.peers:
            if peer.id == ids[owner]:
                extra = some if case == "owner gave some away" else ()
                claimed = normalized((*slots[owner], *extra))
                peers.append(replace(peer, slots=claimed))
            elif peer.id == ids[former] and member.task.id != believer:
                peers.append(replace(peer, slots=kept))
            else:
                peers.append(peer)
        own = slots.get(member.task.id, member.node.slots)
        return replace(member, node=replace(member.node, slots=own, peers=tuple(peers)))

    newest = (owner, former) if case == "older" else (former, owner)
    view = with_epochs(model.view(), {newest[0]: 21, newest[1]: 20})
    view = replace(view, members=tuple(map(given_away, view.members)))
    if case == "owner is cut off":
        view = deaf(view, *((owner, each) for each in ids if each != owner))
    made = [(step.node.task_id, step.rival.task_id) for step in steps(Fleet(view))]
    wanted = {"newer": [(owner, former)], "owner gave some away": [(other, owner)]}
    assert made == wanted.get(case, [])
