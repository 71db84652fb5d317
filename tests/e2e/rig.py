"""The command line as a user has it: subprocesses, a state directory and a port of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from redis.cluster import RedisCluster

from endpoint import free_port
from redis_fargate.local.clients import Clients
from servers import PORT, Program

KEYS = 10_000
UP_TIMEOUT_S = 180
_Seen = TypeVar("_Seen")


def eventually(
    look: Callable[[], _Seen], wanted: Callable[[_Seen], Any] = bool, timeout_s: float = 60
) -> _Seen:
    """Look until what is seen is as wanted."""
    deadline = time.monotonic() + timeout_s
    while not wanted(seen := look()):
        assert time.monotonic() < deadline, f"after {timeout_s} s it is still: {seen}"
        time.sleep(0.2)
    return seen


@dataclass
class Cli:
    """``redis-fargate`` with its own state directory."""

    home: Path
    port: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        return os.environ | keys | {"REDIS_FARGATE_HOME": str(self.home)}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def started(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """A command under way; interrupted if it still runs in the end: it takes its cloud down."""
        process = subprocess.Popen(
            [sys.executable, "-m", "redis_fargate.cli", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)

    def run(self, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; it must exit with ``code``, and never with a traceback."""
        done = subprocess.run(
            [sys.executable, "-m", "redis_fargate.cli", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=UP_TIMEOUT_S,
            check=False,
        )
        said = f"{arguments} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, said
        assert "Traceback" not in done.stderr, said
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def up(self, *arguments: str) -> "Up":
        return Up(self.json("local", "up", "--port", str(self.port), *arguments))

    def up_scaled(self, *arguments: str) -> "Up":
        return Up(self.json("local", "scale", *arguments))

    def result(self) -> dict[str, Any]:
        """What the controller says now, well or not."""
        with clients_of(self) as clients:
            return invoke(clients, "status")

    def processes(self) -> dict[int, str]:
        """The processes that have anything to do with the state directory."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes()
                    about = (entry / "environ").read_bytes() + command
                    about += os.fsencode((entry / "cwd").readlink())
                except OSError:
                    continue
                if os.fsencode(self.home) in about:
                    found[int(entry.name)] = os.fsdecode(command).replace("\0", " ")[:99]
        return found

    def assert_nothing_left(self) -> None:
        eventually(self.processes, lambda left: not left, timeout_s=30)
        assert not self.home.exists(), list(self.home.rglob("*"))
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", self.port)) != 0


@dataclass(frozen=True)
class Up:
    """A local cloud, as `up --json` describes it."""

    document: Any

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = self.document["result"]
        return result

    @property
    def host(self) -> str:
        host: str = self.document["connect"]["host"]
        return host

    @property
    def password(self) -> str:
        password: str = self.document["connect"]["password"]
        return password

    def redis_cli(self, program: Program, *arguments: str) -> str:
        done = subprocess.run(
            [program.cli, *arguments],
            env=os.environ | {"REDISCLI_AUTH": self.password},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def assert_others_agree(self, program: Program) -> None:
        said = self.redis_cli(program, "--cluster", "check", f"{self.host}:{PORT}")
        assert "[OK] All nodes agree about slots configuration." in said
        assert "[OK] All 16384 slots covered." in said

    def await_agreement(self, program: Program) -> None:
        """Masters may still change their zones when all shards are whole again."""

        def agree() -> str:
            try:
                self.assert_others_agree(program)
            except AssertionError as error:
                return str(error)
            return ""

        eventually(agree, lambda disagreement: not disagreement)

    def assert_serves(self) -> None:
        with self._client() as client, client.pipeline() as pipeline:
            for number in range(KEYS):
                pipeline.set(f"key:{number}", number)
            assert all(pipeline.execute())
        self.assert_keeps()

    def assert_keeps(self) -> None:
        """What `assert_serves` has written is there still."""
        with self._client() as client, client.pipeline() as pipeline:
            for number in range(KEYS):
                pipeline.get(f"key:{number}")
            assert pipeline.execute() == [str(number).encode() for number in range(KEYS)]

    def _client(self) -> RedisCluster:
        return RedisCluster(host=self.host, port=PORT, password=self.password)


def nodes_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """All nodes of a result."""
    return [
        node
        for shard in result["shards"]
        for node in (shard["master"], *shard["replicas"])
        if node is not None
    ] + result["others"]


@contextmanager
def clients_of(cli: Cli) -> Iterator[Clients]:
    clients = Clients(cli.endpoint)
    try:
        yield clients
    finally:
        clients.close()


NAME = "redis-cluster.local"


def discovered(clients: Clients) -> list[str]:
    """The addresses to which the cluster's name resolves."""
    found = clients.servicediscovery.discover_instances(
        NamespaceName="local", ServiceName="redis-cluster"
    )["Instances"]
    return [instance["Attributes"]["AWS_INSTANCE_IPV4"] for instance in found]


@contextmanager
def resolving(clients: Clients) -> Iterator[None]:
    """Let this process resolve the cluster's name, as the VPC's resolver does."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **kwargs: Any) -> list[Any]:
        hosts = discovered(clients) if host == NAME else [host]
        return [found for each in hosts for found in resolve(each, *args, **kwargs)]

    with patch("socket.getaddrinfo", resolved):
        yield


def invoke(
    clients: Clients, action: str, function: str = "redis-local-initializer"
) -> dict[str, Any]:
    """Invoke the controller; its result."""
    answer = clients.functions.invoke(FunctionName=function, Payload=json.dumps({"action": action}))
    result: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    return result


def server_at(cli: Cli, address: str) -> int:
    """The process of the server at an address."""
    for pid in cli.processes():
        with suppress(OSError):
            # What servers call themselves; their environment they write over.
            if f"{address}:{PORT}" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
    raise AssertionError(f"no server at {address}")


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
