"""The Terraform module: format, validity, and the ``*.tftest.hcl`` files beside this one."""

import sys
from pathlib import Path
from subprocess import run

import pytest
from run_terraform import terraform

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

TESTS = sorted(path.name for path in HERE.glob("*.tftest.hcl"))


def test_format(environment: dict[str, str]) -> None:
    code, output = terraform(
        ROOT, "fmt", "-check", "-recursive", "-diff", serving_environment=environment
    )
    assert code == 0, f"Run `terraform fmt -recursive`:\n{output}"


def test_valid(module: Path, environment: dict[str, str]) -> None:
    code, output = terraform(module, "validate", "-no-color", serving_environment=environment)
    assert code == 0, output
    assert "Warning" not in output, output


@pytest.mark.parametrize("file", TESTS)
def test_behaviour(module: Path, environment: dict[str, str], file: str) -> None:
    code, output = terraform(
        module,
        "test",
        "-no-color",
        "-test-directory=tests/terraform",
        f"-filter=tests/terraform/{file}",
        serving_environment=environment,
    )
    assert code == 0, output


def test_tables() -> None:
    """The page has the tables that the variables and outputs make, and what `init` writes."""
    command = [sys.executable, "tests/terraform/tables.py", "--check", "README.md"]
    done = run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_options_of_redis() -> None:
    """The list that unknown options are told by is in the module's spelling, and in order."""
    options = (ROOT / "node/options.txt").read_text().split()
    assert options == sorted(set(options))
    assert all(option.replace("_", "").isalnum() and option.islower() for option in options)
    assert {"maxmemory_policy", "appendonly", "tls_port", "requirepass"} <= set(options)


def test_missing_package(module: Path, environment: dict[str, str]) -> None:
    package = module / "dist/controller.zip"
    aside = package.rename(package.with_suffix(".aside"))
    try:
        code, output = terraform(
            module,
            "plan",
            "-no-color",
            "-var=cluster_name=redis",
            "-var=vpc_id=vpc-0123456789abcdef0",
            '-var=private_subnet_ids=["subnet-a","subnet-b"]',
            serving_environment=environment,
        )
    finally:
        aside.rename(package)
    assert code != 0
    assert "run `make package`" in " ".join(output.replace("│", " ").split())
