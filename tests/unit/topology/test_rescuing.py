"""Rescuing shards on the model cluster."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import Controller, Model, assert_formed, deaf

from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.slots import normalized, split
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import AdvanceEpoch, BumpEpoch, Failover, FailoverMode, Meet
from redis_fargate.topology.view import Member, Role, Trouble, View


def formed(zones: str, spec: Spec) -> Model:
    model = Model(list(zones))
    Controller(model, spec).run()
    assert_formed(model, spec)
    model.write()
    return model


def masters(model: Model) -> list[str]:
    return [task_id for task_id, server in model.servers.items() if server.slots]


def replicas_of(model: Model, task_id: str) -> list[str]:
    master = model.servers[task_id].id
    return [t for t, server in model.servers.items() if server.master_id == master]


def failovers(made: Plan) -> list[tuple[str, FailoverMode]]:
    return [(s.node.task_id, s.mode) for s in made.steps if isinstance(s, Failover)]


@pytest.mark.parametrize("noticed", [True, False])
def test_a_lost_master_is_replaced_at_once(noticed):
    spec = Spec(3, 3)
    model = formed("abcabc", spec)
    (heir,) = replicas_of(model, "t001")
    model.kill("t001", noticed=noticed)
    controller = Controller(model, spec)
    view = replace(model.view(), stopped=frozenset({"t001"}))
    assert failovers(plan(view, spec, Policy())) == [(heir, FailoverMode.FORCE)]
    if noticed:
        model.start("a")
        controller.settle()
        assert_formed(model, spec)


def test_a_replica_is_introduced_before_it_asks_for_votes():
    """Everybody whom it knew has been replaced while it was cut off; they have been told of it."""
    spec = Spec(3, 3)
    model = formed("abcabc", spec)
    (heir,) = replicas_of(model, "t001")
    gone = model.servers["t001"].id
    model.kill("t001")
    view = model.view()

    def cut_off(member):
        if member.task.id != heir:
            return member
        peers = tuple(peer for peer in member.node.peers if peer.id == gone)
        return replace(member, node=replace(member.node, peers=peers))

    made = plan(replace(view, members=tuple(map(cut_off, view.members))), spec, Policy())
    assert failovers(made) == []
    assert any(isinstance(step, Meet) for step in made.steps)


def test_nobody_votes_about_a_master_that_he_never_knew():
    """A master came after the other had lost its address to a new task, and is not told of it."""
    spec = Spec(3, 3)
    model = formed("abcabc", spec)
    (heir,) = replicas_of(model, "t001")
    gone = model.servers["t001"].id
    newcomer = masters(model)[1]
    model.kill("t001")
    view = model.view()

    def without_address(member):
        peers = tuple(
            replace(peer, address="", flags=frozenset({"noaddr"})) if peer.id == gone else peer
            for peer in member.node.peers
            if peer.id != gone or member.task.id != newcomer
        )
        return replace(member, node=replace(member.node, peers=peers))

    view = replace(view, members=tuple(map(without_address, view.members)))
    assert failovers(plan(view, spec, Policy())) == [(heir, FailoverMode.TAKEOVER)]


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("target_is_gone", [True, False])
def test_a_replica_that_has_not_heard_whose_its_masters_slots_are_does_not_take_them(
    heard, target_is_gone
):
    """Its claim would be newer than that of the master they were moved to, or of its replica."""
    spec = Spec(2, 2)
    model = formed("abab", spec)
    (heir,) = replicas_of(model, "t001")
    gone = model.servers["t001"]
    target = next(task_id for task_id in masters(model) if task_id != "t001")
    (targets_heir,) = replicas_of(model, target)
    taker = model.servers[target]
    half, moved = split(gone.slots, 1000)
    all_of_it = normalized((*taker.slots, *moved))
    model.kill("t001")
    if target_is_gone:
        model.kill(target)
    view = model.view()

    def after_moving(member):
        node = member.node
        if member.task.id == target:
            node = replace(node, slots=all_of_it, config_epoch=9)
        told = {} if member.task.id == heir and not heard else {gone.id: half, taker.id: all_of_it}
        peers = (
            replace(p, slots=told[p.id], config_epoch=9 if p.id == taker.id else p.config_epoch)
            if p.id in told
            else p
            for p in node.peers
        )
        return replace(member, node=replace(node, peers=tuple(peers)))

    view = replace(view, members=tuple(map(after_moving, view.members)))
    expected = {heir} if heard else set()
    expected |= {targets_heir} if target_is_gone else set()
    assert set(failovers(plan(view, spec, Policy()))) == {
        (task_id, FailoverMode.TAKEOVER) for task_id in expected
    }


def superseded(model: Model, heir: str, successor: str, master: str = "t001") -> View:
    """What is seen once a successor was elected and has gone, too, and a replica was cut off."""
    gone, elected = (model.servers[task_id] for task_id in (master, successor))
    model.kill(master)
    model.kill(successor)
    view = model.view()

    def known(member: Member) -> Member:
        node = member.node
        assert node is not None
        if member.task.id == heir:
            return replace(member, node=replace(node, current_epoch=3))
        claims = {gone.id: (1, ()), elected.id: (4, gone.slots)}
        peers = []
        for peer in node.peers:
            epoch, slots = claims.get(peer.id, (peer.config_epoch, peer.slots))
            peers.append(replace(peer, config_epoch=epoch, slots=slots))
        return replace(member, node=replace(node, current_epoch=4, peers=tuple(peers)))

    return replace(view, members=tuple(map(known, view.members)))


def test_who_took_over_and_is_gone_as_well_does_not_count_twice():
    """Two of three masters are left to vote, by whichever of the two claims."""
    spec = Spec(3, 6)
    model = formed("abcabcabc", spec)
    heir, successor = replicas_of(model, "t001")
    fleet = Fleet(superseded(model, heir, successor))
    ((owner, _),) = fleet.unserved
    assert owner.task_id == successor
    made = plan(fleet.view, spec, Policy())
    assert FailoverMode.TAKEOVER not in {mode for _, mode in failovers(made)}


def test_a_replica_that_has_not_heard_of_the_newest_epoch_takes_over_without_a_vote_later():
    """Somebody may have used the epoch that it would choose, and nobody would believe it."""
    spec = Spec(2, 4)
    model = formed("ababab", spec)
    heir, successor = replicas_of(model, "t001")
    view = superseded(model, heir, successor)
    assert failovers(plan(view, spec, Policy())) == []
    heard = (replace(m, node=replace(m.node, current_epoch=4)) for m in view.members if m.node)
    view = replace(view, members=tuple(heard))
    assert failovers(plan(view, spec, Policy())) == [(heir, FailoverMode.TAKEOVER)]


def test_who_has_not_heard_of_the_newest_epoch_is_introduced_to_who_has():
    """No master is left to tell it, and who came while it was cut off is a stranger to it."""
    spec = Spec(1, 3)
    model = formed("abca", spec)
    (master,) = masters(model)
    heir, successor, stranger = replicas_of(model, master)
    view = superseded(model, heir, successor, master)

    def cut_off(member: Member) -> Member:
        node = member.node
        assert node is not None
        if member.task.id != heir:
            node = replace(node, replication=replace(node.replication, offset=0), keys=0)
            return replace(member, node=node)
        known = tuple(peer for peer in node.peers if peer.id != model.servers[stranger].id)
        return replace(member, node=replace(node, peers=known))

    made = plan(replace(view, members=tuple(map(cut_off, view.members))), spec, Policy())
    (step,) = made.steps
    assert isinstance(step, Meet)
    assert (step.node.task_id, [peer.task_id for peer in step.peers]) == (heir, [stranger])


@pytest.mark.parametrize(
    "seen",
    [
        "no longer",
        "by others",
        "by others, and it has not heard",
        "by others, by its own epoch",
        "by others, by its own epoch, the newest",
    ],
)
def test_who_took_a_place_by_an_old_epoch_is_given_a_new_one(seen):
    spec = Spec(3, 3)
    model = formed("abcabc", spec)
    (heir,) = replicas_of(model, "t001")
    gone = model.servers["t001"]
    model.kill("t001")
    view = model.view()

    def taken(member: Member) -> Member:
        node = member.node
        assert node is not None
        believed = () if member.task.id == heir or seen == "no longer" else gone.slots
        if "its own" in seen:  # of which nobody tells it
            epoch = 1 if member.task.id == heir else 4
        else:
            epoch = 1 if member.task.id == heir and "not heard" in seen else 9
        peers = (
            replace(peer, slots=believed, config_epoch=epoch) if peer.id == gone.id else peer
            for peer in node.peers
        )
        newest = 4 if "newest" in seen else 9
        node = replace(node, current_epoch=newest, peers=tuple(peers))
        if member.task.id == heir:
            node = replace(node, role=Role.MASTER, master_id=None, slots=gone.slots, config_epoch=4)
        return replace(member, node=node)

    made = plan(replace(view, members=tuple(map(taken, view.members))), spec, Policy())
    bumped = [step.node.task_id for step in made.steps if isinstance(step, BumpEpoch)]
    if "newest" in seen:  # Redis would leave its epoch as it is
        assert bumped == ["t002"]
    else:
        assert bumped == ([heir] if seen in {"by others", "by others, by its own epoch"} else [])


def test_the_only_master_gets_a_newer_epoch_than_who_is_gone_and_had_the_same():
    """Redis would leave its epoch as it is, since it is the newest: a replica uses one up first."""
    spec = Spec(1, 3)
    model = formed("abca", spec)
    (master,) = masters(model)
    gone, heard, other = replicas_of(model, master)
    newest = model.servers[master].epoch
    model.kill(gone)
    gone_id = next(peer.id for peer in model.view().members[0].node.peers if peer.id not in
                   {server.id for server in model.servers.values()})  # fmt: skip
    view = model.view()

    def seen(member: Member) -> Member:
        node = member.node
        assert node is not None
        believed = {
            "role": Role.MASTER,
            "config_epoch": newest if member.task.id == heard else 0,
            "slots": model.servers[master].slots if member.task.id == heard else (),
        }
        peers = tuple(
            replace(peer, **believed) if peer.id == gone_id else peer for peer in node.peers
        )
        return replace(member, node=replace(node, peers=peers, current_epoch=newest))

    made = plan(replace(view, members=tuple(map(seen, view.members))), spec, Policy())
    (step,) = made.steps
    assert isinstance(step, AdvanceEpoch)
    assert step.epoch == newest + 1
    assert {node.task_id for node in step.nodes} == {heard, other}


def test_nobody_waits_for_the_election_of_who_never_had_a_link():
    """Redis elects nobody whose data is that old: what is lost is said."""
    spec = Spec(3, 3)
    model = formed("abcabc", spec)
    (replica,) = replicas_of(model, "t001")
    model.kill("t001")
    view = model.view()

    def never_linked(member: Member) -> Member:
        node = member.node
        assert node is not None
        if member.task.id != replica:
            return member
        nothing = replace(node.replication, offset=0, linked_once=False, link_up=False)
        return replace(member, node=replace(node, replication=nothing, keys=0))

    made = plan(replace(view, members=tuple(map(never_linked, view.members))), spec, Policy())
    assert not made.soon_s
    assert "They stay unserved" in " ".join(made.waiting)


def test_the_replica_with_the_most_data_wins():
    spec = Spec(3, 6)
    model = formed("abcabcabc", spec)
    behind, heir = replicas_of(model, "t001")
    model.servers[behind].offset -= 1
    model.kill("t001")
    (step,) = Controller(model, spec).plan().steps
    assert (step.node.task_id, [rival.task_id for rival in step.rivals]) == (heir, [behind])


@pytest.mark.parametrize(
    ("believed", "mode"), [("newer", FailoverMode.TAKEOVER), ("older", FailoverMode.FORCE)]
)
def test_who_believes_that_another_had_the_slots_will_never_vote(believed, mode):
    """Redis 7.0 believes the newer claim of a master that has given them away, for ever."""
    spec = Spec(3, 3)
    model = formed("abcabc", spec)
    (heir,) = replicas_of(model, "t001")
    gone = model.servers["t001"]
    model.kill("t001")
    view = model.view()
    giver = model.servers["t003"]

    def misled(member: Member) -> Member:
        if member.task.id != "t002":
            return member
        slots = {gone.id: (), giver.id: normalized((*giver.slots, *gone.slots))}
        peers = tuple(
            replace(
                peer,
                slots=slots.get(peer.id, peer.slots),
                config_epoch=gone.epoch + (believed == "newer")
                if peer.id == giver.id
                else peer.config_epoch,
            )
            for peer in member.node.peers
        )
        return replace(member, node=replace(member.node, peers=peers))

    view = replace(view, members=tuple(map(misled, view.members)))
    assert failovers(plan(view, spec, Policy())) == [(heir, mode)]


@pytest.mark.parametrize("stream", ["of the master that it was", "of all"])
def test_the_offset_of_a_former_master_counts_in_its_own_stream(stream):
    spec = Spec(3, 6)
    model = formed("abcabcabc", spec)
    former, replica = replicas_of(model, "t001")
    model.servers[former].offset += 100
    model.kill("t001")
    later = "a1" if stream == "of all" else "b2"

    def seen(member: Member) -> Member:
        was_master = member.task.id == former
        stream = "a1" if was_master else later
        replication = replace(
            member.node.replication, linked_once=not was_master, link_up=False, stream=stream
        )
        return replace(member, node=replace(member.node, replication=replication))

    view = model.view()
    shard = {former, replica}
    view = replace(view, members=tuple(seen(m) if m.task.id in shard else m for m in view.members))
    heir = former if stream == "of all" else replica
    assert failovers(plan(view, spec, Policy())) == [(heir, FailoverMode.FORCE)]


def test_of_replicas_with_the_same_data_one_that_the_others_hear_takes_over():
    spec = Spec(3, 9)
    model = formed("abcabcabcabc", spec)
    behind, *equal = replicas_of(model, "t001")
    model.servers[behind].offset -= 1
    model.kill("t001")
    for cut_off, heir in (equal, equal[::-1]):
        view = deaf(model.view(), *((master, cut_off) for master in masters(model)))
        (step,) = (each for each in plan(view, spec, Policy()).steps if isinstance(each, Failover))
        assert step.node.task_id == heir
        assert {rival.task_id for rival in step.rivals} == {behind, cut_off}


def test_a_replica_that_does_not_answer_may_have_the_most_data():
    spec = Spec(3, 6)
    model = formed("abcabcabc", spec)
    silent, heir = replicas_of(model, "t001")
    model.troubles[silent] = Trouble.UNREACHABLE
    model.kill("t001")
    assert not failovers(Controller(model, spec).plan())
    model.kill(silent)
    assert failovers(Controller(model, spec).plan()) == [(heir, FailoverMode.FORCE)]


@pytest.mark.parametrize("healthy", [True, False, None])
@pytest.mark.parametrize("master_count", [1, 2])
def test_a_task_that_nobody_knows_may_have_joined_while_all_others_were_out_of_contact(
    healthy, master_count
):
    """Another master would have heard of it. So would nobody of one that never came up."""
    spec = Spec(master_count, master_count)
    model = formed("abab"[: spec.task_count], spec)
    model.kill(masters(model)[0])
    silent = model.start("a")
    model.tasks[silent] = replace(model.tasks[silent], healthy=healthy)
    model.troubles[silent] = Trouble.UNREACHABLE
    waits = master_count == 1 and healthy is True
    assert bool(failovers(plan(model.view(), spec, Policy()))) is not waits


def test_a_replica_that_never_had_the_data_is_not_promoted():
    spec = Spec(1, 1)
    model = formed("ab", spec)
    (replica,) = replicas_of(model, "t001")
    model.servers[replica].offset = 0
    model.kill("t001")
    assert not Controller(model, spec).plan().steps


def test_who_is_stopping_takes_a_place_that_nobody_else_can():
    spec = Spec(3, 6)
    model = formed("abcabcabc", spec)
    stopping, other = replicas_of(model, "t001")
    model.tasks[stopping] = replace(model.tasks[stopping], running=False)
    model.kill("t001")
    assert failovers(Controller(model, spec).plan()) == [(other, FailoverMode.FORCE)]
    model.kill(other)
    assert failovers(Controller(model, spec).plan()) == [(stopping, FailoverMode.FORCE)]


@pytest.mark.parametrize(("silent", "mode"), [(0, FailoverMode.TAKEOVER), (1, FailoverMode.FORCE)])
def test_masters_that_only_do_not_answer_count_as_voters(silent, mode):
    """Of five, two or three are gone: where two more may live, a takeover could be one too many."""
    spec = Spec(5, 5)
    model = formed("abcabcabca", spec)
    lost = masters(model)[:3] if not silent else masters(model)[:2]
    heirs = sorted(replicas_of(model, task_id)[0] for task_id in lost)
    for task_id in masters(model)[len(lost) : len(lost) + 2 * silent]:
        model.troubles[task_id] = Trouble.UNREACHABLE
    for task_id in lost:
        model.kill(task_id)
    made = sorted(failovers(Controller(model, spec).plan()))
    if silent:
        assert made == [(heir, mode) for heir in heirs]
    else:  # one more, and most can vote about the others
        assert [mode for _, mode in made] == [mode]
        assert made[0][0] in heirs


def test_who_is_cut_off_does_not_take_over_first():
    """Others could elect its rival while nobody hears that it has taken over."""
    spec = Spec(3, 6)
    model = formed("abcabcabc", spec)
    lost = masters(model)[:2]
    others = replicas_of(model, lost[1])
    for cut_off in replicas_of(model, lost[0]):
        for belief in model.servers[cut_off].table.values():
            belief.failed = True
    for task_id in lost:
        model.kill(task_id)
    (made,) = failovers(Controller(model, spec).plan())
    assert made[0] in others


def test_nobody_takes_what_the_only_other_master_may_have_been_given():
    """It does not answer, and the replica was cut off before: nobody tells who serves the slots."""
    model = formed("abab", Spec(2, 2))
    controller = Controller(model, Spec(2, 2))
    lost, silent = masters(model)
    heirs = {replicas_of(model, task_id)[0] for task_id in (lost, silent)}
    model.troubles[silent] = Trouble.UNREACHABLE
    model.kill(lost)
    made = controller.plan()
    assert not made.steps
    assert any("once whoever may have more of its data answers" in each for each in made.waiting)
    model.kill(silent)
    assert set(failovers(controller.plan())) == {(heir, FailoverMode.TAKEOVER) for heir in heirs}


@pytest.mark.parametrize("count", [1, 2])
def test_a_master_that_runs_is_never_replaced(count):
    spec = Spec(2, 2)
    model = formed("abab", spec)
    for task_id in masters(model)[:count]:
        model.troubles[task_id] = Trouble.UNREACHABLE
        for server in model.servers.values():
            for belief in server.table.values():
                belief.failed = belief.failed or belief.id == model.servers[task_id].id
    assert not failovers(Controller(model, spec).plan())


@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32), st.booleans()
)
def test_any_losses_that_leave_a_copy_are_healed(master_count, each, zone_count, seed, late):
    spec = Spec(master_count, master_count * each)
    chance = random.Random(seed)
    model = formed("".join("abc"[n % zone_count] for n in range(spec.task_count)), spec)
    shards = [[task_id, *replicas_of(model, task_id)] for task_id in masters(model)]
    controller = Controller(model, spec, chance)
    lost = [t for shard in shards for t in chance.sample(shard, chance.randrange(len(shard)))]
    for task_id in lost:
        zone = model.tasks[task_id].zone
        model.kill(task_id)
        if not late:
            model.start(zone)
    controller.settle()
    for task_id in lost if late else ():
        model.start("abc"[int(task_id[1:]) % zone_count])
    controller.settle()
    assert sum(server.role is Role.REPLICA for server in model.servers.values()) == (
        spec.replica_count
    )
    assert len(masters(model)) == master_count
    assert all(server.keys for server in model.servers.values())


@pytest.mark.parametrize("reused", [True, False])
def test_nobody_is_introduced_where_a_lost_masters_silent_replica_may_look(reused):
    """It would copy the newcomer once it answers, and may be the only one to have the data."""
    spec = Spec(3, 3)
    model = formed("abcabc", spec)
    (silent,) = replicas_of(model, "t001")
    model.troubles[silent] = Trouble.UNREACHABLE
    address = model.servers["t001"].address
    model.kill("t001")
    newcomer = model.start("a")
    if reused:
        model.tasks[newcomer] = replace(model.tasks[newcomer], address=address)
        model.servers[newcomer].address = address
    met = {
        task_id
        for step in Controller(model, spec).plan().steps
        if isinstance(step, Meet)
        for task_id in (step.node.task_id, *(peer.task_id for peer in step.peers))
    }
    assert (newcomer in met) is not reused
