"""All benchmarks, one after the other: ``make bench``, or ``python -m benchmarks``."""

import subprocess
import sys
from pathlib import Path

TITLES = {
    "forming.py": "Forming, from all nodes answering to all nodes ok and all replicas linked",
    "reconcile_converged.py": "A reconcile that finds nothing to do",
    "moving.py": "Moving slots to a new master",
    "failover.py": "How long writes stop when a master goes",
    "simulating.py": "The simulator",
    "package.py": "The controller's Lambda package",
}

for name, title in TITLES.items():
    print(f"\n## {title}\n", flush=True)
    subprocess.run([sys.executable, Path(__file__).with_name(name)], check=True)
