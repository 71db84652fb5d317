"""Completes what ministack leaves out of AWS' API, and Terraform's AWS provider cannot do without.

- A Cloud Map service may name its namespace inside its ``DnsConfig``: AWS calls that deprecated,
  and the provider does nothing else.
- A NAT gateway says which address it was created with. An interface and a private address, which
  nothing has here, it does not name.
- A VPC endpoint says which security groups it has, and whether it goes by the service's name.
- A function's update waits for invocations under way, which ministack would end in their midst and
  AWS lets run to their end: a run of the controller that dies so holds its lease for minutes.
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qs

from redis_fargate.local.asgi import App, Message, Receive, Send, header, read_body

_TARGET = "x-amz-target"
_CREATE_SERVICE = "Route53AutoNaming_v20170314.CreateService"
_NAT_ACTIONS = frozenset({"CreateNatGateway", "DescribeNatGateways"})
_ENDPOINT_ACTIONS = frozenset({"CreateVpcEndpoint", "DescribeVpcEndpoints"})
_NO_ADDRESS = re.compile(
    r"<natGatewayId>(?P<id>[^<]*)</natGatewayId>(?P<between>.*?)<natGatewayAddressSet/>", re.DOTALL
)
_ENDPOINT = re.compile(r"<vpcEndpointId>(?P<id>[^<]*)</vpcEndpointId>")
_FUNCTION_UPDATE = re.compile(r"/2015-03-31/functions/([^/]+)/(?:configuration|code)")
_POLL_S = 0.02


def completed(app: App) -> App:
    """Wrap ministack's application."""
    allocations: dict[str, str] = {}
    endpoints: dict[str, str] = {}

    async def completing(scope: Message, receive: Receive, send: Send) -> None:
        creates_service = scope["type"] == "http" and header(scope, _TARGET) == _CREATE_SERVICE
        asks_ec2 = scope["type"] == "http" and "/ec2/" in header(scope, "authorization")
        puts = scope["type"] == "http" and scope["method"] == "PUT"
        update = _FUNCTION_UPDATE.fullmatch(scope["path"]) if puts else None
        if creates_service or asks_ec2 or update:
            body = await read_body(receive)
            if body is None:
                return
            if update:
                if not await _idle(update[1], receive):
                    return
            elif creates_service:
                body = _with_namespace(body)
                scope = {**scope, "headers": _sized(scope["headers"], body)}
            else:
                request = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                if request.get("Action") in _NAT_ACTIONS:
                    send = _changing(send, partial(_with_addresses, request, allocations))
                elif request.get("Action") in _ENDPOINT_ACTIONS:
                    send = _changing(send, partial(_with_settings, request, endpoints))
            receive = _replaying(body, receive)
        await app(scope, receive, send)

    return completing


async def _idle(function: str, receive: Receive) -> bool:
    """Wait until a function does not run; False if the client has given up meanwhile."""
    runtime = sys.modules.get("ministack.core.lambda_runtime")

    def busy() -> bool:
        if runtime is None:
            return False
        with runtime._lock:  # noqa: SLF001 - it has no other way to ask for one function
            return any(
                worker.in_use
                for key, workers in runtime._workers.items()  # noqa: SLF001
                for worker in workers
                if function in key.split(":")
            )

    gone = asyncio.ensure_future(receive())
    try:
        while busy() and not gone.done():
            await asyncio.wait([gone], timeout=_POLL_S)
        return not gone.done()
    finally:
        gone.cancel()


def _with_namespace(body: bytes) -> bytes:
    request = json.loads(body)
    namespace = request.get("DnsConfig", {}).get("NamespaceId")
    if namespace is None or "NamespaceId" in request:
        return body
    return json.dumps(request | {"NamespaceId": namespace}).encode()


def _with_addresses(request: dict[str, str], allocations: dict[str, str], answer: bytes) -> bytes:
    """Name the gateways' addresses in an answer; remember that of a gateway just created."""

    def fill(found: re.Match[str]) -> str:
        if "AllocationId" in request:
            allocations[found["id"]] = request["AllocationId"]
        allocation = allocations.get(found["id"])
        if allocation is None:  # a private one
            return found[0]
        address = f"<item><allocationId>{allocation}</allocationId></item>"
        return found[0].replace("Set/>", f"Set>{address}</natGatewayAddressSet>")

    return _NO_ADDRESS.sub(fill, answer.decode()).encode()


def _with_settings(request: dict[str, str], endpoints: dict[str, str], answer: bytes) -> bytes:
    """Say in an answer how VPC endpoints are set up; remember it of one just created."""
    groups = "".join(
        f"<item><groupId>{value}</groupId></item>"
        for name, value in request.items()
        if name.startswith("SecurityGroupId.")
    )
    named = request.get("PrivateDnsEnabled", "false")

    def fill(found: re.Match[str]) -> str:
        if request["Action"] == "CreateVpcEndpoint":
            endpoints[found["id"]] = (
                f"<groupSet>{groups}</groupSet><privateDnsEnabled>{named}</privateDnsEnabled>"
            )
        return found[0] + endpoints.get(found["id"], "")

    return _ENDPOINT.sub(fill, answer.decode()).encode()


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once more, and then what the client says afterwards."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replaying() -> Message:
        return left.pop() if left else await receive()

    return replaying


def _changing(send: Send, change: Callable[[bytes], bytes]) -> Send:
    """Change an answer's body before it is sent."""
    start: Message = {}
    body = bytearray()

    async def changing(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
            return
        body.extend(message.get("body", b""))
        if not message.get("more_body", False):
            changed = change(bytes(body))
            await send({**start, "headers": _sized(start["headers"], changed)})
            await send({"type": "http.response.body", "body": changed})

    return changing


def _sized(headers: list[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
    others = [(name, text) for name, text in headers if name.lower() != b"content-length"]
    return [*others, (b"content-length", str(len(body)).encode())]
