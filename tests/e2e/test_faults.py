"""Single faults by hand: what hangs is waited for, what crashes is replaced."""

from typing import Any

from rig import Cli, eventually, nodes_of


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
