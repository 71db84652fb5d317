"""Write the module's inputs and outputs and the quick start into a page, between its markers.

    python tests/terraform/tables.py README.md            writes
    python tests/terraform/tables.py --check README.md    fails if the page is out of date

The module's files are read as ``terraform fmt`` leaves them.
"""

import re
import sys
from pathlib import Path

from redis_fargate.cli.init import CLUSTER_NAME, REGION
from redis_fargate.local.module import root_configuration

ROOT = Path(__file__).parent.parent.parent
BEGIN = "<!-- BEGIN {} (made by tests/terraform/tables.py) -->"
END = "<!-- END {} -->"

_BLOCK = re.compile(r'^(?:variable|output) "(\w+)" \{$(.*?)^\}$', re.MULTILINE | re.DOTALL)
_ARGUMENT = re.compile(r"^  (\w+) += (.*?)(?=^  \w+ +=|^  \w+ \{|^$|\Z)", re.MULTILINE | re.DOTALL)


def inputs() -> str:
    """The table of the variables."""
    lines = ["| name | description | type | default |", "| --- | --- | --- | --- |"]
    for name, arguments in _blocks("variables.tf"):
        default = f"`{arguments['default']}`" if "default" in arguments else "required"
        type_ = arguments["type"]
        lines.append(f"| `{name}` | {_description(arguments)} | `{type_}` | {default} |")
    return "\n".join(lines)


def outputs() -> str:
    """The table of the outputs."""
    lines = ["| name | description |", "| --- | --- |"]
    lines += [f"| `{name}` | {_description(block)} |" for name, block in _blocks("outputs.tf")]
    return "\n".join(lines)


def main_tf() -> str:
    """What `redis-fargate init` writes."""
    return f"```hcl\n{root_configuration(CLUSTER_NAME, REGION)}```"


def _blocks(file: str) -> list[tuple[str, dict[str, str]]]:
    """Name and arguments of each block, each argument on one line."""
    text = (ROOT / file).read_text()
    return [
        (name, {key: _on_one_line(value) for key, value in _ARGUMENT.findall(body)})
        for name, body in _BLOCK.findall(text)
    ]


def _on_one_line(value: str) -> str:
    joined = ", ".join(" ".join(line.split()) for line in value.strip().splitlines())
    return joined.replace("{, ", "{ ").replace(", }", " }")


def _description(arguments: dict[str, str]) -> str:
    return arguments["description"].strip('"').replace('\\"', '"').replace("|", "\\|")


def rendered(page: str) -> str:
    """Return the page with everything between markers as it should be."""
    for name, made in (("main.tf", main_tf()), ("inputs", inputs()), ("outputs", outputs())):
        begin, end = BEGIN.format(name), END.format(name)
        if page.count(begin) != 1 or page.count(end) != 1:
            raise SystemExit(f"The page must have each of these once: {begin} and {end}")
        before, rest = page.split(begin)
        page = f"{before}{begin}\n\n{made}\n\n{end}{rest.split(end)[1]}"
    return page


def main() -> None:
    """Write or check the page that the command line names."""
    *options, name = sys.argv[1:]
    path = Path(name)
    page = path.read_text()
    new = rendered(page)
    if "--check" not in options:
        path.write_text(new)
    elif new != page:
        raise SystemExit(f"{path} is out of date: run python tests/terraform/tables.py {path}")


if __name__ == "__main__":
    main()
