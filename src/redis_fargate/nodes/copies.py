"""Whether a replica has its own master's data.

After CLUSTER REPLICATE a replica keeps what it had of another master until it is synchronised, and
Redis 7.0 keeps the offset in that one's stream, too (``slave_repl_offset``). If the new master ends
before that, the offset makes the replica look like an heir. So does that of a master that has given
all its slots away and is a replica now: it has no keys at all, and has never had a link.
"""

from dataclasses import replace

from redis_fargate.nodes.connection import NodeConnection
from redis_fargate.nodes.parse import count_keys, parse_info
from redis_fargate.topology.slots import SlotRanges, normalized, numbers
from redis_fargate.topology.view import Replication


async def checked(
    replication: Replication,
    connection: NodeConnection,
    slots: SlotRanges,
    on_their_way: SlotRanges,
    *,
    barred: bool,
) -> Replication:
    """What a replica says of itself, with offset 0 if its keys are not its master's.

    ``slots`` are the master's. One that is ``barred`` from elections was moved to it and may have
    another's keys: most have to be in these slots. One that is not has the keys of slots that the
    master has just given away, at worst, beside some in these; or in those that were
    ``on_their_way`` to the master, whose keys may be all that it had. What has no keys tells
    nothing: it counts if it was linked once, and is not barred.
    """
    if not replication.offset:
        return replication
    counted = slots if barred else normalized((*slots, *on_their_way))
    info, *counts = await connection.pipeline(
        ("INFO", "keyspace"), *(("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in numbers(counted))
    )
    keys, inside = count_keys(parse_info(str(info))), sum(int(str(count)) for count in counts)
    if not keys:
        has_copy = replication.linked_once and not barred
    elif barred:
        has_copy = 2 * inside >= keys
    else:
        has_copy = inside > 0
    return replication if has_copy else replace(replication, offset=0)
