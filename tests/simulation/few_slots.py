"""Far fewer slots than Redis has: half of a history's time would go into moving all of them.

A move of thousands of slots goes as one of dozens does: in groups, of which any may be the last.
"""

import sys

from redis_fargate.topology import slots as topology
from redis_fargate.topology.slots import SlotRange

from . import slots as sets
from .server import KEY_SLOTS, KEYS

COUNT = 256


def use_few_slots() -> None:
    """Let this process believe that there are no more, for as long as it lives."""
    meant = {"SLOT_COUNT": COUNT, "ALL_SLOTS": (SlotRange(0, COUNT - 1),)}
    for name, module in tuple(sys.modules.items()):
        if name.startswith("redis_fargate."):
            for constant in meant.keys() & vars(module).keys():
                setattr(module, constant, meant[constant])
    sets.COUNT, sets.ALL = COUNT, (1 << COUNT) - 1
    KEY_SLOTS.update({key: topology.key_slot(key.encode()) for key in KEYS})
