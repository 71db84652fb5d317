"""A cluster of real servers with data in it, whose tasks come and go as ECS makes them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import Redis
from redis.cluster import RedisCluster
from redis.crc import key_slot

from checking import assert_as_wanted, assert_others_agree
from reconciling import Reconciler, tasks_of
from redis_fargate.local.cutting import cut, mend
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.polling import attempts
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.errors import TemporaryError
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.slots import numbers
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import NodeRef
from redis_fargate.topology.view import Member, Task
from servers import PORT, Fleet, Server

SETTINGS = ConnectionSettings(connect_timeout_s=1, answer_timeout_s=1)
CONFIG = {"cluster_node_timeout": "3000", "repl_diskless_sync_delay": "0"}
"""Long enough for us to be there before Redis holds an election, and short for what comes after."""
KEYS = 300
DEADLINE_S = 60


class Cluster:
    """Formed, with data on every shard, and all of it on every replica."""

    def __init__(
        self, fleet: Fleet, spec: Spec, settings: ConnectionSettings = SETTINGS, **config: str
    ) -> None:
        self.fleet, self.spec, self.config = fleet, spec, CONFIG | config
        self.password = settings.password
        fleet.start(spec.task_count, **self.config)
        self.reconciler = Reconciler(self.tasks(), spec, settings)
        self.reconcile()
        with RedisCluster(
            host=fleet.servers[0].address, port=PORT, password=self.password
        ) as client:
            for number in range(KEYS):
                client.set(f"key:{number}", number)
        for member in self.masters():
            with self.client(member) as client:
                replicas = spec.replica_count // spec.master_count
                assert client.execute_command("WAIT", replicas, 10_000) >= replicas
        self.until(lambda _: all(member.node for member in self.reconciler.members))

    def reconcile(self) -> Plan:
        return asyncio.run(self.reconciler.run())

    def plan(self) -> Plan:
        """What would be done next."""

        async def look() -> Plan:
            async with Connections(self.reconciler.settings) as connections:
                return await self.reconciler.look(connections)

        return asyncio.run(look())

    def tasks(self) -> tuple[Task, ...]:
        """Those of all servers, stopped ones, too."""
        return tasks_of(self.fleet.servers)

    def client(self, member: Member) -> Redis:
        return Redis(host=member.task.address, port=PORT, password=self.password)

    def masters(self) -> list[Member]:
        return [member for member in self.reconciler.members if member.node.slots]

    def replica_of(self, master: Member) -> Member:
        return next(
            m for m in self.reconciler.members if m.node and m.node.master_id == master.node.id
        )

    def server(self, member: Member) -> Server:
        return next(s for s in self.fleet.servers if s.task_id == member.task.id)

    def kill(self, *members: Member) -> None:
        """The tasks stop, and ECS lists them no more."""
        for member in members:
            self.server(member).kill()
        gone = {member.task.id for member in members}
        self.reconciler.memory.stopped |= gone
        self.reconciler.tasks = tuple(t for t in self.reconciler.tasks if t.id not in gone)

    @contextmanager
    def cut_off(self, *members: Member) -> Iterator[None]:
        """They and their peers do not hear each other meanwhile, on the cluster bus."""

        def addresses() -> list[str]:
            return [task.address for task in self.reconciler.tasks if task.address]

        isolated = [member.task.address for member in members]
        asyncio.run(cut(addresses(), isolated, self.reconciler.settings))
        yield
        assert asyncio.run(mend(addresses(), self.reconciler.settings)) == isolated

    def replace(self) -> None:
        """ECS starts as many tasks as are missing."""
        missing = self.spec.task_count - len(self.reconciler.tasks)
        self.run(*self.fleet.start(missing, **self.config))

    def run(self, *servers: Server) -> None:
        """ECS lists these servers' tasks, too."""
        ids = {server.task_id for server in servers}
        self.reconciler.tasks += tuple(task for task in self.tasks() if task.id in ids)

    def scale(self, spec: Spec) -> None:
        """Another shape is wanted; ECS starts tasks now, or stops some once it may."""
        self.spec = self.reconciler.spec = spec
        self.replace()

    def _stop_surplus(self) -> None:
        surplus = len(self.reconciler.tasks) - self.spec.task_count
        spare = [task for task in self.reconciler.tasks if task.protected_until_s is None]
        self.kill(*(Member(task) for task in spare[: max(0, surplus)]))

    def until(self, met: Callable[[Plan], bool]) -> None:
        """Reconcile until a condition is met by what is left to do."""

        async def reconciled() -> Plan:
            made: Plan | TemporaryError = Plan()
            async for _ in attempts(DEADLINE_S):
                try:
                    made = await self.reconciler.run()
                except TemporaryError as error:  # the controller looks again, too
                    made = error
                    continue
                if met(made):
                    return made
                self._stop_surplus()
            raise AssertionError(made)

        asyncio.run(reconciled())

    def until_well(self) -> None:
        """Reconcile until nothing is left to do, or to be waited for."""
        self.until(lambda made: made == Plan())

    def settle(self) -> None:
        """Reconcile until no slot may be in flight any more."""
        self.until(lambda _: not self.reconciler.memory.moving)

    def owner_first(self, slot: int) -> list[Member]:
        """The masters, from the one on that has a slot."""
        return sorted(self.masters(), key=lambda m: slot not in set(numbers(m.node.slots)))

    def empty_slot(self, master: Member) -> int:
        """One of its slots in which there is no key."""
        filled = {key_slot(f"key:{number}".encode()) for number in range(KEYS)}
        return next(slot for slot in numbers(master.node.slots) if slot not in filled)

    def look(self) -> list[object]:
        """What a step may not change that is refused."""

        async def observed() -> tuple[Member, ...]:
            async with Connections(SETTINGS) as connections:
                return await observe(self.reconciler.tasks, connections)

        return [
            (node.id, node.role, node.master_id, node.slots, node.open_slots, node.keys)
            for member in asyncio.run(observed())
            if (node := member.node)
        ]

    def assert_whole(self) -> None:
        """Reconcile until nothing is waited for any more: everybody says ok, and has all keys."""
        self.until_well()
        settings = {name.replace("_", "-"): self.config[name] for name in CONFIG}
        assert_as_wanted(self.reconciler.members, self.spec, settings)
        survivor = self.server(self.reconciler.members[0])
        assert_others_agree(self.fleet, survivor)
        with RedisCluster(host=survivor.address, port=PORT) as client:
            assert [client.get(f"key:{n}") for n in range(KEYS)] == [
                str(n).encode() for n in range(KEYS)
            ]


def ref(member: Member) -> NodeRef:
    return NodeRef(member.node.id, member.task.address, PORT, member.task.id)
