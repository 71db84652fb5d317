"""Whole runs: real Redis servers, a real lease and marker; only ECS is told by the test."""

import asyncio
import dataclasses
import time
import uuid
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from checking import key_of
from reconciling import tasks_of
from redis_fargate.aws.secrets import Secrets
from redis_fargate.aws.state import Lease, Remembered, StateTable
from redis_fargate.aws.tasks import Observed
from redis_fargate.controller.ports import Rooms
from redis_fargate.controller.reconcile import MARGIN_S, dry_run, reconcile, status
from redis_fargate.controller.result import Outcome, Result
from redis_fargate.controller.rooms import RedisNodes
from redis_fargate.controller.settings import Settings
from redis_fargate.controller.until_healthy import until_healthy
from redis_fargate.topology.health import Health
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.view import Marker

READING = {
    "auth", "client", "cluster|info", "cluster|myid", "cluster|nodes", "command", "config|get",
    "hello", "info", "ping", "select",
}  # fmt: skip
"""What an observation may ask."""
OF_THE_SERVERS = {"psync", "replconf", "ping"}
"""What nodes send to each other."""


class Tasks:
    """The tasks, as ECS would list them."""

    def __init__(self, servers):
        self.tasks = tasks_of(servers)

    def observe(self):
        return Observed(self.tasks)

    def protect(self, arns, lasts_s):
        until_s = time.time() + lasts_s if lasts_s else None
        self.tasks = tuple(
            dataclasses.replace(task, protected_until_s=until_s) if task.arn in arns else task
            for task in self.tasks
        )
        return ()

    def change(self, number, **fields):
        changed = dataclasses.replace(self.tasks[number], **fields)
        self.tasks = (*self.tasks[:number], changed, *self.tasks[number + 1 :])


class World:
    def __init__(self, servers, clients, table, count, spec, **settings):
        self.clients = clients
        self.secrets = Secrets(clients)
        self.settings = Settings(
            "redis", "redis", "redis-cluster-service", "local", "redis-cluster", table, spec,
            Policy(), **settings,
        )  # fmt: skip
        self.state = StateTable(clients, table)
        self.tasks = Tasks(servers.servers[:count])

    @asynccontextmanager
    async def rooms(self):
        async with RedisNodes(self.settings, self.secrets) as nodes:
            yield Rooms(self.tasks, self.state, nodes)

    async def reconciled(self, left_s=60.0) -> Result:
        async with self.rooms() as rooms:
            return await reconcile(
                self.settings,
                rooms,
                owner=uuid.uuid4().hex,
                deadline_s=time.monotonic() + MARGIN_S + left_s,
            )

    def reconcile(self, left_s=60.0) -> Result:
        return asyncio.run(self.reconciled(left_s))

    def look(self, how) -> Result:
        async def looked():
            async with self.rooms() as rooms:
                return await how(self.settings, rooms)

        return asyncio.run(looked())


@pytest.fixture
def world(servers, clients, table_name):
    def make(count=6, spec=Spec(3, 3), *, config=(), **settings):  # noqa: B008 - it is frozen
        servers.start(count, **dict(config))
        return World(servers, clients, table_name, count, spec, **settings)

    return make


def commands(servers):
    """Command to number of calls, over all servers."""
    total = {}
    for server in servers.servers:
        for line in servers.cli("-h", server.address, "info", "commandstats").splitlines():
            name, _, stats = line.removeprefix("cmdstat_").partition(":calls=")
            if stats:
                total[name] = total.get(name, 0) + int(stats.split(",")[0])
    return total


def test_forms_and_then_lets_well_alone(world, servers):
    it = world()
    result = it.reconcile()
    assert result.outcome is Outcome.CONVERGED, result
    assert result.health is Health.OK
    assert result.run == 1
    assert [shard.slot_count for shard in result.shards] == [5462, 5461, 5461]
    assert all(shard.master and len(shard.replicas) == 1 for shard in result.shards)
    assert {step.phase for step in result.done} == {"form"}
    assert [step.step for step in result.done[-2:]] == [
        "protect 6 tasks",
        "write down that the cluster is formed",
    ]
    assert it.state.marker() == Remembered(Marker.FORMED)
    servers.cli("--cluster", "check", f"{servers.servers[0].address}:6379")

    before = commands(servers)
    again = it.reconcile()
    after = commands(servers)
    assert again.outcome is Outcome.CONVERGED
    assert again.done == ()
    assert again.run == 2
    used = {name for name, calls in after.items() if calls != before.get(name)}
    assert used - OF_THE_SERVERS <= READING


def test_looking_changes_nothing(world, servers):
    it = world(3, Spec(3, 0))
    before = commands(servers)
    planned = it.look(dry_run)
    assert planned.outcome is Outcome.PLANNED
    assert planned.plan
    assert planned.done == ()
    seen = it.look(status)
    assert seen.outcome is Outcome.OBSERVED
    assert seen.health is Health.FORMING
    after = commands(servers)
    assert {name for name in after if after[name] != before.get(name)} <= READING
    assert it.state.marker() == Remembered(Marker.ABSENT)
    assert it.state.acquire("somebody", 1) == Lease("somebody", 1)


def test_two_controllers_at_once(world):
    it = world(3, Spec(3, 0))

    async def both():
        return await asyncio.gather(*(it.reconciled() for _ in range(2)))

    first, second = sorted(asyncio.run(both()), key=lambda result: result.run)
    assert first.outcome is Outcome.BUSY
    assert first.done == ()
    assert second.outcome is Outcome.CONVERGED
    assert second.health is Health.OK


def test_out_of_time_and_on_again(world):
    it = world(3, Spec(3, 0))
    cut = it.reconcile(left_s=0.15)
    assert cut.outcome is Outcome.OUT_OF_TIME, cut
    assert it.reconcile().outcome is Outcome.CONVERGED


def test_the_wrong_password_is_a_sentence(world, clients):
    name = f"redis-{uuid.uuid4().hex[:8]}"
    clients.secretsmanager.create_secret(Name=name, SecretString="wrong")
    it = world(3, Spec(3, 0), config={"requirepass": "right"}, password_secret=name)
    result = it.reconcile()
    assert result.outcome is Outcome.REFUSED
    assert "refuses the password" in result.verdict
    assert "wrong" not in repr(result).replace("wrong-task", "")
    assert {other.role for other in result.others} == {"authentication"}


def test_a_rotated_password_is_read_again(world, clients):
    name = f"redis-{uuid.uuid4().hex[:8]}"
    clients.secretsmanager.create_secret(Name=name, SecretString="old")
    config = {"requirepass": "new", "masterauth": "new"}
    it = world(3, Spec(3, 0), config=config, password_secret=name)
    assert it.reconcile().outcome is Outcome.REFUSED
    clients.secretsmanager.put_secret_value(SecretId=name, SecretString="new")
    assert it.reconcile().outcome is Outcome.CONVERGED


def test_a_task_that_does_not_answer(world, servers):
    it = world(3, Spec(3, 0))
    servers.servers[1].kill()
    result = it.reconcile()
    assert result.outcome is Outcome.REFUSED
    assert it.tasks.tasks[1].id in result.verdict
    assert it.state.marker() == Remembered(Marker.ABSENT)


def test_a_task_that_is_not_there_yet_is_waited_for_by_the_next_run(world):
    it = world(3, Spec(3, 0))
    it.tasks.change(2, running=False, started_at_s=None)
    for number in (0, 1):
        it.tasks.change(number, started_at_s=time.time())
    result = it.reconcile()
    assert result.outcome is Outcome.WAITING
    assert result.waiting
    it.tasks.change(2, running=True, started_at_s=time.time())
    assert it.reconcile().outcome is Outcome.CONVERGED


def test_until_healthy_outlasts_another_run_and_waits_for_tasks(world):
    it = world(3, Spec(3, 0))
    it.tasks.change(2, running=False, started_at_s=None)
    for number in (0, 1):
        it.tasks.change(number, started_at_s=time.time())
    held = it.state.acquire("another run", 60)
    outcomes = []

    async def attempt():
        result = await it.reconciled()
        outcomes.append(result.outcome)
        if result.outcome is Outcome.BUSY:
            it.state.release(held, even_if_dirty=True)
        if result.outcome is Outcome.WAITING:
            it.tasks.change(2, running=True, started_at_s=time.time())
        return result

    deadline_s = time.monotonic() + MARGIN_S + 60
    result = asyncio.run(until_healthy(attempt, deadline_s=deadline_s, pause_s=0.05))
    assert outcomes == [Outcome.BUSY, Outcome.WAITING, Outcome.CONVERGED]
    assert result.health is Health.OK


def test_an_event_during_a_run_is_looked_at_before_its_end(world):
    """A task stops and is gone while another run forms: that run sees it before it ends."""
    it = world(3, Spec(3, 0))
    looks = []
    observe = it.tasks.observe

    def observed():
        looks.append(time.monotonic())
        if len(looks) == 2:  # the look that finds the cluster formed
            it.state.acquire("an event", 60)
        return observe()

    it.tasks.observe = observed
    assert it.reconcile().outcome is Outcome.CONVERGED
    assert len(looks) >= 3


def test_slots_that_nobody_serves_are_told_while_the_other_shards_serve(world, servers):
    """The servers do not require full coverage, and say that all is well."""
    it = world(3, Spec(3, 0), config={"cluster_node_timeout": "1000"})
    assert it.reconcile().outcome is Outcome.CONVERGED
    servers.servers[0].kill()
    it.tasks.tasks = it.tasks.tasks[1:]
    result = it.look(status)
    assert result.health is Health.DOWN
    assert result.unserved_slots in (5461, 5462)
    with Redis(servers.servers[1].address) as client:
        while client.cluster("info")["cluster_slots_fail"] == "0":
            time.sleep(0.01)
        assert client.cluster("info")["cluster_state"] == "ok"
        own = next(node for node in it.look(status).shards if node.master)
        assert client.cluster("info")["cluster_slots_ok"] != "16384"
        with Redis(own.master.address) as owner:
            assert owner.set(key_of(int(own.slots.partition("-")[0])), "served")


def test_runs_are_remembered(world, clients, table_name):
    it = world(1, Spec(1, 0))
    it.reconcile()
    run = clients.dynamodb.get_item(
        TableName=table_name, Key={"kind": {"S": "run"}, "id": {"S": f"{1:012}"}}
    )["Item"]
    assert run["outcome"] == {"S": "converged"}
    assert run["health"] == {"S": "ok"}
