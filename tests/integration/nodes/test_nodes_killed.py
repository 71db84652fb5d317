"""A run that ends anywhere leaves what the next run repairs, settings included."""

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from checking import SETTINGS, assert_as_wanted, assert_others_agree
from killing import Fuse, Killed
from reconciling import Memory, Reconciler, tasks_of
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.errors import StepFailed
from redis_fargate.nodes.execute import execute, settings_kept
from redis_fargate.nodes.observe import observe
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.spec import Spec
from redis_fargate.topology.steps import AwaitAgreement, ChangeSettings, Phase, SetConfigEpoch
from redis_fargate.topology.view import Marker, Member, Task
from servers import Fleet

AT_ONCE = 7
"""How many clusters form at the same time."""


async def _killed_and_run_again(
    tasks: Sequence[Task], spec: Spec, after: int
) -> tuple[Member, ...]:
    memory, fuse = Memory(), Fuse(after)
    with pytest.raises(Killed):
        await Reconciler(tasks, spec, memory=memory, connect=fuse.connect).run()
    assert len(fuse.sent) == after
    reconciler = Reconciler(tasks, spec, memory=memory)
    async with asyncio.timeout(60):
        made = await reconciler.run()
    assert made == Plan(), f"after {after} commands"
    assert memory.marker is Marker.FORMED
    return reconciler.members


async def _commands_of_forming(tasks: Sequence[Task], spec: Spec) -> int:
    fuse = Fuse()
    await Reconciler(tasks, spec, connect=fuse.connect).run()
    return len(fuse.sent)


def _kill_after_each(fleet: Fleet, spec: Spec, every: int) -> None:
    def tasks() -> tuple[Task, ...]:
        return tasks_of(fleet.start(spec.task_count))

    count = asyncio.run(_commands_of_forming(tasks(), spec))
    prefixes = list(range(0, count, every))
    for start in range(0, len(prefixes), AT_ONCE):
        clusters = [(tasks(), after) for after in prefixes[start : start + AT_ONCE]]

        async def batch(clusters: list[tuple[tuple[Task, ...], int]] = clusters) -> None:
            async with asyncio.TaskGroup() as group:
                runs = [
                    (after, group.create_task(_killed_and_run_again(tasks, spec, after)))
                    for tasks, after in clusters
                ]
            for _, run in runs:
                assert_as_wanted(run.result(), spec)

        asyncio.run(batch())
        assert_others_agree(fleet, fleet.servers[-1])
        fleet.stop()


def test_killed_after_any_command_the_next_run_forms_the_cluster(redis_fleet: Fleet) -> None:
    _kill_after_each(redis_fleet, Spec(2, 1), every=1)


def test_killed_after_some_commands_the_next_run_forms_the_cluster(fleet: Fleet) -> None:
    _kill_after_each(fleet, Spec(3, 3), every=7)


def test_killed_again_and_again(redis_fleet: Fleet) -> None:
    """Each run gets one command further, and no further."""
    tasks, spec, memory = tasks_of(redis_fleet.start(3)), Spec(2, 1), Memory()
    reconciler = Reconciler(tasks, spec, memory=memory)
    for _ in range(200):
        reconciler.connect = Fuse(1).connect
        with contextlib.suppress(Killed):
            asyncio.run(reconciler.run())
            break
    assert asyncio.run(Reconciler(tasks, spec, memory=memory).run()) == Plan()
    assert_as_wanted(reconciler.members, spec)


def test_cancelled_at_any_time_the_settings_are_restored(redis_fleet: Fleet) -> None:
    servers = redis_fleet.start(3)
    tasks, memory = tasks_of(servers), Memory()
    reconciler = Reconciler(tasks, Spec(2, 1), memory=memory)

    async def cancel_after(pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await reconciler.run()
        async with Connections(reconciler.settings) as connections:
            for member in await observe(tasks, connections):
                assert member.node
                assert member.node.settings == SETTINGS

    for hundredths in range(1, 20):
        asyncio.run(cancel_after(hundredths / 100))
    assert asyncio.run(reconciler.run()) == Plan()
    assert_as_wanted(reconciler.members, Spec(2, 1))


def test_when_a_step_fails_the_settings_are_restored(redis_fleet: Fleet) -> None:
    tasks = tasks_of(redis_fleet.start(2))
    reconciler = Reconciler(tasks, Spec(1, 1))

    async def fail() -> tuple[Member, ...]:
        async with Connections(reconciler.settings) as connections:
            made = await reconciler.look(connections)
            with pytest.raises(StepFailed):
                await _lower_and_fail(made, connections)
            return await observe(tasks, connections)

    for member in asyncio.run(fail()):
        assert member.node
        assert member.node.settings == SETTINGS


async def _lower_and_fail(made: Plan, connections: Connections) -> None:
    lower = next(wave for wave in made.waves() if isinstance(wave[0], ChangeSettings))
    nodes = tuple(step.node for step in made.steps if isinstance(step, SetConfigEpoch))
    hopeless = AwaitAgreement(nodes, "They have not met.", Phase.FORM)
    async with settings_kept(made.steps, connections):
        await execute(lower, connections)
        await execute([hopeless], connections, 0.1)
