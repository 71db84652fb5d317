"""`local up`, from nothing to a cluster that others judge to be well."""

import pytest
from rig import Cli, nodes_of

from servers import PROGRAMS

SERVERS = {
    "valkey-9.1": (),
    "valkey-8.1": ("--server", "valkey/valkey:8.1"),
    "redis-7.0": ("--server", "redis-server"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_three_masters_and_three_replicas(cli: Cli, name: str) -> None:
    program = PROGRAMS[name]()
    up = cli.up(*SERVERS[name], "--redis-config", "maxmemory_policy=allkeys-lru")
    assert up.result["health"] == "ok"
    assert sum(shard["slot_count"] for shard in up.result["shards"]) == 16384
    for shard in up.result["shards"]:
        (replica,) = shard["replicas"]
        assert replica["zone"] != shard["master"]["zone"]
        assert replica["link_up"]
        assert name.replace("-", " ") in shard["master"]["version"]
    assert len({shard["master"]["zone"] for shard in up.result["shards"]}) == 3
    up.assert_others_agree(program)
    up.assert_serves()
    asked = up.redis_cli(program, "-h", up.host, "config", "get", "maxmemory-policy")
    assert "allkeys-lru" in asked

    again = cli.run("local", "up", code=1)
    assert f"runs already, at {cli.endpoint}" in again.stderr
    shown = cli.run("local", "status").stdout
    assert up.host in shown
    assert "REDISCLI_AUTH=" in shown
    from_afar = ("--cluster-name", "redis-local", "--endpoint-url", cli.endpoint)
    cli.run("status", *from_afar, "--region", "us-east-1")
    reconcile = ("reconcile", *from_afar, "--region", "us-east-1")
    assert cli.json(*reconcile, "--fast")["outcome"] == "converged"
    assert cli.json(*reconcile, "--dry-run")["outcome"] == "planned"

    assert "Stopped" in cli.run("local", "down").stdout
    cli.assert_nothing_left()
    assert "nothing to stop" in cli.run("local", "down").stdout


@pytest.mark.parametrize(
    ("masters", "replicas", "zones"), [(1, 1, 2), (2, 2, 3), (3, 0, 1), (3, 6, 3), (5, 5, 4)]
)
def test_sizes(cli: Cli, masters: int, replicas: int, zones: int) -> None:
    up = cli.up(
        "--masters", str(masters), "--replicas", str(replicas), "--zones", str(zones)
    )  # fmt: skip
    assert up.result["health"] == "ok"
    assert len(up.result["shards"]) == masters
    assert len(nodes_of(up.result)) == masters + replicas
    assert len({node["zone"] for node in nodes_of(up.result)}) == min(zones, masters + replicas)
    up.assert_others_agree(PROGRAMS["valkey-9.1"]())
    up.assert_serves()


def test_an_option_that_the_server_does_not_know_is_quoted_from_its_log(cli: Cli) -> None:
    option = ("--redis-config", "maxmemory-policy=none-such")
    done = cli.run("local", "up", "--port", str(cli.port), *option, code=3)
    assert "Tasks end as soon as they start" in done.stderr
    assert ">>> 'maxmemory-policy none-such'" in done.stderr
    cli.assert_nothing_left()
