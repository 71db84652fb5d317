"""What Terraform's AWS provider asks for and ministack alone does not answer."""

from redis_fargate.local.clients import Clients


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
