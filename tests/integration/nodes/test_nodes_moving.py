"""Slots move with all their keys, on real servers: while clients write, and when anything dies."""

import asyncio
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from checking import assert_others_agree, key_of
from clustering import CONFIG, KEYS, SETTINGS, Cluster, ref
from killing import Fuse, Killed
from redis_fargate.nodes import moving, moving_keys
from redis_fargate.nodes.connection import Connect, Connections, connect
from redis_fargate.nodes.errors import PreconditionFailed, StepFailed, StillMoving
from redis_fargate.nodes.execute import check_spare, execute
from redis_fargate.nodes.pacing import Pacer
from redis_fargate.nodes.polling import attempts
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.slots import from_numbers, numbers
from redis_fargate.topology.spec import OnDataLoss, Pace, Policy, Spec
from redis_fargate.topology.steps import (
    AdoptSlots,
    AllowFailover,
    AwaitMigrations,
    CloseSlots,
    DropLeftovers,
    MoveSlots,
    NodeStep,
    Phase,
    Reset,
    Unprotect,
)
from redis_fargate.topology.view import Member, Role
from servers import MOVERS, PORT, PROGRAMS, Fleet
from servers import fleet as fleet_of
from until import until

BY_THEMSELVES = ["valkey-9.1", *MOVERS.keys() - PROGRAMS.keys()]
"""Those that move slots without being told key by key."""
FAST = Pace(max_latency_ms=None)
PAUSE_S = 0.001
"""Between two of a client's writes: the processors are for the servers, and for other tests."""


@pytest.fixture(params=MOVERS)
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Servers of one version after the other."""
    with fleet_of(MOVERS[request.param]()) as started:
        yield started


def take(*steps: NodeStep, connect: Connect = connect, **settings: object) -> None:
    async def taken() -> None:
        async with Connections(replace(SETTINGS, **settings), connect) as connections:
            await execute(steps, connections, 20)

    asyncio.run(taken())


def check_spared(step: Unprotect) -> None:
    async def checked() -> None:
        async with Connections(SETTINGS) as connections:
            await check_spare([step], connections)

    asyncio.run(checked())


def move(source: Member, target: Member, *slots: int, resumed: bool = False) -> MoveSlots:
    return MoveSlots(
        ref(source), ref(target), from_numbers(slots), resumed, FAST, "Because.", Phase.SHAPE
    )


def client(member: Member) -> Redis:
    return Redis(host=member.task.address, port=PORT)


_FAILURES = (RedisError, OSError, AttributeError)
"""redis-py raises the last on ASK to a node that it has not heard of yet."""


class Writer:
    """Writes, overwrites and deletes, and knows what there has to be in the end."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.known: dict[str, str | None] = {}
        self.doubtful: set[str] = set()
        self.failed = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        chance = random.Random(1)
        cluster = RedisCluster(host=self.host, port=PORT)
        while not self._end.is_set():
            key = f"writer:{chance.randrange(2000)}"
            value = None if chance.random() < 0.3 else str(chance.random())
            try:
                cluster.set(key, value) if value else cluster.delete(key)
            except _FAILURES:
                self.failed += 1
                self.doubtful.add(key)
                with suppress(*_FAILURES):
                    cluster.nodes_manager.initialize()
            else:
                self.known[key] = value
                self.doubtful.discard(key)
            self._end.wait(PAUSE_S)
        cluster.close()

    def check(self) -> None:
        """Every key has its last value, and every deleted one is gone: none is lost or stale."""
        with RedisCluster(host=self.host, port=PORT) as cluster:
            sure = [key for key in self.known if key not in self.doubtful]
            values = cluster.mget_nonatomic(*sure)
        found = [value and value.decode() for value in values]
        assert found == [self.known[key] for key in sure]
        assert len(sure) > 100
        assert self.failed < len(self.known) / 20


@contextmanager
def writing(host: str) -> Iterator[Writer]:
    writer = Writer(host)
    writer._thread.start()
    try:
        yield writer
    finally:
        writer._end.set()
        writer._thread.join()


def assert_settled(cluster: Cluster) -> None:
    """Nothing is in flight, and every key is where it belongs."""
    assert cluster.reconciler.memory.moving == ()
    for member in cluster.reconciler.members:
        if member.node.role is Role.MASTER:
            assert not member.node.open_slots
            owned = set(numbers(member.node.slots))
            with client(member) as node:
                pipeline = node.pipeline(transaction=False)
                for slot in range(16384):
                    pipeline.execute_command("CLUSTER COUNTKEYSINSLOT", slot)
                counts = pipeline.execute()
            assert not [slot for slot, keys in enumerate(counts) if keys and slot not in owned]


def test_masters_come_and_go_while_clients_write(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(3, 3))
    with writing(cluster.masters()[0].task.address) as writer:
        cluster.scale(Spec(5, 5))
        cluster.assert_whole()
        cluster.scale(Spec(2, 2))
        cluster.assert_whole()
    writer.host = cluster.masters()[0].task.address
    writer.check()
    assert_settled(cluster)


def test_whatever_a_key_is_it_arrives(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(2, 0))
    one, other = cluster.masters()
    slot = one.node.slots[0].first
    names = [key_of(slot, number).encode() for number in range(8)]
    binary, expiring, big, hashed, sorted_set, stream, listed, small = names
    binary += b"\x00\xff\r\n\xfe"
    with client(one) as node:
        node.set(binary, b"\xff\x00\r\n")
        node.set(expiring, "soon gone", px=3_600_000)
        node.set(big, os.urandom(20 * 2**20))
        node.hset(hashed, mapping={f"field{n}": n for n in range(5000)})
        node.zadd(sorted_set, {f"member{n}": n for n in range(300)})
        node.xadd(stream, {"a": 1})
        node.xgroup_create(stream, "group")
        node.rpush(listed, *range(1000))
        node.set(small, "x")
        fields = node.hgetall(hashed)
        before = {name: node.dump(name) for name in (binary, *names[1:]) if name != hashed}
    take(move(one, other, slot))
    with client(other) as node:
        after = {name: node.dump(name) for name in before}
        assert node.hgetall(hashed) == fields  # its fields have no order, so DUMP has none either
        assert 0 < node.pttl(expiring) <= 3_600_000
    assert after == before
    with client(one) as node:
        assert node.dbsize() == 0 or not node.execute_command("CLUSTER COUNTKEYSINSLOT", slot)


def test_a_new_master_has_the_functions_before_it_has_slots(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(1, 0))
    with client(cluster.masters()[0]) as node:
        code = "redis.register_function('f', function() return 7 end)"
        node.function_load(f"#!lua name=lib\n{code}")
    cluster.scale(Spec(2, 0))
    cluster.assert_whole()
    for member in cluster.masters():
        with client(member) as node:
            assert node.fcall("f", 0) == 7


def test_keys_that_nobody_served_do_not_come_to_life(fleet: Fleet) -> None:
    """The target has an old key of the slot; it was deleted since where the slot belongs."""
    cluster = Cluster(fleet, Spec(2, 0))
    assert_old_keys_are_dropped(*cluster.masters())


@pytest.mark.parametrize("newer", MOVERS.keys() - PROGRAMS.keys())
def test_a_newer_server_gets_slots_from_an_older_one(newer: str) -> None:
    """As it is while an upgrade rolls. The newer tells of no keys in slots that are not its own."""
    with fleet_of(PROGRAMS["redis-7.0"]()) as fleet:
        cluster = Cluster(fleet, Spec(1, 0))
        fleet.program = MOVERS[newer]()
        cluster.scale(Spec(2, 0))
        cluster.assert_whole()
        assert_old_keys_are_dropped(*sorted(cluster.masters(), key=lambda m: m.node.version))


@pytest.mark.parametrize("newer", MOVERS.keys() - PROGRAMS.keys())
def test_what_a_newer_server_had_got_is_found_on_its_replica(newer: str) -> None:
    """It tells of no keys in slots that are not its own, unless they are open."""
    with fleet_of(PROGRAMS["redis-7.0"]()) as fleet:
        cluster = Cluster(fleet, Spec(1, 1))
        fleet.program = MOVERS[newer]()
        cluster.scale(Spec(2, 2))
        cluster.assert_whole()
        one, other = sorted(cluster.masters(), key=lambda m: m.node.version)
        slot = one.node.slots[0].first
        values = {key_of(slot, n): str(n).encode() for n in range(50)}
        with client(one) as node:
            node.mset(values)
        cluster.reconciler.memory.moving = from_numbers([slot])
        fuse = Fuse(5)  # until MIGRATE has been sent
        with suppress(Killed):
            take(move(one, other, slot), connect=fuse.connect)
        assert fuse.sent[-1][0] == "MIGRATE"
        with client(other) as node:
            node.execute_command("WAIT", 1, 2_000)
        cluster.kill(other)
        cluster.replace()
        cluster.assert_whole()
        with RedisCluster(host=one.task.address, port=PORT) as reader:
            assert dict(zip(values, reader.mget_nonatomic(*values), strict=True)) == values
        assert_settled(cluster)


def assert_old_keys_are_dropped(one: Member, other: Member) -> None:
    slot = one.node.slots[0].first
    kept, old = key_of(slot, 1), key_of(slot, 2)
    with client(other) as node:
        node.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", one.node.id)
        pipeline = node.pipeline(transaction=False)
        pipeline.execute_command("ASKING").set(old, "stale")
        assert pipeline.execute()[1]
        node.execute_command("CLUSTER SETSLOT", slot, "STABLE")
    with client(one) as node:
        node.set(kept, "true")
    take(move(one, other, slot))
    with client(other) as node:
        assert node.get(kept) == b"true"
        assert node.get(old) is None


def test_a_move_that_dies_after_any_command_is_settled(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(2, 0))
    memory = cluster.reconciler.memory
    slots = [cluster.masters()[0].node.slots[0].first + n for n in range(3)]
    values = {key_of(slot, n): f"{slot}/{n}".encode() for slot in slots for n in range(3)}
    with RedisCluster(host=cluster.masters()[0].task.address, port=PORT) as writer:
        for name, value in values.items():
            writer.set(name, value)
    writes, died = 0, True
    while died:
        owner, other = cluster.owner_first(slots[0])
        fuse = Fuse(writes)
        memory.moving = from_numbers(slots)
        try:
            take(move(owner, other, *slots), connect=fuse.connect)
            died = False
        except Killed:
            writes += 1
        cluster.settle()
        with RedisCluster(host=owner.task.address, port=PORT) as reader:
            found = dict(zip(values, reader.mget_nonatomic(*values), strict=True))
        assert found == values, f"killed after {writes} writing commands: {fuse.sent[-1:]}"
        assert_settled(cluster)
    assert writes > 0


@pytest.mark.parametrize("victim", ["source", "target"])
@pytest.mark.parametrize("writes", [4, 7])
def test_either_master_dies_amid_a_move(fleet: Fleet, victim: str, writes: int) -> None:
    """Its replica knows nothing of the slots in flight, unless it is of Valkey 8 or later."""
    cluster = Cluster(fleet, Spec(2, 2))
    one, other = cluster.masters()
    slot = one.node.slots[0].first
    values = {key_of(slot, n): str(n).encode() for n in range(50)}
    with client(one) as node:
        node.mset(values)
        node.execute_command("WAIT", 1, 10_000)
    cluster.reconciler.memory.moving = from_numbers([slot])
    with suppress(Killed):
        take(move(one, other, slot), connect=Fuse(writes).connect)
    for member in (one, other):
        with client(member) as node:
            node.execute_command("WAIT", 1, 2_000)
    cluster.kill(one if victim == "source" else other)
    cluster.replace()
    cluster.assert_whole()
    with RedisCluster(host=cluster.masters()[0].task.address, port=PORT) as reader:
        assert dict(zip(values, reader.mget_nonatomic(*values), strict=True)) == values
    assert_settled(cluster)


def test_a_target_without_memory_gets_nothing_and_nothing_is_lost(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(2, 0))
    one, other = cluster.masters()
    slot = one.node.slots[0].first
    values = {key_of(slot, n): b"x" * 100_000 for n in range(20)}
    with client(one) as node, client(other) as target:
        node.mset(values)
        target.config_set("maxmemory", target.info("memory")["used_memory"])
        cluster.reconciler.memory.moving = from_numbers([slot])
        with pytest.raises((StepFailed, StillMoving)):
            take(move(one, other, slot))
        target.config_set("maxmemory", 0)
    cluster.settle()
    with RedisCluster(host=one.task.address, port=PORT) as reader:
        assert dict(zip(values, reader.mget_nonatomic(*values), strict=True)) == values
    assert_settled(cluster)


def test_a_master_out_of_contact_gets_no_slots(fleet: Fleet) -> None:
    """The others have elected its replica: by a slot, its epoch would rise to that one's."""
    cluster = Cluster(fleet, Spec(3, 3))
    alone, other, _ = cluster.masters()
    with client(alone) as lonely, client(cluster.replica_of(alone)) as elected:
        epoch = lonely.cluster("info")["cluster_my_epoch"]
        with cluster.cut_off(alone):
            until(lambda: elected.execute_command("ROLE")[0] == b"master")
            with pytest.raises(PreconditionFailed, match="in contact with the cluster"):
                take(move(other, alone, other.node.slots[0].first))
            assert lonely.cluster("info")["cluster_my_epoch"] == epoch
    cluster.settle()
    assert_settled(cluster)


@pytest.mark.parametrize("case", ["replaced before", "replaced meanwhile", "may be replaced"])
def test_a_master_that_may_have_been_replaced_gives_no_slots(fleet: Fleet, case: str) -> None:
    """It is cut off and does not hear of it; its successor would lose what clients write there."""
    cluster = Cluster(fleet, Spec(3, 3))
    alone, other, _ = cluster.masters()
    heir = cluster.replica_of(alone)
    slot = cluster.empty_slot(alone)
    step = move(alone, other, slot)
    replaced = f"are another's|{heir.node.id} may have taken its place"

    async def go_on() -> None:
        ends_s = asyncio.get_running_loop().time() + 5
        async with Connections(SETTINGS) as connections:
            await moving_keys.move(step, step.slots, connections, Pacer(FAST), ends_s)

    def fails() -> bool:
        return "fail" in target.cluster("nodes")[f"{alone.task.address}:{PORT}"]["flags"]

    if case == "replaced meanwhile":
        cluster.reconciler.memory.moving = step.slots
        with client(other) as target:
            target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", alone.node.id)
    with client(heir) as elected, client(other) as target, cluster.cut_off(alone):
        if case == "may be replaced":
            elected.config_set("cluster-replica-no-failover", "yes")
            until(fails)
            with pytest.raises(PreconditionFailed, match="may have taken its place"):
                take(step)
            elected.config_set("cluster-replica-no-failover", "no")
        until(lambda: elected.execute_command("ROLE")[0] == b"master")
        elected.set(key_of(slot), "new")
        if case == "replaced before":
            with pytest.raises(PreconditionFailed, match=replaced):
                take(step)
        if case == "replaced meanwhile":
            with pytest.raises(PreconditionFailed, match=replaced):
                asyncio.run(go_on())
    cluster.settle()
    assert_settled(cluster)

    def read() -> bytes | None:
        with (
            suppress(RedisError, RedisClusterException),
            RedisCluster(host=other.task.address, port=PORT) as reader,
        ):
            return reader.get(key_of(slot))
        return None  # it has yet to hear whose the slot is that it imported

    until(lambda: read() == b"new")


def test_a_target_outdoes_an_epoch_that_its_source_has_just_got(fleet: Fleet) -> None:
    """Nobody is told of BUMPEPOCH. By an epoch that is no newer, the target would lose the slot."""
    cluster = Cluster(fleet, Spec(3, 0))
    one, other, _ = cluster.masters()
    with client(one) as source, client(other) as target:
        source.execute_command("CLUSTER BUMPEPOCH")
        take(move(one, other, one.node.slots[0].first))
        epochs = [int(node.cluster("info")["cluster_my_epoch"]) for node in (source, target)]
    assert epochs[0] < epochs[1]
    cluster.settle()
    assert_settled(cluster)


def test_keys_of_other_databases_are_not_left_behind() -> None:
    """Only Valkey 9 has them in a cluster, and MIGRATE would hand over those of the first."""
    with fleet_of(PROGRAMS["valkey-9.1"]()) as fleet:
        cluster = Cluster(fleet, Spec(2, 0), cluster_databases="4")
        one, other = cluster.masters()
        slot = one.node.slots[0].first
        with Redis(host=one.task.address, port=PORT, db=1) as node:
            node.set(key_of(slot), "in the second")
            with pytest.raises(PreconditionFailed, match="in the databases db1"):
                take(move(one, other, slot, resumed=True))  # key by key
            assert node.get(key_of(slot)) == b"in the second"


def test_a_slot_may_take_longer_than_a_run(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(fleet, Spec(2, 0))
    one, other = cluster.masters()
    slot = one.node.slots[0].first
    values = {key_of(slot, n): str(n).encode() for n in range(5000)}
    with client(one) as node:
        node.mset(values)
    cluster.reconciler.memory.moving = from_numbers([slot])
    monkeypatch.setattr(moving, "SLICE_S", 0.001)
    monkeypatch.setattr(moving_keys, "_GRACE_S", 0)
    with pytest.raises(StillMoving):
        take(move(one, other, slot, resumed=True))  # key by key on every version
    cluster.settle()  # by as many slices as it takes
    with RedisCluster(host=one.task.address, port=PORT) as reader:
        assert dict(zip(values, reader.mget_nonatomic(*values), strict=True)) == values
    assert_settled(cluster)


@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_what_servers_have_begun_ends_before_its_target_is_spared(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has died, or lost patience, wanted it; the next one wants that master no more."""
    with fleet_of(MOVERS[name]()) as fleet:
        cluster = Cluster(fleet, Spec(2, 0))
        cluster.spec = cluster.reconciler.spec = Spec(1, 0)
        cluster.until(
            lambda _: len(cluster.masters()) == 1 and not cluster.reconciler.memory.moving
        )
        (one,) = cluster.masters()
        other = next(m for m in cluster.reconciler.members if m.task.id != one.task.id)
        spare = Unprotect(other.task.arn, ref(other), (), "Because.")
        check_spared(spare)
        slot = one.node.slots[0].first
        values = {key_of(slot, n): str(n).encode() for n in range(60)}
        with client(one) as source, client(other) as target:
            source.mset(values)
            source.config_set("rdb-key-save-delay", 50_000)  # microseconds: it takes 3 s
            if name == "valkey-9.1":
                source.execute_command(
                    "CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", other.node.id
                )
            else:
                target.execute_command("CLUSTER MIGRATION", "IMPORT", slot, slot)
        cluster.reconciler.memory.moving = from_numbers([slot])
        step = cluster.plan().steps[-1]
        assert isinstance(step, AwaitMigrations)
        assert {other.node.id} <= {node.id for node in step.nodes} <= {one.node.id, other.node.id}
        with pytest.raises(PreconditionFailed, match=r"on their way to it|a master with"):
            check_spared(spare)
        with pytest.raises(PreconditionFailed, match="on their way to it"):
            take(DropLeftovers(ref(other), "Because."))
        monkeypatch.setattr(moving, "SLICE_S", 0.01)
        with pytest.raises(StillMoving, match="still on their way"):
            take(step)
        monkeypatch.undo()
        take(step)
        cluster.until_well()
        with RedisCluster(host=one.task.address, port=PORT) as reader:
            assert dict(zip(values, reader.mget_nonatomic(*values), strict=True)) == values
        assert [member.task.id for member in cluster.reconciler.members] == [one.task.id]
        assert_settled(cluster)


def test_servers_with_passwords_hand_keys_over(redis_fleet: Fleet) -> None:
    settings = replace(SETTINGS, password="secret")
    cluster = Cluster(redis_fleet, Spec(2, 0), settings, requirepass="secret", masterauth="secret")
    cluster.scale(Spec(3, 0))
    cluster.until_well()
    keys = []
    for member in cluster.masters():
        with cluster.client(member) as node:
            keys.append(node.dbsize())
    assert len(keys) == 3
    assert sum(keys) == KEYS
    assert min(keys) > KEYS / 6


# -- refusals ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene(module_fleet: Fleet) -> Cluster:
    return Cluster(module_fleet, Spec(2, 2))


def replica(scene: Cluster) -> Member:
    return scene.replica_of(scene.masters()[0])


REFUSED = {
    "move to a replica": (lambda s: move(s.masters()[0], replica(s), 0), "is a replica"),
    "move from a replica": (lambda s: move(replica(s), s.masters()[1], 0), "is a replica"),
    "adopt from the living": (
        lambda s: AdoptSlots(
            ref(s.masters()[0]),
            s.masters()[1].node.slots,
            (s.masters()[1].node.id,),
            (),
            "Because.",
        ),
        "to have stopped; it answers",
    ),
    "adopt from who is not said to be gone": (
        lambda s: AdoptSlots(ref(s.masters()[0]), s.masters()[1].node.slots, (), (), "Because."),
        "owns",
    ),
    "adopt by a replica": (
        lambda s: AdoptSlots(ref(replica(s)), s.masters()[1].node.slots, (), (), "Because."),
        "it is a replica of",
    ),
    "reset a master": (lambda s: Reset(ref(s.masters()[0]), None, "Because."), "a master with"),
    "reset what has keys and no master": (
        lambda s: Reset(ref(replica(s)), None, "Because."),
        "it has [1-9][0-9]* keys of",
    ),
    "reset another's replica": (
        lambda s: Reset(ref(replica(s)), ref(s.masters()[1]), "Because."),
        "it has [1-9][0-9]* keys of",
    ),
    "empty a master of slots": (
        lambda s: DropLeftovers(ref(s.masters()[0]), "Because."),
        "it owns the slots",
    ),
    "empty a replica": (lambda s: DropLeftovers(ref(replica(s)), "Because."), "it is a replica of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_do_harm_is_refused(scene: Cluster, name: str) -> None:
    make, sentence = REFUSED[name]
    before = scene.look()
    with pytest.raises(PreconditionFailed, match=sentence):
        take(make(scene))
    assert scene.look() == before


def test_slots_with_keys_astray_are_not_closed(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(2, 0))
    one, other = cluster.masters()
    slot = one.node.slots[0].first
    with client(other) as node:
        node.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", one.node.id)
        pipeline = node.pipeline(transaction=False)
        pipeline.execute_command("ASKING").set(key_of(slot), "astray")
        assert pipeline.execute()[1]
    with pytest.raises(PreconditionFailed, match="to have no key"):
        take(CloseSlots(ref(other), from_numbers([slot]), "Because."))
    cluster.settle()
    with RedisCluster(host=one.task.address, port=PORT) as reader:
        assert reader.get(key_of(slot)) == b"astray"
    assert_settled(cluster)


def test_leftovers_stay_while_a_slot_is_served_by_nobody(fleet: Fleet) -> None:
    cluster = Cluster(fleet, Spec(2, 0))
    one, _ = cluster.masters()
    fleet.start(1, cluster_require_full_coverage="no", **CONFIG)
    lonely = cluster.tasks()[-1]
    with Redis(host=lonely.address, port=PORT) as node:
        node.execute_command("CLUSTER ADDSLOTS", 0)
        for _ in range(200):
            with suppress(RedisError):
                node.set(key_of(0), "precious")
                break
            threading.Event().wait(0.05)
        node.execute_command("CLUSTER DELSLOTS", 0)
        node_id = node.execute_command("CLUSTER MYID").decode()
    step = DropLeftovers(
        replace(ref(one), id=node_id, address=lonely.address, task_id=lonely.id), "?."
    )
    with pytest.raises(PreconditionFailed, match="only 0 of 16384 slots are served"):
        take(step)
    with Redis(host=lonely.address, port=PORT) as node:
        assert node.dbsize() == 1


def test_a_moved_replica_is_not_elected_before_it_has_the_data(fleet: Fleet) -> None:
    """Its new master fails at once: with the other shard's data it must not take its place."""
    cluster = Cluster(fleet, Spec(3, 6))
    rich, poor, _ = cluster.masters()
    mover, *_ = (m for m in cluster.reconciler.members if m.node.master_id == rich.node.id)
    cluster.kill(*(m for m in cluster.reconciler.members if m.node.master_id == poor.node.id))
    cluster.server(poor).freeze()

    async def moved() -> None:
        async with Connections(SETTINGS) as connections:
            node = await connections.to(ref(mover))
            await node.call("CONFIG", "SET", "cluster-replica-no-failover", "yes")
            await node.call("CLUSTER", "REPLICATE", poor.node.id)

    asyncio.run(moved())
    cluster.kill(poor)
    made = Plan()

    async def looked() -> Plan:
        async with Connections(SETTINGS) as connections:
            async for _ in attempts(8):  # Redis would elect it within 2 node timeouts
                made = await cluster.reconciler.look(connections)
                assert (
                    next(m.node.role for m in cluster.reconciler.members if m.task == mover.task)
                    is Role.REPLICA
                )
        return made

    made = asyncio.run(looked())
    assert any("no replica has a copy" in sentence for sentence in made.waiting)
    with pytest.raises(PreconditionFailed, match="its master's data before"):
        take(AllowFailover(ref(mover), "Because."))
    cluster.reconciler.policy = Policy(on_data_loss=OnDataLoss.REBUILD_EMPTY)
    cluster.replace()
    cluster.until_well()
    assert_others_agree(fleet, cluster.server(cluster.masters()[0]))
