"""The controller's Lambda package: its size, and how long a cold import of the handler takes.

python benchmarks/package.py --runs 10
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from redis_fargate.local.package import build

_IMPORT = "import redis_fargate.controller.handler"


def _imported_s(code: Path, statement: str) -> float:
    """A whole process that starts, imports from the unpacked package, and ends."""
    start = time.perf_counter()
    # Without the site's own packages: nothing but the package and the standard library.
    subprocess.run([sys.executable, "-S", "-c", statement], cwd=code, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="Size and cold import of the Lambda package.")
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        package = build(Path(directory) / "controller.zip")
        code = Path(directory) / "code"
        with zipfile.ZipFile(package) as archive:
            archive.extractall(code)
            unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
        _imported_s(code, _IMPORT)  # compiles; Lambda's unpacked code is compiled once, too
        pairs = [
            (_imported_s(code, "pass"), _imported_s(code, _IMPORT)) for _ in range(options.runs)
        ]
        bare_s = statistics.median(bare for bare, _ in pairs)
        cold_s = statistics.median(cold for _, cold in pairs)
        import_s = cold_s - bare_s
        print(
            "| package | unpacked | bare interpreter | with the handler imported | import alone |"
        )
        print("| ---: | ---: | ---: | ---: | ---: |")
        print(
            f"| {package.stat().st_size / 1e6:.2f} MB | {unpacked_bytes / 1e6:.2f} MB "
            f"| {bare_s * 1000:.0f} ms | {cold_s * 1000:.0f} ms | {import_s * 1000:.0f} ms |"
        )


if __name__ == "__main__":
    main()
