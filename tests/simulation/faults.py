"""What goes wrong in a history, chosen by chance."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from redis_fargate.topology.spec import Spec
from redis_fargate.topology.view import Marker

from . import slots as sets
from .ecs import EcsTask, Status
from .server import Server, new_id

if TYPE_CHECKING:
    from .history import History

Fault = Callable[["History", random.Random], str]
"""Does it; what it did."""


def _victims(history: "History") -> list[EcsTask]:
    return [
        task
        for task in history.service.tasks
        if task.status is Status.RUNNING and task.server and task.server.alive
    ]


def crash(history: "History", rng: random.Random) -> str:
    """A task's process ends; ECS replaces the task."""
    return _each(history, rng, 1, history.service.end, "crash")


def crash_two(history: "History", rng: random.Random) -> str:
    return _each(history, rng, 2, history.service.end, "crash")


def stop(history: "History", rng: random.Random) -> str:
    """ECS stops a task, as when its host retires."""
    return _each(history, rng, 1, history.service.stop, "stop")


def hang(history: "History", rng: random.Random) -> str:
    """A process stops working for a while, as under SIGSTOP."""

    def freeze(task: EcsTask) -> None:
        server = task.server
        assert server is not None
        server.frozen = True

        def thaw() -> None:
            server.frozen = False
            history.net.poke()

        history.service.later(1, 60, thaw)
        history.net.poke()

    return _each(history, rng, 1, freeze, "hang")


def cut_off(history: "History", rng: random.Random) -> str:
    """A node cannot reach its peers for a while."""
    return _each(history, rng, 1, lambda task: _lose(history, task, history.net.cut), "cut off")


def hide(history: "History", rng: random.Random) -> str:
    """The controller cannot reach a node for a while."""
    return _each(history, rng, 1, lambda task: _lose(history, task, history.net.unseen), "hide")


def _lose(history: "History", task: EcsTask, lost: dict[Server, float]) -> None:
    server = task.server
    assert server is not None
    lost[server] = history.net.now_s
    history.net.poke()

    def found() -> None:
        lost.pop(server, None)
        history.net.poke()

    history.service.later(1, 60, found)
    history.net.poke()


def zone(history: "History", rng: random.Random) -> str:
    """All tasks of a zone end at once."""
    victims = _victims(history)
    if not victims:
        return "no zone to lose"
    lost = rng.choice(victims).zone
    for task in victims:
        if task.zone == lost:
            history.service.end(task)
    return f"lose zone {lost}"


def throttle(history: "History", rng: random.Random) -> str:
    """ECS, or DynamoDB, answers nothing for a while."""
    until_s = history.net.now_s + rng.uniform(1, 40)
    if rng.random() < 0.5:
        history.service.throttled_until_s = until_s
        return "throttle ECS"
    history.controller.table.throttled_until_s = until_s
    return "throttle DynamoDB"


def one_more(history: "History", rng: random.Random) -> str:
    """ECS starts a task that replaces none."""
    history.service.desired += 1
    history.service.schedule()
    history.service.desired -= 1
    return "one task more"


def foreign(history: "History", rng: random.Random) -> str:
    """Another cluster's node gets an address that one of ours had; its claims are the newest."""
    address = history.service.give_away()
    if address is None:
        return "no address for a foreign node"
    server = history.net.start(new_id(99, rng.randrange(10**6)), address, "f" * 32)
    server.foreign = True
    server.current_epoch = server.me.epoch = 1000
    server.assign(server.me, sets.ALL)
    return f"foreign node {server}"


def deploy(history: "History", rng: random.Random) -> str:
    """A new revision rolls out: ECS replaces all tasks, as far as their protection lets it."""
    if history.controller.table.marker is not Marker.FORMED:
        return "no deployment while the cluster is being formed"
    history.service.deploy()
    return "deploy"


def scale(history: "History", rng: random.Random) -> str:
    """Somebody wants another shape; the controller and ECS hear of it one after the other."""
    if history.controller.table.marker is not Marker.FORMED:
        return "no scaling while the cluster is being formed"
    masters = max(1, history.controller.settings.spec.master_count + rng.choice((-2, -1, 0, 1, 2)))
    replicas = rng.choice((masters, masters, masters, 2 * masters, masters + 1))
    history.spec = spec = Spec(masters, replicas)
    told = [
        lambda: history.controller.set_spec(history.spec),
        lambda: history.service.scale(history.spec.task_count),
    ]
    first, second = rng.sample(told, 2)
    first()
    history.service.later(0, 20, second)
    return f"scale to {spec}"


def _each(
    history: "History",
    rng: random.Random,
    number: int,
    act: Callable[[EcsTask], None],
    name: str,
) -> str:
    victims = _victims(history)
    chosen = rng.sample(victims, min(number, len(victims)))
    for task in chosen:
        act(task)
    return f"{name} {', '.join(map(str, chosen)) or 'nobody'}"


MENU: tuple[tuple[Fault, float], ...] = (
    (crash, 4.0),
    (crash_two, 1.0),
    (stop, 3.0),
    (hang, 1.0),
    (cut_off, 1.0),
    (hide, 1.0),
    (zone, 0.3),
    (throttle, 1.0),
    (one_more, 1.0),
    (deploy, 0.3),
    (scale, 1.0),
    (foreign, 0.7),
)

PLANNED = frozenset({deploy, scale, one_more})
"""What users and ECS do in the course of things: by these nothing may be lost."""
