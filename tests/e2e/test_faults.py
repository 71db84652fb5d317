"""Single faults by hand: what hangs is waited for, what crashes is replaced."""

from typing import Any

from rig import Cli, clients_of, eventually, invoke, nodes_of

DELAY, DELAY_S = "repl-diskless-sync-delay", 40
"""For so long a master waits for more replicas before it sends a copy."""


def whole_without(gone: set[str]) -> Any:
    def whole(seen: dict[str, Any]) -> bool:
        tasks = {node["task_id"] for node in nodes_of(seen)}
        return seen["health"] == "ok" and len(tasks) == 6 and not gone & tasks

    return whole


def test_faults(cli: Cli) -> None:
    up = cli.up()
    before = {node["task_id"] for node in nodes_of(up.result)}
    master = up.result["shards"][0]["master"]

    cli.run("local", "fault", "pause", master["address"])
    hung = eventually(cli.result, lambda seen: seen["health"] == "down", timeout_s=60)
    (row,) = (node for node in nodes_of(hung) if node["task_id"] == master["task_id"])
    assert row["role"] == "unreachable"
    assert "unreachable" in cli.run("local", "status", code=1).stdout
    cli.run("local", "fault", "resume", master["task_id"])
    result = eventually(cli.result, lambda seen: seen["health"] == "ok", timeout_s=90)
    assert {node["task_id"] for node in nodes_of(result)} == before

    said = cli.json("local", "fault", "kill-task", result["shards"][1]["master"]["address"])
    (killed,) = said["tasks"]
    assert killed in before
    result = eventually(cli.result, whole_without({killed}), timeout_s=90)

    zone = result["shards"][0]["master"]["zone"]
    there = {node["task_id"] for node in nodes_of(result) if node["zone"] == zone}
    assert set(cli.json("local", "fault", "kill-zone", zone)["tasks"]) == there
    eventually(cli.result, whole_without(there), timeout_s=90)

    assert "us-east-1a" in cli.run("local", "fault", "kill-zone", "mars", code=3).stderr
    assert "No task is" in cli.run("local", "fault", "pause", "127.0.0.1", code=3).stderr


def test_cut_and_mend(cli: Cli) -> None:
    """Its peers elect another; the controller, which reaches it, says so and changes nothing."""
    up = cli.up("--redis-config", "cluster-node-timeout=3000")
    up.assert_serves()
    tasks = {node["task_id"] for node in nodes_of(up.result)}
    alone, heir = up.result["shards"][0]["master"], up.result["shards"][0]["replicas"][0]

    assert cli.json("local", "fault", "cut", alone["address"]) == {"tasks": [alone["task_id"]]}
    assert "cut off already" in cli.run("local", "fault", "cut", heir["address"], code=3).stderr
    assert "No task is" in cli.run("local", "fault", "cut", "127.0.0.1", code=3).stderr

    def elected(seen: dict[str, Any]) -> bool:
        masters = {shard["master"]["address"] for shard in seen["shards"] if shard["master"]}
        return seen["health"] == "down" and {alone["address"], heir["address"]} <= masters

    seen = eventually(cli.result, elected)
    assert "says that the cluster is down" in seen["verdict"]
    with clients_of(cli) as clients:
        made = invoke(clients, "reconcile")
    assert elected(made)
    assert made["outcome"] == "waiting"
    assert made["done"] == []

    assert cli.json("local", "fault", "mend") == {"tasks": [alone["task_id"]]}
    result = eventually(cli.result, lambda seen: seen["health"] == "ok")
    assert {node["task_id"] for node in nodes_of(result)} == tasks
    up.assert_keeps()
    assert "No task was cut off" in cli.run("local", "fault", "mend").stdout


def test_a_loss_does_not_wait_for_a_synchronisation(cli: Cli) -> None:
    """With two masters nobody else elects, and a run is waiting for a new replica's first copy."""
    up = cli.up("--masters", "2", "--replicas", "2", "--redis-config", f"{DELAY}={DELAY_S}")
    up.assert_serves()
    waiting, losing = up.result["shards"]
    (heir,) = losing["replicas"]

    cli.run("local", "fault", "kill-task", waiting["replicas"][0]["address"])

    def replicas(seen: dict[str, Any]) -> list[bool]:
        shard = next(each for each in seen["shards"] if each["slots"] == waiting["slots"])
        return [replica["link_up"] for replica in shard["replicas"]]

    eventually(cli.result, lambda seen: replicas(seen) == [False])
    cli.run("local", "fault", "kill-task", losing["master"]["address"])

    def taken_over(seen: dict[str, Any]) -> bool:
        masters = {shard["master"]["address"] for shard in seen["shards"] if shard["master"]}
        return heir["address"] in masters

    seen = eventually(cli.result, taken_over, timeout_s=DELAY_S + 60)
    assert replicas(seen) == [False]
    eventually(cli.result, lambda seen: seen["health"] == "ok", timeout_s=3 * DELAY_S)
    up.assert_keeps()
