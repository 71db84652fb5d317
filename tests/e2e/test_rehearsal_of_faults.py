"""The rehearsal of every fault on the servers of the matrix beside Valkey 9.1."""

from pathlib import Path

import pytest
from rehearsing import assert_passed, assert_reported, rehearsed

from redis_fargate.local.rehearsal.scenarios import SCENARIOS

FAULTS = [scenario for scenario in SCENARIOS if not scenario.planned]
SERVERS = {"valkey 8.1": "valkey/valkey:8.1", "redis 7.0": "redis-server"}


@pytest.mark.parametrize("server", SERVERS)
def test_faults(tmp_path: Path, server: str) -> None:
    """In one local cloud, which takes longer to bring up than most of them take."""
    chosen = [word for scenario in FAULTS for word in ("--scenario", scenario.name)]
    rehearsal = rehearsed(tmp_path, "--server", SERVERS[server], *chosen)
    assert rehearsal.scenarios.keys() == {scenario.name for scenario in FAULTS}
    for scenario in FAULTS:
        assert_passed(rehearsal.scenarios[scenario.name], scenario)
    assert_reported(rehearsal, server)
