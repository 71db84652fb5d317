"""What a local cloud is started with, checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from redis_fargate.local.errors import InvalidOption
from redis_fargate.topology.spec import Spec

DEFAULT_PORT = 4566
DEFAULT_SERVER = "valkey/valkey:9"
MAX_ZONES = 6
_MAX_PORT = 65535
_PASSWORDS = frozenset({"masterauth", "masteruser", "primaryauth", "primaryuser", "requirepass"})
_MANAGED = frozenset({
    "aclfile", "bind", "bind-source-addr", "cluster-allow-replica-migration",
    "cluster-config-file", "cluster-enabled", "cluster-port", "daemonize", "dir", "include",
    "logfile", "pidfile", "port", "rename-command", "replicaof", "slaveof", "supervised",
    "tls-cluster", "tls-port", "tls-replication", "unixsocket", "user",
})  # fmt: skip
"""Options with which a node would not be reachable, or not be what the controller expects."""


@dataclass(frozen=True, slots=True)
class Options:
    """What ``up`` was asked for.

    Raises:
        InvalidOption: zones or port are out of range.

    """

    spec: Spec
    zones: int = 3
    server: str = DEFAULT_SERVER
    """An image, or a program of this machine."""
    redis_config: Mapping[str, str] = field(default_factory=dict)
    """In Redis' own option names."""
    port: int = DEFAULT_PORT
    cluster_name: str = "redis-local"

    def __post_init__(self) -> None:
        if not 1 <= self.zones <= MAX_ZONES:
            raise InvalidOption(f"--zones is {self.zones}: give a number from 1 to {MAX_ZONES}.")
        if not 1 <= self.port <= _MAX_PORT:
            raise InvalidOption(f"--port is {self.port}: give a number from 1 to {_MAX_PORT}.")


def parse_redis_config(settings: Iterable[str]) -> dict[str, str]:
    """Read ``name=value`` pairs; ``_`` in a name counts as ``-``, and the last of a name wins.

    Raises:
        InvalidOption: not of that form, or an option that the cluster depends on.

    """
    config = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        name = name.strip().lower().replace("_", "-")
        if not equals or not name:
            raise InvalidOption(
                f"--redis-config {setting!r} is not of the form name=value: write it as in "
                "--redis-config maxmemory-policy=allkeys-lru."
            )
        if not all(letter.isascii() and (letter.isalnum() or letter == "-") for letter in name):
            raise InvalidOption(
                f"--redis-config {setting!r}: {name!r} is no name of an option. They are made of "
                "letters, digits and '-', as maxmemory-policy."
            )
        if not value.isprintable():
            raise InvalidOption(
                f"--redis-config {name} holds a line break or another character that cannot be "
                f"shown: {value!r}. Give one line of text."
            )
        if name in _PASSWORDS:
            raise InvalidOption(
                f"--redis-config {name} cannot be set: the local cloud makes a password of its "
                "own, and shows it."
            )
        if name in _MANAGED or name.startswith("cluster-announce-"):
            raise InvalidOption(
                f"--redis-config {name} cannot be set: the cluster depends on this option being "
                "managed. Leave it out."
            )
        config[name] = value.strip()
    return config
