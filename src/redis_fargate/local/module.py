"""The Terraform module that belongs to this installation: of the wheel, or of a checkout."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import redis_fargate
from redis_fargate.local.package import build

_PATTERNS = ("*.tf", "node/*", "modules/*/*.tf")
_EXAMPLE = "examples/quickstart/main.tf"
_NETWORK = "examples/network/main.tf"


def module_root() -> Path:
    """Give the module's directory.

    Raises:
        FileNotFoundError: the installation is not whole.

    """
    package = Path(redis_fargate.__file__).parent
    for root in (package / "_module", package.parents[1]):
        if (root / "node/entrypoint.sh").is_file():
            return root
    raise FileNotFoundError(
        "The Terraform module is not part of this installation: install redis-fargate anew."
    )


def module_files() -> Iterator[str]:
    """Give the module's files, relative to ``module_root``; not those of its tests and examples."""
    root = module_root()
    for pattern in _PATTERNS:
        yield from sorted(path.relative_to(root).as_posix() for path in root.glob(pattern))


def root_configuration(cluster_name: str, region: str) -> str:
    """Make the ``main.tf`` that stands beside the module: the quick start's, with other names."""
    text = (module_root() / _EXAMPLE).read_text()
    for written, wanted in (
        ("../network", "./network"),
        ("../..", "./redis-fargate"),
        ("my-redis-cluster", cluster_name),
        ("us-east-1", region),
    ):
        text = text.replace(f'"{written}"', f'"{wanted}"')
    return text


def write_root(directory: Path, cluster_name: str, region: str) -> None:
    """Write a root configuration, the module with the controller's package, and a network for it.

    Raises:
        CannotPackage: what the controller needs is not installed; nothing is written.
        OSError: a file cannot be written.

    """
    root, module = module_root(), directory / "redis-fargate"
    build(module / "dist/controller.zip")
    for file in module_files():
        (module / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, module / file)
    (directory / "network").mkdir()
    shutil.copyfile(root / _NETWORK, directory / "network/main.tf")
    # Last: what has a main.tf is whole.
    (directory / "main.tf").write_text(root_configuration(cluster_name, region))
