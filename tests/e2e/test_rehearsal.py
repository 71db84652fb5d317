"""The rehearsal of every scenario on Valkey 9.1, judged by what clients notice."""

from contextlib import suppress

import pytest
from redis import Redis
from redis.exceptions import RedisError
from rehearsing import TIMEOUT_S, Rehearsed, assert_passed, assert_reported, rehearsed
from rig import Cli, clients_of, discovered

from redis_fargate.local.rehearsal.scenarios import SCENARIOS, Scenario
from servers import PORT


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return rehearsed(tmp_path_factory.mktemp("rehearsal"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario(rehearsal: Rehearsed, scenario: Scenario) -> None:
    assert_passed(rehearsal.scenarios[scenario.name], scenario)


def test_the_report_of_all(rehearsal: Rehearsed) -> None:
    assert len(rehearsal.scenarios) == len(SCENARIOS)
    assert_reported(rehearsal, "valkey 9.1")


def _flush_all(cli: Cli) -> None:
    with clients_of(cli) as clients:
        secret = clients.secrets.get_secret_value(SecretId="redis-local-password")
        addresses = discovered(clients)
    for address in addresses:
        # A replica refuses, and one is dead; somebody else's mistake it is all the same.
        with suppress(RedisError), Redis(address, PORT, password=secret["SecretString"]) as client:
            client.flushall()


def test_data_that_gets_lost_fails_a_scenario(cli: Cli) -> None:
    with cli.started(
        "rehearse", "--scenario", "kill-replica", "--port", str(cli.port)
    ) as rehearsal:
        assert rehearsal.stderr
        while "crashes …" not in (line := rehearsal.stderr.readline()):
            assert line, "it ended before the replica crashed"
        _flush_all(cli)
        said, told = rehearsal.communicate(timeout=TIMEOUT_S)
    assert rehearsal.returncode == 1, told
    assert "acknowledged writes are lost that a living node had." in said
    assert "1 of 1 scenarios failed." in said
    row = next(line for line in said.splitlines() if line.startswith("kill-replica"))
    assert "FAILED" in row
    cli.assert_nothing_left()
