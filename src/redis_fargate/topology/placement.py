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
from itertools import combinations
from typing import TypeAlias

Placement: TypeAlias = dict[str, tuple[str, ...]]
"""Task id of each master to the task ids of its replicas, both in order of task id."""

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
    best: tuple[int, list[_Class], list[str]] | None = None
    for spread in _even_spreads(fixed, available, master_count):
        chosen = _first_of_each_zone(eligible, zones, spread - fixed)
        left = [task for task in free if task not in chosen]
        classes = _classes([*masters, *chosen], attached, zones)
        cost = _transport(classes, Counter(zones[task] for task in left))
        if best is None or cost < best[0]:
            best = cost, classes, left
    if best is None:
        return {}
    return _deal(best[1], best[2], attached, zones)


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


@dataclass(slots=True)
class _Class:
    """Masters that are alike: of one zone, with as many replicas from each zone."""

    zone: str
    masters: list[str]
    held: Counter[str]
    """Replicas that each of the masters has already, by zone."""
    given: Counter[str]
    """New replicas for all of the masters together, by zone."""
    least: int = 0
    """How many new replicas all of the masters together get at least; at most, one more each."""
    most: int = 0

    def price(self, zone: str) -> int:
        """Cost of one more replica from a zone."""
        shared = self.held[zone] + self.given[zone] // len(self.masters)
        return shared + (_SAME_ZONE if zone == self.zone else 0)

    def room(self, zone: str) -> int:
        """How many more replicas from a zone have that price."""
        return len(self.masters) - self.given[zone] % len(self.masters)

    def refund(self, zone: str) -> int:
        """What one replica less from a zone saves."""
        shared = self.held[zone] + (self.given[zone] - 1) // len(self.masters)
        return shared + (_SAME_ZONE if zone == self.zone else 0)

    def returnable(self, zone: str) -> int:
        """How many replicas less from a zone save as much."""
        return (self.given[zone] - 1) % len(self.masters) + 1


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


def _classes(
    masters: Collection[str], attached: Mapping[str, str], zones: Mapping[str, str]
) -> list[_Class]:
    held: dict[str, Counter[str]] = {master: Counter() for master in masters}
    for replica, master in attached.items():
        held[master][zones[replica]] += 1
    classes: dict[tuple[str, frozenset[tuple[str, int]]], _Class] = {}
    for master in sorted(masters):
        kind = zones[master], frozenset(held[master].items())
        alike = classes.setdefault(kind, _Class(zones[master], [], held[master], Counter()))
        alike.masters.append(master)
    return list(classes.values())


def _share_out(classes: Sequence[_Class], supply: int) -> None:
    """Say how many new replicas each class gets: the poorest first, up to a common level."""

    def missing(level: int) -> int:
        return sum(len(c.masters) * max(0, level - c.held.total()) for c in classes)

    level = 0
    while missing(level + 1) <= supply:
        level += 1
    for c in classes:
        size, held = len(c.masters), c.held.total()
        c.least = size * max(0, level - held)
        c.most = c.least + (size if held <= level else 0)


def _transport(classes: Sequence[_Class], supply: Counter[str]) -> int:
    """Give all replicas of ``supply`` (by zone) to the classes at the least cost; the cost."""
    _share_out(classes, supply.total())
    left = Counter(supply)
    cost = 0
    # First what every class must have, then the remainder: the second may rearrange the first,
    # but takes nothing away from any class, since a path only ever adds at its end.
    for limits in ([c.least for c in classes], [c.most for c in classes]):
        wants = [limit - c.given.total() for c, limit in zip(classes, limits, strict=True)]
        while left.total() and any(wants):
            path, price = _cheapest_path(classes, left, wants)
            amount = min(left[path[0][0]], wants[path[-1][1]])
            for step, (zone, taker) in enumerate(path):
                amount = min(amount, classes[taker].room(zone))
                if step + 1 < len(path):
                    amount = min(amount, classes[taker].returnable(path[step + 1][0]))
            for step, (zone, taker) in enumerate(path):
                classes[taker].given[zone] += amount
                if step + 1 < len(path):
                    classes[taker].given[path[step + 1][0]] -= amount
            left[path[0][0]] -= amount
            wants[path[-1][1]] -= amount
            cost += amount * price
    return cost


def _cheapest_path(
    classes: Sequence[_Class], left: Counter[str], wants: Sequence[int]
) -> tuple[list[tuple[str, int]], int]:
    """The cheapest way to place one more replica (Bellman and Ford's), and its cost.

    A path is a chain of (zone, class): each class takes a replica from the zone, and hands
    one from the next link's zone on, until a class that wants one keeps it.
    """
    reached: dict[str, tuple[int, list[tuple[str, int]]]] = {
        zone: (0, []) for zone in sorted(left) if left[zone]
    }
    best: tuple[int, list[tuple[str, int]]] | None = None
    frontier = list(reached)
    while frontier:
        improved: dict[str, None] = {}
        for zone in frontier:
            cost, path = reached[zone]
            for index, taker in enumerate(classes):
                total = cost + taker.price(zone)
                if wants[index] and (best is None or total < best[0]):
                    best = total, [*path, (zone, index)]
                for other, given in taker.given.items():
                    if given and other != zone:
                        onward = total - taker.refund(other)
                        if other not in reached or onward < reached[other][0]:
                            reached[other] = onward, [*path, (zone, index)]
                            improved[other] = None
        frontier = list(improved)
    if best is None:
        raise AssertionError("supply and demand do not match")
    return best[1], best[0]


def _deal(
    classes: Sequence[_Class],
    tasks: Sequence[str],
    attached: Mapping[str, str],
    zones: Mapping[str, str],
) -> Placement:
    pools = {zone: [task for task in tasks if zones[task] == zone] for zone in zones.values()}
    result: dict[str, list[str]] = {master: [] for c in classes for master in c.masters}
    for replica, master in attached.items():
        result[master].append(replica)
    for c in classes:
        dealt = [pools[zone].pop(0) for zone in sorted(c.given) for _ in range(c.given[zone])]
        for turn, task in enumerate(dealt):
            result[c.masters[turn % len(c.masters)]].append(task)
    return {master: tuple(sorted(followers)) for master, followers in sorted(result.items())}
