"""What is lost: slots whose owner is gone, and of which no replica has the data."""

from dataclasses import dataclass
from operator import neg

from redis_fargate.topology.fleet import Entry, Fleet, Live
from redis_fargate.topology.slots import ALL_SLOTS, SlotRanges, described, subtract
from redis_fargate.topology.view import advances


@dataclass(frozen=True, slots=True)
class Loss:
    """Slots of which no node has the data any more."""

    slots: SlotRanges
    owners: tuple[Entry, ...]
    """Those that took it with them, as far as anybody remembers them."""
    gone: tuple[str, ...]
    """Ids of all who are gone without heirs, and own slots by anybody's table: theirs, too, and
    those of which somebody serves what the others believe to be theirs."""

    def __str__(self) -> str:
        whose = " and ".join(map(str, self.owners)) or "their owner"
        verb = "are" if len(self.owners) > 1 else "is"
        return (
            f"The data of the slots {described(self.slots)} is lost: {whose} {verb} gone, and no "
            "replica has a copy."
        )


def heirs(fleet: Fleet, gone: Entry) -> list[Live]:
    """The replicas of a master that is gone which have its data, most of it first.

    Those in tasks that are stopping are among them, for as long as they live. Of two that have the
    same the one comes first that may be elected: which the others hear.
    """
    replicas = [
        live
        for live in fleet.lives
        if live.node.master_id == gone.id and live.node.replication.offset
    ]
    reached = advances([live.node.replication for live in replicas])
    behind = {
        live.node.id: tuple(map(neg, each)) for live, each in zip(replicas, reached, strict=True)
    }
    return sorted(
        replicas,
        key=lambda live: (
            behind[live.node.id],
            not live.task.running,
            fleet.is_cut_off(live),
            live.task.id,
        ),
    )


def silent_heir(fleet: Fleet, gone: Entry) -> bool:
    """Whether a replica of it runs that does not answer us, and may have more than all others.

    Where no master is left it may be a task that nobody knows, if ECS calls it healthy: the
    replicas that answer may have been out of contact when it joined.
    """
    if any(other.staying and other.master_id == gone.id for other in fleet.entries):
        return True
    known = {other.task_id for other in fleet.entries}
    return not fleet.masters and any(
        member.task.healthy and member.task.id not in known for member in fleet.silent
    )


def silent_taker(fleet: Fleet) -> bool:
    """Whether no master answers us and anybody else may still, who may have been given any slots.

    A replica that was cut off meanwhile would not know, and nobody would be there to tell it.
    """
    return not fleet.masters and any(entry.listed for entry in fleet.entries)


def loss(fleet: Fleet) -> Loss | None:
    """Tell what a formed cluster has lost for good; None if nothing.

    Slots without any owner are lost, since they had one. Nothing is while there is a task, be it a
    stopping one, whose node does not answer, unless it follows a living master by others' tables:
    it may have the data, or have been given the slots without anybody's hearing of it.
    """
    gone = {entry.id for entry in fleet.entries if entry.gone}
    known = {
        entry.task_id
        for entry in fleet.entries
        if entry.listed and entry.master_id and entry.master_id not in gone and not entry.slots
    }
    unheard = (member.task for member in fleet.view.members if member.node is None)
    if any(task.started_at_s is not None and task.id not in known for task in unheard):
        return None
    held = list(fleet.served)
    heirless: list[Entry] = []
    for entry in fleet.entries:
        if entry.slots and entry.gone and not heirs(fleet, entry):
            heirless.append(entry)
        else:
            held += entry.slots
    slots = subtract(ALL_SLOTS, held)
    if not slots:
        return None
    owners = tuple(entry for entry in heirless if subtract(entry.slots, fleet.served))
    return Loss(slots, owners, tuple(entry.id for entry in heirless))
