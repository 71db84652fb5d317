"""The rooms of a real run: AWS, and Redis over connections that last as long as the run."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self

from redis_fargate.aws.clients import Clients
from redis_fargate.aws.secrets import Secrets
from redis_fargate.aws.state import StateTable
from redis_fargate.aws.tasks import ServiceTasks
from redis_fargate.controller.ports import Rooms
from redis_fargate.controller.settings import InvalidSettings, Settings
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.execute import check_spare, execute, settings_kept
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.slots import SlotRanges
from redis_fargate.topology.steps import NodeStep, Step, Unprotect
from redis_fargate.topology.view import Member, Task, Trouble


@asynccontextmanager
async def opened(settings: Settings, clients: Clients, secrets: Secrets) -> AsyncIterator[Rooms]:
    """Open what a run needs, and close its connections at the end.

    ``clients`` and ``secrets`` may serve many runs.

    Raises:
        InvalidSettings: the CA certificate cannot be read.
        AwsUnavailable, AccessDenied, AwsRefused: a secret cannot be read.

    """
    tasks = ServiceTasks(
        clients,
        settings.ecs_cluster,
        settings.ecs_service,
        settings.cloudmap_namespace,
        settings.cloudmap_service,
    )
    async with RedisNodes(settings, secrets) as nodes:
        yield Rooms(tasks, StateTable(clients, settings.state_table), nodes)


class RedisNodes:
    """The port ``Nodes`` on real servers; an async context manager.

    A node that refuses the password makes it read the secrets again, once, since they may
    have been rotated since this process read them.
    """

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets
        self._connections: Connections
        self._secrets_are_new = False

    async def __aenter__(self) -> Self:
        self._connections = await self._connected()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connections.__aexit__(kind, error, trace)

    async def observe(self, tasks: Sequence[Task], moving: SlotRanges) -> tuple[Member, ...]:
        """Ask every task's node how it is."""
        members = await observe(tasks, self._connections, moving)
        refused = any(member.trouble is Trouble.AUTHENTICATION for member in members)
        if not refused or self._secrets_are_new:
            return members
        await asyncio.to_thread(self._secrets.forget)
        self._secrets_are_new = True
        known, self._connections = self._connections, await self._connected()
        await known.__aexit__(None, None, None)
        return await observe(tasks, self._connections, moving)

    async def execute(self, steps: Sequence[NodeStep], time_left_s: float) -> None:
        """Take the steps of one wave."""
        await execute(steps, self._connections, time_left_s)

    async def check_spare(self, steps: Sequence[Unprotect]) -> None:
        """See that tasks can be spared."""
        await check_spare(steps, self._connections)

    def settings_kept(self, steps: Iterable[Step]) -> AbstractAsyncContextManager[None]:
        """Put back settings that a plan has changed, if it is cut short inside."""
        return settings_kept(steps, self._connections)

    async def _connected(self) -> Connections:
        settings = self._settings
        password, tls_ca = await asyncio.gather(
            self._secret(settings.password_secret), self._secret(settings.tls_ca_secret)
        )
        try:
            return Connections(
                ConnectionSettings(
                    port=settings.redis_port,
                    username=settings.redis_username,
                    password=password,
                    tls=settings.tls,
                    tls_ca=tls_ca,
                )
            )
        except ssl.SSLError as error:
            raise InvalidSettings(
                f"The secret {settings.tls_ca_secret} (TLS_CA_SECRET_ARN) holds no certificates in "
                f"PEM form: {error}"
            ) from error

    async def _secret(self, reference: str | None) -> str | None:
        return await asyncio.to_thread(self._secrets.read, reference) if reference else None
