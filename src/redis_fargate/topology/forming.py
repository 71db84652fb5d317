"""FORM: make a cluster of blank nodes, or finish what an interrupted forming began.

There is one way for both: everything that is there already is kept, and the steps that are
left are planned. So the state after any command, and after the loss of any task, is a
state to begin from. The order of the steps makes that hold:

- the marker is written before the first node is, with the settings that will be restored;
- epochs and slots are given while the nodes know nobody, so that no claim meets another;
- the marker says FORMED only after every setting is what it was, and ECS may stop nobody.

While the marker says FORMING, a slot without an owner never held anybody's data that could
still be had: its master's task is gone, and no replica of that master is left.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from redis_fargate.topology import gossip, protecting, rescuing
from redis_fargate.topology.fleet import Entry, Fleet, Live
from redis_fargate.topology.placement import Placement, flaws, place
from redis_fargate.topology.shares import shared_out
from redis_fargate.topology.slots import ALL_SLOTS, described, subtract
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import (
    AddSlots,
    AwaitAgreement,
    AwaitHealthy,
    BeginForming,
    ChangeSettings,
    FinishForming,
    Forget,
    Meet,
    Phase,
    Replicate,
    Reset,
    SetConfigEpoch,
    Step,
)
from redis_fargate.topology.view import FORMING_SETTINGS, Marker, Role


def waiting(fleet: Fleet, spec: Spec, policy: Policy) -> tuple[str, ...]:
    """What has to come before the cluster can be formed; a sentence each."""
    if fleet.adoptable:
        return ()
    return (*_unfinished_losses(fleet), *_missing_tasks(fleet, spec, policy))


def steps(fleet: Fleet, spec: Spec) -> tuple[Step, ...]:
    """What is left to do until the cluster is formed, if nothing is waited for."""
    if fleet.adoptable:
        return (
            FinishForming(why="A whole and healthy cluster is there already: it is taken over."),
        )
    if any(live.node.keys for live, _ in _orphans(fleet)):
        return rescuing.steps(fleet)
    return _leave_the_dead(fleet) or _forget_the_dead(fleet) or _form(fleet, spec)


def _missing_tasks(fleet: Fleet, spec: Spec, policy: Policy) -> Iterator[str]:
    running = len(fleet.running)
    orphans = {live.node.id for live, _ in _orphans(fleet)}
    able = sum(_can_be_master(live) or live.node.id in orphans for live in fleet.running)
    if running < spec.master_count:
        yield (
            f"{running} of {spec.task_count} tasks run, and {spec.master_count} masters need a "
            "task each: forming waits for more."
        )
    elif able < spec.master_count and running < spec.task_count:
        yield (
            f"{able} of {running} running tasks can be masters, and {spec.master_count} are "
            "wanted: forming waits for new tasks."
        )
    elif running < spec.task_count and not fleet.forming:
        started = [
            live.task.started_at_s for live in fleet.running if live.task.started_at_s is not None
        ]
        age_s = fleet.view.observed_at_s - min(started) if started else 0.0
        if age_s < policy.form_patience_s:
            yield (
                f"{running} of {spec.task_count} tasks run; the cluster is formed when all do, or "
                f"from these in {policy.form_patience_s - age_s:.0f} s."
            )


def _unfinished_losses(fleet: Fleet) -> Iterator[str]:
    for live in fleet.lives:
        if live.node.slots and not live.task.running:
            yield f"{live} is stopping and serves slots: forming goes on when ECS has stopped it."
    for entry in fleet.entries:
        if entry.listed and entry.slots:
            yield f"{entry} is stopping and owned slots: forming goes on when ECS has stopped it."
    if not rescuing.steps(fleet):
        for live, entry in _orphans(fleet):
            if live.node.keys:
                yield (
                    f"{live} has the data of {entry}, whose task is gone: forming goes on when it "
                    "has been elected master."
                )


def _leave_the_dead(fleet: Fleet) -> tuple[Reset, ...]:
    """Replicas that never got anything from a master that is gone can be anything again."""
    return tuple(
        Reset(live.ref, None, f"{entry} is gone, and it had no data yet.", Phase.FORM)
        for live, entry in _orphans(fleet)
        if live.task.running
    )


def _forget_the_dead(fleet: Fleet) -> tuple[Step, ...]:
    followed = {live.node.master_id for live in fleet.lives}
    return tuple(
        Forget(
            gone_id=entry.id,
            gone_task_id=entry.task_id,
            nodes=tuple(live.ref for live in entry.known_by),
            why=f"{entry} stopped while the cluster was being formed; it had no data yet.",
            phase=Phase.FORM,
            unassigned=entry.slots,
        )
        for entry in fleet.entries
        if entry.gone and entry.id not in followed
    )


def _orphans(fleet: Fleet) -> Iterator[tuple[Live, Entry]]:
    gone = {entry.id: entry for entry in fleet.entries if entry.gone}
    for live in fleet.lives:
        if live.node.master_id in gone:
            yield live, gone[live.node.master_id]


def _form(fleet: Fleet, spec: Spec) -> tuple[Step, ...]:
    cast = _cast(fleet, spec)
    slots = _share(cast)
    shape: tuple[Step, ...] = (
        *_epochs(fleet, cast),
        *slots,
        *_meetings(fleet),
        *_agreement(fleet, slots),
        *_replications(cast),
    )
    everybody = tuple(live.ref for live in fleet.running)
    recorded = _record(fleet)
    return (
        *(_begin(fleet, recorded) if shape else ()),
        *(_lower(fleet, cast) if shape else ()),
        *shape,
        AwaitHealthy(everybody, "Every node says ok, and every replica has its data.", Phase.FORM),
        *_restore(fleet, recorded, cast.placement if shape else ()),
        *protecting.newly_formed(fleet),
        FinishForming(why="The cluster is formed."),
    )


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who is to be what."""

    lives: Mapping[str, Live]
    placement: Placement

    @property
    def masters(self) -> tuple[Live, ...]:
        return tuple(self.lives[task_id] for task_id in self.placement)

    @property
    def replicas(self) -> tuple[tuple[Live, Live], ...]:
        """Each replica with its master."""
        return tuple(
            (self.lives[task_id], self.lives[master])
            for master, followers in self.placement.items()
            for task_id in followers
        )


def _can_be_master(live: Live) -> bool:
    return live.node.role is Role.MASTER


def _cast(fleet: Fleet, spec: Spec) -> _Cast:
    """The best placement that keeps slots where they are, and replicas if that is no worse."""
    lives = {live.task.id: live for live in fleet.running}
    zones = {task_id: live.task.zone for task_id, live in lives.items()}
    masters = [task_id for task_id, live in lives.items() if live.node.slots]
    followers = [task_id for task_id, live in lives.items() if not _can_be_master(live)]
    by_id = {live.node.id: live for live in fleet.running}
    attached = {
        task_id: by_id[live.node.master_id].task.id
        for task_id, live in lives.items()
        if live.node.master_id in by_id and by_id[live.node.master_id].node.slots
    }
    # More are wanted since the forming that was interrupted: they get their slots when it is over.
    master_count = max(min(spec.master_count, len(lives) - len(followers)), len(masters))
    kept = place(zones, master_count, masters=masters, replicas=attached, followers=followers)
    free = place(zones, master_count, masters=list(kept), followers=followers)
    better = free if flaws(free, zones) < flaws(kept, zones) else kept
    return _Cast(lives, better)


def _epochs(fleet: Fleet, cast: _Cast) -> tuple[SetConfigEpoch, ...]:
    """Distinct epochs, above all that are used: no two claims on a slot can be equal."""
    nodes = [live.node for live in fleet.lives]
    used = [node.config_epoch for node in nodes] + [node.current_epoch for node in nodes]
    used += [peer.config_epoch for node in nodes for peer in node.peers]
    newcomers = [
        live
        for live in (*cast.masters, *(replica for replica, _ in cast.replicas))
        if live.node.config_epoch == 0 and not live.node.peers
    ]
    why = "Claims on slots are told apart by epoch."
    return tuple(
        SetConfigEpoch(live.ref, epoch, why)
        for epoch, live in enumerate(newcomers, start=max(used, default=0) + 1)
    )


def _share(cast: _Cast) -> tuple[AddSlots, ...]:
    """The slots that nobody serves, to the masters that have the fewest."""
    taken = [piece for live in cast.masters for piece in live.node.slots]
    return tuple(
        AddSlots(live.ref, share, f"Nobody serves the slots {described(share)}.")
        for live, share in shared_out(subtract(ALL_SLOTS, taken), cast.masters)
    )


def _meetings(fleet: Fleet) -> tuple[Meet, ...]:
    if not fleet.strangers_to_each_other(fleet.running):
        return ()
    partners = gossip.partners([live.ref for live in fleet.running])
    pairs = (
        (fleet.by_id[node.id], fleet.by_id[peer.id])
        for node, peers in partners.items()
        for peer in peers
    )
    why = "Nodes learn of all others from a few."
    meetings = _introductions(fleet, pairs, why, Phase.FORM)
    return meetings or direct_meetings(fleet, fleet.running, Phase.FORM)


def direct_meetings(fleet: Fleet, lives: Iterable[Live], phase: Phase) -> tuple[Meet, ...]:
    """Introduce each two of these that gossip has not brought together."""
    why = "Gossip has not brought these nodes together."
    return _introductions(fleet, fleet.strangers_to_each_other(lives), why, phase)


def _introductions(
    fleet: Fleet, pairs: Iterable[tuple[Live, Live]], why: str, phase: Phase
) -> tuple[Meet, ...]:
    """Let one of each pair meet the other that it does not know.

    Who knows the other already has nothing to do. It may have heard of that one from somebody else,
    while that one could hear nothing; and a node answers none that it does not know.
    """
    peers: dict[str, list[Live]] = {}
    for one, other in pairs:
        if not fleet.knows(one, other):
            peers.setdefault(one.node.id, []).append(other)
        elif not fleet.knows(other, one):
            peers.setdefault(other.node.id, []).append(one)
    return tuple(
        Meet(fleet.by_id[node_id].ref, tuple(other.ref for other in others), why, phase)
        for node_id, others in peers.items()
    )


def _agreement(fleet: Fleet, slots: tuple[AddSlots, ...]) -> tuple[AwaitAgreement, ...]:
    if not slots and not fleet.strangers_to_each_other(fleet.running):
        return ()
    everybody = tuple(live.ref for live in fleet.running)
    return (
        AwaitAgreement(everybody, "A replica has to know its master, and its slots.", Phase.FORM),
    )


def _replications(cast: _Cast) -> tuple[Replicate, ...]:
    return tuple(
        Replicate(
            replica.ref,
            master.ref,
            f"The master in {master.task.zone} gets a replica in {replica.task.zone}.",
            Phase.FORM,
        )
        for replica, master in cast.replicas
        if replica.node.master_id != master.node.id
    )


def _record(fleet: Fleet) -> Mapping[str, Mapping[str, str]]:
    """The settings that each running task's node had before forming."""
    return {
        live.task.id: fleet.recorded.get(
            live.task.id,
            {
                name: live.node.settings[name]
                for name in FORMING_SETTINGS
                if name in live.node.settings
            },
        )
        for live in fleet.running
    }


def _begin(fleet: Fleet, record: Mapping[str, Mapping[str, str]]) -> tuple[BeginForming, ...]:
    if fleet.view.marker is Marker.FORMING and record.keys() <= fleet.recorded.keys():
        return ()
    return (
        BeginForming(
            record,
            "What forming changes is written down first, for whoever has to finish it.",
            again=fleet.view.marker is Marker.FORMED,
        ),
    )


def _lowered(fleet: Fleet, live: Live) -> dict[str, str]:
    """What forming changes on a master: its timeouts, where they are longer than they need be."""
    bounds = gossip.forming_settings(len(fleet.running))
    return {
        name: str(bound)
        for name, bound in bounds.items()
        if name in live.node.settings and int(live.node.settings[name]) > bound
    }


def _lower(fleet: Fleet, cast: _Cast) -> tuple[ChangeSettings, ...]:
    why = "Forming is mostly waiting for timeouts: they are short until it is done."
    return tuple(
        ChangeSettings(live.ref, tuple(changes.items()), why)
        for live in cast.masters
        if (changes := _lowered(fleet, live))
    )


def _restore(
    fleet: Fleet, record: Mapping[str, Mapping[str, str]], lowered: Collection[str]
) -> tuple[ChangeSettings, ...]:
    result = []
    for live in fleet.running:
        changed = _lowered(fleet, live) if live.task.id in lowered else {}
        current = {**live.node.settings, **changed}
        wanted = record[live.task.id]
        changes = tuple(
            (name, value) for name, value in wanted.items() if current.get(name) != value
        )
        if changes:
            why = "Settings go back to what they were before forming."
            result.append(ChangeSettings(live.ref, changes, why))
    return tuple(result)
