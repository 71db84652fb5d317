"""EC2, as far as ECS needs it to place a task."""

import asyncio
from collections.abc import Mapping, Sequence

from botocore.exceptions import ClientError

from redis_fargate.local.clients import Clients
from redis_fargate.local.errors import InvalidSubnet


class Ec2Subnets:
    """Asks the endpoint; a :class:`~redis_fargate.local.ports.Subnets`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def zones(self, subnet_ids: Sequence[str]) -> Mapping[str, str]:
        """Subnet id to zone, in the order asked for; see the port for what it raises."""
        found = await asyncio.to_thread(self._describe, subnet_ids)
        for subnet in subnet_ids:
            if subnet not in found:
                raise InvalidSubnet(f"The subnet ID '{subnet}' does not exist")
        return {subnet: found[subnet] for subnet in subnet_ids}

    def _describe(self, subnet_ids: Sequence[str]) -> dict[str, str]:
        pages = self._clients.ec2.get_paginator("describe_subnets")
        try:
            return {
                subnet["SubnetId"]: subnet["AvailabilityZone"]
                for page in pages.paginate(SubnetIds=list(subnet_ids))
                for subnet in page["Subnets"]
            }
        except ClientError as error:
            if error.response["Error"]["Code"].startswith("InvalidSubnet"):
                raise InvalidSubnet(error.response["Error"]["Message"]) from error
            raise
