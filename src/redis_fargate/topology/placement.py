"""Who is master and who follows whom: the best assignment over the zones, not the first found.

Everything is decided on counts per zone; which task of a zone is taken never matters
to the result, so the task id decides. That makes it exact and quick:

1. An even spread of masters over zones is a water level: every zone is filled up to it,
   as far as its tasks go. Only which zones take the last few masters is open, and
   with at most six zones there are at most twenty ways; each is tried.
2. Masters of one zone with the same replicas so far are alike and form a class. How many
   replicas from which zone a class gets is a transport problem with convex costs, solved by
   successive cheapest paths (Ahuja, Magnanti and Orlin, "Network Flows", chapters 9 and 14).
3. Dealing a class' replicas, zone by zone, to its masters in turn gives every master as
   many as any other, or one more, of all and of each zone: nothing is lost by the classes.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import TypeAlias

Placement: TypeAlias = dict[str, tuple[str, ...]]
"""Task id of each master to the task ids of its replicas, both in order of task id."""

_INFINITE = 10**12
_SAME_ZONE = 1_000_000
"""Cost of a replica in its master's zone: more than all shared zones of 500 tasks together."""


def place(
    zones: Mapping[str, str],
    master_count: int,
    *,
    masters: Collection[str] = (),
    replicas: Mapping[str, str] | None = None,
    followers: Collection[str] = (),
) -> Placement:
    """Make ``master_count`` of the tasks masters, and the rest their replicas.

    In this order: replicas per master differ by at most one, as far as ``replicas`` allows;
    masters spread over zones as evenly as the tasks allow; as few replicas as possible are in
    their master's zone; as few as possible share a zone with another one of their shard.

    Args:
        zones: every task's id, and its zone.
        master_count: how many masters there are to be, ``masters`` included.
        masters: tasks that are masters already, and stay so.
        replicas: task ids of replicas that stay with their master, and that master's.
        followers: tasks that can be anybody's replica, but no master.

    Raises:
        ValueError: there are more masters already than ``master_count``, or too few tasks
            that can be one.

    """
    attached = replicas or {}
    free = sorted(set(zones) - set(masters) - set(attached))
    eligible = [task for task in free if task not in followers]
    fixed = Counter(zones[task] for task in masters)
    available = Counter(zones[task] for task in eligible)
    if not len(masters) <= master_count <= len(masters) + len(eligible):
        raise ValueError(
            f"{master_count} masters cannot be had from {len(masters)} masters and "
            f"{len(eligible)} tasks that can become one"
        )
    drafts = []
    for spread in _even_spreads(fixed, available, master_count):
        chosen = _first_of_each_zone(eligible, zones, spread - fixed)
        left = [task for task in free if task not in chosen]
        drafts.append(_Draft([*masters, *chosen], left, attached, zones))
    best: _Draft | None = None
    for draft in sorted(drafts, key=lambda draft: draft.bound):
        if best is not None and draft.bound >= best.cost:
            break
        draft.solve()
        if best is None or draft.cost < best.cost:
            best = draft
    if best is None:
        raise AssertionError("there is always a most even spread")
    return best.deal(attached)


def flaws(placement: Placement, zones: Mapping[str, str]) -> tuple[int, int, int]:
    """How far a placement is from perfect; the smaller tuple is the better placement.

    Replicas that some masters have too many (beyond one) over the poorest; replicas in
    their master's zone; pairs of replicas of one shard that share a zone.
    """
    counts = [len(followers) for followers in placement.values()]
    poorest = min(counts, default=0)
    excess = sum(max(0, count - poorest - 1) for count in counts)
    beside_master = shared = 0
    for master, followers in placement.items():
        per_zone = Counter(zones[task] for task in followers)
        beside_master += per_zone[zones[master]]
        shared += sum(count * (count - 1) // 2 for count in per_zone.values())
    return excess, beside_master, shared


def _even_spreads(
    fixed: Counter[str], available: Counter[str], total: int
) -> Iterator[Counter[str]]:
    """All of the most even numbers of masters per zone, in order of zone."""

    def filled(zone: str, level: int) -> int:
        return min(max(level, fixed[zone]), fixed[zone] + available[zone])

    zones = sorted(fixed | available)
    level = 0
    while level < total and sum(filled(zone, level + 1) for zone in zones) <= total:
        level += 1
    base = Counter({zone: filled(zone, level) for zone in zones})
    rising = [zone for zone in zones if filled(zone, level + 1) > base[zone]]
    for favoured in combinations(rising, total - base.total()):
        yield base + Counter(favoured)


def _first_of_each_zone(
    tasks: Sequence[str], zones: Mapping[str, str], wanted: Counter[str]
) -> set[str]:
    left = Counter(wanted)
    chosen = set()
    for task in tasks:
        if left[zones[task]] > 0:
            left[zones[task]] -= 1
            chosen.add(task)
    return chosen


@dataclass(slots=True)
class _Class:
    """Masters that are alike: of one zone, with as many replicas from each zone.

    Zones are numbers here, and what is counted by zone is a list.
    """

    zone: int
    masters: list[str]
    held: list[int]
    """Replicas that each of the masters has already, by zone."""
    given: list[int]
    """New replicas for all of the masters together, by zone."""
    least: int = 0
    """How many new replicas all of the masters together get at least; at most, one more each."""
    most: int = 0

    def price(self, zone: int, number: int) -> int:
        """Cost of the replica that is the class' ``number``-th from a zone, from 0 on."""
        beside_master = _SAME_ZONE if zone == self.zone else 0
        return self.held[zone] + number // len(self.masters) + beside_master

    def room(self, zone: int) -> int:
        """How many more replicas from a zone have the next one's price."""
        return len(self.masters) - self.given[zone] % len(self.masters)

    def returnable(self, zone: int) -> int:
        """How many replicas from a zone had the last one's price."""
        return (self.given[zone] - 1) % len(self.masters) + 1


class _Draft:
    """Masters that are chosen, and the tasks that are to be shared out among them."""

    def __init__(
        self,
        masters: Collection[str],
        tasks: Sequence[str],
        attached: Mapping[str, str],
        zones: Mapping[str, str],
    ) -> None:
        names = sorted(set(zones.values()))
        numbers = {name: number for number, name in enumerate(names)}
        self.pools: list[list[str]] = [[] for _ in names]
        for task in tasks:
            self.pools[numbers[zones[task]]].append(task)
        held = {master: [0] * len(names) for master in masters}
        for replica, master in attached.items():
            held[master][numbers[zones[replica]]] += 1
        classes: dict[tuple[int, ...], _Class] = {}
        for master in sorted(masters):
            zone = numbers[zones[master]]
            alike = classes.setdefault(
                (zone, *held[master]), _Class(zone, [], held[master], [0] * len(names))
            )
            alike.masters.append(master)
        self.classes = list(classes.values())
        self.cost = 0
        _share_out(self.classes, len(tasks))
        self.bound = self._lower_bound()

    def _lower_bound(self) -> int:
        """No solution costs less: most drafts need not be solved to be discarded."""
        forced = shared = 0
        for zone, pool in enumerate(self.pools):
            others = [c for c in self.classes if c.zone != zone]
            forced += max(0, len(pool) - sum(c.most for c in others))
            shared += _shared(len(pool), sum(len(c.masters) for c in others))
        return forced * _SAME_ZONE if forced else min(shared, _SAME_ZONE)

    def solve(self) -> None:
        """Give the tasks, as counts by zone, to the classes at the least cost."""
        supply = [len(pool) for pool in self.pools]
        network = _Network(self.classes)
        # First what every class must have, then the remainder: the second may rearrange the
        # first, but takes nothing away from any class, since a path only ever adds at its end.
        for limits in ([c.least for c in self.classes], [c.most for c in self.classes]):
            wants = [limit - sum(c.given) for c, limit in zip(self.classes, limits, strict=True)]
            while any(supply) and any(wants):
                path, price = network.cheapest_path(supply, wants)
                amount = network.push(path, min(supply[path[0][0]], wants[path[-1][1]]))
                supply[path[0][0]] -= amount
                wants[path[-1][1]] -= amount
                self.cost += amount * price

    def deal(self, attached: Mapping[str, str]) -> Placement:
        """Name the tasks behind the counts."""
        result: dict[str, list[str]] = {master: [] for c in self.classes for master in c.masters}
        for replica, master in attached.items():
            result[master].append(replica)
        pools = [iter(pool) for pool in self.pools]
        for c in self.classes:
            dealt = [
                task
                for pool, given in zip(pools, c.given, strict=True)
                for task in islice(pool, given)
            ]
            for turn, task in enumerate(dealt):
                result[c.masters[turn % len(c.masters)]].append(task)
        return {master: tuple(sorted(replicas)) for master, replicas in sorted(result.items())}


def _shared(replicas: int, shards: int) -> int:
    """Pairs of replicas of one shard, if replicas of one zone are spread over shards evenly."""
    if not shards:
        return 0
    each, rest = divmod(replicas, shards)
    return shards * (each * (each - 1) // 2) + rest * each


def _share_out(classes: Sequence[_Class], supply: int) -> None:
    """Say how many new replicas each class gets: the poorest first, up to a common level."""

    def missing(level: int) -> int:
        return sum(len(c.masters) * max(0, level - sum(c.held)) for c in classes)

    level = 0
    while missing(level + 1) <= supply:
        level += 1
    for c in classes:
        size, held = len(c.masters), sum(c.held)
        c.least = size * max(0, level - held)
        c.most = c.least + (size if held <= level else 0)


_Path: TypeAlias = list[tuple[int, int]]
"""A chain of (zone, class): each class takes replicas from the zone and hands as many on
from the next link's zone, until the last class keeps them."""


class _Network:
    """What giving, and giving back, one more replica costs each class at present."""

    def __init__(self, classes: Sequence[_Class]) -> None:
        self.classes = classes
        self.prices: list[list[int]] = [[] for _ in classes]
        self.refunds: list[list[tuple[int, int]]] = [[] for _ in classes]
        for index in range(len(classes)):
            self._reprice(index)

    def _reprice(self, index: int) -> None:
        c = self.classes[index]
        self.prices[index] = [c.price(zone, number) for zone, number in enumerate(c.given)]
        self.refunds[index] = [
            (zone, c.price(zone, number - 1)) for zone, number in enumerate(c.given) if number
        ]

    def cheapest_path(self, supply: Sequence[int], wants: Sequence[int]) -> tuple[_Path, int]:
        """The cheapest way to place one more replica (by Bellman and Ford), and its cost."""
        reached: dict[int, int] = {zone: 0 for zone, left in enumerate(supply) if left}
        paths: dict[int, _Path] = {zone: [] for zone in reached}
        best: tuple[int, _Path] | None = None
        frontier = list(reached)
        while frontier:
            improved: dict[int, None] = {}
            for zone in frontier:
                so_far = reached[zone]
                for index, prices in enumerate(self.prices):
                    total = so_far + prices[zone]
                    if wants[index] and (best is None or total < best[0]):
                        best = total, [*paths[zone], (zone, index)]
                    for other, refund in self.refunds[index]:
                        if other != zone and total - refund < reached.get(other, _INFINITE):
                            reached[other] = total - refund
                            paths[other] = [*paths[zone], (zone, index)]
                            improved[other] = None
            frontier = list(improved)
        if best is None:
            raise AssertionError("supply and demand do not match")
        return best[1], best[0]

    def push(self, path: _Path, amount: int) -> int:
        """Send replicas along a path, at most as many as cost the same; how many went."""
        onward = [zone for zone, _ in path[1:]]
        for zone, index in path:
            amount = min(amount, self.classes[index].room(zone))
        for (_, index), zone in zip(path, onward, strict=False):
            amount = min(amount, self.classes[index].returnable(zone))
        for zone, index in path:
            self.classes[index].given[zone] += amount
        for (_, index), zone in zip(path, onward, strict=False):
            self.classes[index].given[zone] -= amount
        for _, index in path:
            self._reprice(index)
        return amount
