"""The command line in a process of its own: what it refuses, how it exits, what it costs."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

# Nothing of the machine's own AWS configuration.
UNCONFIGURED = {
    name: value for name, value in os.environ.items() if not name.startswith("AWS_")
} | {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def run(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "redis_fargate.cli", *arguments],
        env=UNCONFIGURED | {"REDIS_FARGATE_HOME": str(home)} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["local", "up", "--masters", "0"], 2, "at least 1 master"),
        (["local", "up", "--replicas", "-1"], 2, "use 0 for no replicas"),
        (["local", "up", "--masters", "400", "--replicas", "400"], 2, "up to 500"),
        (["local", "up", "--masters", "three"], 2, "'--masters'"),
        (["local", "up", "--zones", "7"], 2, "from 1 to 6"),
        (["local", "up", "--port", "70000"], 2, "from 1 to 65535"),
        (["local", "up", "--redis-config", "maxmemory"], 2, "name=value"),
        (["local", "up", "--redis-config", "Port=1"], 2, "port cannot be set"),
        (["local", "up", "--server", "no-such-server"], 2, "no such program"),
        (["local", "up", "--server", "/bin/ls"], 2, "does not answer as a Redis"),
        (["local", "status"], 3, "Start one: redis-fargate local up"),
        (["local", "stop-task", "1"], 3, "No local cloud runs"),
        (["local", "scale", "--replicas", "4"], 3, "No local cloud runs"),
        (["local", "scale"], 2, "give --masters"),
        (["local", "fault", "kill-task", "1"], 3, "No local cloud runs"),
        (["local", "fault", "cut", "1"], 3, "No local cloud runs"),
        (["local", "fault", "cut"], 2, "TASK"),
        (["local", "fault", "mend"], 3, "No local cloud runs"),
        (["local", "logs"], 3, "No local cloud runs"),
        (["rehearse", "--scenario", "earthquake"], 2, "kill-zone"),
        (["rehearse", "--load", "0"], 2, "from 1 to 2000"),
        (["rehearse", "--limit", "gap=1"], 2, "planned-gap-s"),
        (["rehearse", "--limit", "p99-ms=soon"], 2, "NAME=NUMBER"),
        (["rehearse", "--replicas", "1"], 2, "at least one"),
        (["rehearse", "--report", "/nowhere/report.html"], 2, "cannot be written"),
        (["status"], 2, "--cluster-name"),
        (["reconcile"], 2, "--cluster-name"),
        (["init"], 2, "'DIR'"),
        (["init", "/nowhere/x", "--cluster-name", "1st"], 2, "a letter first"),
        (["init", "/nowhere/x", "--region", "europe"], 2, "like eu-west-1"),
        (["init", "/proc"], 1, "/proc is not empty"),
        (["init", "/dev/null"], 1, "/dev/null is no directory"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_bad_input_gets_a_sentence(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    home = tmp_path / "home"
    done = run(home, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not home.exists()


def test_a_port_in_use_and_a_directory_of_somebody_else(tmp_path: Path) -> None:
    import socket  # noqa: PLC0415

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        done = run(tmp_path / "home", "local", "up", "--port", port)
    assert done.returncode == 3
    assert f"Port {port} of 127.0.0.1 cannot be had" in done.stderr
    assert not (tmp_path / "home").exists()

    (tmp_path / "precious").touch()
    for command in ("up", "down"):
        done = run(tmp_path, "local", command)
        assert done.returncode == 3
        assert "such as precious" in done.stderr
    assert (tmp_path / "precious").exists()


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
NOBODY = ("--endpoint-url", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "words"),
    [
        (NOBODY, KEYS, 3, "give --region, or set AWS_REGION or AWS_DEFAULT_REGION"),
        (NOBODY, {"AWS_REGION": "eu-west-1"}, 3, "There are no AWS credentials"),
        (NOBODY, KEYS | {"AWS_REGION": "eu-west-1"}, 3, "No answer from the endpoint"),
        (NOBODY, KEYS | {"AWS_REGION": "eu west"}, 2, "'eu west' is no name of a region"),
        (("--region", "eu-west-1", "--profile", "none"), {}, 3, "has no profile 'none'"),
        (("--region", "eu-west-1"), {"AWS_PROFILE": "none"}, 3, "has no profile 'none'"),
        (("--region", "eu-west-1"), {"AWS_ACCESS_KEY_ID": "x"}, 3, "missing: AWS_SECRET"),
        (("--region", "eu-west-1", "--endpoint-url", "127.0.0.1:1"), KEYS, 2, "Give a URL"),
    ],
)
def test_aws_that_cannot_be_asked(
    tmp_path: Path, arguments: Sequence[str], variables: Mapping[str, str], code: int, words: str
) -> None:
    done = run(tmp_path, "status", "--cluster-name", "x", "--json", *arguments, **variables)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_down_where_nothing_runs(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "local", "down")
    assert (done.returncode, done.stdout) == (0, "No local cloud runs: nothing to stop.\n")


@pytest.mark.parametrize(
    "command",
    ["init", "status", "reconcile", "local up", "local down", "local status", "local scale",
     "local stop-task", "local logs", "local fault cut", "local fault mend"],
)  # fmt: skip
def test_help_has_an_example(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, *command.split(), "--help")
    assert done.returncode == 0
    assert f"  redis-fargate {command}" in done.stdout.partition("Example")[2]


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "redis_fargate.cli", "local", "down"],
        env=os.environ | {"REDIS_FARGATE_HOME": str(tmp_path / "home")},
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">/dev/full", 3)])
def test_streams_that_take_nothing(tmp_path: Path, closed: str, code: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m redis_fargate.cli local down {closed}', sys.executable],
        env=UNCONFIGURED | {"REDIS_FARGATE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr == ("Error: [Errno 28] No space left on device.\n" if code else "")


def test_nothing_slow_is_imported_for_help() -> None:
    slow = "import sys, redis_fargate.cli.app; print({'boto3', 'rich', 'redis'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", slow], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "set()\n"
