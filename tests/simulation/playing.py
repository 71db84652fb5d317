"""Many histories in several processes.

Not in ``__main__``: processes that are spawned, as on macOS, or since Python 3.14 everywhere, do
not find what is in there.
"""

import gc
from collections.abc import Iterator
from multiprocessing import Pool

from .few_slots import use_few_slots
from .history import Ended, play


def played(first: int, count: int, processes: int) -> Iterator[Ended]:
    """Play the histories with the seeds from ``first`` on, in any order."""
    with Pool(processes, initializer=prepare) as pool:
        yield from pool.imap_unordered(_short, range(first, first + count), chunksize=8)


def prepare() -> None:
    """Make a process one that plays histories, and does nothing else."""
    use_few_slots()
    # Histories leave cycles behind; to look for them as often as usual takes long.
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def _short(seed: int) -> Ended:
    ended = play(seed)
    return Ended(seed, ended.broken, ended.hopeless, ended.runs)
