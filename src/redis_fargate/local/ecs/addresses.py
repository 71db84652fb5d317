"""Free loopback addresses for tasks: 127.A.<zone>.<n>, A chosen once per local cloud.

A node listens on port 6379 and its cluster bus on 16379, so an address is free when both can be
bound. An address does not come back soon: a task that is gone leaves its address in other nodes'
tables, and a new task that appeared there would be taken for it. So no two local clouds of a
machine have the same A at the same time: each keeps a port of 127.A.0.1 bound.
"""

import errno
import itertools
import random
import socket
from contextlib import suppress

from redis_fargate.local.ecs.errors import NoAddress

_PORTS = (6379, 16379)
_FIRST_HOST = 1
_LAST_HOST = 254
_LOWEST_NET = 16
_HIGHEST_NET = 250
_LOOPBACK_NEEDS_ALIAS = frozenset({errno.EADDRNOTAVAIL})


class Addresses:
    """Allocates addresses; a zone has its own third number, and numbers are used in turn."""

    def __init__(self, net: int | None = None) -> None:
        """Choose the second number of all addresses: ``net``, or one of 16 to 250 that is free."""
        self._claim = socket.socket()
        self._net = net or _claimed_net(self._claim)
        self._zones: dict[str, int] = {}
        self._hosts: dict[str, itertools.cycle[int]] = {}
        self._taken: set[str] = set()

    def take(self, zone: str) -> str:
        """Take an address in the zone that nothing listens on.

        Raises:
            NoAddress: all 254 of the zone are taken, or the machine has only 127.0.0.1.

        """
        index = self._zones.setdefault(zone, len(self._zones) + 1)
        hosts = self._hosts.setdefault(zone, itertools.cycle(range(_FIRST_HOST, _LAST_HOST + 1)))
        for _ in range(_FIRST_HOST, _LAST_HOST + 1):
            address = f"127.{self._net}.{index}.{next(hosts)}"
            if address not in self._taken and _is_free(address):
                self._taken.add(address)
                return address
        raise NoAddress(
            f"No free address is left in zone {zone}: something listens on port 6379 or 16379 of "
            f"all of 127.{self._net}.{index}.1 to .254. Stop some tasks."
        )

    def give_back(self, address: str) -> None:
        """Let an address be taken again, once all others of its zone had their turn."""
        self._taken.discard(address)

    def close(self) -> None:
        """Leave the net to others."""
        self._claim.close()


def _claimed_net(claim: socket.socket) -> int:
    """Choose a net that no other local cloud has as long as the socket is open."""
    nets = list(range(_LOWEST_NET, _HIGHEST_NET + 1))
    random.SystemRandom().shuffle(nets)
    for net in nets:
        with suppress(OSError):
            claim.bind((f"127.{net}.0.1", _PORTS[0]))
            return net
    return nets[0]  # nothing can be bound there: whoever takes an address is told why


def _is_free(address: str) -> bool:
    for port in _PORTS:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            # As servers do: a connection in TIME_WAIT is nobody who listens.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, port))
            except OSError as error:
                if error.errno in _LOOPBACK_NEEDS_ALIAS:
                    raise NoAddress(
                        f"{address} cannot be bound: this machine has 127.0.0.1 alone. Add it "
                        f"with `sudo ifconfig lo0 alias {address} up`, and so for every address "
                        "that a task needs, or run the local cloud on Linux."
                    ) from error
                return False
    return True
