"""Placement against brute force on small fleets, and its speed on large ones."""

import time
from collections import Counter
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redis_fargate.topology.placement import flaws, place


def fleet(zones):
    return {f"t{index:03}": zone for index, zone in enumerate(zones)}


def unevenness(masters, zones):
    """Sum of squares: smaller is more even, for a given number of masters."""
    return sum(n * n for n in Counter(zones[task] for task in masters).values())


def every_placement(zones, master_count, masters, attached, followers):
    """All placements, by trying every master for every replica."""
    tasks = sorted(zones)
    eligible = [t for t in tasks if t not in masters and t not in attached and t not in followers]
    for chosen in combinations(eligible, master_count - len(masters)):
        leaders = sorted({*masters, *chosen})
        left = [t for t in tasks if t not in leaders and t not in attached]
        base = {m: tuple(r for r, owner in attached.items() if owner == m) for m in leaders}
        yield from _assign(base, left)


def _assign(placement, left):
    if not left:
        yield placement
        return
    task, *rest = left
    for master, followers in placement.items():
        yield from _assign({**placement, master: (*followers, task)}, rest)


def evenness(placement):
    """Sum of squares of replicas per master: smallest means as even as what is attached allows."""
    return sum(len(followers) ** 2 for followers in placement.values())


def quality(placement, zones):
    return (
        evenness(placement),
        unevenness(placement, zones),
        flaws(placement, zones)[1:],
    )


@st.composite
def small_fleets(draw):
    zones = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=7))
    master_count = draw(st.integers(1, len(zones)))
    return fleet(zones), master_count


@st.composite
def half_made_fleets(draw):
    zones, master_count = draw(small_fleets())
    tasks = draw(st.permutations(sorted(zones)))
    pinned = draw(st.integers(0, master_count))
    masters, rest = tasks[:pinned], tasks[pinned:]
    spare = len(zones) - master_count
    attached = {}
    if masters and spare:
        for task in rest[: draw(st.integers(0, spare))]:
            attached[task] = draw(st.sampled_from(masters))
    bound = spare - len(attached)
    followers = rest[len(attached) :][: draw(st.integers(0, bound))]
    return zones, master_count, masters, attached, followers


@settings(max_examples=150, deadline=None)
@given(small_fleets())
def test_no_placement_is_better(fleet_and_count):
    zones, master_count = fleet_and_count
    placement = place(zones, master_count)
    best = min(quality(p, zones) for p in every_placement(zones, master_count, (), {}, ()))
    assert quality(placement, zones) == best
    counts = [len(followers) for followers in placement.values()]
    assert max(counts) - min(counts) <= 1


@settings(max_examples=300, deadline=None)
@given(half_made_fleets())
def test_no_placement_is_better_that_keeps_what_is_there(case):
    zones, master_count, masters, attached, followers = case
    placement = place(zones, master_count, masters=masters, replicas=attached, followers=followers)
    best = min(quality(p, zones) for p in every_placement(*case))
    assert quality(placement, zones) == best
    assert set(masters) <= placement.keys()
    assert not placement.keys() & set(followers)
    assert all(replica in placement[master] for replica, master in attached.items())


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60), st.data())
def test_every_task_has_one_place(zones, data):
    tasks = fleet(zones)
    placement = place(tasks, data.draw(st.integers(1, len(zones))))
    placed = [*placement, *(task for followers in placement.values() for task in followers)]
    assert sorted(placed) == sorted(tasks)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=12), st.data())
def test_the_order_of_the_input_does_not_matter(zones, data):
    tasks = fleet(zones)
    count = data.draw(st.integers(1, len(zones)))
    shuffled = dict(data.draw(st.permutations(list(tasks.items()))))
    assert list(place(tasks, count).items()) == list(place(shuffled, count).items())


def test_three_masters_with_a_replica_each_in_another_zone():
    assert place(fleet("abcabc"), 3) == {"t000": ("t005",), "t001": ("t003",), "t002": ("t004",)}


def test_two_masters_from_one_task_are_refused():
    with pytest.raises(ValueError, match="2 masters cannot be had"):
        place(fleet("a"), 2)


@cache
def skewed(count):
    return fleet([zone for zone, weight in zip("abcdef", (6, 5, 4, 3, 2, 1), strict=True)
                  for _ in range(weight)] * (count // 21 + 1))  # fmt: skip


@pytest.mark.parametrize("master_count", [1, 3, 9, 50, 100, 167, 250])
@pytest.mark.parametrize("zones", ["abc", "abcdef", "skewed"])
def test_a_large_fleet_is_placed_in_no_time(master_count, zones):
    tasks = skewed(500) if zones == "skewed" else fleet(zones * 500)
    tasks = dict(sorted(tasks.items())[:500])
    start = time.process_time()
    placement = place(tasks, master_count)
    assert time.process_time() - start < 0.1
    assert sum(map(len, placement.values())) == 500 - master_count
