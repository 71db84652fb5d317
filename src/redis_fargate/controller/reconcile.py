"""The loop: observe, plan, execute, and again, until there is nothing left to do."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from redis_fargate.aws.errors import LeaseLost
from redis_fargate.aws.state import Held, Lease
from redis_fargate.controller.ports import Rooms
from redis_fargate.controller.report import other_reports, shard_reports, step_report
from redis_fargate.controller.result import Outcome, Result, StepReport
from redis_fargate.controller.settings import Settings
from redis_fargate.nodes.errors import StillMoving
from redis_fargate.topology import protecting
from redis_fargate.topology.errors import PermanentError, RedisFargateError, TemporaryError
from redis_fargate.topology.fleet import BAN_S
from redis_fargate.topology.health import Assessment, assess
from redis_fargate.topology.plan import Plan, plan
from redis_fargate.topology.slots import SLOT_COUNT, count
from redis_fargate.topology.steps import (
    AdoptSlots,
    AwaitAgreement,
    AwaitHealthy,
    BeginForming,
    FinishForming,
    Forget,
    Meet,
    MoveSlots,
    NodeStep,
    NoteMoving,
    Phase,
    Protect,
    Release,
    Replicate,
    Step,
    Unprotect,
)
from redis_fargate.topology.view import Member, Trouble, View

MARGIN_S = 12.0
"""What a run keeps of its time for its end: putting settings back (``nodes.execute.RESTORE_S``)
and letting go of the lease."""
LEASE_MARGIN_S = 10.0
"""How long after the run's deadline its lease expires: clocks differ a little."""
STARTING_S = 30.0
"""How long a task may run before its node answers; ECS does not wait for that."""
RETRIES = 5
"""How many failures, after each of which it looks again, a run bears."""
_PAUSE_S = 0.25
_HEED_S = 1.0
"""How often a run that waits for nodes asks whether something else has happened meanwhile."""
_WAITING = (Meet, AwaitAgreement, Replicate, AwaitHealthy)
"""Steps that may take a minute, since they wait for what nodes do by themselves."""
_SEPARABLE = frozenset({Phase.SETTLE, Phase.SHAPE, Phase.PROTECT})
"""Phases that may wait until others have done what they can."""

Progress: TypeAlias = Callable[[Sequence[StepReport], float], None]
"""Is told of each wave when it is done: its steps, and how many milliseconds they took."""


class _OutOfTime(Exception):
    """No time for another wave."""


class _LookAgain(Exception):
    """While nodes were waited for something has happened that comes first."""


class _NoEffect(TemporaryError):
    """The steps of a plan were taken, and the same plan came out of the next look."""


async def status(settings: Settings, rooms: Rooms) -> Result:
    """Look, and judge.

    Raises:
        TemporaryError, PermanentError: AWS did not tell which tasks there are.

    """
    run = _Run(settings, rooms)
    await run.look()
    return run.result(Outcome.OBSERVED, run.judged().verdict)


async def dry_run(settings: Settings, rooms: Rooms) -> Result:
    """Look, and plan; raises as ``status`` does."""
    run = _Run(settings, rooms)
    made = await run.plan()
    would = f"{len(made.steps)} steps would be taken." if made.steps else "Nothing would be done."
    return run.result(Outcome.PLANNED, f"{run.judged().verdict} {would}")


async def reconcile(
    settings: Settings,
    rooms: Rooms,
    *,
    owner: str,
    deadline_s: float,
    progress: Progress = lambda steps, took_ms: None,  # noqa: ARG005
) -> Result:
    """Bring the cluster to what it should be, as far as it goes in the time.

    Args:
        settings: what is wanted, and of which cluster.
        rooms: the ports to AWS and to the nodes.
        owner: this run's name in the lease; no other run has it.
        deadline_s: on ``time.monotonic``'s clock; nothing new is begun ``MARGIN_S`` before it.
        progress: is told of each wave.

    Raises:
        TemporaryError, PermanentError: the lease could not be asked for. Whatever fails after
            that is in the result (``Outcome.FAILED``).

    """
    run = _Run(settings, rooms, deadline_s, progress)
    return await run.reconcile(owner)


class _Run:
    """What one run has seen and done so far."""

    def __init__(
        self,
        settings: Settings,
        rooms: Rooms,
        deadline_s: float = float("inf"),
        progress: Progress = lambda steps, took_ms: None,  # noqa: ARG005
    ) -> None:
        self._settings = settings
        self._rooms = rooms
        self._deadline_s = deadline_s
        self._progress = progress
        self._begun_s = time.monotonic()
        self._timings_ms: dict[str, float] = {}
        self._done: list[StepReport] = []
        self._remarks: tuple[str, ...] = ()
        self._blocked: tuple[str, ...] = ()
        self._losses: tuple[str, ...] = ()
        self._lost_slots = 0
        self._at_work: Phase | None = None
        self._put_off: dict[Phase, RedisFargateError] = {}
        self._view: View | None = None
        self._plan = Plan()
        self._taken: Plan | None = None
        self._soon_since_s: float | None = None

    async def reconcile(self, owner: str) -> Result:
        lasts_s = self._deadline_s - time.monotonic() + LEASE_MARGIN_S
        with self._timed("lease"):
            lease = await asyncio.to_thread(self._rooms.state.acquire, owner, lasts_s)
        if isinstance(lease, Held):
            return self.result(
                Outcome.BUSY,
                f"Another run ({lease.owner}) is at work on this cluster for up to "
                f"{max(0.0, lease.expires_at_s - time.time()):.0f} s more, and was told to look "
                "again before it ends.",
            )
        held = True
        try:
            while True:
                result = await self._ended(lease)
                held, result = await self._let_go(lease, result)
                if not held:
                    return result
        finally:
            if held:  # cancelled, or a bug
                await asyncio.to_thread(self._rooms.state.release, lease, even_if_dirty=True)

    async def _ended(self, lease: Lease) -> Result:
        """Converge, and put what came of it in a result."""
        try:
            outcome = await self._converged(lease)
        except _OutOfTime as reason:
            return self.result(
                Outcome.OUT_OF_TIME,
                f"Time ran short after {len(self._done)} steps; the next run continues.{reason}",
                lease,
            )
        except RedisFargateError as error:
            return self.result(Outcome.FAILED, str(error), lease)
        verdict = self.judged().verdict
        if outcome is Outcome.REFUSED:
            verdict = " ".join(("Nothing was done.", *self._plan.refusals))
        return self.result(outcome, verdict, lease)

    async def _let_go(self, lease: Lease, result: Result) -> tuple[bool, Result]:
        """Release the lease, unless there is reason and time to look again: whether it is held."""
        state = self._rooms.state
        # Where it failed or had no time left, another look now would come to the same.
        leave = result.outcome in {Outcome.FAILED, Outcome.OUT_OF_TIME} or self._left_s() <= 0
        try:
            with self._timed("lease"):
                await asyncio.to_thread(state.record, lease, _summary(result))
                held = not await asyncio.to_thread(state.release, lease, even_if_dirty=leave)
        except TemporaryError as error:
            # The cluster is as the result says all the same, and the lease expires by itself.
            self._remarks += (f"The lease could not be released: {error}",)
            held = False
        return held, self.result(result.outcome, result.verdict, lease)

    async def _converged(self, lease: Lease) -> Outcome:
        """Go on until there is nothing more to do; temporary failures cost a look each.

        A phase on which no other stands is put off when it fails, until the others are done. So is
        PROTECT where ECS refuses it for good: who is lost has to be replaced all the same.
        """
        failures = 0
        while True:
            try:
                outcome = await self._round(lease)
                if outcome and not self._put_off:
                    return outcome
                if outcome:
                    raise self._put_off.popitem()[1]
            except LeaseLost:
                raise
            except (StillMoving, _LookAgain):
                self._taken = None
            except RedisFargateError as error:
                failures += 1
                self._bear(error, failures)
                self._taken = None
                await asyncio.sleep(_PAUSE_S * failures)

    def _bear(self, error: RedisFargateError, failures: int) -> None:
        """Put off what has failed, or begin anew; where that is of no use, raise."""
        if isinstance(error, PermanentError) and self._at_work is not Phase.PROTECT:
            raise error
        if self._left_s() <= 0:
            raise _OutOfTime(f" What failed last: {error}") from error
        if failures > RETRIES:
            raise error
        if self._at_work in _SEPARABLE:
            self._put_off[self._at_work] = error
        else:
            self._put_off.clear()

    async def _round(self, lease: Lease) -> Outcome | None:
        """Look once, and act on it; None if it is worth another look."""
        self._at_work = None
        made = await self.plan()
        if made.steps:
            if made == self._taken and self._blocked:
                return Outcome.WAITING  # for the deployment that ECS protects nothing during
            if made == self._taken:
                raise _NoEffect(
                    f"{len(made.steps)} steps were taken, and yet they are still to be taken, from "
                    f"{step_report(made.steps[0]).step!r} on."
                )
            await self._take(made, lease)
            self._taken = made
            return None
        if self._starting() or self._soon():
            if self._left_s() <= 0:
                raise _OutOfTime
            await asyncio.sleep(_PAUSE_S)
            return None
        if made.refusals:
            return Outcome.REFUSED
        return Outcome.WAITING if made.waiting else Outcome.CONVERGED

    async def look(self) -> View:
        """Observe: which tasks AWS has, what the marker says, how the nodes are."""
        rooms = self._rooms
        with self._timed("observe"):
            observed, remembered = await asyncio.gather(
                asyncio.to_thread(rooms.tasks.observe), asyncio.to_thread(rooms.state.marker)
            )
            self._remarks = observed.remarks
            members = await rooms.nodes.observe(observed.tasks, remembered.moving)
            self._view = View(
                time.time(),
                members,
                remembered.marker,
                remembered.forming,
                observed.stopped,
                observed.revision,
                observed.desired_count,
                remembered.moving,
                remembered.forgotten,
            )
        return self._view

    async def plan(self) -> Plan:
        """Look, and decide what to do next."""
        view = await self.look()
        with self._timed("plan"):
            self._plan = plan(view, self._settings.spec, self._settings.policy, self._put_off)
        return self._plan

    def judged(self) -> Assessment:
        """Judge what was seen last; only after a look."""
        if self._view is None:
            raise RuntimeError("judged before anything was seen")
        return assess(self._view, self._settings.spec)

    def result(self, outcome: Outcome, verdict: str, lease: Lease | None = None) -> Result:
        """Put together what is known by now."""
        assessment = self.judged() if self._view else None
        self._timings_ms["total"] = _since_ms(self._begun_s)
        return Result(
            cluster=self._settings.cluster_name,
            outcome=outcome,
            health=assessment.health if assessment else None,
            verdict=verdict,
            run=lease.fencing if lease else 0,
            shards=shard_reports(assessment) if assessment else (),
            others=other_reports(assessment) if assessment else (),
            plan=tuple(map(step_report, self._plan.steps)),
            done=tuple(self._done),
            losses=self._losses,
            lost_slots=self._lost_slots,
            unserved_slots=assessment.unserved_slots if assessment else 0,
            waiting=self._plan.waiting,
            refusals=self._plan.refusals,
            remarks=tuple(dict.fromkeys((*self._remarks, *self._blocked))),
            timings_ms={name: round(took, 1) for name, took in self._timings_ms.items()},
        )

    async def _take(self, made: Plan, lease: Lease) -> None:
        """Take the steps of a plan, wave by wave."""
        async with self._rooms.nodes.settings_kept(made.steps):
            for wave in made.waves():
                if self._left_s() <= 0:
                    raise _OutOfTime
                begun_s = time.monotonic()
                self._at_work = wave[0].phase
                with self._timed(wave[0].phase.value):
                    await self._take_wave(wave, lease)
                self._count_losses(wave)
                reports = tuple(map(step_report, wave))
                self._done += reports
                self._progress(reports, _since_ms(begun_s))

    async def _take_wave(self, wave: Sequence[Step], lease: Lease) -> None:
        state = self._rooms.state
        node_steps: list[NodeStep] = []
        spare: list[Unprotect] = []
        for step in wave:
            match step:
                case BeginForming():
                    await asyncio.to_thread(
                        state.begin_forming, lease, step.settings, again=step.again
                    )
                case NoteMoving():
                    await asyncio.to_thread(state.note_moving, lease, step.slots)
                case FinishForming():
                    await asyncio.to_thread(state.finish_forming, lease)
                case Protect():
                    await self._protect(step.task_arns, protecting.LASTS_S)
                case Release():
                    await self._protect(step.task_arns, 0)
                case Unprotect():
                    spare.append(step)
                case _:
                    node_steps.append(step)
        if spare:
            await self._rooms.nodes.check_spare(spare)
            await self._protect([step.task_arn for step in spare], 0)
        await self._note_forgotten(node_steps, lease)
        await self._check_takers(node_steps)
        if node_steps:
            await self._execute(node_steps, lease)

    async def _check_takers(self, steps: Sequence[NodeStep]) -> None:
        """Ask ECS once more before slots move: whom it stops by now, protection came too late for.

        A look may take as long as a node is silent. Who has keys already of what is to move is to
        get the rest, stopping or not.
        """
        takers = {
            step.target.task_id
            for step in steps
            if isinstance(step, MoveSlots) and not step.resumed
        }
        if takers:
            observed = await asyncio.to_thread(self._rooms.tasks.observe)
            if not takers <= {task.id for task in observed.tasks if task.running}:
                raise _LookAgain

    async def _note_forgotten(self, steps: Sequence[NodeStep], lease: Lease) -> None:
        """Who comes back is to be told from who is new; it is banned for a while."""
        now_s = time.time()
        now = {step.gone_id: now_s for step in steps if isinstance(step, Forget)}
        if now and self._view:
            before = self._view.forgotten.items()
            lately = {node_id: at_s for node_id, at_s in before if now_s - at_s < BAN_S}
            await asyncio.to_thread(self._rooms.state.note_forgotten, lease, lately | now)

    async def _execute(self, steps: Sequence[NodeStep], lease: Lease) -> None:
        """Take steps on nodes; what only waits gives way to what comes first by now.

        That may be the loss of a master. What was waited for goes on by itself.
        """
        work = asyncio.ensure_future(self._rooms.nodes.execute(steps, self._left_s()))
        waits = all(isinstance(each, _WAITING) and each.phase is not Phase.FORM for each in steps)
        try:
            while not (await asyncio.wait({work}, timeout=_HEED_S if waits else None))[0]:
                if await self._is_overtaken(steps[0].phase, lease):
                    raise _LookAgain
            work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _is_overtaken(self, phase: Phase, lease: Lease) -> bool:
        """Whether something has happened for which a plan would be of another phase, or empty."""
        try:
            if not await asyncio.to_thread(self._rooms.state.heed, lease):
                return False
            made = await self.plan()
        except TemporaryError:
            return False  # there is a look after this wave in any case
        return not made.steps or made.steps[0].phase is not phase

    def _count_losses(self, wave: Sequence[Step]) -> None:
        """Remember what was given up: its data is lost, and now it is served without."""
        for step in wave:
            match step:
                case AdoptSlots():
                    self._lost_slots += count(step.slots)
                case BeginForming(again=True):
                    self._lost_slots = SLOT_COUNT
                case _:
                    continue
            self._losses += (step.why,)

    async def _protect(self, arns: Sequence[str], lasts_s: float) -> None:
        self._blocked += await asyncio.to_thread(self._rooms.tasks.protect, arns, lasts_s)

    def _starting(self) -> bool:
        """Whether a task has only just started, so that its node's silence means nothing yet."""
        view = self._view
        return view is not None and any(_is_starting(each, view) for each in view.members)

    def _soon(self) -> bool:
        """Whether what is awaited should still come by itself, counted from when it began."""
        if not self._plan.soon_s:
            self._soon_since_s = None
            return False
        now_s = time.monotonic()
        self._soon_since_s = self._soon_since_s or now_s
        return now_s - self._soon_since_s < self._plan.soon_s

    def _left_s(self) -> float:
        return self._deadline_s - MARGIN_S - time.monotonic()

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        begun_s = time.monotonic()
        try:
            yield
        finally:
            self._timings_ms[phase] = self._timings_ms.get(phase, 0.0) + _since_ms(begun_s)


def _is_starting(member: Member, view: View) -> bool:
    task = member.task
    return (
        task.running
        and task.started_at_s is not None
        and view.observed_at_s - task.started_at_s < STARTING_S
        and member.trouble in {Trouble.UNREACHABLE, Trouble.LOADING}
    )


def _since_ms(begun_s: float) -> float:
    return (time.monotonic() - begun_s) * 1000


def _summary(result: Result) -> dict[str, str]:
    """Make what the history of runs remembers of a result."""
    return {
        "outcome": result.outcome.value,
        "health": result.health.value if result.health else "unknown",
        "verdict": result.verdict,
        "steps": str(len(result.done)),
        "total_ms": str(result.timings_ms["total"]),
    }
