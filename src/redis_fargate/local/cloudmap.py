"""Cloud Map, as ECS uses it for a service's ``serviceRegistries``."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from redis_fargate.local.clients import Clients


class CloudMapRegistry:
    """Registers tasks through the endpoint; a :class:`~redis_fargate.local.ports.Registry`.

    All of it raises botocore's errors when the endpoint refuses or is not there.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def register(
        self, service_arn: str, instance_id: str, attributes: Mapping[str, str]
    ) -> None:
        """Register a task's address."""

        def call() -> None:
            self._clients.servicediscovery.register_instance(
                ServiceId=_service_id(service_arn),
                InstanceId=instance_id,
                Attributes=dict(attributes),
            )

        await asyncio.to_thread(call)

    async def set_health(self, service_arn: str, instance_id: str, *, healthy: bool) -> None:
        """Push container and task health; nothing happens to a task that is not registered."""

        def call() -> None:
            cloud_map = self._clients.servicediscovery
            with suppress(cloud_map.exceptions.InstanceNotFound):
                cloud_map.update_instance_custom_health_status(
                    ServiceId=_service_id(service_arn),
                    InstanceId=instance_id,
                    Status="HEALTHY" if healthy else "UNHEALTHY",
                )

        await asyncio.to_thread(call)

    async def deregister(self, service_arn: str, instance_id: str) -> None:
        """Take a task's address out again; nothing happens if it is not there."""

        def call() -> None:
            cloud_map = self._clients.servicediscovery
            with suppress(cloud_map.exceptions.InstanceNotFound):
                cloud_map.deregister_instance(
                    ServiceId=_service_id(service_arn), InstanceId=instance_id
                )

        await asyncio.to_thread(call)


def _service_id(service_arn: str) -> str:
    return service_arn.rpartition("/")[2]
