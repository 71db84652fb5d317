"""How nodes get to know each other quickly: who meets whom, and which timeouts forming lowers.

All that is tuned by measurement is in this module. Node tables spread by gossip in a few
rounds once everybody has a few partners, but slot ownership travels in direct pings, and a
master says ``ok`` no earlier than min(node timeout, 5 s) after it has its slots: both are
quicker with a low node timeout, until the pings themselves are more than the machines bear.
Only masters get one: their pings carry all slots to everybody, and replicas need not wait.
"""

from collections.abc import Mapping, Sequence

from redis_fargate.topology.steps import NodeRef

PARTNERS = 3
"""How many others each node meets; the graph of partners is what gossip starts from."""

QUICK_UP_TO = 30
"""Up to so many nodes the shortest node timeout is borne."""

STAR_FROM = 150
"""From so many nodes on, one node meets all others and no timeout is touched."""


def forming_settings(node_count: int) -> Mapping[str, int]:
    """The upper bounds of ``view.FORMING_SETTINGS`` on masters while a cluster of that size forms.

    ``cluster-node-timeout`` is in milliseconds, ``repl-diskless-sync-delay`` in seconds.
    """
    settings = {"repl-diskless-sync-delay": 0}
    if node_count < STAR_FROM:
        settings["cluster-node-timeout"] = 500 if node_count <= QUICK_UP_TO else 2000
    return settings


def partners(nodes: Sequence[NodeRef]) -> Mapping[NodeRef, tuple[NodeRef, ...]]:
    """Whom each node meets so that all of them, who know nobody yet, soon know each other."""
    count = len(nodes)
    if count >= STAR_FROM:
        return {nodes[0]: tuple(nodes[1:])}
    # A ring with chords: any two nodes are within a few handshakes of each other.
    strides = {1, max(1, round(count ** (1 / 3))), max(1, round(count ** (2 / 3)))}
    met: set[frozenset[str]] = set()
    result: dict[NodeRef, tuple[NodeRef, ...]] = {}
    for index, node in enumerate(nodes):
        peers = []
        for stride in sorted(strides)[:PARTNERS]:
            peer = nodes[(index + stride) % count]
            pair = frozenset((node.id, peer.id))
            if peer is not node and pair not in met:
                met.add(pair)
                peers.append(peer)
        if peers:
            result[node] = tuple(peers)
    return result


def introductions(
    newcomers: Sequence[NodeRef], residents: Sequence[NodeRef]
) -> Mapping[NodeRef, tuple[NodeRef, ...]]:
    """Which residents meet which newcomers: each newcomer a few, all residents about as many."""
    result: dict[NodeRef, tuple[NodeRef, ...]] = {}
    for index, newcomer in enumerate(newcomers):
        for offset in range(min(PARTNERS, len(residents))):
            resident = residents[(index * PARTNERS + offset) % len(residents)]
            result[resident] = (*result.get(resident, ()), newcomer)
    return result
