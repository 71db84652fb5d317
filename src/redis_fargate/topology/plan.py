"""``plan``: from what is to what should be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from redis_fargate.topology import (
    elections,
    forgetting,
    forming,
    joining,
    protecting,
    refusing,
    rescuing,
    shaping,
)
from redis_fargate.topology.fleet import Fleet
from redis_fargate.topology.shortfalls import shortfalls
from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import Step
from redis_fargate.topology.view import Marker, View


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


def plan(view: View, spec: Spec, policy: Policy) -> Plan:
    """Decide what to do next; see the contract of ``Plan``.

    The phases, in the order in which they are considered; the first that has something to
    do is the plan, since the next one should see what came of it:

    REFUSE what is not safe to judge, FORM a new cluster, RESCUE shards whose master is
    gone, (COVER slots that nobody holds, SETTLE interrupted migrations,) JOIN tasks that
    came later, FORGET nodes whose task is gone, SHAPE: masters and replicas to where they are
    wanted (slots are not moved yet), PROTECT tasks that the cluster cannot spare. What stands
    in parentheses is not planned yet; ``waiting`` says where it would be needed.
    """
    fleet = Fleet(view)
    if view.desired_count == 0:
        return Plan(
            steps=protecting.releases(fleet),
            waiting=("The ECS service is to run no tasks: it is being stopped.",),
        )
    if refusals := refusing.refusals(fleet):
        return Plan(refusals=refusals)
    if view.marker is not Marker.FORMED:
        if waiting := forming.waiting(fleet, spec, policy):
            return Plan(waiting=waiting)
        return Plan(steps=forming.steps(fleet, spec))
    waiting = shortfalls(fleet, spec)
    phases: tuple[Callable[[], tuple[Step, ...]], ...] = (
        lambda: rescuing.steps(fleet),
        lambda: joining.steps(fleet),
        lambda: forgetting.steps(fleet),
        lambda: shaping.steps(fleet, spec),
        lambda: protecting.steps(fleet, spec),
    )
    for phase in phases:
        if steps := phase():
            return Plan(steps=steps, waiting=waiting)
    return Plan(
        waiting=(*waiting, *joining.waiting(fleet)),
        soon_s=elections.duration_s(elections.pending(fleet)),
    )
