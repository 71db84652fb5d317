"""A stand-in for HashiCorp's AWS provider: the real schema, and made-up answers.

``serving()`` starts a gRPC server that speaks Terraform's plugin protocol 6, with the schema of
``schema.json``. Terraform finds it through ``TF_REATTACH_PROVIDERS``, so that no registry is asked
and nothing is downloaded. Terraform itself checks every resource against the schema. What the
provider would check beyond that (a name's length, say) is not checked here.

A plan leaves what the provider would compute unknown; apply, read and open make it up
(``_made_up``). That includes ephemeral resources and write-only arguments, for which
``mock_provider`` has nothing.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import msgpack
from pyvider.protocols.tfprotov6.protobuf import tfplugin6_pb2 as pb
from pyvider.protocols.tfprotov6.protobuf import tfplugin6_pb2_grpc as pb_grpc

SNAPSHOT = Path(__file__).parent / "schema.json"
SOURCE = "registry.terraform.io/hashicorp/aws"
ACCOUNT = "123456789012"
REGION = "us-east-1"
VPC = "vpc-0123456789abcdef0"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
UNKNOWN = msgpack.ExtType(0, b"\x00")

_NESTING = {
    "single": pb.Schema.NestedBlock.SINGLE,
    "list": pb.Schema.NestedBlock.LIST,
    "set": pb.Schema.NestedBlock.SET,
    "map": pb.Schema.NestedBlock.MAP,
}
_numbers = count(1)

HEALTHY = {
    "cluster": "made-up",
    "outcome": "converged",
    "health": "ok",
    "verdict": "All 16384 slots are served.",
    "shards": [
        {
            "master": {"address": "10.0.0.1", "zone": "us-east-1a"},
            "replicas": [{"address": "10.0.1.1", "zone": "us-east-1b"}],
        },
        {
            "master": {"address": "10.0.1.2", "zone": "us-east-1b"},
            "replicas": [{"address": "10.0.0.2", "zone": "us-east-1a"}],
        },
    ],
}
"""What the controller function answers."""


def _secret(config: dict[str, Any]) -> dict[str, Any]:
    arn = (
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{config.get('name') or 'prefix'}-AbCdEf"
    )
    return {"arn": arn, "id": arn}


def _subnet(config: dict[str, Any]) -> dict[str, Any]:
    """``subnet-…-a`` is in zone a; ``subnet-public-…`` gives its hosts public addresses."""
    if config["id"] == UNKNOWN:  # the resource, not the data source
        return {"id": f"subnet-{next(_numbers)}-{config['availability_zone'][-1]}"}
    zone = f"{REGION}{config['id'][-1]}"
    return {
        "availability_zone": zone if zone in ZONES else ZONES[0],
        "map_public_ip_on_launch": "public" in config["id"],
        "vpc_id": VPC,
    }


_SPECIAL: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "aws_availability_zones": lambda _: {"names": list(ZONES)},
    "aws_caller_identity": lambda _: {"account_id": ACCOUNT},
    "aws_lambda_invocation": lambda _: {"result": json.dumps(HEALTHY)},
    "aws_partition": lambda _: {"partition": "aws", "dns_suffix": "amazonaws.com"},
    "aws_region": lambda _: {"id": REGION, "name": REGION, "region": REGION},
    "aws_ecs_cluster": lambda config: {
        "arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/"
        f"{config.get('name') or config.get('cluster_name')}"
    },
    "aws_kms_key": lambda _: {"arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/made-up"},
    "aws_secretsmanager_secret": _secret,
    "aws_security_group": lambda _: {"id": f"sg-{next(_numbers)}"},
    "aws_service_discovery_dns_namespace": lambda _: {"id": "ns-made-up"},
    "aws_service_discovery_private_dns_namespace": lambda _: {"id": "ns-made-up"},
    "aws_secretsmanager_random_password": lambda _: {"random_password": "made-up-password"},
    "aws_subnet": _subnet,
    "aws_subnets": lambda _: {"ids": ["subnet-a", "subnet-b", "subnet-c"]},
    "aws_vpc": lambda _: {"cidr_block": "10.0.0.0/16", "id": VPC},
}


@contextmanager
def serving() -> Iterator[dict[str, str]]:
    """Serve until the block ends; gives the environment variables that Terraform needs."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/provider"
        # Terraform calls for all resources of a graph's level at once.
        with ThreadPoolExecutor(8) as pool:
            server = grpc.server(
                pool, options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
            )
            pb_grpc.add_ProviderServicer_to_server(StandIn(), server)
            server.add_insecure_port(f"unix:{address}")
            server.start()
            settings = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": 1,
                "Test": True,  # never stop the process behind it
                "Addr": {"Network": "unix", "String": address},
            }
            try:
                yield {"TF_REATTACH_PROVIDERS": json.dumps({SOURCE: settings})}
            finally:
                server.stop(grace=None).wait()


class StandIn(pb_grpc.ProviderServicer):
    """What Terraform calls. Everything else of the protocol is answered "unimplemented"."""

    def __init__(self) -> None:
        schemas = json.loads(SNAPSHOT.read_text())["provider_schemas"][SOURCE]
        self._resources = schemas["resource_schemas"]
        self._data = schemas["data_source_schemas"]
        self._ephemeral = schemas["ephemeral_resource_schemas"]
        self._schema = pb.GetProviderSchema.Response(
            # One answer does for all that a Terraform process runs.
            server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=True),
            provider=_schema(schemas["provider"]),
            resource_schemas={name: _schema(it) for name, it in self._resources.items()},
            data_source_schemas={name: _schema(it) for name, it in self._data.items()},
            ephemeral_resource_schemas={name: _schema(it) for name, it in self._ephemeral.items()},
        )

    def GetMetadata(self, request, context):  # noqa: N802 - the protocol's names, here and below
        return pb.GetMetadata.Response(
            server_capabilities=self._schema.server_capabilities,
            resources=[pb.GetMetadata.ResourceMetadata(type_name=name) for name in self._resources],
            data_sources=[pb.GetMetadata.DataSourceMetadata(type_name=name) for name in self._data],
            ephemeral_resources=[
                pb.GetMetadata.EphemeralMetadata(type_name=name) for name in self._ephemeral
            ],
        )

    def GetProviderSchema(self, request, context):  # noqa: N802
        return self._schema

    def ValidateProviderConfig(self, request, context):  # noqa: N802
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):  # noqa: N802
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):  # noqa: N802
        return pb.ValidateDataResourceConfig.Response()

    def ValidateEphemeralResourceConfig(self, request, context):  # noqa: N802
        return pb.ValidateEphemeralResourceConfig.Response()

    def ConfigureProvider(self, request, context):  # noqa: N802
        return pb.ConfigureProvider.Response()

    def StopProvider(self, request, context):  # noqa: N802
        return pb.StopProvider.Response()

    def UpgradeResourceState(self, request, context):  # noqa: N802
        state = json.loads(request.raw_state.json)
        return pb.UpgradeResourceState.Response(upgraded_state=_packed(state))

    def ReadResource(self, request, context):  # noqa: N802
        return pb.ReadResource.Response(new_state=request.current_state)

    def PlanResourceChange(self, request, context):  # noqa: N802
        planned = _unpacked(request.proposed_new_state)
        if planned is not None:
            creating = _unpacked(request.prior_state) is None
            _plan(self._resources[request.type_name]["block"], planned, creating=creating)
        return pb.PlanResourceChange.Response(planned_state=_packed(planned))

    def ApplyResourceChange(self, request, context):  # noqa: N802
        state = _unpacked(request.planned_state)
        if state is not None:
            _make_up(self._resources[request.type_name]["block"], request.type_name, state)
        return pb.ApplyResourceChange.Response(new_state=_packed(state))

    def ReadDataSource(self, request, context):  # noqa: N802
        state = _filled(self._data[request.type_name], request.type_name, request.config)
        return pb.ReadDataSource.Response(state=state)

    def OpenEphemeralResource(self, request, context):  # noqa: N802
        result = _filled(self._ephemeral[request.type_name], request.type_name, request.config)
        return pb.OpenEphemeralResource.Response(result=result)

    def CloseEphemeralResource(self, request, context):  # noqa: N802
        return pb.CloseEphemeralResource.Response()


def _schema(schema: dict[str, Any]) -> pb.Schema:
    return pb.Schema(version=schema["version"], block=_block(schema["block"]))


def _block(block: dict[str, Any]) -> pb.Schema.Block:
    flags = ("required", "optional", "computed", "sensitive", "write_only")
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(
                name=name,
                type=json.dumps(attribute["type"]).encode(),
                **{flag: attribute.get(flag, False) for flag in flags},
            )
            for name, attribute in block["attributes"].items()
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=_block(nested["block"]),
                nesting=_NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in block.get("block_types", {}).items()
        ],
    )


def _packed(value: Any) -> pb.DynamicValue:
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def _unpacked(value: pb.DynamicValue) -> Any:
    # An unknown value may come with what is known of it (another ext code): that is not needed.
    return msgpack.unpackb(value.msgpack, ext_hook=lambda code, data: UNKNOWN, strict_map_key=False)


def _nested(block: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The blocks inside a block: their schemas and values."""
    for name, nested in block.get("block_types", {}).items():
        inner = values.get(name)
        if isinstance(inner, dict):
            yield nested["block"], inner
        elif isinstance(inner, list):
            yield from ((nested["block"], item) for item in inner if isinstance(item, dict))


def _plan(block: dict[str, Any], values: dict[str, Any], *, creating: bool) -> None:
    for name, attribute in block["attributes"].items():
        if attribute.get("write_only"):
            values[name] = None
        elif creating and attribute.get("computed") and values.get(name) is None:
            values[name] = UNKNOWN
    for inner, inner_values in _nested(block, values):
        _plan(inner, inner_values, creating=creating)


def _make_up(block: dict[str, Any], type_name: str, values: dict[str, Any]) -> None:
    """Replace what is unknown."""
    special = _SPECIAL.get(type_name, lambda _: {})(values)
    name = next((values[key] for key in ("name", "function_name") if values.get(key)), None)
    label = name if isinstance(name, str) else "made-up"
    for key, attribute in block["attributes"].items():
        if values.get(key) == UNKNOWN:
            values[key] = special.get(key, _made_up(type_name, label, key, attribute["type"]))
    for inner, inner_values in _nested(block, values):
        _make_up(inner, type_name, inner_values)


def _made_up(type_name: str, label: str, key: str, type_: Any) -> Any:
    if type_ != "string":
        return (
            {"number": 1, "bool": False}.get(type_)
            if isinstance(type_, str)
            else ({} if type_[0] == "map" else [])
        )
    kind = type_name.removeprefix("aws_").replace("_", "-")
    if key == "arn" or key.endswith("_arn"):
        service = kind.partition("-")[0]
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}/{label}"
    return f"{kind}-{next(_numbers)}" if key == "id" else f"made-up-{key}"


def _filled(schema: dict[str, Any], type_name: str, config: pb.DynamicValue) -> pb.DynamicValue:
    values = _unpacked(config)
    for name, attribute in schema["block"]["attributes"].items():
        if attribute.get("computed") and values.get(name) is None:
            values[name] = UNKNOWN
    _make_up(schema["block"], type_name, values)
    return _packed(values)
