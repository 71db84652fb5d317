"""The loop itself: what it asks whom, in which order, and how it ends."""

import asyncio
import contextlib
import dataclasses
import time

import pytest

from redis_fargate.aws.errors import AccessDenied, AwsUnavailable, LeaseLost
from redis_fargate.aws.state import Held, Lease, Remembered
from redis_fargate.aws.tasks import Observed
from redis_fargate.controller import reconcile as module
from redis_fargate.controller.ports import Rooms
from redis_fargate.controller.reconcile import MARGIN_S, RETRIES, dry_run, reconcile, status
from redis_fargate.controller.result import Outcome
from redis_fargate.controller.settings import Settings
from redis_fargate.nodes.errors import (
    AuthenticationFailed,
    PreconditionFailed,
    StepFailed,
    StillMoving,
)
from redis_fargate.topology.plan import Plan
from redis_fargate.topology.slots import SlotRange
from redis_fargate.topology.spec import Pace, Policy, Spec
from redis_fargate.topology.steps import (
    AdoptSlots,
    AwaitHealthy,
    BeginForming,
    ChangeSettings,
    FinishForming,
    Forget,
    MoveSlots,
    NodeRef,
    NoteMoving,
    Phase,
    Protect,
    Reset,
    Unprotect,
)
from redis_fargate.topology.view import Marker, Member, Task, Trouble

SETTINGS = Settings(
    "redis", "redis", "redis-cluster-service", "local", "redis-cluster", "redis-state",
    Spec(1, 0), Policy(),
)  # fmt: skip
TASK = Task("arn/t1", "t1", "a", "127.0.0.1", "redis:1", running=True, started_at_s=0.0)
NODE = NodeRef("n1", "127.0.0.1", 6379, "t1")
BEGIN = BeginForming({"t1": {"cluster-node-timeout": "15000"}}, why="new")
LOWER = ChangeSettings(NODE, (("cluster-node-timeout", "500"),), why="to be quick")
RAISE = ChangeSettings(NODE, (("cluster-node-timeout", "15000"),), why="as it was")
FINISH = FinishForming(why="all is well")
DONE = Plan()
FORM = Plan((BEGIN, LOWER, FINISH))
MOVING = (SlotRange(3, 4),)
ADOPT = AdoptSlots(NODE, MOVING, (), (), why="Two slots are lost.")
WAIT = AwaitHealthy((NODE,), why="Slow.", phase=Phase.JOIN)
FORMING_WAIT = dataclasses.replace(WAIT, phase=Phase.FORM)
SHAPE = Plan((Reset(NODE, None, why="one master too few"),))


class World:
    """All ports in one, and a diary of what they were asked."""

    def __init__(self, plans, monkeypatch):
        self.diary = []
        self.plans = iter(plans)
        self.member = Member(TASK, trouble=Trouble.UNREACHABLE, detail="no answer")
        self.held_by = None
        self.blocked = ()
        self.knocks = 0  # how often others have knocked when the lease is let go
        self.told = []  # whether something has happened, each time that a wave's length asks
        self.lasts_s = {}  # kind of step to how long it takes
        self.without = []  # phases that are left out of each plan
        self.failures = {}  # diary entry to the errors that it raises, one after the other
        self.rooms = Rooms(self, State(self), Nodes(self))
        monkeypatch.setattr(module, "plan", self.plan)
        monkeypatch.setattr(module, "_PAUSE_S", 0)
        monkeypatch.setattr(module, "_HEED_S", 0.01)

    def note(self, entry):
        self.diary.append(entry)
        if self.failures.get(entry):
            raise self.failures[entry].pop(0)

    def observe(self):
        self.note("observe")
        return Observed((self.member.task,), ("odd",))

    def protect(self, arns, lasts_s):
        self.note(f"protect {' '.join(arns)} for {lasts_s} s")
        return self.blocked

    def plan(self, view, spec, policy, without):
        self.without.append(set(without))
        assert spec is SETTINGS.spec
        assert policy is SETTINGS.policy
        assert view.members == (self.member,)
        self.made = next(self.plans)
        return self.made

    def acts(self):
        return [entry for entry in self.diary if entry != "observe"]

    def reconcile(self, left_s=3600, **more):
        deadline_s = time.monotonic() + MARGIN_S + left_s
        return asyncio.run(
            reconcile(SETTINGS, self.rooms, owner="me", deadline_s=deadline_s, **more)
        )


class State:
    def __init__(self, world):
        self.world = world

    def acquire(self, owner, lasts_s):
        self.world.note("acquire")
        self.lasts_s = lasts_s
        return self.world.held_by or Lease(owner, 7)

    def release(self, lease, *, even_if_dirty):
        assert lease == Lease("me", 7)
        self.world.note("release at any rate" if even_if_dirty else "release")
        if even_if_dirty or not self.world.knocks:
            return True
        self.world.knocks -= 1
        return False

    def heed(self, lease):
        assert lease == Lease("me", 7)
        self.world.note("heed")
        return self.world.told.pop(0)

    def marker(self):
        lately = {"long ago": time.time() - 66, "late": time.time() - 60}
        return Remembered(Marker.FORMED, moving=MOVING, forgotten=lately)

    def begin_forming(self, lease, settings, *, again):
        assert settings == BEGIN.settings
        self.world.note(f"begin forming {'again ' if again else ''}under {lease.fencing}")

    def note_moving(self, lease, slots):
        self.world.note(f"note {slots} under {lease.fencing}")

    def note_forgotten(self, lease, at_s):
        self.world.note(f"note {', '.join(sorted(at_s))} as forgotten under {lease.fencing}")

    def finish_forming(self, lease):
        self.world.note(f"finish forming under {lease.fencing}")

    def record(self, lease, summary):
        self.world.note(f"record {summary['outcome']}")


class Nodes:
    def __init__(self, world):
        self.world = world

    async def observe(self, tasks, moving):
        assert tasks == (self.world.member.task,)
        assert moving == MOVING
        return (self.world.member,)

    async def check_spare(self, steps):
        self.world.note("check")

    @contextlib.asynccontextmanager
    async def settings_kept(self, steps):
        assert steps == self.world.made.steps
        try:
            yield
        except BaseException:
            self.world.note("settings put back")
            raise

    async def execute(self, steps, time_left_s):
        assert time_left_s > 0
        kinds = [type(step).__name__ for step in steps]
        self.world.note(f"execute {' '.join(kinds)}")
        try:
            await asyncio.sleep(self.world.lasts_s.get(kinds[0], 0))
        except asyncio.CancelledError:
            self.world.note("given up")
            raise


@pytest.fixture
def world(monkeypatch):
    return lambda *plans: World(plans, monkeypatch)


def test_a_plan_is_taken_wave_by_wave_and_looked_at_again(world):
    it = world(FORM, DONE)
    waves = []
    result = it.reconcile(progress=lambda steps, took_ms: waves.append((steps, took_ms)))
    assert it.diary == [
        "acquire",
        "observe",
        "begin forming under 7",
        "execute ChangeSettings",
        "finish forming under 7",
        "observe",
        "record converged",
        "release",
    ]
    assert result.outcome is Outcome.CONVERGED
    assert result.run == 7
    assert [step.step for step in result.done] == [
        "write down that forming has begun",
        "set cluster-node-timeout 500 on 127.0.0.1:6379",
        "write down that the cluster is formed",
    ]
    assert [steps[0] for steps, _ in waves] == list(result.done)
    assert result.plan == ()
    assert result.remarks == ("odd",)
    assert set(result.timings_ms) == {"lease", "observe", "plan", "form", "total"}


def test_steps_of_one_kind_go_together(world):
    it = world(Plan((LOWER, RAISE)), DONE)
    it.reconcile()
    assert "execute ChangeSettings ChangeSettings" in it.diary


def test_the_lease_outlasts_the_run(world):
    it = world(DONE)
    it.reconcile(left_s=100)
    assert it.rooms.state.lasts_s > 100 + MARGIN_S + 5


def test_waiting(world):
    result = world(Plan(waiting=("5 of 6 tasks run.",))).reconcile()
    assert result.outcome is Outcome.WAITING
    assert result.waiting == ("5 of 6 tasks run.",)


def test_refused(world):
    it = world(Plan(refusals=("All data is lost.",)))
    result = it.reconcile()
    assert result.outcome is Outcome.REFUSED
    assert result.verdict == "Nothing was done. All data is lost."
    assert it.acts() == ["acquire", "record refused", "release"]


def test_a_second_run_leaves_at_once(world):
    it = world()
    it.held_by = Held("other", 5.0)
    result = it.reconcile()
    assert result.outcome is Outcome.BUSY
    assert "other" in result.verdict
    assert it.diary == ["acquire"]


def test_whoever_knocked_is_not_forgotten(world):
    it = world(DONE, FORM, DONE)
    it.knocks = 1
    assert it.reconcile().outcome is Outcome.CONVERGED
    assert it.acts() == [
        "acquire",
        "record converged",
        "release",
        "begin forming under 7",
        "execute ChangeSettings",
        "finish forming under 7",
        "record converged",
        "release",
    ]


def test_out_of_time_before_the_first_step(world):
    it = world(FORM)
    it.knocks = 1
    result = it.reconcile(left_s=-1)
    assert result.outcome is Outcome.OUT_OF_TIME
    assert it.acts() == [
        "acquire", "settings put back", "record out-of-time", "release at any rate",
    ]  # fmt: skip
    assert len(result.plan) == 3


def test_a_temporary_failure_costs_another_look(world):
    it = world(FORM, Plan((LOWER, FINISH)), DONE)
    it.failures["execute ChangeSettings"] = [StepFailed("no effect")]
    assert it.reconcile().outcome is Outcome.CONVERGED
    assert it.acts() == [
        "acquire",
        "begin forming under 7",
        "execute ChangeSettings",
        "settings put back",
        "execute ChangeSettings",
        "finish forming under 7",
        "record converged",
        "release",
    ]


def test_temporary_failures_are_not_borne_for_ever(world):
    it = world(*[Plan((LOWER,))] * 100)
    it.failures["execute ChangeSettings"] = [StepFailed(f"no effect {n}") for n in range(100)]
    result = it.reconcile()
    assert result.outcome is Outcome.FAILED
    assert result.verdict == f"no effect {RETRIES}"
    assert it.acts()[-2:] == ["record failed", "release at any rate"]


def test_a_plan_that_changes_nothing_is_not_repeated_for_ever(world):
    result = world(*[Plan((LOWER,))] * 100).reconcile()
    assert result.outcome is Outcome.FAILED
    assert "1 steps were taken, and yet they are still to be taken" in result.verdict
    assert len(result.done) < 2 * RETRIES


def test_a_failure_in_the_last_moment_is_told(world, monkeypatch):
    it = world(Plan((LOWER,)))
    it.failures["execute ChangeSettings"] = [StepFailed("took long")]
    left = iter([1, 1])
    monkeypatch.setattr(module._Run, "_left_s", lambda self: next(left, 0))
    result = it.reconcile()
    assert result.outcome is Outcome.OUT_OF_TIME
    assert "took long" in result.verdict


@pytest.mark.parametrize("error", [LeaseLost("gone"), AccessDenied("denied")], ids=type)
def test_some_failures_end_a_run_at_once(world, error):
    it = world(FORM)
    it.failures["begin forming under 7"] = [error]
    result = it.reconcile()
    assert result.outcome is Outcome.FAILED
    assert result.verdict == str(error)
    assert it.acts()[1:] == [
        "begin forming under 7", "settings put back", "record failed", "release at any rate",
    ]  # fmt: skip


def test_a_wrong_password_is_for_a_person(world):
    it = world(Plan((LOWER,)))
    it.failures["execute ChangeSettings"] = [AuthenticationFailed("wrong password")]
    assert it.reconcile().verdict == "wrong password"


def test_a_bug_lets_go_of_the_lease(world):
    it = world(Plan((LOWER,)))
    it.failures["execute ChangeSettings"] = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        it.reconcile()
    assert it.acts()[-1] == "release at any rate"


def test_an_unreleased_lease_does_not_hide_what_was_done(world):
    it = world(FORM, DONE)
    it.failures["release"] = [AwsUnavailable("no answer")]
    result = it.reconcile()
    assert result.outcome is Outcome.CONVERGED
    assert "no answer" in result.remarks[-1]


def test_no_lease_no_run(world):
    it = world()
    it.failures["acquire"] = [AwsUnavailable("no answer")]
    with pytest.raises(AwsUnavailable):
        it.reconcile()


def test_a_node_that_has_only_just_started_is_waited_for(world):
    silent = Plan(refusals=("t1 does not answer.",))
    it = world(silent, silent, silent, FORM, DONE)
    it.member = dataclasses.replace(
        it.member, task=dataclasses.replace(TASK, started_at_s=time.time())
    )
    looks = 0

    def observe():
        nonlocal looks
        looks += 1
        if looks == 5:  # it is up, after a while
            it.member = dataclasses.replace(it.member, task=TASK)
        return Observed((it.member.task,))

    it.observe = observe
    assert it.reconcile().outcome is Outcome.CONVERGED
    assert looks == 5


def test_waiting_for_a_start_ends_with_the_time(world):
    it = world(Plan(refusals=("t1 does not answer.",)))
    it.member = dataclasses.replace(
        it.member, task=dataclasses.replace(TASK, started_at_s=time.time())
    )
    assert it.reconcile(left_s=-1).outcome is Outcome.OUT_OF_TIME


def test_what_comes_by_itself_is_waited_for(world):
    soon = Plan(waiting=("An election is to come.",), soon_s=60)
    it = world(soon, soon, Plan((LOWER,)), DONE)
    assert it.reconcile().outcome is Outcome.CONVERGED
    assert it.diary.count("observe") == 4


def test_what_never_comes_is_not_waited_for_any_longer(world):
    soon = Plan(waiting=("An election is to come.",), soon_s=0.05)
    began_s = time.monotonic()
    assert world(*[soon] * 100_000).reconcile().outcome is Outcome.WAITING
    assert time.monotonic() - began_s < 5


def test_status_takes_no_lease_and_makes_no_plan(world):
    it = world()
    result = asyncio.run(status(SETTINGS, it.rooms))
    assert result.outcome is Outcome.OBSERVED
    assert result.health is not None
    assert it.diary == ["observe"]


def test_a_dry_run_only_plans(world):
    it = world(FORM)
    result = asyncio.run(dry_run(SETTINGS, it.rooms))
    assert result.outcome is Outcome.PLANNED
    assert len(result.plan) == 3
    assert "3 steps would be taken" in result.verdict
    assert result.run == 0
    assert it.diary == ["observe"]


SPARE = Unprotect("arn/t2", NODE, (), why="surplus")
PROTECT = Protect(("arn/t1",), why="a master")


def test_a_task_is_spared_only_when_the_servers_agree(world):
    it = world(Plan((SPARE, PROTECT)), DONE)
    assert it.reconcile().outcome is Outcome.CONVERGED
    lasts_s = 48 * 3600
    assert it.acts()[1:4] == ["check", "protect arn/t2 for 0 s", f"protect arn/t1 for {lasts_s} s"]


def test_a_task_that_cannot_be_spared_stays_protected(world):
    it = world(*[Plan((SPARE,))] * (RETRIES + 1))
    it.failures["check"] = [PreconditionFailed("It owns slots.")] * (RETRIES + 1)
    assert it.reconcile().outcome is Outcome.FAILED
    assert not [entry for entry in it.diary if entry.startswith("protect")]


def test_a_deployment_that_is_blocked_is_waited_for(world):
    it = world(Plan((PROTECT,)), Plan((PROTECT,)))
    it.blocked = ("ECS leaves it: DEPLOYMENT_BLOCKED",)
    result = it.reconcile()
    assert result.outcome is Outcome.WAITING
    assert "ECS leaves it: DEPLOYMENT_BLOCKED" in result.remarks


def test_a_phase_on_which_no_other_stands_is_put_off_when_it_fails(world):
    it = world(SHAPE, Plan((LOWER,)), DONE, SHAPE, DONE)
    it.failures = {"execute Reset": [StepFailed("not yet")]}
    result = it.reconcile()
    executed = [act for act in it.acts() if act.startswith("execute")]
    assert executed == ["execute Reset", "execute ChangeSettings", "execute Reset"]
    assert it.without == [set(), {Phase.SHAPE}, {Phase.SHAPE}, set(), set()]
    assert result.outcome is Outcome.CONVERGED


def test_what_was_put_off_and_fails_for_ever_is_told(world):
    plans = [plan for _ in range(RETRIES + 1) for plan in (SHAPE, DONE)]
    it = world(*plans)
    it.failures = {"execute Reset": [StepFailed("never")] * (RETRIES + 1)}
    result = it.reconcile()
    assert result.outcome is Outcome.FAILED
    assert result.verdict == "never"


def test_who_is_lost_is_replaced_where_ecs_refuses_to_protect(world):
    it = world(Plan((PROTECT, SHAPE.steps[0])), Plan((LOWER,)), DONE)
    it.failures = {f"protect arn/t1 for {48 * 3600} s": [AccessDenied("Not allowed.")]}
    result = it.reconcile()
    assert it.without == [set(), {Phase.PROTECT}, {Phase.PROTECT}]
    assert [act for act in it.acts() if act.startswith("execute")] == ["execute ChangeSettings"]
    assert result.outcome is Outcome.FAILED
    assert result.verdict == "Not allowed."


def test_slots_on_their_way_are_no_failure(world):
    moves = Plan((SHAPE.steps[0],))
    it = world(*[moves] * (RETRIES + 3), DONE)
    it.failures = {"execute Reset": [StillMoving("on the way")] * (RETRIES + 3)}
    assert it.reconcile().outcome is Outcome.CONVERGED


@pytest.mark.parametrize("first", [SHAPE, DONE], ids=["steps", "nothing"])
def test_waiting_gives_way_to_what_comes_first_by_now(world, first):
    it = world(Plan((WAIT,)), Plan((WAIT, WAIT)), first, Plan((LOWER,)), DONE)
    it.lasts_s["AwaitHealthy"] = 3600
    it.failures["heed"] = [AwsUnavailable("Throttled.")]
    it.told = [False, True, True]
    assert it.reconcile().outcome is Outcome.CONVERGED
    assert it.acts() == [
        "acquire",
        "execute AwaitHealthy",
        *("heed", "heed", "heed", "heed"),
        "given up",
        "settings put back",
        "execute ChangeSettings",
        "record converged",
        "release",
    ]


@pytest.mark.parametrize("step", [LOWER, FORMING_WAIT], ids=["acting", "forming"])
def test_what_acts_or_forms_is_not_interrupted(world, step):
    it = world(Plan((step,)), DONE)
    it.lasts_s[type(step).__name__] = 0.1
    it.reconcile()
    assert "heed" not in it.diary
    assert "given up" not in it.diary


def test_who_is_forgotten_is_written_down_before(world):
    it = world(Plan((Forget("dead", "t0", (NODE,), "It is gone."),)), DONE)
    it.reconcile()
    assert it.acts()[1:3] == ["note dead, late as forgotten under 7", "execute Forget"]


def test_what_is_in_flight_is_written_down(world):
    it = world(Plan((NoteMoving((SlotRange(7, 9),), "it moves", Phase.SHAPE),)), DONE)
    it.reconcile()
    assert it.acts()[1] == "note (SlotRange(first=7, last=9),) under 7"


@pytest.mark.parametrize(("running", "resumed"), [(False, False), (True, False), (None, True)])
def test_no_slots_begin_to_move_to_a_task_that_ecs_stops_since_the_look(world, running, resumed):
    """A look takes as long as a node is silent; and protection comes too late then."""
    move = MoveSlots(NODE, NODE, MOVING, resumed=resumed, pace=Pace(), why="", phase=Phase.SHAPE)
    it = world(Plan((move,)), DONE)
    asked = [] if resumed else [dataclasses.replace(TASK, running=running)]
    seen = [TASK, *asked, TASK]
    it.observe = lambda: Observed((seen.pop(0),))
    assert it.reconcile().outcome is Outcome.CONVERGED
    assert ("execute MoveSlots" in it.acts()) == (running is not False)
    assert not seen


def test_what_is_given_up_is_told(world):
    result = world(Plan((ADOPT,)), DONE).reconcile()
    assert result.losses == ("Two slots are lost.",)
    assert result.lost_slots == 2
    again = dataclasses.replace(BEGIN, again=True)
    it = world(Plan((again,)), DONE)
    assert it.reconcile().lost_slots == 16384
    assert it.acts()[1] == "begin forming again under 7"
