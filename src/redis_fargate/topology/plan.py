"""``plan``: from what is to what should be."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from redis_fargate.topology import (
    covering,
    elections,
    forgetting,
    forming,
    joining,
    protecting,
    refusing,
    rescuing,
    settling,
    shaping,
)
from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.shortfalls import shortfalls
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import Phase, Step
from redis_fargate.topology.view import Marker, View

_UNPROTECTED = frozenset({Phase.RESCUE, Phase.COVER, Phase.PROTECT})
"""Phases before which nobody is protected: two in which slots are served by nobody, and PROTECT
itself, which first says who may stop."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next, and why nothing more is done.

    At most one of ``steps`` and ``refusals`` is not empty. An empty plan without
    ``waiting`` means that the cluster is as it is wanted.
    """

    steps: tuple[Step, ...] = ()
    waiting: tuple[str, ...] = ()
    """What is awaited before more can be done; an event or the next tick will bring it."""
    refusals: tuple[str, ...] = ()
    """Why nothing may be done at all: each is a sentence for the person on call."""
    soon_s: float = 0.0
    """For how long another look is worth it: what is awaited then comes by itself, and no event
    tells of it."""

    def waves(self) -> Iterator[tuple[Step, ...]]:
        """Runs of steps of one kind; a wave's steps may run at once, the waves one by one."""
        for _, wave in groupby(self.steps, key=type):
            yield tuple(wave)


def plan(view: View, spec: Spec, policy: Policy, without: Collection[Phase] = ()) -> Plan:
    """Decide what to do next; see the contract of ``Plan``.

    Phases in ``without`` are left out: what failed must not keep others from what they can do.

    The phases, in the order in which they are considered; the first that has something to
    do is the plan, since the next one should see what came of it:

    REFUSE what is not safe to judge, FORM a new cluster, RESCUE shards whose master is
    gone, COVER slots whose data nobody holds, SETTLE interrupted moves of slots, JOIN tasks that
    came later, FORGET nodes whose task is gone, SHAPE: masters, replicas and slots to where they
    are wanted, PROTECT tasks that the cluster cannot spare, and no others.

    Those that it cannot spare are protected before anything else that is not urgent, and nothing is
    brought to other tasks while ECS cannot be told so.
    """
    fleet = Fleet(view)
    if view.desired_count == 0:
        return Plan(
            steps=protecting.releases(fleet),
            waiting=("The ECS service is to run no tasks: it is being stopped.",),
        )
    if refusals := refusing.refusals(fleet, policy):
        return Plan(refusals=refusals)
    if view.marker is not Marker.FORMED or refusing.all_is_lost(fleet):
        if waiting := forming.waiting(fleet, spec, policy):
            return Plan(waiting=waiting)
        return Plan(steps=forming.steps(fleet, spec))
    waiting = shortfalls(fleet, spec, policy)
    phases: Mapping[Phase, Callable[[], tuple[Step, ...]]] = {
        Phase.RESCUE: lambda: rescuing.steps(fleet),
        Phase.COVER: lambda: covering.steps(fleet, spec, policy),
        Phase.SETTLE: lambda: settling.steps(fleet, policy.pace),
        Phase.JOIN: lambda: joining.steps(fleet, spec, policy),
        Phase.FORGET: lambda: forgetting.steps(fleet),
        Phase.SHAPE: lambda: shaping.steps(fleet, spec, policy),
        Phase.PROTECT: lambda: protecting.steps(fleet, spec),
    }
    left_out = {*without, Phase.SHAPE} if Phase.PROTECT in without else without
    for phase, steps_of in phases.items():
        if phase not in left_out and (steps := steps_of()):
            alone = phase in _UNPROTECTED or Phase.PROTECT in without
            protect = () if alone else protecting.first(fleet, spec, steps)
            return Plan(steps=(*protect, *steps), waiting=waiting)
    return Plan(
        waiting=(*waiting, *joining.waiting(fleet)),
        soon_s=max(
            elections.duration_s(elections.pending(fleet)), joining.synchronisation_s(fleet)
        ),
    )
