"""The Lambda package: our rooms and what they import, in one zip with the same bytes every time.

boto3 is left out, since the Lambda runtime has it. Everything else is copied from what is
installed here, so nothing is downloaded.
"""

import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from io import BytesIO
from pathlib import Path

import redis_fargate
from redis_fargate.local.errors import LocalCloudError

ROOMS = ("aws", "controller", "nodes", "topology")
"""The parts of our package that travel."""
DISTRIBUTIONS = ("aws-lambda-powertools", "jmespath", "redis", "typing-extensions")
"""What the rooms import besides boto3, and what that requires in turn."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold
_MODE = 0o100644 << 16
_UNIX = 3


class CannotPackage(LocalCloudError):
    """What belongs into the package is not installed here."""


def build(target: Path) -> Path:
    """Write the package to ``target``, and return that path.

    The bytes depend on nothing but the files that go in (and zlib): entries are sorted, and have
    one date and one mode.

    Raises:
        CannotPackage: a distribution is not installed.
        OSError: the file cannot be written.

    """
    entries = dict(_ours())
    for name in DISTRIBUTIONS:
        entries |= dict(_distribution(name))
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        for name, path in sorted(entries.items()):
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.create_system = _UNIX
            info.external_attr = _MODE
            package.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Whoever looks at the target meanwhile finds the old package or the new one, whole.
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.write_bytes(content.getvalue())
    return unfinished.replace(target)


def _ours() -> Iterator[tuple[str, Path]]:
    root = Path(redis_fargate.__file__).parent
    yield f"{root.name}/__init__.py", root / "__init__.py"
    for room in ROOMS:
        for path in (root / room).rglob("*.py"):
            yield f"{root.name}/{path.relative_to(root).as_posix()}", path


def _distribution(name: str) -> Iterator[tuple[str, Path]]:
    """Find a distribution's modules, its version and its licence; not how it was installed."""
    try:
        files = metadata.files(name)
    except metadata.PackageNotFoundError:
        files = None
    if not files:
        raise CannotPackage(
            f"{name} is not installed next to redis-fargate, or its list of files is missing: "
            "install redis-fargate anew with pip."
        )
    for file in files:
        if file.parts[0].endswith(".dist-info"):
            wanted = file.name == "METADATA" or "LICENSE" in file.name
        else:
            wanted = file.suffix == ".py" and ".." not in file.parts  # as scripts in bin/ are
        if wanted:
            yield file.as_posix(), Path(str(file.locate()))


if __name__ == "__main__":
    built = build(Path(sys.argv[1]))
    sys.stdout.write(f"{built}: {built.stat().st_size / 1e6:.2f} MB\n")
