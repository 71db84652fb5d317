"""``plan``: from what is to what should be."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from redis_fargate.topology.spec import Policy, Spec
from redis_fargate.topology.steps import Step
from redis_fargate.topology.view import View


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

    def waves(self) -> Iterator[tuple[Step, ...]]:
        """Runs of steps of one kind; a wave's steps may run at once, the waves one by one."""
        for _, wave in groupby(self.steps, key=type):
            yield tuple(wave)


def plan(view: View, spec: Spec, policy: Policy) -> Plan:
    """Decide what to do next; see the contract of ``Plan``."""
    raise NotImplementedError
