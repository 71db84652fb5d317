"""Masters that are gone are replaced at once, by vote or without; masters that live never are."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from checking import key_of
from clustering import SETTINGS, Cluster, ref
from redis_fargate.nodes import contact
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import PreconditionFailed, StepFailed
from redis_fargate.nodes.execute import execute
from redis_fargate.nodes.failing_over import fail_over
from redis_fargate.nodes.forming import node_table
from redis_fargate.nodes.polling import attempts
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.slots import from_numbers
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import (
    AdoptSlots,
    AdvanceEpoch,
    BumpEpoch,
    Failover,
    FailoverMode,
    Outrank,
    Phase,
    Step,
)
from redis_fargate.topology.view import Member
from servers import PORT, Fleet
from until import until


def modes(made: Plan) -> list[FailoverMode]:
    return [step.mode for step in made.steps if isinstance(step, Failover)]


@pytest.mark.parametrize(
    ("spec", "lost", "first"),
    [
        (Spec(3, 3), 1, [FailoverMode.FORCE]),
        (Spec(5, 5), 2, [FailoverMode.FORCE] * 2),
        (Spec(3, 3), 2, [FailoverMode.TAKEOVER]),  # then two of three can vote
        (Spec(1, 1), 1, [FailoverMode.TAKEOVER]),
        (Spec(2, 2), 2, [FailoverMode.TAKEOVER] * 2),
    ],
    ids=str,
)
def test_lost_masters_are_replaced(
    fleet: Fleet, spec: Spec, lost: int, first: list[FailoverMode]
) -> None:
    cluster = Cluster(fleet, spec)
    cluster.kill(*cluster.masters()[:lost])
    assert modes(cluster.plan()) == first
    cluster.reconcile()
    assert len(cluster.masters()) == spec.master_count
    cluster.replace()
    cluster.assert_whole()


def test_a_master_of_one_shard_and_a_replica_of_another(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    one, other, _ = cluster.masters()
    cluster.kill(one, cluster.replica_of(other))
    cluster.replace()
    cluster.assert_whole()


def test_a_master_that_hangs_is_not_replaced(fleet: Fleet) -> None:
    """ECS says that its task runs, and so it may be serving those that can reach it."""
    cluster = Cluster(fleet, Spec(2, 2))
    hanging = cluster.masters()[0]
    cluster.server(hanging).freeze()
    made = cluster.reconcile()
    assert "does not answer" in " ".join(made.waiting)
    assert cluster.replica_of(hanging).node.slots == ()
    cluster.server(hanging).thaw()
    cluster.assert_whole()


def test_no_takeover_where_the_voters_only_hang(fleet: Fleet) -> None:
    """One of three is gone and one hangs: a vote needs it, and nothing is done without."""
    cluster = Cluster(fleet, Spec(3, 3))
    gone, hanging, _ = cluster.masters()
    heir = cluster.replica_of(gone)
    cluster.kill(gone)
    cluster.server(hanging).freeze()
    assert modes(cluster.plan()) == [FailoverMode.FORCE]
    with pytest.raises(StepFailed, match="most of the masters have to answer"):
        asyncio.run(cluster.reconciler.run(patience_s=1))
    assert not next(m for m in cluster.reconciler.members if m.task == heir.task).node.slots
    cluster.server(hanging).thaw()
    cluster.replace()
    cluster.assert_whole()


def failover(
    cluster: Cluster, master: Member, rivals: Sequence[Member], masters: Sequence[Member] = ()
) -> Failover:
    return Failover(
        ref(cluster.replica_of(master)),
        master.node.id,
        FailoverMode.TAKEOVER,
        tuple(map(ref, rivals)),
        tuple(map(ref, masters)),
        "Because.",
        Phase.RESCUE,
    )


def take(step: Step) -> None:
    async def taken() -> None:
        async with Connections(SETTINGS) as connections:
            await execute([step], connections, 5)

    asyncio.run(taken())


def test_refusals(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(2, 4))
    one, other = cluster.masters()
    lives = failover(cluster, one, ())
    with pytest.raises(PreconditionFailed, match="to have stopped; it answers"):
        take(lives)
    behind, ahead = (m for m in cluster.reconciler.members if m.node.master_id == one.node.id)
    assert lives.node == ref(behind)
    cluster.server(behind).freeze()
    with Redis(host=one.task.address, port=PORT) as client:
        for number in range(24):  # more than the sockets on the way hold
            client.set(key_of(one.node.slots[0].first, number), "x" * 2**20)
        assert client.execute_command("WAIT", 1, 10_000) == 1
    cluster.kill(one)
    cluster.server(behind).thaw()
    with pytest.raises(PreconditionFailed, match="to be a replica of"):
        take(replace(lives, master_id=other.node.id))
    with pytest.raises(PreconditionFailed, match="most of its master's data"):
        take(failover(cluster, one, [ahead]))
    with pytest.raises(PreconditionFailed, match="a link to its master"):
        take(replace(lives, mode=FailoverMode.PLANNED))
    take(lives)
    take(lives)  # once more does no harm
    cluster.until(lambda _: len(cluster.masters()) == 2)


def test_a_former_master_that_was_behind_is_no_heir_by_its_offset(fleet: Fleet) -> None:
    """It wrote more while nobody heard it, and its successor was elected without that."""
    cluster = Cluster(fleet, Spec(3, 6))
    former = cluster.masters()[0]
    successor, replica = (
        m for m in cluster.reconciler.members if m.node.master_id == former.node.id
    )
    slot = former.node.slots[0].first
    for member in (successor, replica):
        cluster.server(member).freeze()
    with cluster.client(former) as client:
        for number in range(1, 25):  # more than the sockets on the way hold
            client.set(key_of(slot, number), "x" * 2**20)
    cluster.server(former).freeze()
    for member in (successor, replica):
        cluster.server(member).thaw()
    with cluster.client(successor) as client:
        client.execute_command("CLUSTER FAILOVER", "TAKEOVER")
        until(lambda: client.execute_command("ROLE")[0] == b"master")
        client.set(key_of(slot), "written since")
        assert client.execute_command("WAIT", 1, 20_000) == 1
    cluster.kill(successor)
    cluster.server(former).thaw()

    def heirs() -> dict[str, int]:
        cluster.plan()
        return {
            m.task.id: m.node.replication.offset
            for m in cluster.reconciler.members
            if m.node and m.node.master_id == successor.node.id
        }

    until(lambda: len(heirs()) == 2)
    assert heirs()[former.task.id] > heirs()[replica.task.id]
    (step,) = (step for step in cluster.plan().steps if isinstance(step, Failover))
    assert (step.node, step.rivals) == (ref(replica), (ref(former),))
    with pytest.raises(PreconditionFailed, match="most of its master's data"):
        take(replace(step, node=ref(former), rivals=(ref(replica),)))
    cluster.replace()
    cluster.until_well()
    with RedisCluster(host=replica.task.address, port=PORT) as reader:
        assert reader.get(key_of(slot)) == b"written since"


def test_who_waits_for_his_turn_looks_again(fleet: Fleet) -> None:
    """Redis may elect another meanwhile: to fail over from that one would lose what it took."""
    cluster = Cluster(fleet, Spec(2, 4))
    one, other = cluster.masters()
    slow, quick = (m for m in cluster.reconciler.members if m.node.master_id == one.node.id)
    cluster.kill(one)

    async def wait_and_see() -> None:
        turn = asyncio.Lock()
        async with Connections(SETTINGS) as connections:
            await turn.acquire()
            step = replace(failover(cluster, one, [quick], [other]), mode=FailoverMode.FORCE)
            waiting = asyncio.create_task(fail_over(step, connections, 5, turn))
            replica = await connections.to(ref(slow))
            async for _ in attempts(5):
                if turn._waiters:
                    break
            winner = await connections.to(ref(quick))
            await winner.call("CLUSTER", "FAILOVER", "TAKEOVER")
            async for _ in attempts(5):
                if (await node_table(replica)).myself.master_id == quick.node.id:
                    break
            turn.release()
            await waiting

    with pytest.raises(PreconditionFailed, match=f"its master is {quick.node.id}"):
        asyncio.run(wait_and_see())


@pytest.mark.parametrize("case", ["in contact", "cut off", "empty"])
def test_whose_election_fails_has_no_rivals_in_the_next(fleet: Fleet, case: str) -> None:
    """Of one that nobody hears none is silenced, nor who would look like another shard's then."""
    cluster = Cluster(fleet, Spec(2, 4))
    one, other = cluster.masters()
    heir, rival = (m for m in cluster.reconciler.members if m.node.master_id == one.node.id)

    def silenced() -> list[bool]:
        cluster.plan()
        seen = {m.task.id: m.node for m in cluster.reconciler.members}
        return [seen[member.task.id].barred for member in (heir, rival)]

    if case == "empty":
        with cluster.client(one) as client:
            client.flushall()
            assert client.execute_command("WAIT", 2, 10_000) == 2
    cluster.kill(one)
    step = replace(failover(cluster, one, [rival], [other]), mode=FailoverMode.FORCE)
    with cluster.cut_off(heir) if case == "cut off" else nullcontext():
        with pytest.raises(StepFailed, match="most of the masters have to answer"):
            take(replace(step, node=ref(heir)))  # one of two masters is not most of them
        assert silenced() == [False, case == "in contact"]
    cluster.replace()
    cluster.until_well()
    assert silenced() == [False, False]


def test_no_takeover_of_what_another_serves(fleet: Fleet) -> None:
    """The replica does not believe it of a lower epoch, and its own claim would win."""
    cluster = Cluster(fleet, Spec(2, 2))
    other, one = sorted(cluster.masters(), key=lambda member: member.node.config_epoch)
    step = failover(cluster, one, (), [other])
    cluster.kill(one)
    taken = one.node.slots[0].first
    with cluster.client(other) as client:
        client.execute_command("CLUSTER DELSLOTS", taken)
        client.execute_command("CLUSTER ADDSLOTS", taken)
    with pytest.raises(PreconditionFailed, match=f"serves {taken}. Nothing was changed"):
        take(step)


@pytest.mark.parametrize("was", ["master", "replica"])
def test_who_was_to_follow_and_never_synchronised_is_no_heir(fleet: Fleet, was: str) -> None:
    """It has no key that would tell, and on Redis 7.0 the offset of what it followed before."""
    cluster = Cluster(fleet, Spec(2, 2))
    one, emptied = cluster.masters()
    former = emptied if was == "master" else cluster.replica_of(emptied)
    (slots,) = emptied.node.slots
    with cluster.client(emptied) as client:
        client.flushall()
        assert client.execute_command("WAIT", 1, 10_000) == 1
        if was == "master":
            client.execute_command("CLUSTER DELSLOTSRANGE", slots.first, slots.last)
    cluster.server(one).freeze()
    with cluster.client(former) as client:
        if was == "replica":
            client.config_set("cluster-replica-no-failover", "yes")
        client.execute_command("CLUSTER REPLICATE", one.node.id)
    cluster.kill(one)
    step = replace(failover(cluster, one, ()), node=ref(former))
    with pytest.raises(PreconditionFailed, match="never had a whole one"):
        take(step)
    cluster.plan()
    seen = {m.task.id: m.node for m in cluster.reconciler.members}
    assert seen[former.task.id].master_id == one.node.id
    assert not seen[former.task.id].replication.offset


def test_who_has_only_what_its_master_had_been_given_is_an_heir(fleet: Fleet) -> None:
    """Its shard's own slots are empty, and a slot was in flight when the master ended."""
    cluster = Cluster(fleet, Spec(2, 2))
    one, giver = cluster.masters()
    slot = giver.node.slots[0].first
    key = key_of(slot)
    with cluster.client(one) as taker, cluster.client(giver) as source:
        taker.flushall()
        source.set(key, "handed over")
        taker.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", giver.node.id)
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", one.node.id)
        source.execute_command("MIGRATE", one.task.address, PORT, key, 0, 5000)
        assert taker.execute_command("WAIT", 1, 10_000) == 1
    cluster.kill(one)
    with pytest.raises(PreconditionFailed, match="never had a whole one"):
        take(failover(cluster, one, ()))
    cluster.reconciler.memory.moving = from_numbers([slot])
    assert modes(cluster.plan()) == [FailoverMode.TAKEOVER]
    cluster.replace()
    cluster.until_well()
    with RedisCluster(host=giver.task.address, port=PORT) as reader:
        assert reader.get(key) == b"handed over"


@pytest.mark.parametrize("order", ["ours", "nobody's"])
def test_who_was_elected_before_is_believed_again(fleet: Fleet, order: str) -> None:
    """Redis 7.0 counts the votes of its last election again, and keeps the epoch of that one."""
    cluster = Cluster(fleet, Spec(3, 3), cluster_node_timeout="15000")
    one = cluster.masters()[0]
    heir = cluster.replica_of(one)
    cluster.kill(one)
    cluster.reconcile()
    cluster.replace()
    cluster.assert_whole()
    (owner,) = cluster.owner_first(one.node.slots[0].first)[:1]
    if owner.task.id == heir.task.id:  # else it has been replaced already, for its zone
        step = failover(cluster, owner, (), cluster.masters())
        take(replace(step, mode=FailoverMode.PLANNED))
        cluster.until_well()
        (owner,) = cluster.owner_first(one.node.slots[0].first)[:1]
    assert cluster.replica_of(owner).task.id == heir.task.id
    others = [master for master in cluster.masters() if master is not owner]
    cluster.kill(owner)
    if order == "nobody's":
        with ExitStack() as stack:
            client, *voters = (
                stack.enter_context(cluster.client(member)) for member in (heir, *others)
            )
            for each, timeout_ms in ((client, 60000), *((voter, 1000) for voter in voters)):
                each.config_set("cluster-node-timeout", timeout_ms)
            until(lambda: client.execute_command("ROLE")[0] == b"master")
            for each in (client, *voters):
                each.config_set("cluster-node-timeout", 15000)
    cluster.reconcile()
    cluster.replace()
    cluster.assert_whole()


def test_a_claim_is_not_made_newer_than_that_of_who_lives(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    one, other, another = sorted(cluster.masters(), key=lambda master: master.node.config_epoch)

    def bump(member: Member) -> None:
        take(BumpEpoch(ref(member), other.node.id, other.node.config_epoch, "Because."))

    def refused(member: Member, reason: str) -> None:
        before = epoch(member)
        with pytest.raises(PreconditionFailed, match=reason):
            bump(member)
        assert epoch(member) == before

    def epoch(member: Member) -> int:
        return claims(cluster, member)[0]

    refused(one, "to have stopped")
    refused(cluster.replica_of(other), "to be a master with slots")
    before = epoch(another)
    bump(another)  # it is newer already
    assert epoch(another) == before
    with cluster.client(another) as client:
        assert client.execute_command("CLUSTER BUMPEPOCH").startswith(b"BUMPED")
        assert client.execute_command("CLUSTER BUMPEPOCH").startswith(b"STILL")
    with cluster.client(one) as client, cluster.cut_off(one):
        until(lambda: client.cluster("info")["cluster_state"] == "fail")
        cluster.server(other).kill()
        refused(one, "to be in contact")
        cluster.kill(other)
    bump(one)
    assert epoch(one) > epoch(another)
    cluster.replace()
    cluster.assert_whole()


def claims(cluster: Cluster, member: Member) -> tuple[int, bytes]:
    """Its config epoch, and what it is."""
    with cluster.client(member) as client:
        role, *_ = client.execute_command("ROLE")
        return int(client.cluster("info")["cluster_my_epoch"]), role


def bump(cluster: Cluster, member: Member) -> int:
    """Raise its epoch, as being given slots does."""
    with cluster.client(member) as client:
        said, epoch = client.execute_command("CLUSTER BUMPEPOCH").split()
    assert said == b"BUMPED"
    return int(epoch)


@pytest.mark.parametrize("case", ["alone", "another has the same"])
def test_no_claim_is_as_new_as_the_one_that_a_cut_off_master_made(fleet: Fleet, case: str) -> None:
    """Of two equal claims Redis gives the one of the lower node id the newest epoch."""
    rival = case == "another has the same"
    cluster = Cluster(fleet, Spec(3, 3), cluster_node_timeout="12000")
    *older, _ = sorted(cluster.masters(), key=lambda master: master.node.config_epoch)
    one, other = sorted(older, key=lambda master: master.node.id)
    heir = cluster.replica_of(one)
    with cluster.cut_off(one):
        epoch = bump(cluster, one)
        if rival:
            assert bump(cluster, other) == epoch
            with cluster.client(heir) as client:
                until(lambda: int(client.cluster("info")["cluster_current_epoch"]) == epoch)
        steps = [step for step in cluster.plan().steps if isinstance(step, AdvanceEpoch)]
        assert (ref(heir), epoch + rival) in [(step.nodes[0], step.epoch) for step in steps]
        cluster.reconcile()
        assert (claims(cluster, other)[0] > epoch) == rival
        # An election that most do not vote in yet is held again after four node timeouts.
        until(lambda: claims(cluster, heir)[1] == b"master", deadline_s=120)
        assert claims(cluster, heir)[0] > epoch
    until(lambda: claims(cluster, one)[1] == b"slave")
    cluster.assert_whole()


def test_no_successor_has_the_epoch_that_an_adopter_took(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cut falls between the check and the claim, and no look comes before the election."""
    cluster = Cluster(fleet, Spec(3, 3), cluster_node_timeout="5000")
    adopter, owner, other = sorted(cluster.masters(), key=lambda master: master.node.id)
    heir = cluster.replica_of(adopter)
    replicas = (ref(heir), ref(cluster.replica_of(other)))
    slot, last = cluster.empty_slot(owner), owner.node.slots[-1].last
    for member in (owner, adopter):
        with cluster.client(member) as client:
            client.execute_command("CLUSTER DELSLOTS", slot, last)
    adopt = AdoptSlots(ref(adopter), from_numbers([slot]), (), replicas, "Because.")
    before = claims(cluster, adopter)
    with pytest.raises(PreconditionFailed, match="to be a replica before it uses up an epoch"):
        take(replace(adopt, replicas=(ref(owner),)))
    assert claims(cluster, adopter) == before
    monkeypatch.setattr(contact, "_FRESH_MS", 60_000)
    mine = f"{adopter.task.address}:{PORT}"
    with cluster.client(heir) as successor, cluster.cut_off(adopter):
        successor.config_set("cluster-replica-no-failover", "yes")
        take(adopt)
        epoch, _ = claims(cluster, adopter)
        assert epoch > before[0]
        until(lambda: "fail" in successor.cluster("nodes")[mine]["flags"].split(","))
        with pytest.raises(PreconditionFailed, match="may be elected in its place"):
            take(replace(adopt, slots=from_numbers([last])))
        assert claims(cluster, adopter) == (epoch, b"master")
        successor.config_set("cluster-replica-no-failover", "no")
        until(lambda: claims(cluster, heir)[1] == b"master", deadline_s=120)
        assert claims(cluster, heir)[0] > epoch
    with cluster.client(adopter) as client:
        until(lambda: client.cluster("nodes")[mine]["slots"] == [[str(slot)]])


def test_who_got_a_slot_is_believed_by_all(fleet: Fleet) -> None:
    """Redis 7.0 believes a newer claim of who had it before, though that one makes it no more."""
    cluster = Cluster(fleet, Spec(3, 3))
    former, owner, other = cluster.masters()
    slot = cluster.empty_slot(former)

    def believed(by: Member = other) -> str | None:
        with cluster.client(by) as client:
            ranges = client.execute_command("CLUSTER SLOTS")
        owners = (row[2][2].decode() for row in ranges if row[0] <= slot <= row[1])
        return next(owners, None)

    def heard_epoch(by: Member) -> int:
        with cluster.client(by) as client:
            return int(client.cluster("nodes")[f"{former.task.address}:{PORT}"]["epoch"])

    with cluster.client(former) as giver, cluster.client(owner) as taker:
        giver.execute_command("CLUSTER DELSLOTS", slot)
        taker.execute_command("CLUSTER DELSLOTS", slot)
        taker.execute_command("CLUSTER ADDSLOTS", slot)
    bump(cluster, owner)
    until(lambda: believed() == believed(former) == owner.node.id)
    newest = bump(cluster, former)
    # Who has not heard of it yet would be told of it by the other one, and give up the slot.
    until(lambda: heard_epoch(owner) == heard_epoch(other) == newest)
    with cluster.client(other) as client:
        client.execute_command("CLUSTER SETSLOT", slot, "NODE", former.node.id)
    steps = [step for step in cluster.plan().steps if isinstance(step, Outrank)]
    if owner.node.version.startswith("redis 7.0"):
        assert [(step.node, step.rival) for step in steps] == [(ref(owner), ref(former))]
    cluster.reconcile()
    until(lambda: believed() != former.node.id)
    cluster.assert_whole()


def test_nobody_outranks_who_would_lose_slots(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    other, one, _ = sorted(cluster.masters(), key=lambda master: master.node.config_epoch)
    before = [claims(cluster, member) for member in cluster.reconciler.members]
    take(Outrank(ref(one), ref(other), "Because."))  # it does already
    with pytest.raises(PreconditionFailed, match="to be a master of other slots"):
        take(Outrank(ref(cluster.replica_of(one)), ref(one), "Because."))
    assert [claims(cluster, member) for member in cluster.reconciler.members] == before


def test_only_replicas_use_up_an_epoch(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    masters = cluster.masters()
    replicas = [cluster.replica_of(master) for master in masters]

    def newest() -> int:
        with cluster.client(replicas[0]) as client:
            return int(client.cluster("info")["cluster_current_epoch"])

    def use_up(epoch: int, *members: Member) -> None:
        take(AdvanceEpoch(tuple(map(ref, members)), epoch, "Because."))

    before = newest()
    use_up(before, *replicas)  # the first one has heard of it
    with pytest.raises(PreconditionFailed, match="to be a replica"):
        use_up(before + 1, masters[0])
    assert newest() == before
    use_up(before + 1, *replicas)
    use_up(before + 2, *replicas)  # whoever had the newest is left as it is
    until(lambda: newest() == before + 2)
    with cluster.client(replicas[0]) as client:
        client.execute_command("CLUSTER BUMPEPOCH")
    with pytest.raises(StepFailed, match="the newest that it knows"):
        use_up(before + 9, replicas[0])
    cluster.plan()
    seen = [(m.node.id, m.node.config_epoch, m.node.slots) for m in cluster.masters()]
    assert seen == [(m.node.id, m.node.config_epoch, m.node.slots) for m in masters]
