"""A copy of the module to test, with a stand-in for the controller's package.

It makes no difference whether ``make package`` has run in the checkout, and nothing is left there.
"""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_terraform import terraform
from stand_in import serving

ROOT = Path(__file__).parent.parent.parent
PARTS = ("node", "modules", "examples", "tests/terraform")


@pytest.fixture(scope="session")
def environment() -> Iterator[dict[str, str]]:
    with serving() as variables:
        yield variables


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """A copy of the module, initialised."""
    copy = tmp_path_factory.mktemp("module")
    for path in ROOT.glob("*.tf"):
        shutil.copy(path, copy)
    for part in PARTS:
        ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*", "__pycache__")
        shutil.copytree(ROOT / part, copy / part, ignore=ignored)
    (copy / "dist").mkdir()
    with zipfile.ZipFile(copy / "dist/controller.zip", "w") as package:
        package.writestr("handler.py", "")
    code, output = terraform(
        copy, "init", "-test-directory=tests/terraform", serving_environment=environment
    )
    assert code == 0, output
    return copy
