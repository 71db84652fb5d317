"""A cluster bus that can be cut, without root: every server announces a port of ours for it."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

BUS_PORT = 16379
ANNOUNCED = {"cluster_announce_bus_port": "17379"}
"""What servers have to be started with."""


@dataclass
class BusProxies:
    """Passes on what servers say to each other on the bus, but for those that are cut off.

    A server binds its own address before it connects, so its connections are known by it.
    """

    cut: set[str] = field(default_factory=set)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _pairs: dict[socket.socket, tuple[socket.socket, frozenset[str]]] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)

    def listen(self, *addresses: str) -> None:
        """Stand between these servers and all others; before they announce themselves."""
        for address in addresses:
            listener = socket.create_server((address, int(ANNOUNCED["cluster_announce_bus_port"])))
            listener.settimeout(0)
            self._selector.register(listener, selectors.EVENT_READ)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Pass on meanwhile."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            for key, _ in self._selector.select(0.01):
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if ready.fileno() < 0:
                    continue  # closed a moment ago, with its other end
                with contextlib.suppress(BlockingIOError):
                    (self._pass_on if ready in self._pairs else self._accept)(ready)
            for one, (_, ends) in list(self._pairs.items()):
                if ends & self.cut:
                    self._close(one)
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _accept(self, listener: socket.socket) -> None:
        caller, (caller_address, _) = listener.accept()
        called = listener.getsockname()[0]
        ends = frozenset({caller_address, called})
        if ends & self.cut:
            caller.close()
            return
        try:
            server = socket.create_connection((called, BUS_PORT), timeout=1)
        except OSError:
            caller.close()
            return
        for one, other in ((caller, server), (server, caller)):
            one.settimeout(1)
            self._pairs[one] = (other, ends)
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        other, _ = self._pairs[one]
        try:
            data = one.recv(1 << 16)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        self._close(one)

    def _close(self, one: socket.socket) -> None:
        if one in self._pairs:
            other, _ = self._pairs.pop(one)
            self._pairs.pop(other, None)
            for end in (one, other):
                self._selector.unregister(end)
                end.close()
