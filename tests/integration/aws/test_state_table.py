import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from redis_fargate.aws.errors import AwsRefused, LeaseLost, MarkerChanged
from redis_fargate.aws.state import HISTORY_S, Held, Lease, Remembered, StateTable
from redis_fargate.topology.slots import SlotRange
from redis_fargate.topology.view import Forming, Marker

SETTINGS = {"task-1": {"cluster-node-timeout": "15000", "repl-diskless-sync-delay": "5"}}


def test_the_lease_has_one_holder_and_grows_its_number(state):
    first = state.acquire("a", 60)
    assert first == Lease("a", 1)
    assert isinstance(state.acquire("b", 60), Held)
    assert state.release(first, even_if_dirty=True)
    assert state.acquire("b", 60) == Lease("b", 2)


def test_a_held_lease_tells_who_has_it_and_until_when(state, clock):
    state.acquire("a", 60)
    assert state.acquire("b", 60) == Held("a", clock.now + 60)


def test_a_lost_answer_does_not_lock_a_run_out_of_its_own_lease(state):
    state.acquire("a", 60)
    assert isinstance(state.acquire("a", 60), Lease)


def test_an_expired_lease_goes_to_the_next(state, clock):
    stale = state.acquire("a", 60)
    clock.now += 60.5
    fresh = state.acquire("b", 60)
    assert fresh == Lease("b", 2)
    assert state.release(stale, even_if_dirty=False)  # nothing to let go of
    assert isinstance(state.acquire("c", 60), Held)
    assert not state.release(fresh, even_if_dirty=False)  # c has marked it


def test_a_marked_lease_is_kept_once_and_then_let_go(state):
    lease = state.acquire("a", 60)
    state.acquire("b", 60)
    assert not state.release(lease, even_if_dirty=False)
    assert isinstance(state.acquire("c", 60), Held)
    assert not state.release(lease, even_if_dirty=False)
    assert state.release(lease, even_if_dirty=False)
    assert isinstance(state.acquire("d", 60), Lease)


def test_a_holder_is_told_once_of_what_has_marked_its_lease(state, clock):
    lease = state.acquire("a", 60)
    assert not state.heed(lease)
    state.acquire("b", 60)
    state.acquire("c", 60)
    assert state.heed(lease)
    assert not state.heed(lease)
    state.acquire("b", 60)
    clock.now += 60.5
    state.acquire("d", 60)
    state.acquire("b", 60)
    assert not state.heed(lease)  # it is another's by now
    assert state.release(lease, even_if_dirty=False)


def test_a_new_holder_starts_clean(state):
    first = state.acquire("a", 60)
    state.acquire("b", 60)
    assert state.release(first, even_if_dirty=True)
    second = state.acquire("c", 60)
    assert state.release(second, even_if_dirty=False)


def test_many_runs_at_once_never_share_the_lease_nor_lose_an_event(clients, table_name):
    """Each run is one event; whoever holds the lease after it was asked for has seen it."""
    runs, threads = 120, 16
    holding = threading.Lock()
    events = iter(range(runs))
    taking = threading.Lock()
    raised: set[int] = set()
    seen: set[int] = set()
    numbers: list[int] = []

    def worker(number):
        table = StateTable(clients, table_name)
        while True:
            with taking:
                event = next(events, None)
                if event is None:
                    return
            raised.add(event)
            lease = table.acquire(f"{number}-{event}", 600)
            if isinstance(lease, Held):
                continue
            assert holding.acquire(blocking=False), "two holders at once"
            numbers.append(lease.fencing)
            seen.update(tuple(raised))
            while True:
                # Others take the lease as soon as ``release`` has let go of it.
                holding.release()
                if table.release(lease, even_if_dirty=False):
                    break
                assert holding.acquire(blocking=False), "two holders at once"
                seen.update(tuple(raised))

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(worker, number) for number in range(threads)]:
            done.result()
    assert seen == raised == set(range(runs))
    assert numbers == sorted(set(numbers))


def test_no_marker_at_first(state):
    assert state.marker() == Remembered(Marker.ABSENT)


def test_the_marker_goes_from_forming_to_formed(state):
    lease = state.acquire("a", 60)
    state.begin_forming(lease, SETTINGS)
    assert state.marker() == Remembered(Marker.FORMING, Forming(SETTINGS))
    more = SETTINGS | {"task-2": {"cluster-node-timeout": "5000"}}
    state.begin_forming(lease, more)
    assert state.marker() == Remembered(Marker.FORMING, Forming(more))
    state.finish_forming(lease)
    assert state.marker() == Remembered(Marker.FORMED)
    state.finish_forming(lease)


def test_a_formed_cluster_is_not_formed_again(state):
    lease = state.acquire("a", 60)
    state.finish_forming(lease)
    with pytest.raises(MarkerChanged, match="does not say any more"):
        state.begin_forming(lease, SETTINGS)
    assert state.marker() == Remembered(Marker.FORMED)


def test_a_cluster_of_which_nothing_is_left_is_formed_again_if_it_is_meant(state):
    lease = state.acquire("a", 60)
    with pytest.raises(MarkerChanged):
        state.begin_forming(lease, SETTINGS, again=True)
    state.finish_forming(lease)
    state.begin_forming(lease, SETTINGS, again=True)
    assert state.marker() == Remembered(Marker.FORMING, Forming(SETTINGS))


def test_what_is_in_flight_is_remembered_while_the_cluster_is_formed(state):
    lease = state.acquire("a", 60)
    slots = (SlotRange(0, 99), SlotRange(200, 200))
    with pytest.raises(MarkerChanged):
        state.note_moving(lease, slots)
    with pytest.raises(MarkerChanged):
        state.note_forgotten(lease, {})
    state.finish_forming(lease)
    state.note_moving(lease, slots)
    assert state.marker() == Remembered(Marker.FORMED, moving=slots)
    state.note_forgotten(lease, {"a" * 40: 1234.5})
    assert state.marker() == Remembered(Marker.FORMED, moving=slots, forgotten={"a" * 40: 1234.5})
    state.note_moving(lease, ())
    assert state.marker() == Remembered(Marker.FORMED, forgotten={"a" * 40: 1234.5})
    state.note_forgotten(lease, {})
    assert state.marker() == Remembered(Marker.FORMED)


@pytest.mark.parametrize("released", [True, False], ids=["released", "expired"])
def test_who_lost_the_lease_writes_no_marker(state, clock, released):
    lost = state.acquire("a", 60)
    if released:
        state.release(lost, even_if_dirty=True)
    else:
        clock.now += 61
        state.acquire("b", 60)
    with pytest.raises(LeaseLost, match="fencing number 1"):
        state.begin_forming(lost, SETTINGS)
    with pytest.raises(LeaseLost, match="next run"):
        state.finish_forming(lost)
    with pytest.raises(LeaseLost):
        state.note_moving(lost, ())
    with pytest.raises(LeaseLost):
        state.note_forgotten(lost, {})
    assert state.marker() == Remembered(Marker.ABSENT)


def test_the_marker_is_written_while_others_mark_the_lease(state, clients, table_name):
    lease = state.acquire("a", 600)
    stop = threading.Event()

    def knock():
        table = StateTable(clients, table_name, clock=state._clock)
        while not stop.is_set():
            assert isinstance(table.acquire("b", 60), Held)

    with ThreadPoolExecutor(4) as pool:
        knocking = [pool.submit(knock) for _ in range(4)]
        try:
            for _ in range(20):
                state.begin_forming(lease, SETTINGS)
        finally:
            stop.set()
        for done in knocking:
            done.result()


def test_a_run_is_remembered_for_a_while(state, clients, table_name, clock):
    lease = state.acquire("a", 60)
    state.record(lease, {"outcome": "converged"})
    item = clients.dynamodb.get_item(
        TableName=table_name, Key={"kind": {"S": "run"}, "id": {"S": "000000000001"}}
    )["Item"]
    assert item["outcome"] == {"S": "converged"}
    assert item["ttl"] == {"N": str(int(clock.now) + HISTORY_S)}
    assert item["at"] == {"S": "1970-01-12T13:46:40+00:00"}


def test_a_missing_table_is_named(clients):
    with pytest.raises(AwsRefused, match=r"dynamodb:UpdateItem on table nowhere-state"):
        StateTable(clients, "nowhere-state").acquire("a", 60)
