"""More masters and fewer, lost shards, and moves that were interrupted, on the model cluster."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model import Model, assert_formed, deaf
from test_rolling import SPEC, Service, protected

from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.shares import transfers
from redis_fargate.topology.slots import (
    SLOT_COUNT,
    SlotRange,
    count,
    from_numbers,
    normalized,
    split,
    subtract,
)
from redis_fargate.topology.spec import OnDataLoss, Pace, Policy, Spec
from redis_fargate.topology.steps import (
    AdoptSlots,
    AllowFailover,
    AwaitMigrations,
    BeginForming,
    CloseSlots,
    DropLeftovers,
    Failover,
    MoveSlots,
    NoteMoving,
    OpenSlots,
    Phase,
    Protect,
    Replicate,
    Reset,
    Step,
    Unprotect,
)
from redis_fargate.topology.view import Marker, OpenSlot, Role, SlotMigration, Trouble

REBUILD = Policy(on_data_loss=OnDataLoss.REBUILD_EMPTY)


def loaded(zones: str, spec: Spec) -> Service:
    """A cluster with data enough for every master to give some away."""
    service = Service(zones, spec)
    for server in service.model.servers.values():
        server.keys *= 10_000
    return service


def keys(model: Model) -> int:
    return sum(server.keys for server in model.servers.values() if server.slots)


def moves(made: Plan) -> list[MoveSlots]:
    return [step for step in made.steps if isinstance(step, MoveSlots)]


def until_slots_move(service: Service) -> Plan:
    """Reconcile until the plan is to move slots; that plan."""
    for _ in range(20):
        made = service.plan()
        if moves(made):
            return made
        assert not any(isinstance(step, Unprotect) for step in made.steps)
        service.execute(made)
        service.model.tick()
    raise AssertionError(f"no slots move: {made}")


def assert_as_wanted(service: Service) -> None:
    model, spec = service.model, service.spec
    assert_formed(model, spec)
    shares = [count(server.slots) for server in model.servers.values() if server.slots]
    assert max(shares) - min(shares) <= 1
    assert model.moving == ()
    assert not any(server.barred for server in model.servers.values())
    assert protected(model) == set(model.tasks)
    assert not service.plan().steps


CHANGES = [
    (SPEC, Spec(5, 5)),
    (Spec(5, 5), SPEC),
    (Spec(1, 1), Spec(3, 3)),
    (Spec(3, 3), Spec(1, 1)),
    (Spec(3, 0), Spec(4, 0)),
    (Spec(4, 0), Spec(2, 0)),
    (SPEC, Spec(4, 2)),
    (Spec(4, 2), SPEC),
    (Spec(3, 6), Spec(6, 3)),
    (Spec(2, 4), Spec(5, 5)),
    (Spec(6, 6), Spec(4, 8)),
]


@pytest.mark.parametrize("tasks_first", [True, False], ids=["ECS first", "spec first"])
@pytest.mark.parametrize(("before", "after"), CHANGES, ids=lambda spec: f"{spec}"[5:-1])
def test_every_shape_becomes_every_other(before, after, tasks_first):
    service = loaded(("abc" * 4)[: before.task_count], before)
    held = keys(service.model)
    if tasks_first:
        service.start(max(0, after.task_count - before.task_count), "rev:1")
        service.settle()
    service.spec = after
    service.rounds(after.task_count, "rev:1", 0)
    assert_as_wanted(service)
    assert keys(service.model) == held


@pytest.mark.parametrize("after", [Spec(4, 4), Spec(2, 2)], ids=["out", "in"])
def test_no_slots_move_while_ecs_is_to_run_fewer_tasks_than_are_wanted(after):
    """It would protect no new one, and stop those first, with what they have got."""
    service = loaded("abcabcab", SPEC)
    service.spec = after
    until_slots_move(service)
    for desired, some in ((after.task_count, True), (after.task_count - 1, False)):
        view = replace(service.model.view(), desired_count=desired)
        assert bool(moves(plan(view, after, Policy()))) == some


@pytest.mark.parametrize("room", [0, 1])
def test_who_is_to_get_slots_is_protected_before_replicas_that_nobody_needs(room):
    """ECS protects no more tasks than it is to run, and stops others with all that have copies."""
    service = loaded("abcabc", Spec(2, 4))
    service.spec = Spec(3, 3)
    service.start(2, "rev:1")
    until_slots_move(service)
    view = replace(service.model.view(), desired_count=6 + room)
    made = plan(view, service.spec, Policy())
    spare = [step for step in made.steps if isinstance(step, Unprotect)]
    assert [type(step) for step in made.steps[: len(spare) + 1]] == [Unprotect] * len(spare) + [
        Protect
    ]
    (protect,) = (step for step in made.steps if isinstance(step, Protect))
    assert protect.task_arns == (f"arn/{moves(made)[0].target.task_id}",)
    assert len(spare) == 1 - room
    for step in spare:
        (master, *others) = (service.model.servers[ref.task_id] for ref in step.keepers)
        assert service.model.servers[step.node.task_id].master_id == master.id
        assert len(others) >= 1


def test_a_change_of_mind_half_way():
    service = loaded("abcabc", SPEC)
    held = keys(service.model)
    service.spec = Spec(5, 5)
    service.start(4, "rev:1")
    made = until_slots_move(service)
    begun = made.steps.index(moves(made)[0]) + 1
    service.execute(replace(made, steps=made.steps[:begun]))
    service.spec = SPEC
    service.rounds(6, "rev:1", 0)
    assert_as_wanted(service)
    assert keys(service.model) == held


def test_who_is_to_get_slots_is_protected_first():
    """ECS may be told to scale in while they come, and would stop who has the only copies."""
    service = loaded("abcabc", SPEC)
    service.spec = Spec(4, 4)
    service.start(2, "rev:1")
    made = until_slots_move(service)
    (taker,) = {step.target.id for step in moves(made)}
    protect = made.steps[0]
    assert isinstance(protect, Protect)
    servers = service.model.servers.items()
    shard = {task_id for task_id, s in servers if taker in {s.id, s.master_id}}
    assert len(shard) == 2
    assert {f"arn/{task_id}" for task_id in shard} <= set(protect.task_arns)
    begun = made.steps.index(moves(made)[0]) + 1
    service.execute(replace(made, steps=made.steps[:begun]))
    tasks = service.model.tasks.values()
    assert all(task.protected_until_s is not None for task in tasks)
    assert not any(isinstance(step, Protect) for step in service.plan().steps)


def test_masters_that_leave_are_drained_before_anybody_is_spared():
    service = loaded("abcabcabca", Spec(5, 5))
    service.spec = SPEC
    made = until_slots_move(service)
    leaving = {step.source.task_id for step in moves(made)}
    assert len(leaving) == 2
    service.execute(made)
    spared = {step.node.task_id for step in service.plan().steps if isinstance(step, Unprotect)}
    assert leaving <= spared


def test_new_masters_spread_over_zones_and_have_replicas_before_slots():
    service = loaded("abcabc", SPEC)
    service.spec = Spec(6, 6)
    service.start(6, "rev:1")
    made = until_slots_move(service)
    servers = service.model.servers
    takers = {step.target.task_id for step in moves(made)}
    zones = Counter(service.model.tasks[task_id].zone for task_id in takers)
    assert zones == {"a": 1, "b": 1, "c": 1}
    for task_id in takers:
        assert any(s.master_id == servers[task_id].id and s.linked for s in servers.values())


def test_what_moves_is_written_down_before_and_struck_after():
    service = loaded("abc", Spec(2, 0))
    service.spec = Spec(3, 0)
    made = until_slots_move(service)
    _, first, *_, last = made.steps
    moved = [piece for step in moves(made) for piece in step.slots]
    assert first == NoteMoving(normalized(moved), first.why, Phase.SHAPE)
    assert last == NoteMoving((), last.why, Phase.SHAPE)


def test_the_pace_is_the_policy_s():
    service = loaded("abc", Spec(2, 0))
    service.spec = Spec(3, 0)
    until_slots_move(service)
    policy = Policy(pace=Pace(max_latency_ms=3, max_bytes_per_s=1e6))
    made = planned(service, policy)
    assert {step.pace for step in moves(made)} == {policy.pace}


def memory(service: Service, used: int, most: int, **more: bool):
    view = service.model.view()
    members = [
        replace(
            member,
            node=replace(member.node, used_memory_bytes=used, max_memory_bytes=most, **more),
        )
        for member in view.members
    ]
    return replace(view, members=tuple(members))


def test_what_has_no_room_is_not_moved_there():
    service = loaded("abcd", Spec(4, 0))
    view = memory(service, used=90, most=100)
    made = plan(view, Spec(3, 0), Policy())
    assert not made.steps
    assert any("MiB of memory for the slots" in sentence for sentence in made.waiting)
    evicting = memory(service, used=90, most=100, evicts=True)
    assert moves(plan(evicting, Spec(3, 0), Policy()))
    roomy = memory(service, used=60, most=100)
    assert moves(plan(roomy, Spec(3, 0), Policy()))


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=8).filter(any),
    st.integers(0, 3),
)
def test_transfers_balance_with_as_few_slots_as_can_be(weights, leaving):
    sizes = [SLOT_COUNT * weight // sum(weights) for weight in weights]
    sizes[0] += SLOT_COUNT - sum(sizes)
    service = Service(("abc" * 3)[: len(sizes)], Spec(len(sizes), 0))
    start = 0
    for server, size in zip(service.model.servers.values(), sizes, strict=True):
        server.slots = (SlotRange(start, start + size - 1),) if size else ()
        start += size
    lives = Fleet(service.model.view()).lives
    leaving = min(leaving, len(lives) - 1)
    masters, leavers = lives[leaving:], lives[:leaving]
    held = {live.task.id: set(_numbers(live.node.slots)) for live in lives}
    moved = 0
    for giver, taker, slots in transfers(masters, leavers):
        numbers = set(_numbers(slots))
        assert numbers <= held[giver.task.id]
        held[giver.task.id] -= numbers
        held[taker.task.id] |= numbers
        moved += len(numbers)
    shares = [len(held[live.task.id]) for live in masters]
    assert max(shares) - min(shares) <= 1
    assert not any(held[live.task.id] for live in leavers)
    least, extra = divmod(SLOT_COUNT, len(masters))
    richest = sorted((count(live.node.slots) for live in masters), reverse=True)
    needed = sum(max(0, size - least - (rank < extra)) for rank, size in enumerate(richest))
    assert moved == needed + sum(count(live.node.slots) for live in leavers)


@given(
    st.integers(2, 9).flatmap(lambda number: st.permutations(range(number))),
    st.lists(st.floats(0, 1), max_size=40),
)
def test_a_drain_in_slices_leaves_slots_as_much_together_as_one_at_once(order, parts):
    service = Service(("abc" * 3)[: len(order)], Spec(len(order), 0))
    lives = Fleet(service.model.view()).lives
    owned = [lives[index].node.slots for index in order]  # task ids say nothing of them
    *staying, leaver = map(_with_slots, lives, owned)
    parts = iter(parts)
    in_slices = _drained(staying, leaver, lambda most: int(most * next(parts, 1)))
    at_once = _drained(staying, leaver, lambda most: most)
    assert sum(map(len, in_slices)) <= sum(map(len, at_once))
    for shares in (at_once, in_slices):
        assert max(map(count, shares)) - min(map(count, shares)) <= 1


def _drained(masters, leaver, done):
    """What all have in the end, if of each move the first slots are done before the next plan."""
    held = {live.task.id: live for live in (*masters, leaver)}
    while held[leaver.task.id].node.slots:
        staying = [held[live.task.id] for live in masters]
        for giver, taker, slots in transfers(staying, [held[leaver.task.id]]):
            moved, _ = split(slots, done(count(slots)))
            for live, owned in (
                (giver, subtract(held[giver.task.id].node.slots, moved)),
                (taker, normalized((*held[taker.task.id].node.slots, *moved))),
            ):
                held[live.task.id] = _with_slots(live, owned)
    return [held[live.task.id].node.slots for live in masters]


def _with_slots(live, slots):
    return replace(live, node=replace(live.node, slots=slots))


def _numbers(ranges):
    return (slot for piece in ranges for slot in range(piece.first, piece.last + 1))


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(0, 2), st.integers(1, 5), st.integers(0, 2), st.integers())
def test_scaling_that_dies_again_and_again_comes_to_its_end(before, each, after, then, seed):
    chance = random.Random(seed)
    service = loaded(("abc" * 5)[: before * (1 + each)], Spec(before, before * each))
    held = keys(service.model)
    service.spec = Spec(after, after * then)
    missing = service.spec.task_count - len(service.model.tasks)
    service.start(max(0, missing), "rev:1")
    for _ in range(10):
        made = service.plan()
        service.execute(replace(made, steps=made.steps[: chance.randint(0, len(made.steps))]))
        service.model.tick()
    service.rounds(service.spec.task_count, "rev:1", 0)
    assert keys(service.model) == held
    assert_as_wanted(service)


# -- lost shards --------------------------------------------------------------------------------


def lose_a_shard(service: Service) -> list[str]:
    model = service.model
    master = model.servers["t001"]
    lost = ["t001", *(t for t, s in model.servers.items() if s.master_id == master.id)]
    for task_id in lost:
        model.kill(task_id)
    return lost


def planned(service: Service, policy: Policy):
    return plan(service.model.view(), service.spec, policy)


def test_a_lost_shard_stays_lost_unless_the_policy_says_otherwise():
    service = Service("abcabc", SPEC)
    lose_a_shard(service)
    made = planned(service, Policy())
    assert not any(isinstance(step, AdoptSlots) for step in made.steps)
    assert any("no replica has a copy. They stay unserved" in said for said in made.waiting)
    made = planned(service, REBUILD)
    assert {type(step) for step in made.steps} == {AdoptSlots}
    assert "is lost" in made.steps[0].why


def test_an_epoch_is_used_up_on_a_replica_of_who_adopts_slots_before():
    service = Service("abcabc", SPEC)
    lose_a_shard(service)
    servers = service.model.servers
    left = {server.id for server in servers.values() if server.master_id}
    steps = planned(service, REBUILD).steps
    assert len(steps) == 2
    for step in steps:
        assert {replica.id for replica in step.replicas} == left
        assert servers[step.replicas[0].task_id].master_id == step.node.id
    alone = steps[0].replicas[0].task_id
    service.model.kill(alone)
    replicas = {step.node: step.replicas for step in planned(service, REBUILD).steps}
    assert replicas == {steps[0].node: (), steps[1].node: steps[1].replicas[:1]}


def test_who_is_about_to_be_replaced_adopts_nothing():
    """A replica may have asked for votes, and needs fewer once the lost slots have an owner."""
    spec = Spec(4, 4)
    service = Service("abcabcab", spec)
    lose_a_shard(service)
    servers = service.model.servers

    def adopting(view):
        made = plan(view, spec, REBUILD)
        return {step.node: step.replicas for step in made.steps if isinstance(step, AdoptSlots)}

    view = service.model.view()
    one, *others = adopting(view)
    (heir,) = (task for task, server in servers.items() if server.master_id == one.id)
    view = deaf(view, (heir, one.task_id))
    assert list(adopting(view)) == others
    view = deaf(view, *((heir, task) for task in servers if task != heir))  # it wins no votes
    assert list(adopting(view)) == [one, *others]
    assert heir not in {node.task_id for nodes in adopting(view).values() for node in nodes}


def test_a_new_task_takes_a_lost_shard_if_there_is_one():
    service = Service("abcabc", SPEC)
    lose_a_shard(service)
    new = service.model.start("a")
    for _ in range(3):  # it is met first
        made = planned(service, REBUILD)
        if any(isinstance(step, AdoptSlots) for step in made.steps):
            break
        service.execute(made)
        service.model.tick()
    shares = {step.node.task_id: count(step.slots) for step in made.steps}
    assert shares[new] == 5461  # one more, and it would have more than the others
    assert sum(shares.values()) == 5462


@pytest.mark.parametrize("givers", [1, 2])
def test_lost_slots_that_others_believe_to_be_a_masters_are_that_ones(givers):
    """It gave them to a master that ended before anybody had heard of it."""
    service = Service("abcabc", SPEC)
    gone = service.model.servers["t001"]
    lose_a_shard(service)
    owners = [server for server in service.model.servers.values() if server.slots]
    half, other_half = split(normalized(gone.slots), count(gone.slots) // 2)
    parts = {owners[0].id: half, owners[1].id: other_half if givers == 2 else ()}

    def not_having_heard(member):
        node = member.node
        others = {owner: part for owner, part in parts.items() if owner != node.id}
        believed = normalized(piece for part in others.values() for piece in part)
        slots = {
            owner.id: normalized((*owner.slots, *others.get(owner.id, ()))) for owner in owners
        }
        slots[gone.id] = subtract(gone.slots, believed)
        peers = tuple(replace(p, slots=slots.get(p.id, p.slots)) for p in node.peers)
        return replace(member, node=replace(node, peers=peers))

    view = service.model.view()
    view = replace(view, members=tuple(map(not_having_heard, view.members)))
    steps = plan(view, service.spec, REBUILD).steps
    assert {type(step) for step in steps} == {AdoptSlots}
    adopted = {step.node.id: step.slots for step in steps}
    assert adopted == (parts if givers == 2 else {owners[0].id: normalized(gone.slots)})


def test_who_took_a_masters_place_and_is_gone_does_not_count_as_a_master():
    """That one has not heard of it and serves on: nobody who believes it would adopt anything."""
    service = Service("abcabc", SPEC)
    model = service.model
    lose_a_shard(service)
    replaced, believer = (server for server in model.servers.values() if server.slots)
    task_id = next(t for t, s in model.servers.items() if s.master_id == replaced.id)
    elected = model.servers[task_id].id
    model.kill(task_id)

    def having_heard(peer):
        if peer.id == elected:
            return replace(
                peer, role=Role.MASTER, master_id=None, slots=replaced.slots, config_epoch=9
            )
        return replace(peer, slots=()) if peer.id == replaced.id else peer

    view = model.view()
    members = [
        replace(m, node=replace(m.node, peers=tuple(map(having_heard, m.node.peers))))
        if m.node.id == believer.id
        else m
        for m in view.members
    ]
    steps = plan(replace(view, members=tuple(members)), service.spec, REBUILD).steps
    assert {type(step) for step in steps} == {AdoptSlots}
    assert all(elected in step.gone for step in steps)


def test_nothing_is_given_up_while_somebody_may_have_it():
    service = Service("abcabc", SPEC)
    model = service.model
    replica = next(t for t, s in model.servers.items() if s.master_id == model.servers["t001"].id)
    model.kill("t001")
    model.troubles[replica] = Trouble.UNREACHABLE
    assert not any(isinstance(step, AdoptSlots) for step in planned(service, REBUILD).steps)
    model.tasks[replica] = replace(model.tasks[replica], running=False)
    assert not any(isinstance(step, AdoptSlots) for step in planned(service, REBUILD).steps)
    # A task that nobody knows may have anything, unless it has not been started yet.
    model.kill(replica)
    stranger = model.start("a")
    model.troubles[stranger] = Trouble.UNREACHABLE
    running = model.tasks[stranger]
    for task, adopted in (
        (running, False),
        (replace(running, running=False), False),
        (replace(running, running=False, started_at_s=None), True),
    ):
        model.tasks[stranger] = task
        steps = planned(service, REBUILD).steps
        assert any(isinstance(step, AdoptSlots) for step in steps) == adopted


def test_nothing_is_given_up_while_a_master_does_not_answer():
    """It may have been given it, and nobody heard of that. Its replica would have."""
    service = Service("abcabc", SPEC)
    lose_a_shard(service)
    servers = service.model.servers.values()
    master = next(server for server in servers if server.slots)
    replica = next(server for server in servers if server.master_id == master.id)
    for silent, adopted in ((master, False), (replica, True)):
        service.model.troubles = {silent.hostname: Trouble.UNREACHABLE}
        steps = planned(service, REBUILD).steps
        assert any(isinstance(step, AdoptSlots) for step in steps) == adopted


def test_who_has_just_come_to_itself_adopts_nothing():
    """Its epoch might be another's already."""
    service = Service("abcabc", SPEC)
    lose_a_shard(service)
    slow = next(server for server in service.model.servers.values() if server.slots)
    slow.current_epoch -= 1
    adopters = {step.node.task_id for step in planned(service, REBUILD).steps}
    assert adopters
    assert slow.hostname not in adopters


def test_total_loss_is_rebuilt_where_the_policy_says_so():
    service = Service("abcabc", SPEC)
    for task_id in list(service.model.tasks):
        service.model.kill(task_id)
    service.start(6, "rev:1")
    assert "all data is lost" in planned(service, Policy()).refusals[0]
    made = planned(service, REBUILD)
    assert made.steps[0] == replace(made.steps[0], again=True)
    assert isinstance(made.steps[0], BeginForming)
    service.execute(made)
    assert service.model.marker is Marker.FORMED
    assert_formed(service.model, SPEC)


def test_replicas_that_never_got_anything_are_made_blank_where_nobody_else_is_left():
    service = Service("abc", Spec(1, 2))
    service.model.kill("t001")
    one, other = (service.model.servers[task_id] for task_id in ("t002", "t003"))
    one.keys = other.keys = one.offset = 0
    assert not any(isinstance(step, Reset) for step in planned(service, REBUILD).steps)
    other.offset = 0
    assert not any(isinstance(step, Reset) for step in planned(service, Policy()).steps)
    steps = planned(service, REBUILD).steps
    assert {(type(step), step.node.id) for step in steps} == {(Reset, one.id), (Reset, other.id)}


# -- moves that were interrupted ------------------------------------------------------------------


def seen(service: Service, changes: dict[str, dict[str, object]], **more: object):
    """The view, with some nodes' fields changed."""
    view = service.model.view()
    members = [
        replace(member, node=replace(member.node, **changes.get(member.task.id, {})))
        for member in view.members
    ]
    return replace(view, members=tuple(members), **more)


def test_a_slot_whose_keys_are_on_two_masters_is_moved_to_its_end():
    service = Service("abc", Spec(3, 0))
    owner, other = list(service.model.servers.values())[:2]
    slot = owner.slots[0].first
    # Neither knows it any more: only our note does, and the keys.
    view = seen(service, {other.hostname: {"strays": {slot: 7}}}, moving=(SlotRange(slot, slot),))
    (step,) = plan(view, service.spec, Policy()).steps
    assert isinstance(step, MoveSlots)
    assert (step.source.id, step.target.id) == (owner.id, other.id)
    assert step.resumed
    assert step.phase is Phase.SETTLE


def test_what_is_found_without_a_note_is_written_down_first():
    service = Service("abc", Spec(3, 0))
    owner, other = list(service.model.servers.values())[:2]
    slot = owner.slots[0].first
    view = seen(
        service,
        {
            other.hostname: {
                "strays": {slot: 7},
                "open_slots": (OpenSlot(slot, importing_from=owner.id),),
            }
        },
    )
    note, step = plan(view, service.spec, Policy()).steps
    assert note == NoteMoving(from_numbers([slot]), note.why, Phase.SETTLE)
    assert isinstance(step, MoveSlots)


def test_open_slots_without_keys_are_closed_and_the_note_is_struck():
    service = Service("abc", Spec(3, 0))
    owner, other = list(service.model.servers.values())[:2]
    slot = owner.slots[0].first
    moving = from_numbers([slot])
    flags = {
        owner.hostname: {"open_slots": (OpenSlot(slot, migrating_to=other.id),)},
        other.hostname: {"open_slots": (OpenSlot(slot, importing_from=owner.id),)},
    }
    for side in (owner, other):  # the first sends clients on to the second while it is open
        (step,) = plan(seen(service, flags, moving=moving), service.spec, Policy()).steps
        assert (step.node.task_id, step.slots) == (side.hostname, moving)
        assert isinstance(step, CloseSlots)
        del flags[side.hostname]
    (step,) = plan(seen(service, {}, moving=moving), service.spec, Policy()).steps
    assert step == NoteMoving((), step.why, Phase.SETTLE)


def test_what_a_master_was_given_is_not_closed_before_its_replica_has_taken_over():
    """By that alone the replica knows that its keys are its shard's."""
    service = Service("abcabc", SPEC)
    taker = service.model.servers["t001"]
    heir = next(s for s in service.model.servers.values() if s.master_id == taker.id)
    giver = next(s for s in service.model.servers.values() if s.slots and s is not taker)
    service.model.kill("t001")
    given = from_numbers([giver.slots[0].first])
    opened = {"open_slots": (OpenSlot(giver.slots[0].first, migrating_to=taker.id),)}
    view = seen(service, {giver.hostname: opened}, moving=given)
    (failover, *_) = plan(view, service.spec, Policy()).steps
    assert (failover.node.task_id, failover.on_their_way) == (heir.hostname, given)
    for heirs_keys, closed in ((7, False), (0, True)):
        changes = {giver.hostname: opened, heir.hostname: {"keys": heirs_keys}}
        view = seen(service, changes, moving=given)
        steps = plan(view, service.spec, Policy(), without={Phase.RESCUE}).steps
        assert any(isinstance(step, CloseSlots) for step in steps) == closed
        assert not any(isinstance(step, NoteMoving) for step in steps)


def test_what_servers_move_by_themselves_has_to_end_before_anything_is_let_go():
    """It was begun when another shape was wanted; who gets it seems to be spare until then."""
    service = loaded("abcabc", Spec(3, 3))
    service.spec = Spec(2, 2)
    made = until_slots_move(service)
    service.execute(made)
    leaving, staying = moves(made)[0].source, moves(made)[0].target
    on_its_way = {"migrations": (SlotMigration(staying.id, leaving.id),)}
    moving = from_numbers([0])
    view = seen(service, {leaving.task_id: on_its_way, staying.task_id: on_its_way}, moving=moving)
    (step,) = plan(view, service.spec, Policy()).steps
    assert isinstance(step, AwaitMigrations)
    assert {node.id for node in step.nodes} == {leaving.id, staying.id}
    members = [m for m in view.members if leaving.id in (m.node.id, m.node.master_id)]
    assert len(members) == 2
    without_shape = plan(view, service.spec, Policy(), without={Phase.SHAPE}).steps
    assert not {m.task.arn for m in members} & spared(without_shape)
    assert not any(isinstance(step, NoteMoving) for step in without_shape)
    (note,) = plan(seen(service, {}, moving=moving), service.spec, Policy()).steps
    assert note == NoteMoving((), note.why, Phase.SETTLE)
    assert f"arn/{leaving.task_id}" in spared(service.plan().steps)


def spared(steps: tuple[Step, ...]) -> set[str]:
    return {step.task_arn for step in steps if isinstance(step, Unprotect)}


def test_what_is_imported_from_a_node_that_is_gone_is_closed_before_anything_moves():
    """Its importer believes in that node until then, and may say that the cluster is down."""
    service = Service("abc", Spec(3, 0))
    owner, other, _ = service.model.servers.values()
    empty, full = owner.slots[0].first, owner.slots[0].first + 1
    opened = tuple(OpenSlot(slot, importing_from="f" * 40) for slot in (empty, full))
    view = seen(service, {other.hostname: {"strays": {full: 7}, "open_slots": opened}})
    (step,) = plan(view, service.spec, Policy()).steps
    assert isinstance(step, CloseSlots)
    assert (step.node.id, step.slots) == (other.id, from_numbers([empty]))
    view = seen(service, {other.hostname: {"strays": {full: 7}, "open_slots": opened[1:]}})
    *_, move = plan(view, service.spec, Policy()).steps
    assert isinstance(move, MoveSlots)
    assert (move.source.id, move.target.id) == (owner.id, other.id)


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ("redis 7.2.4", CloseSlots),
        ("redis 8.2.9", CloseSlots),
        ("valkey 9.1.2", CloseSlots),
        ("redis 8.4.0", OpenSlots),
        ("redis 10.0.0", OpenSlots),
    ],
)
def test_who_hides_keys_opens_a_slot_before_it_is_closed(version, first):
    service = Service("abc", Spec(3, 0))
    owner, other, gone = service.model.servers.values()
    slot = owner.slots[0].first
    given = {"open_slots": (OpenSlot(slot, migrating_to=gone.id),)}
    flags = {owner.hostname: given, other.hostname: {"version": version}}
    made = plan(seen(service, flags), service.spec, Policy())
    assert type(made.steps[0]) is first
    opened = {"version": version, "open_slots": (OpenSlot(slot, importing_from=owner.id),)}
    (step,) = plan(seen(service, flags | {other.hostname: opened}), service.spec, Policy()).steps
    assert isinstance(step, CloseSlots)
    assert step.node.task_id == owner.hostname


def test_nothing_is_closed_while_a_task_may_have_keys():
    service = Service("abc", Spec(3, 0))
    owner, other, silent = service.model.servers.values()
    slot = owner.slots[0].first
    service.model.troubles[silent.hostname] = Trouble.UNREACHABLE
    flags = {owner.hostname: {"open_slots": (OpenSlot(slot, migrating_to=other.id),)}}
    view = service.model.view()
    members = [
        replace(member, node=replace(member.node, **flags.get(member.task.id, {})))
        if member.node
        else member
        for member in view.members
    ]
    view = replace(view, members=tuple(members), moving=from_numbers([slot]))
    steps = plan(view, service.spec, Policy()).steps
    assert not any(isinstance(step, CloseSlots | NoteMoving) for step in steps)


def test_a_replica_of_a_new_master_that_was_given_keys_takes_its_place():
    """The master owned no slot yet, so Redis would elect nobody; and its keys are nowhere else."""
    service = Service("abc", Spec(3, 0))
    owner = next(iter(service.model.servers.values()))
    service.spec = Spec(4, 4)
    service.start(5, "rev:1")
    made = until_slots_move(service)
    new = moves(made)[0].target
    replica = next(s for s in service.model.servers.values() if s.master_id == new.id)
    replica.keys, replica.offset = 3, 30
    service.model.kill(new.task_id)
    moving = from_numbers([owner.slots[0].first])
    (step,) = (
        step
        for step in plan(seen(service, {}, moving=moving), service.spec, Policy()).steps
        if isinstance(step, Failover)
    )
    assert step.node.id == replica.id
    # With nothing in flight its keys are old ones, and it may be anything.
    assert not any(
        isinstance(step, Failover) for step in plan(seen(service, {}), service.spec, Policy()).steps
    )


def test_keys_that_nobody_serves_are_deleted_only_when_all_is_well():
    service = Service("abc", Spec(3, 0))
    service.spec = Spec(3, 1)
    new = service.model.start("a")
    service.settle()
    changes: dict[str, dict[str, object]] = {
        new: {"role": Role.MASTER, "master_id": None, "keys": 5}
    }
    (step,) = plan(seen(service, changes), service.spec, Policy()).steps
    assert isinstance(step, DropLeftovers)
    in_flight = seen(service, changes, moving=(SlotRange(0, 0),))
    assert not any(
        isinstance(s, DropLeftovers) for s in plan(in_flight, service.spec, Policy()).steps
    )
    unwell = seen(service, changes | {"t001": {"cluster_ok": False}})
    assert not any(isinstance(s, DropLeftovers) for s in plan(unwell, service.spec, Policy()).steps)


# -- replicas that move ---------------------------------------------------------------------------


def test_a_replica_that_moves_may_be_elected_again_once_it_is_synchronised():
    service = loaded("abcabcabc", Spec(3, 6))
    model = service.model
    rich, poor = (s for s in model.servers.values() if s.slots and s.hostname != "t001")
    for server in model.servers.values():
        if server.master_id == poor.id:
            server.master_id, server.keys = rich.id, rich.keys
    made = service.plan()
    mover = next(step.node for step in made.steps if isinstance(step, Replicate))
    service.execute(made)
    assert model.servers[mover.task_id].barred
    (step,) = service.plan().steps
    assert isinstance(step, AllowFailover)
    service.settle()
    assert not any(server.barred for server in model.servers.values())


def test_a_barred_replica_is_not_waited_for():
    service = Service("abcabc", SPEC)
    model = service.model
    replica = next(t for t, s in model.servers.items() if s.master_id == model.servers["t001"].id)
    model.servers[replica].barred = True
    model.servers[replica].offset = 0
    model.kill("t001")
    made = planned(service, Policy())
    assert made.soon_s == 0
    assert any("no replica has a copy" in said for said in made.waiting)


def test_a_replica_is_reset_only_while_there_are_more_than_wanted():
    service = loaded("abcabc", SPEC)
    service.spec = Spec(4, 2)
    (step,) = service.plan().steps
    assert isinstance(step, Reset)
    service.spec = Spec(4, 3)
    assert not any(isinstance(step, Reset) for step in service.plan().steps)


def test_the_model_refuses_to_reset_the_only_copy():
    service = loaded("ab", Spec(1, 1))
    replica = next(s for s in service.model.servers.values() if s.role is Role.REPLICA)
    ref = next(live.ref for live in Fleet(service.model.view()).lives if live.node.id == replica.id)
    with pytest.raises(AssertionError, match="only copy"):
        service.model.do("step", Reset(ref, None, "no."))
