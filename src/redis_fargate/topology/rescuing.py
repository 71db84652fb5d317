"""RESCUE: replicas take the place of masters whose tasks are gone.

Of those that owned slots; and of those that did not yet, but may have been given keys of slots that
were in flight: as masters, their replicas can go on.

Redis would find out by itself, after the node timeout, if most of the masters are left to agree
and to vote. ECS has said it already, and only ECS can: a master that is merely silent is never
replaced here.
"""

from collections.abc import Iterator

from redis_fargate.topology import disbelieved, unheard
from redis_fargate.topology.fleet import DOUBTFUL, Entry, Fleet, Live
from redis_fargate.topology.losses import heirs, silent_heir, silent_taker
from redis_fargate.topology.slots import SlotRanges, common, described, subtract
from redis_fargate.topology.steps import (
    AdvanceEpoch,
    BumpEpoch,
    Failover,
    FailoverMode,
    Outrank,
    Phase,
)
from redis_fargate.topology.view import Role


def steps(fleet: Fleet) -> tuple[Failover | BumpEpoch | AdvanceEpoch | Outrank, ...]:
    """Replace all masters that are gone; then see that who has what they had is believed."""
    return _failovers(fleet) or (
        *_bumps(fleet),
        *unheard.steps(fleet),
        *disbelieved.steps(fleet),
    )


def _failovers(fleet: Fleet) -> tuple[Failover, ...]:
    """One failover for each master that is gone, to the replica that has the most of its data.

    Where no replica ever had a whole copy there is none: promoting it would serve an empty shard.
    Nor is there one while a replica runs that does not answer us: it may have more than the others,
    and Redis' own election would know.

    Nor is there one that needs votes while the replica and most masters do not know each other:
    JOIN comes first. A replica that believes that its master owned what is another's by now waits,
    too: without a vote nobody would keep it from taking that back.

    Without a vote nobody takes what somebody who does not answer may have been given.

    Where most masters are gone no more take over without a vote than it takes to have most of them
    again. More of them, and the others' votes could elect a rival of one that is cut off.
    """
    lacking = _lacking(fleet)
    masters = tuple(live.ref for live in fleet.masters)
    elected, takeovers, others = [], [], []
    for entry in fleet.entries:
        slots = subtract(entry.slots, fleet.served)
        ranked = heirs(fleet, entry)
        given = fleet.in_flight and any(live.node.keys for live in ranked)
        if not entry.gone or not (slots or given) or not ranked or silent_heir(fleet, entry):
            continue
        owned = f"owned the slots {described(slots)}" if slots else "may have been given keys"
        why = f"{entry} is gone and {owned}."
        voted = slots and lacking + _mute(fleet, entry) <= 0  # nobody votes about no slots
        heir, *rivals = ranked
        if not _is_known(fleet, heir) if voted else _is_behind(fleet, heir, entry):
            continue
        step = Failover(
            heir.ref,
            entry.id,
            FailoverMode.FORCE if voted else FailoverMode.TAKEOVER,
            tuple(live.ref for live in rivals),
            masters,
            why,
            Phase.RESCUE,
            fleet.on_their_way(entry.id),
        )
        if voted:
            elected.append(step)
        elif slots:
            takeovers.append((_acquaintances(heir), step))
        else:
            others.append(step)
    if silent_taker(fleet):
        takeovers.clear()
    takeovers.sort(key=lambda takeover: -takeover[0])
    return (*elected, *(step for _, step in takeovers[: max(lacking, 1)]), *others)


def _bumps(fleet: Fleet) -> Iterator[BumpEpoch | AdvanceEpoch]:
    """For those who took the place of a master that is gone, and have no newer claim than that one.

    Redis 7.0 counts the votes of a node's last election once more for two node timeouts, and keeps
    the epoch of that one. If the node was replaced since, as planned, its claim is old, and nobody
    believes it. Who knows of the newer claim and has not taken that one's place has given way.

    Of a claim with its own epoch nobody tells a node. It chose that one while it was cut off, and
    had not heard that it was taken. Where that is the newest of all, CLUSTER BUMPEPOCH would leave
    it as it is, and a replica uses another one up first.
    """
    gone = {entry.id: entry for entry in fleet.entries if entry.gone}
    for live in fleet.masters:
        for peer in live.node.peers:
            entry = gone.get(peer.id)
            if entry is None or not common(entry.slots, live.node.slots):
                continue
            claim = _claim(entry, live.node.slots)
            known = peer.config_epoch if peer.role is Role.MASTER else 0
            behind = known >= live.node.config_epoch or claim == live.node.config_epoch
            if not behind or not fleet.knows_the_newest_epoch(live):
                continue
            why = f"The others still believe that the slots of {live} are those of {entry}."
            if first := _first(fleet, live):
                yield BumpEpoch(first.ref, peer.id, max(known, claim), why)
            elif live.node.config_epoch == live.node.current_epoch and fleet.followers(live):
                replicas = sorted(fleet.followers(live), key=fleet.is_cut_off)
                used = live.node.config_epoch + 1
                yield AdvanceEpoch(tuple(each.ref for each in replicas), used, why)


def _first(fleet: Fleet, master: Live) -> Live | None:
    """Who has to get a new epoch next, for a master to have one that is newer than now.

    Itself; but CLUSTER BUMPEPOCH leaves a node as it is that has the newest epoch it knows. Nobody
    gets one of whom others believe that it has slots which it has given away: they would believe it
    more than who has them, and had not heard of that one.
    """
    able = [
        live
        for live in fleet.masters
        if live.node.config_epoch < live.node.current_epoch
        and not fleet.is_cut_off(live)
        and fleet.knows_the_newest_epoch(live)
        and not fleet.is_overrated(live)
    ]
    return master if master in able else next(iter(able), None)


def _claim(entry: Entry, slots: SlotRanges) -> int:
    """The newest epoch by which somebody believes any of some slots to be its own, or 0."""
    return max(
        (
            peer.config_epoch
            for live in entry.known_by
            for peer in live.node.peers
            if peer.id == entry.id and common(peer.slots, slots)
        ),
        default=0,
    )


def _is_known(fleet: Fleet, live: Live) -> bool:
    known = sum(fleet.acquainted(master, live) for master in fleet.masters)
    return 2 * known > len(fleet.masters)


def _is_behind(fleet: Fleet, heir: Live, gone: Entry) -> bool:
    """Whether a replica has not heard yet what others know.

    That they serve slots of its master; that somebody has been given them, who does not answer us,
    or whose replicas have what was written since; or, by the epoch, that somebody may have served
    them, who is gone as well. It would choose an epoch that has been used, and nobody would believe
    it.
    """
    if not fleet.knows_the_newest_epoch(heir):
        return True
    believed = next((peer for peer in heir.node.peers if peer.id == gone.id), None)
    if believed is None:
        return False
    given = (
        _claim(entry, believed.slots) > believed.config_epoch
        for entry in fleet.entries
        if entry is not gone and entry.slots and (entry.listed or heirs(fleet, entry))
    )
    return bool(common(believed.slots, fleet.served)) or any(given)


def _acquaintances(live: Live) -> int:
    """How many a node has a connection to: who is cut off has none."""
    return sum(peer.connected and not peer.flags & DOUBTFUL for peer in live.node.peers)


def _lacking(fleet: Fleet) -> int:
    """How many masters are lacking for a vote; 0 or less where there are enough.

    That is so wherever ECS has enough of them, whether they answer us or not.

    Masters that run and do not answer may be on the other side of a partition, and hold an election
    there: a takeover beside it would make two masters of one shard.
    """
    owners = len(fleet.masters) + len(fleet.unserved)
    voters = len(fleet.masters) + sum(entry.listed for entry, _ in fleet.unserved)
    return owners // 2 + 1 - voters


def _mute(fleet: Fleet, gone: Entry) -> int:
    """How many masters cannot vote about a node, and never will.

    Since they do not know it: nodes tell each other of nobody who has no address. One loses its own
    when another node is found there, as on AWS a new task may be.

    Or since they believe a newer claim to its slots, of one that has given them away. In Redis 7.0
    only a claim that is newer still changes that, and who is gone makes none.
    """
    slots = next((slots for entry, slots in fleet.unserved if entry is gone), ())
    return sum(
        (not gone.address and live not in gone.known_by)
        or any(
            peer.config_epoch > gone.config_epoch and common(fleet.given_away(peer), slots)
            for peer in live.node.peers
        )
        for live in fleet.masters
    )
