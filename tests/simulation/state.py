"""The state table in memory: the lease, the marker; and calls that AWS throttles."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from redis_fargate.aws.errors import AwsUnavailable, LeaseLost, MarkerChanged
from redis_fargate.aws.state import Held, Lease, Remembered
from redis_fargate.topology.slots import SlotRanges
from redis_fargate.topology.view import Forming, Marker

from .clock import EPOCH_S, VirtualLoop
from .wire import Fuse


@dataclass
class Table:
    """What the table holds."""

    loop: VirtualLoop
    owner: str | None = None
    fencing: int = 0
    expires_s: float = 0.0
    dirty: bool = False
    marker: Marker = Marker.ABSENT
    forming: Forming | None = None
    moving: SlotRanges = ()
    forgotten: Mapping[str, float] = field(default_factory=dict)
    throttled_until_s: float = -1.0


@dataclass
class State:
    """One run's access to it (``controller.ports.State``)."""

    table: Table
    fuse: Fuse
    written: int = field(default=0)

    def _called(self, *, writing: bool = False) -> None:
        self.fuse.burn(writing=False)
        if self.table.loop.now_s < self.table.throttled_until_s:
            raise AwsUnavailable("AWS could not answer for now (ThrottlingException).")
        self.written += writing

    def acquire(self, owner: str, lasts_s: float) -> Lease | Held:
        self._called()
        table = self.table
        now_s = table.loop.now_s
        if table.owner not in (None, owner) and table.expires_s > now_s:
            table.dirty = True
            return Held(table.owner or "", EPOCH_S + table.expires_s)
        table.owner, table.dirty, table.expires_s = owner, False, now_s + lasts_s
        table.fencing += 1
        return Lease(owner, table.fencing)

    def release(self, lease: Lease, *, even_if_dirty: bool) -> bool:
        self._called()
        table = self.table
        if (table.owner, table.fencing) != (lease.owner, lease.fencing):
            return True
        if table.dirty and not even_if_dirty:
            table.dirty = False
            return False
        table.owner = None
        return True

    def heed(self, lease: Lease) -> bool:
        self._called()
        table = self.table
        told = table.dirty and (table.owner, table.fencing) == (lease.owner, lease.fencing)
        table.dirty &= not told
        return told

    def marker(self) -> Remembered:
        self._called()
        table = self.table
        return Remembered(table.marker, table.forming, table.moving, table.forgotten)

    def _held(self, lease: Lease) -> None:
        self._called(writing=True)
        if (self.table.owner, self.table.fencing) != (lease.owner, lease.fencing):
            raise LeaseLost("The lease went to another run.")

    def begin_forming(
        self, lease: Lease, settings: Mapping[str, Mapping[str, str]], *, again: bool
    ) -> None:
        self._held(lease)
        if again is not (self.table.marker is Marker.FORMED):
            raise MarkerChanged("The marker says something else.")
        self.table.marker, self.table.forming = Marker.FORMING, Forming(settings)

    def finish_forming(self, lease: Lease) -> None:
        self._held(lease)
        self.table.marker, self.table.forming, self.table.moving = Marker.FORMED, None, ()

    def note_moving(self, lease: Lease, slots: SlotRanges) -> None:
        self._held(lease)
        self.table.moving = slots

    def note_forgotten(self, lease: Lease, at_s: Mapping[str, float]) -> None:
        self._held(lease)
        self.table.forgotten = at_s

    def record(self, lease: Lease, summary: Mapping[str, str]) -> None:
        self._called()
