"""The local ECS behind a real HTTP server, with far ends in memory: what AWS has behind its ECS."""

import asyncio
import contextlib
import json
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config
from hypercorn.asyncio import serve
from hypercorn.config import Config as Hypercorn

from redis_fargate.local.ecs import Addresses, Ecs, FarEnds
from redis_fargate.local.ecs.protocol import load_model
from redis_fargate.local.errors import CannotStartContainer, InvalidSubnet
from redis_fargate.local.ports import ContainerHealth

ACCOUNT = "000000000000"
REGION = "us-east-1"
TARGET = "AmazonEC2ContainerServiceV20141113."
SUBNETS = {"subnet-a": "us-east-1a", "subnet-b": "us-east-1b", "subnet-c": "us-east-1c"}
PATIENCE_S = 20
SCALARS = {
    "string": {str},
    "integer": {int},
    "long": {int},
    "boolean": {bool},
    "timestamp": {int, float},
    "double": {int, float},
}


class FakeContainer:
    def __init__(self, launch, on_health):
        self.launch = launch
        self.on_health = on_health
        self.ended = asyncio.Event()
        self.code = None

    async def wait(self):
        await self.ended.wait()
        return self.code

    async def stop(self):
        self.end(143)
        return self.code

    def end(self, code):
        if self.code is None:
            self.code = code
            self.ended.set()


@dataclass
class FakeRuntime:
    """Containers that do nothing; an image whose name says so fails, crashes or is unhealthy."""

    containers: dict = field(default_factory=dict)

    async def start(self, launch, on_health):
        if "missing" in launch.image:
            raise CannotStartContainer(f"CannotPullContainerError: no image {launch.image}")
        assert launch.directory.is_dir()
        container = FakeContainer(launch, on_health)
        self.containers[launch.task_id, launch.container] = container
        if "crash" in launch.image:
            container.end(1)
        elif launch.health_check is not None and "silent" not in launch.image:
            sick = "unhealthy" in launch.image
            health = ContainerHealth.UNHEALTHY if sick else ContainerHealth.HEALTHY
            asyncio.get_running_loop().call_later(0.01, on_health, health)
        return container


@dataclass
class FakeRegistry:
    instances: dict = field(default_factory=dict)
    health: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)

    async def register(self, service_arn, instance_id, attributes):
        self.calls.append(("register", service_arn, instance_id))
        self.instances[instance_id] = dict(attributes)

    async def set_health(self, service_arn, instance_id, *, healthy):
        self.calls.append(("health", service_arn, instance_id))
        self.health[instance_id] = healthy

    async def deregister(self, service_arn, instance_id):
        self.calls.append(("deregister", service_arn, instance_id))
        self.instances.pop(instance_id, None)


@dataclass
class FakeSink:
    events: list = field(default_factory=list)

    async def publish(self, event):
        json.dumps(event)
        self.events.append(event)

    def details(self, kind):
        return [event["detail"] for event in list(self.events) if event["detail-type"] == kind]


class FakeSubnets:
    async def zones(self, subnet_ids):
        unknown = [name for name in subnet_ids if name not in SUBNETS]
        if unknown:
            raise InvalidSubnet(f"The subnet ID '{unknown[0]}' does not exist")
        return {name: SUBNETS[name] for name in subnet_ids}


class Cloud:
    """Serves an ECS on a free port, on a loop in a thread of its own."""

    def __init__(self, directory: Path):
        self.runtime, self.registry = FakeRuntime(), FakeRegistry()
        self.sink = FakeSink()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        self.addresses = Addresses(random.SystemRandom().randint(16, 250))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.shapes = Shapes()

    async def _serve(self):
        self.loop = asyncio.get_running_loop()
        self._down = asyncio.Event()
        far_ends = FarEnds(self.runtime, self.registry, self.sink, FakeSubnets())
        self.ecs = Ecs(
            far_ends,
            account=ACCOUNT,
            region=REGION,
            directory=self.directory,
            metadata_endpoint=self.url,
            addresses=self.addresses,
        )
        await self.ecs.start()
        config = Hypercorn()
        config.bind = [f"127.0.0.1:{self.port}"]
        config.errorlog = None
        serving = asyncio.create_task(serve(self._app, config, shutdown_trigger=self._down.wait))
        self._ready.set()
        await serving
        await self.ecs.close()

    async def _app(self, scope, receive, send):
        if scope["type"] == "lifespan":
            for answer in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{answer}.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        target = dict(scope["headers"])[b"x-amz-target"].decode()
        status, headers, answer = await self.ecs.handle(target.removeprefix(TARGET), body)
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer})

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        self.wait_for(self._is_listening, "a listening server")
        self.client = boto3.client(
            "ecs",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.client.meta.events.register("after-call.ecs", self.shapes.check)
        return self

    def __exit__(self, *_):
        self.client.close()
        self.loop.call_soon_threadsafe(self._down.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        assert not any(self.directory.iterdir())

    def _is_listening(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def on_loop(self, function, *arguments):
        """Call something on the loop that the ECS lives on."""
        done = threading.Event()

        def call():
            function(*arguments)
            done.set()

        self.loop.call_soon_threadsafe(call)
        assert done.wait(PATIENCE_S)

    def kill(self, task_id, code=137, container="redis"):
        self.on_loop(self.runtime.containers[task_id, container].end, code)

    def report_health(self, task_id, health):
        self.on_loop(self.runtime.containers[task_id, "redis"].on_health, health)

    # What tests say often.

    def wait_for(self, condition, what="the condition"):
        deadline = time.monotonic() + PATIENCE_S
        while not (result := condition()):
            assert time.monotonic() < deadline, f"{what} did not come true"
            time.sleep(0.005)
        return result

    def service(self, name="redis"):
        return self.client.describe_services(cluster="c", services=[name])["services"][0]

    def wait_steady(self, name="redis"):
        def steady():
            service = self.service(name)
            deployments = service["deployments"]
            done = len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED"
            counts = service["runningCount"] == service["desiredCount"]
            latest = service["events"] and "steady state" in service["events"][0]["message"]
            return service if done and counts and latest else None

        return self.wait_for(steady, f"{name} steady: {self.service(name)}")

    def tasks(self, name="redis", status="RUNNING"):
        arns = self.client.list_tasks(cluster="c", serviceName=name, desiredStatus=status)
        if not arns["taskArns"]:
            return []
        return self.client.describe_tasks(cluster="c", tasks=arns["taskArns"])["tasks"]

    def register(self, image="redis:7", *, health_check=True, **container):
        definition = {
            "name": "redis",
            "image": image,
            "entryPoint": ["/bin/sh", "-c"],
            "command": ["exec redis-server"],
            "stopTimeout": 2,
            **container,
        }
        if health_check:
            definition["healthCheck"] = {"command": ["CMD-SHELL", "redis-cli ping"]}
        answer = self.client.register_task_definition(
            family="redis",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[definition],
        )
        return answer["taskDefinition"]["taskDefinitionArn"]

    def create_service(self, definition, desired=6, name="redis", **members):
        members = {
            "cluster": "c",
            "serviceName": name,
            "taskDefinition": definition,
            "desiredCount": desired,
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": list(SUBNETS)}},
            **members,
        }
        return self.client.create_service(**members)["service"]


class Shapes:
    """Checks every response against botocore's output shapes, member by member."""

    def __init__(self):
        self.model = load_model()
        self.seen = set()

    def check(self, http_response, parsed, model, **_):
        if http_response.status_code >= 300:
            code = parsed["Error"]["Code"]
            declared = {shape.name for shape in model.error_shapes}
            assert code in declared | {"SerializationException", "UnknownOperationException"}, (
                f"{model.name} does not declare {code}: {parsed['Error']}"
            )
            return
        self.seen.add(model.name)
        if model.output_shape is not None:
            self._check(model.output_shape, json.loads(http_response.content), model.name)

    def _check(self, shape, value, path):
        match shape.type_name:
            case "structure":
                assert isinstance(value, dict), path
                unknown = value.keys() - shape.members.keys()
                assert not unknown, f"{path} has {unknown}"
                missing = set(shape.required_members) - value.keys()
                assert not missing, f"{path} lacks {missing}"
                for name, item in value.items():
                    self._check(shape.members[name], item, f"{path}.{name}")
            case "list":
                assert isinstance(value, list), path
                for item in value:
                    self._check(shape.member, item, f"{path}[]")
            case "map":
                assert isinstance(value, dict), path
                for item in value.values():
                    self._check(shape.value, item, f"{path}{{}}")
            case scalar:
                assert type(value) in SCALARS[scalar], f"{path}: {value!r}"
                known = getattr(shape, "enum", None)
                assert not known or value in known, f"{path}: {value!r}"


@contextlib.contextmanager
def cloud(directory):
    directory.mkdir(exist_ok=True)
    with Cloud(directory) as running:
        running.client.create_cluster(clusterName="c")
        yield running
