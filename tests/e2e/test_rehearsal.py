"""The rehearsal as a user runs it: every scenario on Valkey 9.1, judged by what clients notice."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rig import Cli, clients_of

from browser import browser
from redis_fargate.local.rehearsal.scenarios import SCENARIOS
from servers import PORT

# Others work on this machine too: no timing decides.
LIMITS = ("planned-gap-s=60", "unplanned-gap-s=60", "redundancy-s=300")
TIMEOUT_S = 1200


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rehearsal") / "report.html"


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory, report: Path) -> dict[str, Any]:
    """What all scenarios came to, by name."""
    cli = Cli(tmp_path_factory.mktemp("cloud") / "home")
    arguments = ["rehearse", "--load", "60", "--port", str(cli.port), "--report", str(report)]
    for limit in LIMITS:
        arguments += ["--limit", limit]
    process = cli.start(*arguments, "--json")
    said, told = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode in {0, 1}, told
    assert "Traceback" not in told
    cli.assert_nothing_left()
    return {scenario["name"]: scenario for scenario in json.loads(said)["scenarios"]}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario(rehearsed: dict[str, Any], scenario: Any) -> None:
    found = rehearsed[scenario.name]
    figures = found["figures"]
    assert found["passed"], found["problems"]
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


def test_the_report_of_all(rehearsed: dict[str, Any], report: Path) -> None:
    with browser() as page:
        page.open(report.as_uri())
        assert page.complaints == []
        assert page.evaluate("document.querySelectorAll('.timeline svg').length") == len(rehearsed)
        assert page.evaluate("document.querySelectorAll('.pictures svg').length") == 3 * len(
            rehearsed
        )


def test_data_that_gets_lost_fails_a_scenario(cli: Cli) -> None:
    process = cli.start("rehearse", "--scenario", "kill-replica", "--port", str(cli.port))
    assert process.stderr
    while "crashes …" not in (line := process.stderr.readline()):
        assert line, "it ended before the replica crashed"
    with clients_of(cli) as clients:
        secret = clients.secrets.get_secret_value(SecretId="redis-local-password")
        found = clients.servicediscovery.discover_instances(
            NamespaceName="local", ServiceName="redis-cluster"
        )["Instances"]
    for address in (instance["Attributes"]["AWS_INSTANCE_IPV4"] for instance in found):
        # A replica refuses, and one is dead; somebody else's mistake it is all the same.
        with suppress(RedisError), Redis(address, PORT, password=secret["SecretString"]) as client:
            client.flushall()
    said, told = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, told
    assert "acknowledged writes are lost that a living node had." in said
    assert "1 of 1 scenarios failed." in said
    row = next(line for line in said.splitlines() if line.startswith("kill-replica"))
    assert "FAILED" in row
    cli.assert_nothing_left()
