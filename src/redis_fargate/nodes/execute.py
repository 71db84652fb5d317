"""Take steps: the only way in which anything is changed inside Redis.

Every step looks at the server right before it acts, does nothing where its effect is there
already, verifies its effect, and ends by its deadline.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import assert_never

from redis_fargate.nodes import sparing
from redis_fargate.nodes.adopting import adopt_slots
from redis_fargate.nodes.bumping import advance_epoch, bump_epoch, outrank
from redis_fargate.nodes.connection import Connections
from redis_fargate.nodes.failing_over import fail_over
from redis_fargate.nodes.forgetting import forget
from redis_fargate.nodes.forming import add_slots, change_settings, meet, set_config_epoch
from redis_fargate.nodes.moving import await_migrations, close_slots, move_slots, open_slots
from redis_fargate.nodes.polling import together
from redis_fargate.nodes.replicating import allow_failover, replicate
from redis_fargate.nodes.resetting import drop_leftovers, reset
from redis_fargate.nodes.waiting import await_agreement, await_healthy
from redis_fargate.topology.errors import RedisFargateError
from redis_fargate.topology.steps import (
    AddSlots,
    AdoptSlots,
    AdvanceEpoch,
    AllowFailover,
    AwaitAgreement,
    AwaitHealthy,
    AwaitMigrations,
    BumpEpoch,
    ChangeSettings,
    CloseSlots,
    DropLeftovers,
    Failover,
    Forget,
    Meet,
    MoveSlots,
    NodeRef,
    NodeStep,
    OpenSlots,
    Outrank,
    Replicate,
    Reset,
    SetConfigEpoch,
    SingleStep,
    Step,
    Unprotect,
)

PATIENCE_S = 60.0
"""How long a step may wait for others to take notice. Single commands have the deadline of
``ConnectionSettings.answer_timeout_s``."""

RESTORE_S = 10.0
"""How long an interrupted run may take to put settings back."""


async def execute(
    wave: Sequence[NodeStep], connections: Connections, time_left_s: float = PATIENCE_S
) -> None:
    """Take the steps of a wave (see ``Plan.waves``), all at once and to their ends.

    Where several steps fail, the error of the first of them is raised.

    Raises:
        PreconditionFailed: a node is not as the plan saw it; that step changed nothing.
        StepFailed: a step was taken without effect.
        StillMoving: slots are on their way, and will be for longer than a wave may take.
        NodeUnreachable, NodeLoading, CommandRefused: a node did not do what it was told.
        AuthenticationFailed, NotInClusterMode: a person has to look.

    """
    moves = [step for step in wave if isinstance(step, MoveSlots)]
    if moves:
        await move_slots(moves, connections, time_left_s)
    patience_s = min(PATIENCE_S, time_left_s)
    turn = asyncio.Lock()
    await together(
        _take(step, connections, patience_s, turn)
        for step in wave
        if not isinstance(step, MoveSlots)
    )


async def _take(  # noqa: C901, PLR0912 - one case a kind of step
    step: SingleStep, connections: Connections, patience_s: float, turn: asyncio.Lock
) -> None:
    match step:
        case ChangeSettings():
            await change_settings(step, connections)
        case SetConfigEpoch():
            await set_config_epoch(step, connections)
        case AddSlots():
            await add_slots(step, connections)
        case AdoptSlots():
            await adopt_slots(step, connections)
        case Meet():
            await meet(step, connections, patience_s)
        case AwaitAgreement():
            await await_agreement(step, connections, patience_s)
        case Replicate():
            await replicate(step, connections, patience_s)
        case Failover():
            await fail_over(step, connections, patience_s, turn)
        case BumpEpoch():
            await bump_epoch(step, connections)
        case AdvanceEpoch():
            await advance_epoch(step, connections)
        case Outrank():
            await outrank(step, connections)
        case AllowFailover():
            await allow_failover(step, connections)
        case Reset():
            await reset(step, connections)
        case DropLeftovers():
            await drop_leftovers(step, connections)
        case AwaitMigrations():
            await await_migrations(step, connections, patience_s)
        case OpenSlots():
            await open_slots(step, connections)
        case CloseSlots():
            await close_slots(step, connections)
        case AwaitHealthy():
            await await_healthy(step, connections, patience_s)
        case Forget():
            await forget(step, connections)
        case _:
            assert_never(step)


async def check_spare(steps: Sequence[Unprotect], connections: Connections) -> None:
    """See that each of the tasks can be spared; raises as ``sparing.check_spare``."""
    await together(sparing.check_spare(step, connections) for step in steps)


@asynccontextmanager
async def settings_kept(steps: Iterable[Step], connections: Connections) -> AsyncIterator[None]:
    """Leave the nodes with the settings that ``steps`` end with, also if they are cut short.

    Wrap the execution of a plan in it. On an error or a cancellation, the last value that the
    plan gives each setting of each node is set, as well as it can be done within
    ``RESTORE_S``; then the error goes on. What cannot be restored is left to the next run,
    which knows the values from the marker.
    """
    try:
        yield
    except BaseException:
        final: dict[NodeRef, dict[str, str]] = {}
        for step in steps:
            if isinstance(step, ChangeSettings):
                final.setdefault(step.node, {}).update(step.settings)
        await _uninterrupted(
            [
                ChangeSettings(node, tuple(settings.items()), why="the run was cut short")
                for node, settings in final.items()
            ],
            connections,
        )
        raise


async def _uninterrupted(steps: Sequence[ChangeSettings], connections: Connections) -> None:
    async def restore(step: ChangeSettings) -> None:
        try:
            async with asyncio.timeout(RESTORE_S):
                await change_settings(step, connections)
        except (RedisFargateError, TimeoutError):
            return  # the error that brought us here says more, and the next run restores

    restoring = asyncio.gather(*map(restore, steps))
    try:
        await asyncio.shield(restoring)
    except asyncio.CancelledError:
        await restoring  # bounded by RESTORE_S; then the cancellation goes on
        raise
