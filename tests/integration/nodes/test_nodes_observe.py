"""Whatever is wrong with a node ends in its trouble and a sentence, within the deadline."""

import asyncio
import gc
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from checking import assert_as_wanted
from reconciling import Reconciler, tasks_of
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import NodeUnreachable
from redis_fargate.nodes.observe import observe
from redis_fargate.nodes.settings import ConnectionSettings
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import FORMING_SETTINGS, Member, Task, Trouble
from servers import PORT, Fleet

QUICK = ConnectionSettings(connect_timeout_s=0.5, answer_timeout_s=0.5)


def _observed(tasks: Sequence[Task], settings: ConnectionSettings = QUICK) -> tuple[Member, ...]:
    async def look() -> tuple[Member, ...]:
        async with Connections(settings) as connections:
            return await observe(tasks, connections)

    return asyncio.run(look())


def _trouble(member: Member) -> tuple[Trouble | None, str]:
    assert member.node is None
    return member.trouble, member.detail


def test_a_blank_node_is_blank(fleet: Fleet) -> None:
    (member,) = _observed(tasks_of(fleet.start(1)))

    assert member.node
    assert member.node.blank
    assert not member.node.cluster_ok
    assert set(member.node.settings) == set(FORMING_SETTINGS)


def test_a_frozen_node_is_unreachable_within_the_deadline(fleet: Fleet) -> None:
    servers = fleet.start(2)
    servers[0].freeze()
    start = time.monotonic()

    frozen, fine = _observed(tasks_of(servers))

    assert time.monotonic() - start < 1.5
    trouble, detail = _trouble(frozen)
    assert trouble is Trouble.UNREACHABLE
    assert detail == f"No answer to CLUSTER NODES within 0.5 s from {servers[0].address}:{PORT}."
    assert fine.node
    servers[0].thaw()
    assert all(member.node for member in _observed(tasks_of(servers)))


def test_a_dead_node_is_unreachable(fleet: Fleet) -> None:
    servers = fleet.start(1)
    servers[0].kill()

    trouble, detail = _trouble(*_observed(tasks_of(servers)))

    assert trouble is Trouble.UNREACHABLE
    assert servers[0].address in detail


def test_a_node_that_dies_between_two_looks_is_unreachable_at_the_second(fleet: Fleet) -> None:
    servers = fleet.start(1)

    async def look_twice() -> tuple[Member, Member]:
        async with Connections(QUICK) as connections:
            (before,) = await observe(tasks_of(servers), connections)
            servers[0].kill()
            (after,) = await observe(tasks_of(servers), connections)
            return before, after

    before, after = asyncio.run(look_twice())

    assert before.node
    assert after.trouble is Trouble.UNREACHABLE


def test_a_task_without_address_is_unreachable() -> None:
    task = Task("arn", "an-id", "zone-a", None, "revision", running=False, started_at_s=None)

    assert _trouble(*_observed([task])) == (
        Trouble.UNREACHABLE,
        "Task an-id has no address yet.",
    )


def test_something_else_at_the_address_is_unreachable(redis_fleet: Fleet) -> None:
    """A listener that speaks another protocol."""
    with socket.create_server((f"{redis_fleet.network}.9", PORT)) as listener:
        task = Task("arn", "an-id", "z", f"{redis_fleet.network}.9", "r", True, 0.0)  # noqa: FBT003

        async def look() -> Member:
            async def answer() -> None:
                loop = asyncio.get_running_loop()
                listener.setblocking(False)  # noqa: FBT003
                connection, _ = await loop.sock_accept(listener)
                with connection:
                    await loop.sock_sendall(connection, b"HTTP/1.1 400 Bad Request\r\n\r\n")

            async with Connections(QUICK) as connections:
                member, _ = await asyncio.gather(observe([task], connections), answer())
                return member[0]

        trouble, detail = _trouble(asyncio.run(look()))
    assert trouble is Trouble.UNREACHABLE
    assert task.address
    assert task.address in detail


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_wrong_password(fleet: Fleet, password: str | None) -> None:
    tasks = tasks_of(fleet.start(1, requirepass="right"))

    trouble, detail = _trouble(*_observed(tasks, replace(QUICK, password=password)))

    assert trouble is Trouble.AUTHENTICATION
    assert "refuses to authenticate user 'default'" in detail
    assert "wrong" not in detail


def test_a_password_that_the_node_does_not_know(fleet: Fleet) -> None:
    trouble, detail = _trouble(
        *_observed(tasks_of(fleet.start(1)), replace(QUICK, password="mine"))
    )

    assert trouble is Trouble.AUTHENTICATION
    assert "mine" not in detail


def test_an_acl_user(fleet: Fleet) -> None:
    servers = fleet.start(2, "--user", *["controller", "on", ">secret", "~*", "+@all"])
    settings = ConnectionSettings(username="controller", password="secret")
    reconciler = Reconciler(tasks_of(servers), Spec(1, 1), settings)

    assert asyncio.run(reconciler.run()) == Plan()

    assert_as_wanted(reconciler.members, Spec(1, 1))


def test_an_acl_user_who_may_not_see_the_settings_forms_all_the_same(fleet: Fleet) -> None:
    servers = fleet.start(
        2,
        "--user",
        *["controller", "on", ">secret", "~*", "+cluster", "+info", "+ping"],
        cluster_node_timeout="500",
        repl_diskless_sync_delay="0",
    )
    settings = ConnectionSettings(username="controller", password="secret")
    reconciler = Reconciler(tasks_of(servers), Spec(1, 1), settings)

    assert asyncio.run(reconciler.run()) == Plan()

    assert_as_wanted(reconciler.members, Spec(1, 1), {})


def test_an_acl_user_who_may_not_see_the_cluster(fleet: Fleet) -> None:
    servers = fleet.start(1, "--user", *["controller", "on", ">secret", "~*", "+ping"])
    settings = replace(QUICK, username="controller", password="secret")

    trouble, detail = _trouble(*_observed(tasks_of(servers), settings))

    assert trouble is Trouble.AUTHENTICATION
    assert "needs +cluster" in detail


def test_a_server_that_is_not_in_cluster_mode(fleet: Fleet) -> None:
    trouble, detail = _trouble(*_observed(tasks_of(fleet.start(1, cluster_enabled="no"))))

    assert trouble is Trouble.NOT_CLUSTER_MODE
    assert "cluster-enabled yes" in detail


def test_the_node_of_another_task(fleet: Fleet) -> None:
    (server,) = fleet.start(1)
    (task,) = tasks_of([server])

    trouble, detail = _trouble(*_observed([replace(task, id="our-task")]))

    assert trouble is Trouble.WRONG_TASK
    assert server.task_id in detail
    assert "our-task" in detail


def test_a_node_that_is_loading(redis_fleet: Fleet) -> None:
    """Loading is slowed down by Redis' own debugging setting: 1000 keys at 2 ms each."""
    (server,) = redis_fleet.start(
        1,
        cluster_enabled="no",
        enable_debug_command="yes",
        loading_process_events_interval_bytes="1024",
    )
    redis_fleet.cli("-h", server.address, "debug", "populate", "1000")
    redis_fleet.cli("-h", server.address, "config", "set", "key-load-delay", "2000")
    redis_fleet.cli("-h", server.address, "save")
    reload = subprocess.Popen(
        [redis_fleet.program.cli, "-h", server.address, "debug", "reload", "nosave"],
        stdout=subprocess.DEVNULL,
    )
    with reload:
        member = None
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            (member,) = _observed(tasks_of([server]), ConnectionSettings())
            if member.trouble is Trouble.LOADING:
                break
    assert member
    trouble, detail = _trouble(member)
    assert trouble is Trouble.LOADING
    assert "is loading its data set" in detail


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, a server's certificate, and another authority, as files."""
    home = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=home, check=True, capture_output=True)

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node",
    )  # fmt: skip
    openssl(
        "x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-out", "node.pem", "-days", "2",
    )  # fmt: skip
    return home


def _with_tls(authority: Path) -> dict[str, str]:
    return {
        "tls_cert_file": str(authority / "node.pem"),
        "tls_key_file": str(authority / "node.key"),
        "tls_ca_cert_file": str(authority / "ca.pem"),
        "tls_auth_clients": "no",
        "tls_cluster": "yes",
        "tls_replication": "yes",
    }


def test_a_cluster_with_tls_forms(redis_fleet: Fleet, authority: Path) -> None:
    servers = redis_fleet.start(
        4, tls=True, requirepass="s", masterauth="s", **_with_tls(authority)
    )
    settings = ConnectionSettings(password="s", tls=True, tls_ca=(authority / "ca.pem").read_text())
    reconciler = Reconciler(tasks_of(servers), Spec(2, 2), settings)

    assert asyncio.run(reconciler.run()) == Plan()

    assert_as_wanted(reconciler.members, Spec(2, 2))


def test_tls_that_does_not_fit_is_told(redis_fleet: Fleet, authority: Path) -> None:
    tasks = tasks_of(redis_fleet.start(1, tls=True, **_with_tls(authority)))
    from_file = replace(QUICK, tls=True, tls_ca_file=str(authority / "ca.pem"))
    another = replace(QUICK, tls=True, tls_ca_file=str(authority / "other.pem"))

    assert _observed(tasks, from_file)[0].node
    trouble, detail = _trouble(*_observed(tasks, another))
    assert trouble is Trouble.UNREACHABLE
    assert "certificate verify failed" in detail
    assert _trouble(*_observed(tasks, QUICK))[0] is Trouble.UNREACHABLE
    (plain,) = tasks_of(redis_fleet.start(1))
    assert _trouble(*_observed([plain], from_file))[0] is Trouble.UNREACHABLE


def test_with_tls_nothing_waits_for_a_node_that_hangs(authority: Path) -> None:
    """It shakes hands, and then says no word, not even farewell."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "node.pem", authority / "node.key")
    taken: list[socket.socket] = []

    def take() -> None:
        plain, _ = listener.accept()
        taken.append(plain)
        with suppress(OSError):  # the deadline was sooner
            taken.append(context.wrap_socket(plain, server_side=True))

    async def connect() -> None:
        with pytest.raises(NodeUnreachable, match="No connection within"):
            async with Connections(settings) as connections:
                await connections.at("127.0.0.1")

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        settings = ConnectionSettings(
            listener.getsockname()[1],
            password="s",
            tls=True,
            tls_ca_file=str(authority / "ca.pem"),
            connect_timeout_s=0.5,
        )
        taking = pool.submit(take)
        asyncio.run(connect())
        gc.collect()  # what is left behind warns now, and warnings are errors
        taking.result()
        for each in taken:
            each.close()


def test_connections_are_kept_and_replaced_when_broken(fleet: Fleet) -> None:
    (server,) = fleet.start(1)

    async def use() -> None:
        async with Connections(QUICK) as connections:
            first, again = await asyncio.gather(
                connections.at(server.address), connections.at(server.address)
            )
            assert first is again
            server.freeze()
            with pytest.raises(NodeUnreachable, match="No answer to PING within"):
                await first.call("PING")
            with pytest.raises(NodeUnreachable, match="is closed"):
                await first.call("PING")
            server.thaw()
            another = await connections.at(server.address)
            assert another is not first
            assert await another.call("PING") == "PONG"
        assert not another.alive

    asyncio.run(use())
