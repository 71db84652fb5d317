"""The steps that a plan is made of. Each is idempotent and says why it is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from redis_fargate.topology.slots import SlotRanges
from redis_fargate.topology.spec import Pace


class Phase(Enum):
    """The phases of a plan, in the order in which they are considered."""

    FORM = "form"
    RESCUE = "rescue"
    COVER = "cover"
    SETTLE = "settle"
    JOIN = "join"
    FORGET = "forget"
    SHAPE = "shape"
    PROTECT = "protect"


@dataclass(frozen=True, slots=True)
class NodeRef:
    """A node that was observed: enough to reach it, and to check that it is still the same."""

    id: str
    address: str
    port: int
    task_id: str

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class BeginForming:
    """Put FORMING in the marker, with the settings that forming changes (see ``view.Forming``)."""

    settings: Mapping[str, Mapping[str, str]]
    why: str
    again: bool = False
    """Whether a cluster was formed before, of which nothing is left."""
    phase: Phase = Phase.FORM


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """CONFIG SET on one node: lowering timeouts while forming, or putting them back."""

    node: NodeRef
    settings: tuple[tuple[str, str], ...]
    why: str
    phase: Phase = Phase.FORM


@dataclass(frozen=True, slots=True)
class SetConfigEpoch:
    """Give a blank node an epoch of its own; only while its epoch is 0 and it knows nobody."""

    node: NodeRef
    epoch: int
    why: str
    phase: Phase = Phase.FORM


@dataclass(frozen=True, slots=True)
class AddSlots:
    """Let a node serve slots that no node of the cluster claims."""

    node: NodeRef
    slots: SlotRanges
    why: str
    phase: Phase = Phase.FORM


@dataclass(frozen=True, slots=True)
class AdoptSlots:
    """Let a node serve slots whose data is lost: nobody claims them but nodes that are gone."""

    node: NodeRef
    slots: SlotRanges
    gone: tuple[str, ...]
    """Ids of the nodes that the tables may still name as owners."""
    replicas: tuple[NodeRef, ...]
    """One of them uses up an epoch before the node takes the next: its own first, of which the
    others elect one if it has just been cut off. With the same epoch the node might win against
    that one, and what clients had written there would be lost. None if it has no replica."""
    why: str
    phase: Phase = Phase.COVER


@dataclass(frozen=True, slots=True)
class Meet:
    """Introduce nodes to ``node``; just before, each is checked to be the one observed."""

    node: NodeRef
    peers: tuple[NodeRef, ...]
    why: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class AwaitAgreement:
    """Wait until all of ``nodes`` know each other, and who owns which slot."""

    nodes: tuple[NodeRef, ...]
    why: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class Replicate:
    """Make a blank master, or a replica of another, a replica of ``master``."""

    node: NodeRef
    master: NodeRef
    why: str
    phase: Phase


class FailoverMode(Enum):
    """How a replica takes its master's place (Redis docs, "CLUSTER FAILOVER")."""

    PLANNED = "planned"  # the master stops writes and waits for the replica: nothing is lost
    FORCE = "force"  # the master is gone; most of the other masters vote
    TAKEOVER = "takeover"  # the master is gone, and so are too many to vote


@dataclass(frozen=True, slots=True)
class Failover:
    """Let a replica take the place, and the slots, of its master."""

    node: NodeRef
    master_id: str
    mode: FailoverMode
    rivals: tuple[NodeRef, ...]
    """The master's other replicas, of which none may have more of its data."""
    masters: tuple[NodeRef, ...]
    """Those that answer. Most of them have to know the node as that master's replica, to vote for
    it; they learn that by gossip, up to half a node timeout after it is so. A takeover asks for no
    votes: none of them may serve what the node would claim."""
    why: str
    phase: Phase
    on_their_way: SlotRanges = ()
    """Slots that a master which is gone was being given: all of its keys may be of these."""


@dataclass(frozen=True, slots=True)
class BumpEpoch:
    """Let a master's claim be newer than the one of a master that is gone, whose place it took."""

    node: NodeRef
    gone_id: str
    gone_epoch: int
    """The newest config epoch by which somebody believes that one."""
    why: str
    phase: Phase = Phase.RESCUE


@dataclass(frozen=True, slots=True)
class AdvanceEpoch:
    """Let the next election have a newer epoch than the one that a master gave itself."""

    nodes: tuple[NodeRef, ...]
    """Replicas that may use one up: its own first, who would be elected."""
    epoch: int
    """The one to be used up."""
    why: str
    phase: Phase = Phase.RESCUE


@dataclass(frozen=True, slots=True)
class Outrank:
    """Give a master a newer config epoch than another has, which has none of its slots."""

    node: NodeRef
    rival: NodeRef
    why: str
    phase: Phase = Phase.RESCUE


@dataclass(frozen=True, slots=True)
class AllowFailover:
    """Let Redis elect a replica again that has all data now: ``Replicate`` keeps it from that."""

    node: NodeRef
    why: str
    phase: Phase = Phase.JOIN


@dataclass(frozen=True, slots=True)
class Reset:
    """Make an empty master that knows nobody of a replica that can be spared."""

    node: NodeRef
    master: NodeRef | None
    """Whose data it has; None if it has none, and its master is gone."""
    why: str
    phase: Phase = Phase.SHAPE


@dataclass(frozen=True, slots=True)
class NoteMoving:
    """Write down which slots may be in flight from now on, for whoever has to settle them."""

    slots: SlotRanges
    why: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class MoveSlots:
    """Bring slots, with all their keys, from the master that owns them to another.

    As many as get there in the time of one wave; the next plan has the rest.
    """

    source: NodeRef
    target: NodeRef
    slots: SlotRanges
    resumed: bool
    """Whether keys that the target has of these slots came in an earlier move. Else nobody serves
    them, and they must not come to life again by the move: they are deleted."""
    pace: Pace
    why: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class AwaitMigrations:
    """Wait until no slots are on their way from or to ``nodes`` that servers move by themselves.

    For the time of one wave; the next plan waits on.
    """

    nodes: tuple[NodeRef, ...]
    why: str
    phase: Phase = Phase.SHAPE


@dataclass(frozen=True, slots=True)
class OpenSlots:
    """Put slots of another master in flight to a node, so that it tells of the keys it has."""

    node: NodeRef
    owner_id: str
    slots: SlotRanges
    why: str
    phase: Phase = Phase.SETTLE


@dataclass(frozen=True, slots=True)
class CloseSlots:
    """End the state of being in flight of slots of which no key is in flight."""

    node: NodeRef
    slots: SlotRanges
    why: str
    phase: Phase = Phase.SETTLE


@dataclass(frozen=True, slots=True)
class DropLeftovers:
    """Delete the keys of a master without slots: others own all slots, and nobody serves these."""

    node: NodeRef
    why: str
    phase: Phase = Phase.SETTLE


@dataclass(frozen=True, slots=True)
class AwaitHealthy:
    """Wait until all of ``nodes`` say that all is well, and every replica's link is up."""

    nodes: tuple[NodeRef, ...]
    why: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class FinishForming:
    """Put FORMED in the marker."""

    why: str
    phase: Phase = Phase.FORM


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the entry of a node whose task is gone from the tables of ``nodes``.

    ``unassigned`` are the slots that it owns by some table, and that nobody's data is lost with.
    ``also_gone`` are the ids of others that are gone: it may be the master of one of them.
    """

    gone_id: str
    gone_task_id: str
    nodes: tuple[NodeRef, ...]
    why: str
    phase: Phase = Phase.FORGET
    unassigned: SlotRanges = ()
    also_gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Protect:
    """Keep ECS from stopping tasks when it deploys or scales in."""

    task_arns: tuple[str, ...]
    why: str
    phase: Phase = Phase.PROTECT


@dataclass(frozen=True, slots=True)
class Unprotect:
    """Let ECS stop a task that the cluster can spare."""

    task_arn: str
    node: NodeRef
    keepers: tuple[NodeRef, ...]
    """A master and its replicas that have all that the node has; empty for a node without data."""
    why: str
    phase: Phase = Phase.PROTECT


@dataclass(frozen=True, slots=True)
class Release:
    """Let ECS stop all tasks, data or not: its user has told it to run none."""

    task_arns: tuple[str, ...]
    why: str
    phase: Phase = Phase.PROTECT


MarkerStep: TypeAlias = BeginForming | FinishForming | NoteMoving
SingleStep: TypeAlias = (
    ChangeSettings
    | SetConfigEpoch
    | AddSlots
    | AdoptSlots
    | Meet
    | AwaitAgreement
    | Replicate
    | Failover
    | BumpEpoch
    | AdvanceEpoch
    | Outrank
    | AllowFailover
    | Reset
    | AwaitMigrations
    | OpenSlots
    | CloseSlots
    | DropLeftovers
    | AwaitHealthy
    | Forget
)
"""Steps on nodes that are taken each by itself; moves from one master share its time."""
NodeStep: TypeAlias = SingleStep | MoveSlots
ProtectionStep: TypeAlias = Protect | Unprotect | Release
Step: TypeAlias = MarkerStep | NodeStep | ProtectionStep
