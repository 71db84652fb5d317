"""No step does harm, whatever it is told: it looks at the server first, and says what it saw."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from redis import Redis

from checking import key_of
from reconciling import Reconciler, tasks_of
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import (
    CommandRefused,
    NodeUnreachable,
    PreconditionFailed,
    StepFailed,
)
from redis_fargate.nodes.execute import execute
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.polling import attempts
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.slots import ALL_SLOTS, SlotRange
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import (
    AddSlots,
    AwaitAgreement,
    AwaitHealthy,
    ChangeSettings,
    Forget,
    Meet,
    NodeRef,
    NodeStep,
    Phase,
    Replicate,
    SetConfigEpoch,
)
from redis_fargate.topology.view import Member
from servers import PORT, Fleet, Server

SETTINGS = ConnectionSettings(connect_timeout_s=1, answer_timeout_s=1)


@dataclass
class Scene:
    """Two masters with a replica each; a foreign cluster of one with keys; two blank nodes."""

    servers: list[Server]
    masters: list[NodeRef]
    replicas: list[NodeRef]
    """In the order of their masters."""
    foreign: NodeRef
    blank: NodeRef
    other_blank: NodeRef

    def observed(self) -> tuple[Member, ...]:
        async def look() -> tuple[Member, ...]:
            async with Connections(SETTINGS) as connections:
                return await observe(tasks_of(self.servers), connections)

        return tuple(_timeless(member) for member in asyncio.run(look()))


def _timeless(member: Member) -> Member:
    assert member.node, member.detail
    node = replace(
        member.node,
        replication=replace(member.node.replication, offset=0),
        used_memory_bytes=0,
    )
    return replace(member, node=node)


def _ref(member: Member) -> NodeRef:
    assert member.node
    return NodeRef(member.node.id, member.node.address, member.node.port, member.task.id)


def _roles_known(members: Sequence[Member]) -> bool:
    """Whether all tables show every node in its role: gossip brings that a while after."""
    roles = {member.node.id: member.node.role for member in members if member.node}
    return all(
        peer.role is roles[peer.id]
        for member in members
        if member.node
        for peer in member.node.peers
    )


@pytest.fixture(scope="module")
def scene(module_fleet: Fleet) -> Scene:
    ours, foreign, blanks = (module_fleet.start(count) for count in (4, 1, 2))
    mine = Reconciler(tasks_of(ours), Spec(2, 2))
    theirs = Reconciler(tasks_of(foreign), Spec(1, 0))
    blank = Reconciler(tasks_of(blanks), Spec(1, 0))

    async def form() -> None:
        await asyncio.gather(mine.run(), theirs.run())
        async with Connections(SETTINGS) as connections:
            blank.members = await observe(blank.tasks, connections)
            async for _ in attempts(30):
                if _roles_known(await observe(mine.tasks, connections)):
                    break

    asyncio.run(form())
    with Redis(host=foreign[0].address, port=PORT) as client:
        client.set("a key", "of another cluster")
    nodes = [member for member in mine.members if member.node]
    masters = [member for member in nodes if member.node.master_id is None]
    replicas = [
        next(member for member in nodes if member.node.master_id == master.node.id)
        for master in masters
    ]
    return Scene(
        [*ours, *foreign, *blanks],
        [_ref(member) for member in masters],
        [_ref(member) for member in replicas],
        _ref(theirs.members[0]),
        *map(_ref, blank.members),
    )


def _somewhere_else(node: NodeRef, address: str) -> NodeRef:
    return replace(node, address=address)


REFUSALS: dict[str, tuple[Callable[[Scene], NodeStep], str]] = {
    "forgetting a slot holder": (
        lambda s: Forget(
            s.masters[0].id, s.masters[0].task_id, (s.masters[1], s.replicas[1]), "because"
        ),
        "owns the slots",
    ),
    "forgetting a replica that lives": (
        lambda s: Forget(s.replicas[0].id, s.replicas[0].task_id, tuple(s.masters), "because"),
        "to have stopped; it answers",
    ),
    "forgetting another task's node": (
        lambda s: Forget(s.replicas[0].id, "another-task", tuple(s.masters), "because"),
        "it is the entry of task",
    ),
    "forgetting oneself": (
        lambda s: Forget(s.blank.id, s.blank.task_id, (s.blank,), "because"),
        "cannot be forgotten",
    ),
    "a master with slots becomes a replica": (
        lambda s: Replicate(s.masters[0], s.masters[1], "because", Phase.JOIN),
        "to be empty before it becomes a replica",
    ),
    "a node with keys becomes a replica": (
        lambda s: Replicate(s.foreign, s.masters[0], "because", Phase.JOIN),
        "it has 1 keys",
    ),
    "replicating a replica": (
        lambda s: Replicate(s.blank, s.replicas[0], "because", Phase.JOIN),
        "to be a master that",
    ),
    "a replica that has become another node": (
        lambda s: Replicate(
            replace(s.blank, id=s.other_blank.id), s.masters[0], "because", Phase.JOIN
        ),
        "another server has taken the address",
    ),
    "slots that somebody owns": (
        lambda s: AddSlots(s.masters[0], ALL_SLOTS, "because"),
        "to be nobody's before",
    ),
    "slots for a replica": (
        lambda s: AddSlots(s.replicas[0], (SlotRange(0, 1),), "because"),
        "to be a master that can be given slots",
    ),
    "an epoch for a node that has one": (
        lambda s: SetConfigEpoch(s.masters[0], 4711, "because"),
        "to have no config epoch",
    ),
    "meeting a node of another cluster": (
        lambda s: Meet(
            s.masters[0],
            (_somewhere_else(s.blank, s.foreign.address),),
            "because",
            Phase.JOIN,
        ),
        "another server has taken the address",
    ),
    "meeting the node of another task": (
        lambda s: Meet(
            s.masters[0], (replace(s.foreign, task_id="our-task"),), "because", Phase.JOIN
        ),
        "says that it belongs to task",
    ),
    "settings of a node that has become another": (
        lambda s: ChangeSettings(
            _somewhere_else(s.blank, s.foreign.address), (("hz", "20"),), "because"
        ),
        "another server has taken the address",
    ),
}


@pytest.mark.parametrize(("step", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_what_would_do_harm_is_refused(
    scene: Scene, step: Callable[[Scene], NodeStep], sentence: str
) -> None:
    before = scene.observed()

    with pytest.raises(PreconditionFailed, match=sentence):
        asyncio.run(_take(step(scene)))

    assert scene.observed() == before


async def _take(*steps: NodeStep, patience_s: float = 0.3) -> None:
    async with Connections(SETTINGS) as connections:
        await execute(steps, connections, patience_s)


FAILURES: dict[str, tuple[Callable[[Scene], NodeStep], type[Exception], str]] = {
    "a master that is not known": (
        lambda s: Replicate(s.blank, s.masters[0], "because", Phase.JOIN),
        StepFailed,
        "does not know its future master",
    ),
    "agreement of nodes that do not know each other": (
        lambda s: AwaitAgreement((s.blank, s.other_blank), "because", Phase.FORM),
        StepFailed,
        "knows 1 of 2 nodes",
    ),
    "health of nodes without slots": (
        lambda s: AwaitHealthy((s.blank, s.other_blank), "because", Phase.FORM),
        StepFailed,
        "2 of 2 nodes are not there yet: .*cluster_state:fail with 0 slots served",
    ),
    "a node that is not there": (
        lambda s: ChangeSettings(
            _somewhere_else(s.blank, f"{s.blank.address.rpartition('.')[0]}.250"),
            (("hz", "20"),),
            "because",
        ),
        NodeUnreachable,
        "no connection to",
    ),
    "a setting that does not exist": (
        lambda s: ChangeSettings(s.blank, (("no-such-setting", "1"),), "because"),
        CommandRefused,
        "refused CONFIG SET",
    ),
}


@pytest.mark.parametrize(("step", "error", "sentence"), FAILURES.values(), ids=FAILURES)
def test_what_has_no_effect_is_told(
    scene: Scene, step: Callable[[Scene], NodeStep], error: type[Exception], sentence: str
) -> None:
    before = scene.observed()

    with pytest.raises(error, match=sentence):
        asyncio.run(_take(step(scene)))

    assert scene.observed() == before


def test_a_replica_does_not_leave_a_dead_master(fleet: Fleet) -> None:
    """It may hold the only copy of what its master had."""
    servers = fleet.start(4)
    reconciler = Reconciler(tasks_of(servers), Spec(2, 2))
    asyncio.run(reconciler.run())
    refs = {m.node.id: _ref(m) for m in reconciler.members if m.node}
    replica = next(m.node for m in reconciler.members if m.node and m.node.master_id)
    other = next(
        ref
        for ref in refs.values()
        if ref.id not in (replica.id, replica.master_id)
        and any(m.node and m.node.id == ref.id and m.node.slots for m in reconciler.members)
    )
    address = refs[replica.master_id].address
    master = next(m.node for m in reconciler.members if m.node and m.node.id == replica.master_id)
    with Redis(host=address, port=PORT) as client:
        client.set(key_of(master.slots[0].first), "its only copy")
        assert client.execute_command("WAIT", 1, 10_000) == 1
    server = next(server for server in servers if server.address == address)

    async def leave() -> None:
        async with Connections(SETTINGS) as connections:
            await observe(tasks_of(servers), connections)
            server.kill()  # and the run still has its connection
            await execute([Replicate(refs[replica.id], other, "because", Phase.FORM)], connections)

    with pytest.raises(PreconditionFailed, match="may have the only copy"):
        asyncio.run(leave())


def test_one_failure_does_not_keep_the_others_from_their_effect(fleet: Fleet) -> None:
    first, second = fleet.start(2)

    async def members() -> tuple[Member, ...]:
        async with Connections(SETTINGS) as connections:
            return await observe(tasks_of([first, second]), connections)

    one, two = map(_ref, asyncio.run(members()))
    wrong = replace(one, id="0" * 40)
    with pytest.raises(PreconditionFailed):
        asyncio.run(_take(*(SetConfigEpoch(node, 7, "because") for node in (wrong, two))))

    assert [m.node.config_epoch for m in asyncio.run(members()) if m.node] == [0, 7]


def test_steps_are_done_once(fleet: Fleet) -> None:
    """Each step that is taken again finds its effect and does nothing."""
    members = _look(fleet.start(2))
    one, two = map(_ref, members)
    steps: list[NodeStep] = [
        SetConfigEpoch(one, 1, "because"),
        SetConfigEpoch(two, 2, "because"),
        ChangeSettings(one, (("hz", "20"), ("cluster-node-timeout", "900")), "because"),
        AddSlots(one, (SlotRange(0, 99), SlotRange(200, 16383)), "because"),
        Meet(one, (two,), "because", Phase.FORM),
        AwaitAgreement((one, two), "because", Phase.FORM),
        Replicate(two, one, "because", Phase.FORM),
    ]

    async def each_twice() -> None:
        async with Connections(SETTINGS) as connections:
            for step in steps:
                await execute([step], connections, 20)
                await execute([step], connections, 20)

    asyncio.run(each_twice())

    master, replica = (member.node for member in _look(fleet.servers))
    assert master
    assert replica
    assert master.slots == (SlotRange(0, 99), SlotRange(200, 16383))
    assert replica.master_id == master.id
    assert master.settings["cluster-node-timeout"] == "900"


def _look(servers: list[Server]) -> tuple[Member, ...]:
    async def look() -> tuple[Member, ...]:
        async with Connections(SETTINGS) as connections:
            return await observe(tasks_of(servers), connections)

    return asyncio.run(look())
