"""Whether a replica has its own master's data.

After CLUSTER REPLICATE a replica keeps what it had of another master until it is synchronised, and
Redis 7.0 keeps the offset in that one's stream, too (``slave_repl_offset``). If the new master ends
before that, the offset makes the replica look like an heir. So does that of a master that has given
all its slots away and is a replica now: it has no keys at all, and has never had a link.
"""

from dataclasses import replace

from redis_fargate.nodes.connection import NodeConnection
from redis_fargate.nodes.errors import CommandRefused
from redis_fargate.topology.slots import SlotRanges, common, from_numbers, key_slot
from redis_fargate.topology.view import Replication

_SAMPLES = 8


async def checked(
    replication: Replication, connection: NodeConnection, slots: SlotRanges, *, barred: bool
) -> Replication:
    """What a replica says of itself, with offset 0 if its keys are not its master's.

    ``slots`` are the master's. Most of some keys have to be in them; a few may have been in flight.
    What has no keys tells nothing: it counts if it was linked once, and is not ``barred``.
    """
    if not replication.offset:
        return replication
    answers = await connection.exchange([("RANDOMKEY",)] * _SAMPLES)
    keys = [
        str(answer).encode()
        for answer in answers
        if answer is not None and not isinstance(answer, CommandRefused)
    ]
    if not keys and (barred or not replication.linked_once):
        return replace(replication, offset=0)
    inside = sum(bool(common(slots, from_numbers([key_slot(key)]))) for key in keys)
    return replication if 2 * inside >= len(keys) else replace(replication, offset=0)
