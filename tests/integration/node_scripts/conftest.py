import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts_rig import DEADLINE_S, SERVERS, TOOLS, Shell, Starter, free_address

from redis_fargate.local.tasks.servers import client_for


@pytest.fixture(params=["dash", "busybox"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    path = tmp_path / "bin"
    path.mkdir()
    program = shutil.which(request.param)
    assert program, f"{request.param} is needed to test the node's scripts"
    for tool in TOOLS:
        target = program if request.param == "busybox" else shutil.which(tool)
        assert target
        (path / tool).symlink_to(target)
    return Shell([program, *(["sh"] if request.param == "busybox" else []), "-c"], path)


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> str:
    program = SERVERS[request.param]
    if program is None:
        pytest.fail(f"{request.param} is not on this machine")
    return str(program)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a task definition and the local runtime give at least."""
    return {
        "REDIS_ADDRESS": free_address(),
        "REDIS_DATA_DIR": str(tmp_path / "data"),
        "REDIS_SERVER": str(SERVERS["valkey9"]),
        "REDIS_CLI": str(client_for(Path(str(SERVERS["valkey9"])))),
        "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/0123456789abcdef-1234567890",
    }


@pytest.fixture
def start(shell: Shell, tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(shell, tmp_path)
    yield starter
    for node in starter.nodes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.process.pid, signal.SIGKILL)
        node.process.wait(DEADLINE_S)
