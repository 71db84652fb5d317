"""What a wheel holds: all of the package, and the Terraform module with the nodes' scripts."""

from pathlib import Path
from zipfile import ZipFile

from hatchling.builders.wheel import WheelBuilder

from redis_fargate.local.module import module_files

ROOT = Path(__file__).parents[3]


def test_the_wheel_holds_the_package_and_the_module(tmp_path):
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with ZipFile(built) as wheel:
        names = set(wheel.namelist())
        for file in module_files():
            assert wheel.read(f"redis_fargate/_module/{file}") == (ROOT / file).read_bytes(), file
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert modules <= names
    assert "redis_fargate/local/rehearsal/report.html" in names
    assert "redis_fargate/py.typed" in names
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)
