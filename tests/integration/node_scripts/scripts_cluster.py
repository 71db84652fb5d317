"""Clusters of nodes that the entry point has started, formed by the controller's loop."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from redis.cluster import RedisCluster
from scripts_rig import Node, Starter, free_address

from reconciling import Reconciler, tasks_of
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Member, Task
from servers import Server

CONFIG = "repl-diskless-sync-delay 0\nshutdown-timeout 1\n"


@dataclass
class Cluster:
    """Formed of nodes that the entry point started."""

    start: Starter
    environment: dict[str, str]
    spec: Spec
    settings: ConnectionSettings = field(default_factory=ConnectionSettings)
    options: dict[str, Any] = field(default_factory=dict)
    """What a client needs beside address and password."""

    def __post_init__(self) -> None:
        self.nodes: list[Node] = []
        for _ in range(self.spec.task_count):
            self.add(free_address())
        self.reconciler = Reconciler(self.tasks(), self.spec, self.settings)
        asyncio.run(self.reconciler.run())
        self.members = self.reconciler.members

    def add(self, address: str) -> Node:
        """Start a node in a task of its own."""
        number = len(self.nodes)
        mine = {
            "REDIS_CONFIG": CONFIG + self.environment.get("REDIS_CONFIG", ""),
            "REDIS_ADDRESS": address,
            "REDIS_DATA_DIR": f"{self.environment['REDIS_DATA_DIR']}-{number}",
            "ECS_CONTAINER_METADATA_URI_V4": f"http://169.254.170.2/v4/{_task_id(number)}-1",
        }
        self.nodes.append(self.start(self.environment | mine, **self.options))
        return self.nodes[-1]

    def tasks(self) -> tuple[Task, ...]:
        """Those of all nodes, in the order of their starts."""
        return tasks_of(
            [
                Server(
                    node.address, _task_id(number), node.process, node.log_file, self.settings.tls
                )
                for number, node in enumerate(self.nodes)
            ]
        )

    def node(self, member: Member) -> Node:
        return next(n for n in self.nodes if n.address == member.task.address)

    @property
    def master(self) -> Node:
        return self.node(next(m for m in self.members if m.node.slots))

    @property
    def replicas(self) -> list[Node]:
        master = next(m for m in self.members if m.node.slots)
        return [self.node(m) for m in self.members if m.node.master_id == master.node.id]

    def client(self, through: Node) -> RedisCluster:
        return RedisCluster(
            host=through.address,
            port=6379,
            password=self.settings.password,
            **self.options,
        )


def _task_id(number: int) -> str:
    return f"{number:032}"
