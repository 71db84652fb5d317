"""How many histories of the simulator are played in a second, on one process and on all.

python benchmarks/simulating.py --histories 200
"""

import argparse
import sys
import time
from multiprocessing import cpu_count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.simulation.playing import played


def main() -> None:
    parser = argparse.ArgumentParser(description="Histories per second.")
    parser.add_argument("--histories", type=int, default=200)
    options = parser.parse_args()
    print("| processes | histories per second | whole in the end |")
    print("| ---: | ---: | ---: |")
    for processes in sorted({1, cpu_count()}):
        start = time.perf_counter()
        ended = list(played(0, options.histories, processes))
        took_s = time.perf_counter() - start
        whole = sum(not each.broken and not each.hopeless for each in ended)
        print(f"| {processes} | {len(ended) / took_s:.0f} | {whole} of {len(ended)} |", flush=True)


if __name__ == "__main__":
    main()
