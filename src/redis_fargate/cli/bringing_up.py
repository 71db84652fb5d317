"""Brings a local cloud up, or leaves nothing behind."""

import asyncio
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from redis_fargate.aws.errors import translated
from redis_fargate.cli.failed_tasks import check_that_tasks_live
from redis_fargate.cli.local_cloud import LocalCloud, opened
from redis_fargate.cli.output import Progress
from redis_fargate.cli.waiting import await_as_wanted
from redis_fargate.controller.result import Result
from redis_fargate.local import processes
from redis_fargate.local.blueprint import Blueprint
from redis_fargate.local.clients import Clients
from redis_fargate.local.errors import (
    AlreadyRunning,
    CannotStartContainer,
    LoopbackUnavailable,
    PortInUse,
    UnknownServer,
)
from redis_fargate.local.launching import Launched, launched, stop
from redis_fargate.local.options import DEFAULT_SERVER, Options
from redis_fargate.local.package import build
from redis_fargate.local.provision import provision
from redis_fargate.local.statedir import Record, StateDir
from redis_fargate.local.tasks.servers import find_programs

_SLOW_CLIENTS = ("ec2", "dynamodb", "iam", "lambda", "events", "ecs", "servicediscovery", "logs")
_IMAGE = re.compile(r"(.+/)?(redis|valkey)(:[^/]+)?")
_PULL = "CannotPullContainerError: "


@contextmanager
def brought_up(options: Options, tell: Progress) -> Iterator[tuple[LocalCloud, Result]]:
    """Start a local cloud, and wait until its cluster is as it is wanted.

    When the block ends well, the cloud runs on. When anything fails, here or in the block, or is
    interrupted, all that was started is stopped and removed.

    Raises:
        LocalCloudError: it is refused, or did not succeed; the message says why.

    """
    options = replace(options, server=_checked_server(options.server))
    _check_loopback()
    state = StateDir.chosen(os.environ)
    state.create()
    with state.locked():
        _refuse_a_second(state)
        try:
            _check_port(options.port)
            with launched(state, options.port) as process:
                record = _record(process, options)
                state.write(record)
                with opened(record, state) as cloud:
                    tell("Starting the AWS endpoint …")
                    _prepare(cloud.clients, state.package, process)
                    tell("Creating the cluster's resources …")
                    with translated("the local cloud", "the cluster's resources"):
                        provision(cloud.clients, _blueprint(options), state.package)
                    count = options.spec.task_count

                    def check() -> None:
                        process.check_that_it_runs()
                        check_that_tasks_live(cloud, count)

                    tell("Waiting for the controller to form it …")
                    result = await_as_wanted(cloud, count, tell, check)
                    yield cloud, result
                process.keep()
        except BaseException:
            state.remove()
            raise


def _prepare(clients: Clients, package: Path, process: Launched) -> None:
    """Do what takes a moment while the endpoint, a process of its own, starts.

    Not in threads: one that Ctrl-C leaves behind would write into the directory that is removed.
    """
    build(package)
    for name in _SLOW_CLIENTS:
        clients.client(name)
    process.await_ready()


def _blueprint(options: Options) -> Blueprint:
    return Blueprint(
        cluster_name=options.cluster_name,
        spec=options.spec,
        image=options.server,
        zones=[f"us-east-1{letter}" for letter in "abcdef"[: options.zones]],
        redis_config=options.redis_config,
    )


def _record(process: Launched, options: Options) -> Record:
    shown = asdict(options)
    shown |= shown.pop("spec")
    return Record(
        pid=process.process.pid,
        started_ticks=process.started_ticks,
        port=options.port,
        cluster_name=options.cluster_name,
        options=shown,
    )


def _refuse_a_second(state: StateDir) -> None:
    record = state.read()
    if record is None:
        return
    if processes.is_alive(record.pid, record.started_ticks):
        raise AlreadyRunning(
            f"A local cloud runs already, at {record.endpoint} (process {record.pid}, state in "
            f"{state.root}). Look at it with `redis-fargate local status`, or stop it with "
            "`redis-fargate local down`."
        )
    # It died without tidying up.
    stop(record.pid, record.started_ticks, state)
    for path in (state.root / "cloud.json", state.log, state.package):
        path.unlink(missing_ok=True)


def _checked_server(server: str) -> str:
    """Give what stands for the server in a task definition.

    Raises:
        UnknownServer: there is no such program, or it is no Redis or Valkey server.

    """
    if not _IMAGE.fullmatch(server) and shutil.which(server) is None:
        raise UnknownServer(
            f"--server {server}: there is no such program on this machine, and it is no image of "
            f"Redis or Valkey. Name one, or leave it at {DEFAULT_SERVER}, which needs nothing "
            "installed."
        )
    try:
        asyncio.run(find_programs(server))
    except CannotStartContainer as error:
        raise UnknownServer(f"--server {server}: {str(error).removeprefix(_PULL)}") from error
    # The process that starts it has another working directory.
    path = Path(server).expanduser()
    return str(path.absolute()) if path.is_file() else server


def _check_port(port: int) -> None:
    """See that the port is free, before anything is started; the endpoint binds it for good."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUse(
                f"Port {port} of 127.0.0.1 cannot be had: {error.strerror}. Choose another with "
                "--port."
            ) from error


def _check_loopback() -> None:
    """See that a task can have an address of its own."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.16.0.1", 0))
        except OSError as error:
            advice = (
                "On macOS every address has to be added first, as in `sudo ifconfig lo0 alias "
                "127.16.1.1`, and the local cloud chooses its own: use Linux, for instance in a "
                "virtual machine or a container"
                if sys.platform == "darwin"
                else "Bring the interface lo up with the network 127.0.0.0/8"
            )
            raise LoopbackUnavailable(
                f"This machine does not give us addresses such as 127.16.0.1 ({error.strerror}), "
                f"and every task needs one of its own. {advice}."
            ) from error
