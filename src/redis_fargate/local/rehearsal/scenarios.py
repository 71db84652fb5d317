"""The scenarios: what is done to the cluster, and when it is over."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from redis_fargate.controller.result import Result
from redis_fargate.local import faults
from redis_fargate.local.changes import Changes
from redis_fargate.local.rehearsal import storm
from redis_fargate.local.rehearsal.crashing import crash_controller
from redis_fargate.local.rehearsal.ports import Cloud
from redis_fargate.local.rehearsal.watching import nodes_of
from redis_fargate.topology.health import Health
from redis_fargate.topology.spec import Spec


class Size(Enum):
    """What a scenario begins with."""

    ANY = "any"
    USUAL = "usual"
    GROWN = "grown"  # a master and a replica more


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario is played on."""

    cloud: Cloud
    changes: Changes
    before: Result
    spec: Spec
    """As it is wanted when the scenario begins."""
    usual: Spec
    mark: Callable[[str, str], None]
    """Puts something on the timeline, now: its kind (``watching.Mark``) and a sentence."""


@dataclass(frozen=True, slots=True)
class Played:
    """What was done, and how one sees that it is over."""

    over: Callable[[Result], bool]
    """Whether the cluster is fully redundant again, and as the scenario wants it."""
    gone: Collection[str] = ()
    """Addresses of the nodes that crashed: what they alone had is lost."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that happens to a cluster."""

    name: str
    what: str
    play: Callable[[Stage], Played]
    planned: bool
    """Whether it is somebody's will: then no acknowledged write may be lost at all."""
    size: Size = Size.ANY


def whole(result: Result, spec: Spec) -> bool:
    """Whether a cluster is as a spec wants it, with all its replicas, and slots for all alike."""
    replicas = sum(len(shard.replicas) for shard in result.shards)
    shares = [shard.slot_count for shard in result.shards] or [0]
    return (
        result.health is Health.OK
        and len(result.shards) == spec.master_count
        and replicas == spec.replica_count
        and not result.others
        and max(shares) - min(shares) <= 1
    )


def grown(spec: Spec) -> Spec:
    """Give the spec with a master and a replica more."""
    return Spec(spec.master_count + 1, spec.replica_count + 1)


def _tasks(result: Result) -> set[str]:
    return {node.task_id for node in nodes_of(result)}


def _crash(stage: Stage, gone: Mapping[str, str], what: str) -> Played:
    """Let tasks (id to address) crash at once."""
    stage.mark("fault", what)
    faults.kill(stage.cloud.state, gone)

    def over(result: Result) -> bool:
        return whole(result, stage.spec) and not gone.keys() & _tasks(result)

    return Played(over, tuple(gone.values()))


def _kill_task(stage: Stage) -> Played:
    master = next(shard.master for shard in stage.before.shards if shard.master)
    return _crash(stage, {master.task_id: master.address}, f"the master {master.address} crashes")


def _stop_task(stage: Stage) -> Played:
    master = next(shard.master for shard in stage.before.shards if shard.master)
    stage.mark("change", f"the task of the master {master.address} is stopped")
    stage.changes.stop_task(master.task_id)
    return Played(lambda result: whole(result, stage.spec) and master.task_id not in _tasks(result))


def _kill_replica(stage: Stage) -> Played:
    replica = next(shard.replicas[0] for shard in stage.before.shards if shard.replicas)
    return _crash(
        stage, {replica.task_id: replica.address}, f"the replica {replica.address} crashes"
    )


def _kill_zone(stage: Stage) -> Played:
    nodes = nodes_of(stage.before)
    # The zone with the most masters: the worst.
    zones = [shard.master.zone for shard in stage.before.shards if shard.master]
    zone = max(sorted(set(zones)), key=zones.count)
    gone = {node.task_id: node.address for node in nodes if node.zone == zone}
    return _crash(stage, gone, f"all {len(gone)} tasks of zone {zone} crash")


def _kill_majority(stage: Stage) -> Played:
    masters = [shard.master for shard in stage.before.shards if shard.master]
    some = masters[: len(masters) // 2 + 1]
    gone = {master.task_id: master.address for master in some}
    return _crash(stage, gone, f"{len(some)} of {len(masters)} masters crash")


def _full_restart(stage: Stage) -> Played:
    gone = {node.task_id: node.address for node in nodes_of(stage.before)}
    return _crash(stage, gone, f"all {len(gone)} tasks crash")


def _rolling_upgrade(stage: Stage) -> Played:
    stage.mark("change", "a new revision of the task definition is rolled out")
    stage.changes.deploy({})
    before = _tasks(stage.before)
    return Played(lambda result: whole(result, stage.spec) and not before & _tasks(result))


def _bad_upgrade(stage: Stage) -> Played:
    stage.mark("change", "a revision whose server does not start is rolled out")
    bad = stage.changes.deploy({"command": ["echo this revision does not start; exit 1"]})
    before = _tasks(stage.before)

    def over(result: Result) -> bool:
        # ECS is asked last: most of the time the cluster has said already that it is not over.
        return (
            whole(result, stage.spec)
            and _tasks(result) == before
            and stage.changes.service()["taskDefinition"] != bad
        )

    return Played(over)


def _scale(stage: Stage, spec: Spec) -> Played:
    stage.mark(
        "change",
        f"{spec.master_count} masters and {spec.replica_count} replicas are wanted, of "
        f"{stage.spec.master_count} and {stage.spec.replica_count}",
    )
    stage.changes.want(spec)
    return Played(lambda result: whole(result, spec))


def _controller_crash(stage: Stage) -> Played:
    spec = grown(stage.usual)
    stage.mark(
        "change", f"{spec.master_count} masters and {spec.replica_count} replicas are wanted"
    )
    crash_controller(stage.cloud, stage.changes, spec)
    stage.mark("fault", "the controller crashes while it moves slots")
    return Played(lambda result: whole(result, spec))


def _client_storm(stage: Stage) -> Played:
    addresses = [node.address for node in nodes_of(stage.before)]
    stage.mark("fault", f"{storm.CLIENTS} clients connect at once, again and again")
    storm.rage(addresses, stage.cloud.password())
    stage.mark("change", "the storm is over")
    before = _tasks(stage.before)
    return Played(lambda result: whole(result, stage.spec) and before == _tasks(result))


SCENARIOS = (
    Scenario("kill-replica", "a replica's task crashes", _kill_replica, planned=False),
    Scenario("kill-task", "a master's task crashes", _kill_task, planned=False),
    Scenario("kill-majority", "most masters' tasks crash at once", _kill_majority, planned=False),
    Scenario("kill-zone", "all tasks of a zone crash at once", _kill_zone, planned=False),
    Scenario(
        "stop-task",
        "a master's task is stopped, as where a host is retired",
        _stop_task,
        planned=True,
    ),
    Scenario(
        "rolling-upgrade", "a new revision replaces all tasks", _rolling_upgrade, planned=True
    ),
    Scenario(
        "bad-upgrade", "a revision that does not start is rolled back", _bad_upgrade, planned=True
    ),
    Scenario("client-storm", "many clients connect at once", _client_storm, planned=True),
    Scenario(
        "controller-crash",
        "the controller crashes while it moves slots to a new master",
        _controller_crash,
        planned=True,
        size=Size.USUAL,
    ),
    Scenario(
        "scale-in",
        "a master and a replica are taken away",
        lambda stage: _scale(stage, stage.usual),
        planned=True,
        size=Size.GROWN,
    ),
    Scenario(
        "scale-out",
        "a master and a replica are added",
        lambda stage: _scale(stage, grown(stage.usual)),
        planned=True,
        size=Size.USUAL,
    ),
    Scenario("full-restart", "all tasks crash at once", _full_restart, planned=False),
)
"""In the order in which they are played: each leaves what the next one begins with."""
