"""node/entrypoint.sh, with every server and under both shells."""

import signal
import stat
import time
from pathlib import Path

import pytest
from redis import Redis, ResponseError
from scripts_rig import (
    DEADLINE_S,
    ENTRYPOINT,
    NODE,
    SERVERS,
    Shell,
    Starter,
    certificate,
    free_address,
    of_the_image,
)

AWKWARD_PASSWORD = """a b"c'd\\e\\\\f#g$HOME`id`%s\\n\t*é日本"""


def test_a_task_definition_has_room_for_the_scripts() -> None:
    # ECS takes task definitions of up to 64 KiB.
    assert sum(len(script.read_bytes()) for script in NODE.glob("*.sh")) < 20 * 1024


def test_starts_a_cluster_node_and_ends_on_sigterm(
    start: Starter, server: str, environment: dict[str, str]
) -> None:
    node = start(
        environment
        | {
            "REDIS_SERVER": server,
            "REDIS_PASSWORD": AWKWARD_PASSWORD,
            "REDIS_TASK_MEMORY_MIB": "512",
            "REDIS_CONFIG": "# a comment\n\n  timeout 300\nMaxmemory-Policy allkeys-lru\n"
            "cluster-node-timeout 2000\nport 6379\nsave 900 1 300 10\n"
            "cluster-require-full-coverage yes\n",
        }
    )

    with node.client() as client:
        assert client.ping()
        nodes = client.execute_command("CLUSTER NODES")
        (myself,) = nodes.values() if isinstance(nodes, dict) else [nodes]
        assert client.info("cluster")["cluster_enabled"] == 1
        assert myself["hostname"] == "0123456789abcdef"
        assert myself["flags"] == "myself,master"
        assert next(iter(nodes)).startswith(f"{node.address}:6379")
    expected = {
        "maxmemory": str(384 * 1024 * 1024),
        "maxmemory-policy": "allkeys-lru",
        "timeout": "300",
        "cluster-node-timeout": "2000",
        "cluster-allow-replica-migration": "no",
        "cluster-require-full-coverage": "yes",
        "appendonly": "no",
        "protected-mode": "no",
        "save": "900 1 300 10",
        "bind": node.address,
        "bind-source-addr": node.address,
        "cluster-announce-ip": node.address,
        "requirepass": AWKWARD_PASSWORD,
        "masterauth": AWKWARD_PASSWORD,
        "dir": str(node.directory),
    }
    assert {name: node.config(name) for name in expected} == expected
    assert "384 MiB, 75 %" in node.log

    process = Path(f"/proc/{node.server_pid}")
    for place in (process / "cmdline", process / "environ", node.log_file):
        assert AWKWARD_PASSWORD.encode() not in place.read_bytes()
    files = [path for path in node.directory.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"redis.conf", "nodes.conf"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(node.directory.stat().st_mode) == 0o700

    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(DEADLINE_S) == 0


def test_defaults(start: Starter, environment: dict[str, str]) -> None:
    node = start(environment)
    assert node.config("save") == ""
    assert node.config("maxmemory") == "0"
    assert node.config("cluster-node-timeout") == "15000"
    assert node.config("cluster-require-full-coverage") == "no"
    assert "maxmemory: none" in node.log
    with node.client() as client:
        assert client.ping()


def test_maxmemory_of_the_configuration_wins(start: Starter, environment: dict[str, str]) -> None:
    node = start(
        environment | {"REDIS_CONFIG": "maxmemory 64mb", "REDIS_TASK_MEMORY_MIB": "512"},
    )
    assert node.config("maxmemory") == str(64 * 1024 * 1024)
    assert "as REDIS_CONFIG says" in node.log


def replicates(client: Redis, master_id: str) -> bool:
    """Ask for it; a node refuses until it has shaken hands with the master."""
    try:
        return bool(client.execute_command("CLUSTER REPLICATE", master_id))
    except ResponseError as refusal:
        assert "Unknown node" in str(refusal)  # noqa: PT017
        return False


def test_nodes_on_loopback_find_each_other(
    start: Starter, server: str, environment: dict[str, str], tmp_path: Path
) -> None:
    master = start(environment | {"REDIS_SERVER": server, "REDIS_PASSWORD": "p q"})
    replica = start(
        master.environment
        | {"REDIS_ADDRESS": free_address(), "REDIS_DATA_DIR": str(tmp_path / "data-2")}
    )
    with master.client() as on_master, replica.client() as on_replica:
        on_replica.execute_command("CLUSTER MEET", master.address, 6379)
        master_id = on_master.execute_command("CLUSTER MYID")
        deadline = time.monotonic() + DEADLINE_S
        while not replicates(on_replica, master_id):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while (slave := on_master.info("replication").get("slave0")) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert slave["ip"] == replica.address
        known = on_master.execute_command("CLUSTER NODES")
        assert {node.split(":")[0] for node in known} == {master.address, replica.address}


def test_on_fargate_announces_the_first_address_of_the_host(
    shell: Shell, start: Starter, environment: dict[str, str]
) -> None:
    # Nothing in a test binds every interface: `bind` is a matter of the configuration then.
    bound = environment.pop("REDIS_ADDRESS")
    shell.provide("hostname", "echo 127.0.1.1 fe80::1 10.1.2.3 10.9.9.9")
    node = start(environment | {"REDIS_CONFIG": f"bind {bound}"}, host=bound)
    assert node.config("cluster-announce-ip") == "10.1.2.3"
    assert node.config("bind-source-addr") == ""


def test_tls(start: Starter, environment: dict[str, str], tmp_path: Path) -> None:
    if SERVERS["redis7"] is None:
        pytest.fail("only redis-server of the system speaks TLS here")
    cert, key = certificate(tmp_path)
    environment |= {
        "REDIS_SERVER": str(SERVERS["redis7"]), "REDIS_PASSWORD": "pass word",
        "REDIS_TLS_CERT": cert, "REDIS_TLS_KEY": key, "REDIS_TLS_CA": cert,
    }  # fmt: skip
    node = start(
        environment, ssl=True, ssl_ca_certs=str(tmp_path / "cert.pem"), ssl_check_hostname=False
    )
    with node.client() as client:
        assert client.ping()
    assert node.config("port") == "0"
    assert node.config("tls-cluster") == node.config("tls-replication") == "yes"
    secret = key.splitlines()[1].encode()
    process = Path(f"/proc/{node.server_pid}")
    for place in (process / "cmdline", process / "environ", node.log_file):
        assert secret not in place.read_bytes()
    assert stat.S_IMODE((node.directory / "tls.key").stat().st_mode) == 0o600


def test_nodes_with_tls_find_each_other(
    start: Starter, environment: dict[str, str], tmp_path: Path
) -> None:
    if SERVERS["redis7"] is None:
        pytest.fail("only redis-server of the system speaks TLS here")
    cert, key = certificate(tmp_path)
    tls = {"ssl": True, "ssl_ca_certs": str(tmp_path / "cert.pem"), "ssl_check_hostname": False}
    environment |= {
        "REDIS_SERVER": str(SERVERS["redis7"]), "REDIS_CONFIG": "repl-diskless-sync-delay 0",
        "REDIS_TLS_CERT": cert, "REDIS_TLS_KEY": key, "REDIS_TLS_CA": cert,
    }  # fmt: skip
    master = start(environment, **tls)
    replica = start(
        environment | {"REDIS_ADDRESS": free_address(), "REDIS_DATA_DIR": str(tmp_path / "data-2")},
        **tls,
    )
    with master.client() as on_master, replica.client() as on_replica:
        on_replica.execute_command("CLUSTER MEET", master.address, 6379)
        master_id = on_master.execute_command("CLUSTER MYID")
        deadline = time.monotonic() + DEADLINE_S
        while not replicates(on_replica, master_id):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        while on_replica.info("replication")["master_link_status"] != "up":
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_tls_with_the_files_of_the_image(
    start: Starter, environment: dict[str, str], tmp_path: Path
) -> None:
    if SERVERS["redis7"] is None:
        pytest.fail("only redis-server of the system speaks TLS here")
    config = of_the_image(tmp_path)
    node = start(
        environment | {"REDIS_SERVER": str(SERVERS["redis7"]), "REDIS_CONFIG": config},
        ssl=True,
        ssl_ca_certs=str(tmp_path / "cert.pem"),
        ssl_check_hostname=False,
    )
    assert node.config("port") == "0"
    assert node.config("tls-cluster") == node.config("tls-replication") == "yes"
    assert node.config("tls-key-file") == str(tmp_path / "key.pem")
    assert not (node.directory / "tls.key").exists()


REFUSED = {
    "no server": ({"REDIS_SERVER": "/nowhere/redis-server"}, "/nowhere/redis-server"),
    "not a program": ({"REDIS_SERVER": "/etc/passwd"}, "/etc/passwd"),
    "nothing on PATH": ({"REDIS_SERVER": ""}, "neither redis-server nor valkey-server"),
    "no client on PATH": ({"REDIS_CLI": ""}, "neither redis-cli nor valkey-cli"),
    "port": ({"REDIS_PORT": "http"}, "REDIS_PORT is 'http'"),
    "negative port": ({"REDIS_PORT": "-1"}, "REDIS_PORT is '-1'"),
    "no room for the bus port": ({"REDIS_PORT": "60000"}, "from 1 to 55535"),
    "octal memory": ({"REDIS_TASK_MEMORY_MIB": "0512"}, "REDIS_TASK_MEMORY_MIB is '0512'"),
    "address": ({"REDIS_ADDRESS": "redis.local"}, "REDIS_ADDRESS is 'redis.local'"),
    "short address": ({"REDIS_ADDRESS": "127.1"}, "REDIS_ADDRESS is '127.1'"),
    "password": ({"REDIS_PASSWORD": "one\ntwo"}, "REDIS_PASSWORD holds a line break"),
    "data dir": ({"REDIS_DATA_DIR": "/proc/nowhere"}, "'/proc/nowhere' cannot be created"),
    "data dir is a file": ({"REDIS_DATA_DIR": "/etc/passwd"}, "'/etc/passwd' cannot be created"),
    "data dir not writable": ({"REDIS_DATA_DIR": "/proc"}, "cannot write to '/proc/redis.conf'"),
    "half of TLS": ({"REDIS_TLS_CERT": "x"}, "TLS needs all of"),
    "other port": ({"REDIS_CONFIG": "port 7000"}, "sets port to '7000'"),
    "no cluster": ({"REDIS_CONFIG": "Cluster-Enabled no"}, "sets cluster-enabled to 'no'"),
    "bind": ({"REDIS_CONFIG": "bind 0.0.0.0"}, "sets bind to '0.0.0.0'"),
    "dir": ({"REDIS_CONFIG": "dir /tmp"}, "sets dir to '/tmp'"),
    "announced port": ({"REDIS_CONFIG": "cluster-announce-port 1"}, "cluster-announce-port"),
    "user": ({"REDIS_CONFIG": "user alice on nopass"}, "sets user, but the cluster"),
    "plain password": ({"REDIS_CONFIG": "requirepass x"}, "the secret REDIS_PASSWORD"),
    "underscore": ({"REDIS_CONFIG": "maxmemory_policy x"}, "letters and '-'"),
    "metadata": ({"ECS_CONTAINER_METADATA_URI_V4": "http://x/v4/a b-1"}, "should end in /<task"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_bad_input_gets_a_sentence(
    shell: Shell, environment: dict[str, str], change: dict[str, str], sentence: str
) -> None:
    answer = shell.run(ENTRYPOINT, environment | change)
    assert answer.returncode == 1
    assert sentence in answer.stderr
    assert answer.stderr.startswith("entrypoint: ")
    assert answer.stderr.count("\n") == 1


def test_loopback_alone_is_no_address_to_announce(
    shell: Shell, environment: dict[str, str]
) -> None:
    del environment["REDIS_ADDRESS"]
    shell.provide("hostname", "echo 127.0.0.1 ::1")
    answer = shell.run(ENTRYPOINT, environment)
    assert answer.returncode == 1
    assert "set REDIS_ADDRESS" in answer.stderr
