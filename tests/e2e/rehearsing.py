"""A rehearsal as a user runs it, and what has to be true of any."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig import Cli

from browser import browser
from redis_fargate.local.rehearsal.scenarios import Scenario

# Others work on this machine too: no timing decides.
LIMITS = ("planned-gap-s=60", "unplanned-gap-s=60", "redundancy-s=300")
TIMEOUT_S = 1200


@dataclass(frozen=True)
class Rehearsed:
    scenarios: dict[str, Any]
    """What each came to, by name."""
    report: Path


def rehearsed(home: Path, *options: str) -> Rehearsed:
    """Rehearse in one local cloud; nothing of it is left."""
    cli, report = Cli(home / "home"), home / "report.html"
    arguments = ["rehearse", "--load", "60", "--port", str(cli.port), "--report", str(report)]
    for limit in LIMITS:
        arguments += ["--limit", limit]
    with cli.started(*arguments, *options, "--json") as process:
        said, told = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode in {0, 1}, told
    assert "Traceback" not in told, told
    cli.assert_nothing_left()
    found = {scenario["name"]: scenario for scenario in json.loads(said)["scenarios"]}
    return Rehearsed(found, report)


def assert_passed(found: dict[str, Any], scenario: Scenario) -> None:
    figures = found["figures"]
    assert found["passed"], f"{scenario.name}: {found['problems']}"
    assert found["planned"] == scenario.planned
    assert figures["acknowledged"] > 0
    assert figures["lost_copied"] == 0
    if scenario.planned:
        assert figures["lost_uncopied"] == 0
    kinds = {mark["kind"] for mark in found["marks"]}
    assert kinds & {"fault", "change"}
    said = " ".join(mark["text"] for mark in found["marks"] if mark["kind"] == "ecs")
    assert ("rolling back" in said) == (scenario.name == "bad-upgrade")
    if scenario.name not in {"bad-upgrade", "client-storm"}:
        assert "step" in kinds


def assert_reported(rehearsed: Rehearsed, server: str) -> None:
    """The page shows all scenarios, and says on which server they were played."""
    assert f"(version {server}" in rehearsed.report.read_text(encoding="utf-8")
    count = len(rehearsed.scenarios)
    with browser() as page:
        page.open(rehearsed.report.as_uri())
        assert page.complaints == []
        assert page.evaluate("document.querySelectorAll('.timeline svg').length") == count
        assert page.evaluate("document.querySelectorAll('.pictures svg').length") == 3 * count
