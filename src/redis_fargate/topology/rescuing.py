"""RESCUE: replicas take the place of masters whose tasks are gone.

Redis would find out by itself, after the node timeout, if most of the masters are left to agree
and to vote. ECS has said it already, and only ECS can: a master that is merely silent is never
replaced here.
"""

from redis_fargate.topology.fleet import Entry, Fleet, Live
from redis_fargate.topology.slots import described, subtract
from redis_fargate.topology.steps import Failover, FailoverMode, Phase


def steps(fleet: Fleet) -> tuple[Failover, ...]:
    """One failover for each master that is gone, to the replica that has the most of its data.

    Where no replica ever had a whole copy there is none: promoting it would serve an empty shard.
    Nor is there one while a replica runs that does not answer us: it may have more than the others,
    and Redis' own election would know.
    """
    served = [piece for live in fleet.lives for piece in live.node.slots]
    mode = _mode(fleet)
    masters = tuple(live.ref for live in fleet.lives if live.node.slots)
    voters = masters if mode is FailoverMode.FORCE else ()
    result = []
    for entry in fleet.entries:
        slots = subtract(entry.slots, served)
        heirs = _heirs(fleet, entry)
        silent = any(other.staying and other.master_id == entry.id for other in fleet.entries)
        if not entry.gone or not slots or not heirs or silent:
            continue
        heir, *rivals = heirs
        why = f"{entry} is gone and owned the slots {described(slots)}."
        result.append(
            Failover(
                heir.ref,
                entry.id,
                mode,
                tuple(live.ref for live in rivals),
                voters,
                why,
                Phase.RESCUE,
            )
        )
    return tuple(result)


def _heirs(fleet: Fleet, gone: Entry) -> list[Live]:
    """Its replicas with data, most of it first."""
    replicas = [
        live
        for live in fleet.running
        if live.node.master_id == gone.id and live.node.replication.offset
    ]
    return sorted(replicas, key=lambda live: (-live.node.replication.offset, live.task.id))


def _mode(fleet: Fleet) -> FailoverMode:
    """FORCE wherever ECS has enough of the masters for a vote, whether they answer us or not.

    Masters that run and do not answer may be on the other side of a partition, and hold an election
    there: a takeover beside it would make two masters of one shard.
    """
    served = [piece for live in fleet.lives for piece in live.node.slots]
    voters = sum(1 for live in fleet.lives if live.node.slots)
    owners = voters
    for entry in fleet.entries:
        if subtract(entry.slots, served):
            owners += 1
            voters += entry.listed
    return FailoverMode.FORCE if 2 * voters > owners else FailoverMode.TAKEOVER
