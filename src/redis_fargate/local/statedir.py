"""The one directory that holds everything of a running local cloud.

======================  ===========================================================
``cloud.json``          the process that runs, and what it was started with
``lock``                held by the command that starts or stops one
``gateway.log``         what that process printed
``controller.zip``      the Lambda package
``tasks/``              the tasks' own disks
``tmp/``                the process' TMPDIR
======================  ===========================================================

It is ``$REDIS_FARGATE_HOME``, else ``$XDG_STATE_HOME/redis-fargate``, else
``~/.local/state/redis-fargate``. Nobody but its owner can read it.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redis_fargate.local.errors import AlreadyRunning, StateDirUnusable

_OURS = frozenset({"cloud.json", "lock", "gateway.log", "controller.zip", "tasks", "tmp"})


@dataclass(frozen=True, slots=True)
class Record:
    """A local cloud that was started.

    Raises:
        ValueError: it names no process.

    """

    pid: int
    started_ticks: int
    """When the process started, in clock ticks since boot: tells it from a later one of its pid."""
    port: int
    cluster_name: str
    options: Mapping[str, Any]
    """What ``up`` was given, to show."""

    def __post_init__(self) -> None:
        # Anybody may have edited the file, and what it names is sent signals.
        numbers = (self.pid, self.started_ticks, self.port)
        if not all(type(number) is int and number >= 0 for number in numbers) or not self.pid:
            raise ValueError(f"{self} is no process")

    @property
    def endpoint(self) -> str:
        """Where AWS' API is answered."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class StateDir:
    """Where things are in the directory, and who may use it."""

    root: Path

    @classmethod
    def chosen(cls, environment: Mapping[str, str]) -> "StateDir":
        """Choose the directory by the environment's word."""
        if own := environment.get("REDIS_FARGATE_HOME"):
            return cls(Path(own).expanduser().absolute())
        base = environment.get("XDG_STATE_HOME") or "~/.local/state"
        return cls(Path(base).expanduser().absolute() / "redis-fargate")

    @property
    def log(self) -> Path:
        """What the background process printed."""
        return self.root / "gateway.log"

    @property
    def package(self) -> Path:
        """The controller's Lambda package."""
        return self.root / "controller.zip"

    @property
    def tasks(self) -> Path:
        """The tasks' disks."""
        return self.root / "tasks"

    @property
    def tmp(self) -> Path:
        """TMPDIR of the background process."""
        return self.root / "tmp"

    def create(self) -> None:
        """Make the directory, empty but for what is ours.

        Raises:
            StateDirUnusable: no permission, or it holds files that are not ours.

        """
        with self._explained("create"):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_that_it_is_ours()
            self.root.chmod(0o700)
            self.tasks.mkdir(exist_ok=True)
            self.tmp.mkdir(exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from starting a cloud here; the directory must exist.

        Raises:
            AlreadyRunning: one is being started right now.

        """
        with self._explained("write to"):
            lock = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRunning(
                    f"A local cloud is being started in {self.root} right now: wait for it, or "
                    "stop it with `redis-fargate local down`."
                ) from error
            yield
        finally:
            os.close(lock)

    def write(self, record: Record) -> None:
        """Remember what runs."""
        with self._explained("write to"):
            unfinished = self.root / "tmp" / "cloud.json"
            unfinished.write_text(json.dumps(asdict(record), indent=2) + "\n")
            unfinished.replace(self.root / "cloud.json")

    def read(self) -> Record | None:
        """Recall what was started here last, running or not; None if nothing was.

        Raises:
            StateDirUnusable: it cannot be read.

        """
        with self._explained("read"):
            try:
                return Record(**json.loads((self.root / "cloud.json").read_text()))
            except (FileNotFoundError, NotADirectoryError):
                return None
            except (ValueError, TypeError) as error:
                raise StateDirUnusable(
                    f"{self.root / 'cloud.json'} cannot be understood ({error}): it was "
                    f"changed, or another version wrote it. End what `pgrep -f {self.root}` still "
                    "finds, and remove the directory."
                ) from error

    def log_tail(self, lines: int = 15) -> str:
        """Give the end of what the background process printed."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def remove(self) -> None:
        """Remove the directory and all in it; nothing happens if it is not there.

        Raises:
            StateDirUnusable: no permission, or it holds files that are not ours.

        """
        with self._explained("remove"):
            if not self.root.exists():
                return
            self._check_that_it_is_ours()
            try:
                shutil.rmtree(self.root)
            except FileNotFoundError:
                # Somebody else is at it too, or a task wrote its last: what is left is left to us.
                shutil.rmtree(self.root, ignore_errors=True)

    def _check_that_it_is_ours(self) -> None:
        """Refuse a directory that was there before us: ``remove`` would take all in it along."""
        strangers = sorted(entry.name for entry in self.root.iterdir() if entry.name not in _OURS)
        if strangers:
            raise StateDirUnusable(
                f"{self.root} holds files that are not ours, such as {strangers[0]}, and `down` "
                "removes the whole directory: set REDIS_FARGATE_HOME to one of its own."
            )

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateDirUnusable(
                f"Cannot {verb} the state directory {self.root}: {error.strerror or error} "
                f"({error.filename}). Make it yours, or set REDIS_FARGATE_HOME to another."
            ) from error
