"""What a wheel holds: all of the package, and the scripts that the nodes run."""

from pathlib import Path
from zipfile import ZipFile

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[3]


def test_the_wheel_holds_the_modules_and_the_node_scripts(tmp_path):
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with ZipFile(built) as wheel:
        names = set(wheel.namelist())
        for script in ("entrypoint.sh", "healthcheck.sh"):
            text = (ROOT / "node" / script).read_bytes()
            assert wheel.read(f"redis_fargate/_node/{script}") == text
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert modules <= names
    assert "redis_fargate/py.typed" in names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)
