"""Elections to come: shards whose master leaves, and whose replicas Redis lets replace it.

Most of the masters that own slots have to agree that one of them failed, and to vote ("Redis
cluster specification", "Replica election and promotion"). So a cluster of one or two masters
never holds an election by itself, nor does one that has lost most of its masters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from redis_fargate.topology.fleet import Fleet, Live
from redis_fargate.topology.slots import SlotRanges

_VOTING_S = 5.0
"""What an election takes once the failure is known: delays by chance and by rank, the votes."""
_TIMEOUT_S = 15.0
"""The node timeout of a node that does not tell; Redis' own default."""


@dataclass(frozen=True, slots=True)
class Election:
    """One that is to come."""

    master_id: str
    """The node id of the master that is to be replaced."""
    slots: SlotRanges
    """What is to be served by its successor."""
    heir: Live
    """Its most advanced replica, likely to be the successor."""


def pending(fleet: Fleet) -> tuple[Election, ...]:
    """All elections that Redis can hold by itself and has not held yet, in order of slots."""
    owners = [(live.node.id, live.node.slots, live.task.running) for live in fleet.lives]
    owners += [(entry.id, slots, entry.staying and entry.alive) for entry, slots in fleet.unserved]
    owners = [owner for owner in owners if owner[1]]
    voters = sum(stays for _, _, stays in owners)
    if 2 * voters <= len(owners):
        return ()
    elections = []
    for master_id, slots, stays in owners:
        heirs = [live for live in fleet.replicas(master_id) if _is_candidate(live)]
        if heirs and not stays:
            heir = max(heirs, key=lambda live: (live.node.replication.offset, live.task.id))
            elections.append(Election(master_id, slots, heir))
    return tuple(sorted(elections, key=lambda election: election.slots))


def _is_candidate(live: Live) -> bool:
    """Redis elects nobody who never had a link: its data is as old as can be."""
    return not live.node.barred and live.node.replication.linked_once


def duration_s(elections: Sequence[Election]) -> float:
    """How long the elections may take from now on; 0 if there are none.

    A failure is suspected after the node timeout, and known to most within another one.
    """
    timeouts_s = [
        int(election.heir.node.settings.get("cluster-node-timeout", _TIMEOUT_S * 1000)) / 1000
        for election in elections
    ]
    return 2 * max(timeouts_s) + _VOTING_S if timeouts_s else 0.0
