"""Plays scenarios on a local cloud, and measures what becomes of the load meanwhile."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from redis_fargate.aws.errors import translated
from redis_fargate.controller.result import Result
from redis_fargate.local.blueprint import DISCOVERY_SERVICE, NAMESPACE
from redis_fargate.local.changes import Changes
from redis_fargate.local.errors import StartFailed
from redis_fargate.local.polling import until
from redis_fargate.local.rehearsal.copies import Copies
from redis_fargate.local.rehearsal.judging import Figures, Limits, Measured, figures, problems
from redis_fargate.local.rehearsal.load import Entry, Load, Write, acknowledged, read_back
from redis_fargate.local.rehearsal.ports import Cloud
from redis_fargate.local.rehearsal.repeating import repeating
from redis_fargate.local.rehearsal.scenarios import Played, Scenario, Size, Stage, grown, whole
from redis_fargate.local.rehearsal.watching import Mark, Sight, Watch, said_by_ecs, steps_taken
from redis_fargate.topology.health import Health
from redis_fargate.topology.slots import key_slot, parsed
from redis_fargate.topology.spec import Spec

Tell = Callable[[str], None]
_WATCH_PERIOD_S = 0.25
_COPIES_PERIOD_S = 0.05
_BEFORE_S = 2.0
"""How long the load runs before anything happens, to compare with."""
_AFTER_S = 1.0
"""How long it runs on when all is well again."""
_RUN_TIMEOUT_S = 60.0
_GET_READY_S = 180.0
_PATIENCE = 2.0
"""How many times the limit of redundancy is waited for: a figure says more than "too late"."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario came to."""

    scenario: Scenario
    began_s: float
    """Seconds since the epoch."""
    writes: Sequence[Write]
    marks: Sequence[Mark]
    before: Sight
    during: Sight
    after: Sight
    figures: Figures
    problems: tuple[str, ...]
    """Why it is not passed; empty if it is."""

    @property
    def passed(self) -> bool:
        """Whether it kept within its limits."""
        return not self.problems


@dataclass(slots=True)
class Rehearsal:
    """Scenarios one after the other on one local cloud."""

    cloud: Cloud
    limits: Limits
    writes_per_s: float
    tell: Tell
    usual: Spec
    """What the cloud was brought up with."""
    _kept: dict[str, Write] = field(default_factory=dict)
    """Writes of all scenarios that were acknowledged, and are not known to be lost."""

    def play(self, scenario: Scenario) -> Outcome:
        """Play a scenario on a cluster that is whole.

        Raises:
            StartFailed: it could not be brought to what the scenario begins with.
            Unreadable: nobody can say what is lost.
            TemporaryError, PermanentError: the local cloud does not answer.

        """
        changes = Changes(self.cloud.clients, self.cloud.record.cluster_name)
        spec = self._made_ready(scenario, changes)
        before = self.cloud.status()
        watch = Watch(self.cloud, before)
        entry = Entry(self._discovered, self.cloud.password())
        copies = Copies(watch.addresses, entry.password)
        load = Load(entry, f"rehearsal:{scenario.name}", self.writes_per_s)
        marks: list[Mark] = []

        def mark(kind: str, text: str) -> None:
            self.tell(f"{scenario.name}: {text} …")
            marks.append(Mark(time.time(), kind, text))

        with (
            closing(copies),
            repeating(watch.look, _WATCH_PERIOD_S),
            repeating(copies.look, _COPIES_PERIOD_S),
            load.running(),
        ):
            self.tell(f"{scenario.name}: {scenario.what}; first the load alone …")
            time.sleep(_BEFORE_S)
            stage = Stage(self.cloud, changes, before, spec, self.usual, mark)
            played = scenario.play(stage)
            began_s = marks[0].at_s
            redundant_s = self._await_redundancy(scenario, watch, played, marks[-1].at_s)
            time.sleep(_AFTER_S)
            ended_s = time.time()
        # The log of a run that is at work is there when it has ended.
        until(lambda: not changes.at_work(), bool, _RUN_TIMEOUT_S)
        self.tell(f"{scenario.name}: reading back what was acknowledged …")
        writes = load.writes()
        lost = self._lost(before, entry, writes)
        measured = Measured(
            planned=scenario.planned,
            began_s=began_s,
            ended_s=ended_s,
            redundant_s=redundant_s,
            writes=writes,
            lost=lost,
            lost_copied=[
                write
                for write in lost
                if write.ended_s <= copies.copied_until_s(write.master, played.gone)
            ],
        )
        found = figures(measured)
        first_s = watch.sights[0].at_s
        return Outcome(
            scenario=scenario,
            began_s=began_s,
            writes=writes,
            marks=sorted(
                [
                    *marks,
                    *steps_taken(self.cloud, first_s),
                    *said_by_ecs(changes, first_s),
                ],
                key=lambda mark: mark.at_s,
            ),
            before=watch.sights[0],
            during=_worst(watch.sights, began_s),
            after=watch.sights[-1],
            figures=found,
            problems=problems(measured, found, self.limits),
        )

    def _made_ready(self, scenario: Scenario, changes: Changes) -> Spec:
        """Bring the cluster to the size that the scenario begins with; the spec."""
        spec = changes.spec()
        wanted = {Size.ANY: spec, Size.USUAL: self.usual, Size.GROWN: grown(self.usual)}[
            scenario.size
        ]
        if wanted != spec:
            self.tell(f"{scenario.name}: getting ready …")
            changes.want(wanted)
        result = until(self.cloud.status, lambda seen: whole(seen, wanted), _GET_READY_S, 0.2)
        if not whole(result, wanted):
            raise StartFailed(f"{scenario.name} cannot begin. {result.verdict}")
        return wanted

    def _await_redundancy(
        self, scenario: Scenario, watch: Watch, played: Played, since_s: float
    ) -> float | None:
        def over(result: Result) -> bool:
            self.tell(f"{scenario.name}: {result.verdict}")
            return played.over(result)

        return watch.when(over, since_s, _PATIENCE * self.limits.redundancy_s)

    def _discovered(self) -> list[str]:
        """Look the cluster's name up in Cloud Map."""
        with translated("servicediscovery", f"Cloud Map service {DISCOVERY_SERVICE}.{NAMESPACE}"):
            found = self.cloud.clients.servicediscovery.discover_instances(
                NamespaceName=NAMESPACE, ServiceName=DISCOVERY_SERVICE
            )
        return [instance["Attributes"]["AWS_INSTANCE_IPV4"] for instance in found["Instances"]]

    def _lost(self, before: Result, entry: Entry, writes: Sequence[Write]) -> list[Write]:
        """Find the acknowledged writes, of this scenario and those before, that are not there."""
        owners = _owners(before)
        for key, write in self._kept.items():
            # Read back by the end of an earlier scenario: so it was where this one began.
            self._kept[key] = replace(write, master=owners(key))
        self._kept |= {write.key: write for write in acknowledged(writes)}
        missing = read_back(entry, list(self._kept))
        return [self._kept.pop(key) for key in sorted(missing)]


def _owners(result: Result) -> Callable[[str], str]:
    """Give the function from a key to the address of its master, "" if there is none."""
    owners = [
        (piece, shard.master.address)
        for shard in result.shards
        if shard.master
        for piece in parsed(shard.slots)
    ]

    def owner(key: str) -> str:
        slot = key_slot(key.encode())
        return next((owner for piece, owner in owners if piece.first <= slot <= piece.last), "")

    return owner


def _worst(sights: Sequence[Sight], began_s: float) -> Sight:
    """Choose the moment that shows best what happened: most slots unserved, most nodes amiss."""
    since = [sight for sight in sights if sight.at_s >= began_s] or sights[-1:]
    order = list(Health)
    flawed = [sight for sight in since if sight.result.health is not Health.OK] or since

    def badness(sight: Sight) -> tuple[int, int, int]:
        result = sight.result
        linked = sum(bool(r.link_up) for shard in result.shards for r in shard.replicas)
        return (
            result.unserved_slots,
            order.index(result.health) if result.health else len(order),
            len(result.others) - linked,
        )

    return max(flawed, key=badness)
