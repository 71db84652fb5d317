"""`pip install`, `init`, `terraform plan`: from the wheel, in an environment of its own."""

import json
import sys
import sysconfig
import venv
from pathlib import Path
from subprocess import run
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder
from run_terraform import terraform

from redis_fargate.local.module import module_files, root_configuration

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that the wheel installs; what it depends on is what is installed here."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    home = folder / "environment"
    venv.create(home)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "--quiet"]
    quiet = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    run([*pip, "install", *quiet, wheel], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return home / "bin/redis-fargate"


def test_what_init_writes_is_ready_to_apply(
    command: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "redis"
    names = ("--cluster-name", "redis-prod", "--region", "eu-west-1")
    done = run(
        [command, "init", target, *names, "--json"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["directory"] == str(target)

    module = target / "redis-fargate"
    written = {path.relative_to(module).as_posix() for path in module.rglob("*") if path.is_file()}
    assert written == {*module_files(), "dist/controller.zip"}
    assert all(
        (module / file).read_bytes() == (ROOT / file).read_bytes() for file in module_files()
    )
    with ZipFile(module / "dist/controller.zip") as package:
        assert "redis_fargate/controller/handler.py" in package.namelist()
    text = (target / "main.tf").read_text()
    assert text == root_configuration("redis-prod", "eu-west-1")
    assert text.count('"redis-prod"') == 2
    assert 'region = "eu-west-1"' in text

    for arguments in (("init",), ("validate",), ("fmt", "-check", "-recursive"), ("plan",)):
        code, output = terraform(
            target, *arguments, *(("-no-color",) if arguments[0] != "fmt" else ()),
            serving_environment=environment,
        )  # fmt: skip
        assert code == 0, output
    assert "0 to change, 0 to destroy" in output
    assert "redis://redis-cluster.local:6379" in output
