"""What happens to a cluster that is up: tasks that stop, more replicas, controllers that meet."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rig import Cli, Up, clients_of, eventually, invoke, nodes_of

from redis_fargate.local.changes import Changes
from redis_fargate.topology.spec import Spec
from servers import PROGRAMS, Program


def await_forgotten(up: Up, program: Program, result: Any, gone: Any) -> None:
    """Shards are whole a moment before the dead node is out of everybody's table."""
    for node in nodes_of(result):
        eventually(
            lambda address=node["address"]: up.redis_cli(
                program, "-h", address, "cluster", "nodes"
            ),
            lambda table: gone["node_id"] not in table and len(table.splitlines()) == 6,
            timeout_s=30,
        )


def test_a_stopped_task_is_replaced_and_the_dead_node_is_forgotten(cli: Cli) -> None:
    program = PROGRAMS["valkey-9.1"]()
    up = cli.up()
    gone = up.result["shards"][0]["replicas"][0]
    cli.run("local", "stop-task", gone["address"])
    result = eventually(
        cli.result,
        lambda seen: (
            seen["health"] == "ok"
            and len(nodes_of(seen)) == 6
            and gone["task_id"] not in {node["task_id"] for node in nodes_of(seen)}
        ),
        timeout_s=90,
    )
    await_forgotten(up, program, result, gone)
    up.await_agreement(program)

    grown = cli.json("local", "scale", "--replicas", "5")
    assert grown["result"]["health"] == "ok"
    assert len(nodes_of(grown["result"])) == 8
    followers = [len(shard["replicas"]) for shard in grown["result"]["shards"]]
    assert sorted(followers) == [1, 2, 2]

    logged = cli.run("local", "logs", up.host).stdout
    assert "Ready to accept connections" in logged
    assert up.password not in cli.run("local", "logs").stdout
    assert "as wanted" in cli.run("local", "logs", "controller").stdout
    up.assert_serves()


def test_the_shard_of_a_stopped_master_gets_its_replica_back(cli: Cli) -> None:
    program = PROGRAMS["valkey-9.1"]()
    up = cli.up()
    gone = next(
        shard["master"]
        for shard in up.result["shards"]
        if shard["master"]["address"] != up.host  # which is asked later on
    )
    cli.run("local", "stop-task", gone["address"])
    result = eventually(
        cli.result,
        lambda seen: (
            seen["health"] == "ok"
            and len(nodes_of(seen)) == 6
            and gone["task_id"] not in {node["task_id"] for node in nodes_of(seen)}
        ),
        timeout_s=90,
    )
    assert "stopping: it has taken over." in cli.run("local", "logs", gone["task_id"]).stdout
    assert sum(shard["slot_count"] for shard in result["shards"]) == 16384
    assert len(result["shards"]) == 3
    for shard in result["shards"]:
        (replica,) = shard["replicas"]
        assert replica["link_up"]
    await_forgotten(up, program, result, gone)
    up.await_agreement(program)
    up.assert_serves()


def test_scaling_out_and_in(cli: Cli) -> None:
    up = cli.up("--masters", "2", "--replicas", "2")
    up.assert_serves()
    for masters, replicas in ((3, 4), (2, 5), (2, 2)):
        scaled = cli.up_scaled("--masters", str(masters), "--replicas", str(replicas))
        assert scaled.result["health"] == "ok"
        assert len(scaled.result["shards"]) == masters
        followers = [len(shard["replicas"]) for shard in scaled.result["shards"]]
        assert sum(followers) == replicas
        assert max(followers) - min(followers) <= 1
        scaled.assert_keeps()
    assert "give --masters" in cli.run("local", "scale", code=2).stderr


def test_two_controllers_at_once(cli: Cli) -> None:
    cli.up()
    with clients_of(cli) as clients, ThreadPoolExecutor() as pool:
        invoke(clients, "reconcile")
        for _ in range(3):
            outcomes = list(pool.map(lambda _: invoke(clients, "reconcile")["outcome"], range(3)))
            assert set(outcomes) <= {"converged", "busy"}
            assert "converged" in outcomes
        assert invoke(clients, "status")["health"] == "ok"


def test_a_change_of_mind_while_slots_move(cli: Cli) -> None:
    """ECS stops at once whatever is not protected: who gets slots is so before they come."""
    up = cli.up()
    up.assert_serves()
    with clients_of(cli) as clients:
        changes = Changes(clients, up.result["cluster"])
        changes.want(Spec(4, 4))
        eventually(changes.slots_moving)
        ecs = clients.client("ecs")
        tasks = ecs.list_tasks(cluster=up.result["cluster"])["taskArns"]
        told = ecs.get_task_protection(cluster=up.result["cluster"], tasks=tasks)
        assert [each["protectionEnabled"] for each in told["protectedTasks"]] == [True] * 8
        changes.want(Spec(3, 3))

    def shrunk(seen: dict[str, Any]) -> bool:
        return seen["health"] == "ok" and len(seen["shards"]) == 3 and len(nodes_of(seen)) == 6

    eventually(cli.result, shrunk, timeout_s=120)
    Up(cli.json("local", "status")).assert_keeps()
