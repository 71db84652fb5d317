"""SETTLE: end what an interrupted move of slots has left behind.

While a slot is in flight its keys are on two masters, and each of them says so in its own table
alone. Either may be replaced by a replica that knows nothing of it. So the keys themselves are
looked for, in every slot that some table or our own note calls in flight:

- a master has keys in a slot that another one owns: the slot is moved there, with the rest of its
  keys. Where both have a key the owner's is the true one, since that is the one that it serves.
- a master tells of no such keys before the slot is open there, too (Redis, from 8.4 on): it is
  opened, while the owner says that it is in flight.
- a master imports slots from a node that is gone: no message changes what it believes of them, and
  with too many masters that are gone in its table it says that the cluster is down, and takes no
  keys. Those of which it has none are closed first.
- nobody has: nothing was moved, or everything was, and only the state of being in flight is ended;
  where clients may still be sent on from, before where to.

It comes before FORGET, by which servers end that state themselves, keys or not.
"""

from collections.abc import Iterator, Mapping

from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.slots import (
    ALL_SLOTS,
    SlotRanges,
    common,
    described,
    from_numbers,
    numbers,
    subtract,
)
from redis_fargate.topology.spec import Pace
from redis_fargate.topology.steps import (
    CloseSlots,
    DropLeftovers,
    MoveSlots,
    NoteMoving,
    OpenSlots,
    Phase,
)
from redis_fargate.topology.view import Role


def steps(
    fleet: Fleet, pace: Pace
) -> tuple[NoteMoving | MoveSlots | OpenSlots | CloseSlots | DropLeftovers, ...]:
    """Bring together what belongs together; then close, and strike the slots from the note.

    When nothing is in flight, a master without slots may have keys all the same, of a former life:
    what its master had given away before it took its place, or what it got from a server at a
    reused address. It is of no use before it is rid of them.

    While a task runs whose node does not answer, nothing is closed: it may have keys, too. So may
    replicas of who was getting some and is gone, which are told from others by that. While
    servers move slots by themselves, the note stays: it is by the note that they are asked.
    """
    if moves := tuple(_moves(fleet, pace)):
        slots = tuple(piece for step in moves for piece in step.slots)
        return tuple(_orphans(fleet)) or (*note(fleet, slots, Phase.SETTLE), *moves)
    if fleet.silent or _is_inherited(fleet):
        return ()
    if opens := tuple(_opens(fleet)):
        return opens
    if closes := tuple(_closes(fleet)):
        return closes
    ended = not fleet.takers and not subtract(fleet.view.moving, fleet.served)
    if fleet.view.moving and ended:
        return (NoteMoving((), "No slot is in flight any more.", Phase.SETTLE),)
    return tuple(_leftovers(fleet))


def note(fleet: Fleet, slots: SlotRanges, phase: Phase) -> tuple[NoteMoving, ...]:
    """Write down that slots will be in flight, unless that is written down already."""
    if not subtract(slots, fleet.view.moving):
        return ()
    together = from_numbers((*numbers(slots), *numbers(fleet.view.moving)))
    return (NoteMoving(together, "What may be in flight is written down first.", phase),)


def _moves(fleet: Fleet, pace: Pace) -> Iterator[MoveSlots]:
    owners = _owners(fleet)
    pairs: dict[tuple[str, str], list[int]] = {}
    for slot, holders in _holders(fleet).items():
        owner = owners.get(slot)
        if owner is not None:
            most = max(holders, key=lambda live: (live.node.strays[slot], live.task.id))
            pairs.setdefault((owner.node.id, most.node.id), []).append(slot)
    for (owner_id, holder_id), found in pairs.items():
        owner, holder = fleet.by_id[owner_id], fleet.by_id[holder_id]
        slots = from_numbers(found)
        keys = sum(holder.node.strays[slot] for slot in found)
        why = f"{holder} has {keys} keys of the slots {described(slots)}, and {owner} owns them."
        yield MoveSlots(
            owner.ref,
            holder.ref,
            slots,
            resumed=True,
            pace=pace,
            why=why,
            phase=Phase.SETTLE,
        )


def _is_inherited(fleet: Fleet) -> bool:
    """Whether keys on their way to a master that does not answer may be its replicas'."""
    return any(
        fleet.on_their_way(live.node.master_id)
        for live in fleet.running
        if live.node.keys and live.node.master_id and live.node.master_id not in fleet.by_id
    )


def _owners(fleet: Fleet) -> Mapping[int, Live]:
    """Who owns each of the slots in question; of two the one with the newer claim."""
    asked = {slot for live in fleet.lives for slot in live.node.strays}
    owners: dict[int, Live] = {}
    for live in sorted(fleet.masters, key=lambda live: live.node.config_epoch):
        owned = asked.intersection(numbers(live.node.slots)) if asked else ()
        owners.update(dict.fromkeys(owned, live))
    return owners


def _holders(fleet: Fleet) -> Mapping[int, list[Live]]:
    holders: dict[int, list[Live]] = {}
    for live in fleet.lives:
        for slot in live.node.strays:
            holders.setdefault(slot, []).append(live)
    return holders


def _leftovers(fleet: Fleet) -> Iterator[DropLeftovers]:
    well = all(live.node.cluster_ok for live in fleet.masters)
    if fleet.in_flight or not well or subtract(ALL_SLOTS, fleet.served):
        return
    for live in fleet.running:
        if live.node.role is Role.MASTER and live.node.keys and not live.node.slots:
            why = f"{live} has {live.node.keys} keys of slots that others own."
            yield DropLeftovers(live.ref, why)


def _opens(fleet: Fleet) -> Iterator[OpenSlots]:
    """On masters that hide keys, what somebody gives away: one may have got some as a replica."""
    for owner in fleet.masters:
        given = {each.slot for each in owner.node.open_slots if each.migrating_to}
        for live in fleet.lives:
            hidden = given.difference(each.slot for each in live.node.open_slots)
            if live.node.role is Role.MASTER and live.node.hides_keys and hidden:
                slots = from_numbers(hidden)
                why = f"It may have keys of the slots {described(slots)}, which {owner} owns."
                yield OpenSlots(live.ref, owner.node.id, slots, why)


def _orphans(fleet: Fleet) -> Iterator[CloseSlots]:
    for live in fleet.lives:
        imported = from_numbers(
            each.slot
            for each in live.node.open_slots
            if each.importing_from
            and each.importing_from not in fleet.by_id
            and each.slot not in live.node.strays
        )
        if slots := common(subtract(imported, live.node.slots), fleet.served):
            why = f"{live} has no key of the slots {described(slots)}, whose source is gone."
            yield CloseSlots(live.ref, slots, why)


def _closes(fleet: Fleet) -> Iterator[CloseSlots]:
    """First where slots are given away: a key may come to who imports them until that has ended."""
    both = [
        (
            live,
            from_numbers(each.slot for each in live.node.open_slots if each.migrating_to),
            from_numbers(each.slot for each in live.node.open_slots if each.importing_from),
        )
        for live in fleet.lives
        if live.node.open_slots
    ]
    given = [(live, slots) for live, slots, _ in both if slots]
    for live, slots in given or [(live, slots) for live, _, slots in both]:
        why = f"No key of the slots {described(slots)} is in flight."
        yield CloseSlots(live.ref, slots, why)
