"""What Terraform's AWS provider asks for and ministack alone does not answer."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ReadTimeoutError
from functions import create_function

from redis_fargate.local.clients import Clients
from until import until

UNTIL_TOLD = """
import pathlib, time
def handler(event, context):
    pathlib.Path(event["begun"]).touch()
    while not pathlib.Path(event["end"]).exists():
        time.sleep(0.01)
    return "done"
"""


def test_a_service_may_name_its_namespace_in_its_dns_config(clients: Clients) -> None:
    discovery = clients.servicediscovery
    operation = discovery.create_private_dns_namespace(Name="old.internal", Vpc="vpc-1")
    done = discovery.get_operation(OperationId=operation["OperationId"])["Operation"]
    namespace = done["Targets"]["NAMESPACE"]
    records = {"DnsRecords": [{"Type": "A", "TTL": 10}], "RoutingPolicy": "MULTIVALUE"}
    made = discovery.create_service(Name="redis", DnsConfig={"NamespaceId": namespace, **records})[
        "Service"
    ]
    assert made["NamespaceId"] == namespace
    found = discovery.get_service(Id=made["Id"])["Service"]
    assert found["DnsConfig"] == {"NamespaceId": namespace, **records}


def test_a_nat_gateway_has_the_address_that_it_was_created_with(clients: Clients) -> None:
    ec2 = clients.ec2
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    addresses = [ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(2)]
    gateways = [
        ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]
        for address in addresses
    ]
    private = ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"]
    made = {gateway["NatGatewayId"]: gateway["NatGatewayAddresses"] for gateway in gateways}
    assert list(made.values()) == [[{"AllocationId": address}] for address in addresses]
    wanted = [*made, private["NatGatewayId"]]
    found = ec2.describe_nat_gateways(NatGatewayIds=wanted)["NatGateways"]
    assert {gateway["NatGatewayId"]: gateway["NatGatewayAddresses"] for gateway in found} == {
        **made, private["NatGatewayId"]: [],
    }  # fmt: skip


def test_a_vpc_endpoint_is_as_it_was_created(clients: Clients) -> None:
    ec2 = clients.ec2
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    service = {"VpcId": vpc, "ServiceName": "com.amazonaws.us-east-1.ecs"}
    made = ec2.create_vpc_endpoint(
        **service, VpcEndpointType="Interface", SecurityGroupIds=["sg-1"], PrivateDnsEnabled=True
    )["VpcEndpoint"]
    other = ec2.create_vpc_endpoint(**service, VpcEndpointType="Gateway")["VpcEndpoint"]
    found = ec2.describe_vpc_endpoints(
        VpcEndpointIds=[made["VpcEndpointId"], other["VpcEndpointId"]]
    )["VpcEndpoints"]
    assert found == [made, other]
    assert [endpoint["PrivateDnsEnabled"] for endpoint in found] == [True, False]
    groups = [[group["GroupId"] for group in endpoint["Groups"]] for endpoint in found]
    assert groups == [["sg-1"], []]


@pytest.fixture(name="busy")
def fixture_busy(clients: Clients, tmp_path: Path) -> Iterator[Path]:
    """A function of this name runs, until this file is there."""
    begun, end = tmp_path / "begun", tmp_path / "end"
    arn = create_function(clients, "busy", UNTIL_TOLD)
    payload = json.dumps({"begun": str(begun), "end": str(end)})
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(clients.functions.invoke, FunctionName=arn, Payload=payload)
        try:
            until(begun.exists)
            yield end
        finally:
            end.touch()
        assert json.loads(run.result()["Payload"].read()) == "done"
    clients.functions.delete_function(FunctionName="busy")


def test_a_function_is_updated_after_what_runs(clients: Clients, busy: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        update = pool.submit(
            clients.functions.update_function_configuration, FunctionName="busy", Timeout=70
        )
        with pytest.raises(TimeoutError):
            update.result(timeout=0.5)
        busy.touch()
        assert update.result()["Timeout"] == 70


def test_an_update_that_nobody_waits_for_is_not_made(clients: Clients, busy: Path) -> None:
    hasty = Clients(clients.url, read_timeout_s=0.1)
    with pytest.raises(ReadTimeoutError):
        hasty.functions.update_function_configuration(FunctionName="busy", Timeout=50)
    hasty.close()
    with ThreadPoolExecutor(1) as pool:
        update = pool.submit(
            clients.functions.update_function_configuration, FunctionName="busy", MemorySize=256
        )
        busy.touch()
        assert update.result()["Timeout"] != 50
