"""What Terraform's AWS provider asks for and ministack alone does not answer."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from functions import create_function

from redis_fargate.local.clients import Clients

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


def test_a_function_is_updated_after_what_runs(clients: Clients, tmp_path: Path) -> None:
    begun, end = tmp_path / "begun", tmp_path / "end"
    arn = create_function(clients, "busy", UNTIL_TOLD)
    payload = json.dumps({"begun": str(begun), "end": str(end)})
    with ThreadPoolExecutor(2) as pool:
        run = pool.submit(clients.functions.invoke, FunctionName=arn, Payload=payload)
        deadline = time.monotonic() + 30
        while not begun.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        update = pool.submit(
            clients.functions.update_function_configuration, FunctionName="busy", Timeout=60
        )
        with pytest.raises(TimeoutError):
            update.result(timeout=0.5)
        end.touch()
        assert json.loads(run.result()["Payload"].read()) == "done"
        assert update.result()["Timeout"] == 60
