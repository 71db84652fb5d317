"""Cloud Map and EC2, as the local ECS uses them."""

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from redis_fargate.local.clients import Clients
from redis_fargate.local.cloudmap import CloudMapRegistry
from redis_fargate.local.errors import InvalidSubnet
from redis_fargate.local.subnets import Ec2Subnets

ATTRIBUTES = {
    "AWS_INSTANCE_IPV4": "127.1.2.3",
    "AVAILABILITY_ZONE": "us-east-1b",
    "ECS_CLUSTER_NAME": "redis-local",
    "REGION": "us-east-1",
}


@dataclass
class Discovery:
    clients: Clients
    namespace: str
    arn: str

    def instances(self, health: str = "ALL") -> list[dict[str, Any]]:
        return self.clients.client("servicediscovery").discover_instances(
            NamespaceName=self.namespace, ServiceName="redis-cluster", HealthStatus=health
        )["Instances"]


@pytest.fixture
def discovery(clients: Clients) -> Discovery:
    cloud_map = clients.servicediscovery
    name = f"n{uuid.uuid4().hex[:6]}"
    cloud_map.create_private_dns_namespace(Name=name, Vpc="vpc-1")
    (namespace,) = [n for n in cloud_map.list_namespaces()["Namespaces"] if n["Name"] == name]
    service = cloud_map.create_service(
        Name="redis-cluster",
        NamespaceId=namespace["Id"],
        DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 10}]},
        HealthCheckCustomConfig={"FailureThreshold": 1},
    )
    return Discovery(clients, name, service["Service"]["Arn"])


def test_a_task_is_registered_with_its_health_and_gone_again(discovery: Discovery) -> None:
    registry = CloudMapRegistry(discovery.clients)

    async def scenario() -> None:
        await registry.register(discovery.arn, "task-1", ATTRIBUTES)
        (instance,) = discovery.instances()
        assert instance["InstanceId"] == "task-1"
        assert instance["Attributes"].items() >= ATTRIBUTES.items()
        await registry.set_health(discovery.arn, "task-1", healthy=False)
        assert [i["HealthStatus"] for i in discovery.instances()] == ["UNHEALTHY"]
        assert discovery.instances("HEALTHY") == []
        await registry.set_health(discovery.arn, "task-1", healthy=True)
        assert [i["HealthStatus"] for i in discovery.instances("HEALTHY")] == ["HEALTHY"]
        await registry.deregister(discovery.arn, "task-1")
        assert discovery.instances() == []
        await registry.deregister(discovery.arn, "task-1")
        await registry.set_health(discovery.arn, "task-1", healthy=True)

    asyncio.run(scenario())


def test_a_service_that_does_not_exist(clients: Clients) -> None:
    registry = CloudMapRegistry(clients)
    arn = "arn:aws:servicediscovery:us-east-1:000000000000:service/srv-nothing"
    with pytest.raises(ClientError, match="ServiceNotFound"):
        asyncio.run(registry.register(arn, "task-1", ATTRIBUTES))


def test_many_instances(discovery: Discovery) -> None:
    registry = CloudMapRegistry(discovery.clients)

    async def scenario() -> None:
        await asyncio.gather(
            *(registry.register(discovery.arn, f"t{i}", ATTRIBUTES) for i in range(150))
        )

    asyncio.run(scenario())
    assert len(discovery.instances()) == 150


def test_zones_of_subnets(clients: Clients) -> None:
    subnets = clients.ec2.describe_subnets()["Subnets"]
    expected = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in subnets}
    assert len(set(expected.values())) > 1
    assert asyncio.run(Ec2Subnets(clients).zones(list(expected))) == expected


def test_a_subnet_that_does_not_exist(clients: Clients) -> None:
    with pytest.raises(InvalidSubnet, match="subnet-nothing"):
        asyncio.run(Ec2Subnets(clients).zones(["subnet-nothing"]))
