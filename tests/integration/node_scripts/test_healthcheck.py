"""node/healthcheck.sh: alive means that the server answers, whatever it answers."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from scripts_rig import DEADLINE_S, HEALTHCHECK, SERVERS, Shell, Starter, certificate, of_the_image


def test_a_node_that_answers_is_healthy(
    start: Starter, shell: Shell, server: str, environment: dict[str, str]
) -> None:
    node = start(environment | {"REDIS_SERVER": server, "REDIS_PASSWORD": "a 'b' \"c\""})
    answer = shell.run(HEALTHCHECK, node.environment)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_a_rotated_password_does_not_kill_the_node(
    start: Starter, shell: Shell, environment: dict[str, str]
) -> None:
    node = start(environment | {"REDIS_PASSWORD": "old"})
    with node.client() as client:
        client.config_set("requirepass", "new")
    assert shell.run(HEALTHCHECK, node.environment).returncode == 0


def test_a_busy_server_is_alive(start: Starter, shell: Shell, environment: dict[str, str]) -> None:
    node = start(environment | {"REDIS_CONFIG": "busy-reply-threshold 1"})
    with node.client() as client, node.client() as other:
        connection = client.connection_pool.get_connection()
        connection.send_command("EVAL", "while true do end", 0)
        try:
            assert shell.run(HEALTHCHECK, node.environment).returncode == 0
        finally:
            other.script_kill()
            connection.disconnect()


@pytest.mark.parametrize("answer", ["LOADING Redis is loading", "MASTERDOWN Link with MASTER"])
def test_a_loading_server_is_alive(shell: Shell, environment: dict[str, str], answer: str) -> None:
    shell.provide("redis-cli", f"echo '{answer}'; exit 1")
    assert shell.run(HEALTHCHECK, environment | {"REDIS_CLI": "redis-cli"}).returncode == 0


def test_tls(start: Starter, shell: Shell, environment: dict[str, str], tmp_path: Path) -> None:
    client = shutil.which("redis-cli")
    if SERVERS["redis7"] is None or client is None:
        pytest.fail("only redis-server of the system speaks TLS here")
    cert, key = certificate(tmp_path)
    node = start(
        environment
        | {"REDIS_SERVER": str(SERVERS["redis7"]), "REDIS_CLI": client, "REDIS_PASSWORD": "p"}
        | {"REDIS_TLS_CERT": cert, "REDIS_TLS_KEY": key, "REDIS_TLS_CA": cert}
    )
    answer = shell.run(HEALTHCHECK, node.environment)
    assert answer.returncode == 0, answer.stderr


def test_tls_of_the_image(
    start: Starter, shell: Shell, environment: dict[str, str], tmp_path: Path
) -> None:
    client = shutil.which("redis-cli")
    if SERVERS["redis7"] is None or client is None:
        pytest.fail("only redis-server of the system speaks TLS here")
    node = start(
        environment
        | {"REDIS_SERVER": str(SERVERS["redis7"]), "REDIS_CLI": client}
        | {"REDIS_CONFIG": of_the_image(tmp_path)}
    )
    answer = shell.run(HEALTHCHECK, node.environment)
    assert answer.returncode == 0, answer.stderr


def test_a_dead_server_is_not_healthy(shell: Shell, environment: dict[str, str]) -> None:
    answer = shell.run(HEALTHCHECK, environment)
    assert answer.returncode == 1
    assert "no answer from the server" in answer.stderr


def test_a_stopped_server_is_not_healthy_in_time(
    start: Starter, shell: Shell, environment: dict[str, str]
) -> None:
    node = start(environment)
    os.kill(node.server_pid, signal.SIGSTOP)
    try:
        answer = shell.run(HEALTHCHECK, node.environment)
    finally:
        os.kill(node.server_pid, signal.SIGCONT)
    assert answer.returncode == 1
    assert DEADLINE_S > 5


def test_without_a_client_it_says_so(shell: Shell, environment: dict[str, str]) -> None:
    answer = shell.run(HEALTHCHECK, environment | {"REDIS_CLI": ""})
    assert answer.returncode == 1
    assert "neither redis-cli nor valkey-cli" in answer.stderr
