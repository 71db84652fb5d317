"""What Fargate accepts of a task definition: its sizes, its network mode, its limits."""

import re

from redis_fargate.local.ecs.errors import client_error
from redis_fargate.local.ecs.model import Json

# Sources: ECS developer guide, "Task size", and the API reference's HealthCheck.
_GIB = 1024
MEMORY_MIB = {
    256: (512, 1 * _GIB, 2 * _GIB),
    512: tuple(range(1 * _GIB, 4 * _GIB + 1, _GIB)),
    1024: tuple(range(2 * _GIB, 8 * _GIB + 1, _GIB)),
    2048: tuple(range(4 * _GIB, 16 * _GIB + 1, _GIB)),
    4096: tuple(range(8 * _GIB, 30 * _GIB + 1, _GIB)),
    8192: tuple(range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB)),
    16384: tuple(range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB)),
}
"""CPU units to the memory sizes that go with them."""

LARGE_CPU = 8192
"""Tasks of this many CPU units need platform version 1.4.0."""

_EPHEMERAL_GIB = range(21, 201)
_STOP_TIMEOUT_S = range(2, 121)
_HEALTH_CHECK_BOUNDS = {
    "interval": range(5, 301),
    "timeout": range(2, 61),
    "retries": range(1, 11),
    "startPeriod": range(301),
}
_AMOUNT = re.compile(r"\s*(\d*\.?\d+)\s*(vcpu|gb)?\s*", re.IGNORECASE)


def units(text: str, what: str) -> int:
    """Read ``"1024"``, ``"1 vCPU"`` or ``"2 GB"`` as CPU units or MiB.

    Raises:
        EcsError: ClientException: it is neither.

    """
    amount = _AMOUNT.fullmatch(text)
    unit = {"cpu": "vcpu", "memory": "gb"}[what]
    if amount is None or (amount[2] and amount[2].lower() != unit):
        raise client_error(f"Invalid '{what}' setting for task: {text!r}.")
    number = float(amount[1])
    return int(number * _GIB) if amount[2] else int(number)


def check(request: Json) -> None:
    """Check a task definition that requires FARGATE.

    Raises:
        EcsError: ClientException, in AWS' words where they are known.

    """
    if request.get("networkMode") != "awsvpc":
        raise client_error("Fargate only supports network mode 'awsvpc'.")
    for what in ("cpu", "memory"):
        if what not in request:
            raise client_error(f"Fargate requires that '{what}' be defined at the task level.")
    cpu = units(request["cpu"], "cpu")
    memory = units(request["memory"], "memory")
    if memory not in MEMORY_MIB.get(cpu, ()):
        raise client_error(
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. "
            "See the Amazon ECS documentation for the valid values."
        )
    size = request.get("ephemeralStorage", {}).get("sizeInGiB")
    if size is not None and size not in _EPHEMERAL_GIB:
        raise client_error(
            f"Invalid ephemeral storage size {size} GiB: the minimum is 21 GiB, the maximum 200."
        )
    for container in request["containerDefinitions"]:
        _check_container(container, memory)
    if sum(container.get("cpu", 0) for container in request["containerDefinitions"]) > cpu:
        raise client_error("The sum of the 'cpu' settings of all containers exceeds the task's.")


def _check_container(container: Json, memory: int) -> None:
    name = container["name"]
    for member in ("memory", "memoryReservation"):
        if container.get(member, 0) > memory:
            raise client_error(
                f"The '{member}' setting for container '{name}' is greater than for the task."
            )
    timeout = container.get("stopTimeout")
    if timeout is not None and timeout not in _STOP_TIMEOUT_S:
        raise client_error(
            f"Invalid 'stopTimeout' setting for container '{name}': {timeout} is not between 2 "
            "and 120 seconds."
        )
    for mode in ("privileged", "disableNetworking"):
        if container.get(mode):
            raise client_error(f"Fargate does not support '{mode}' for container '{name}'.")


def check_health_check(container: Json) -> None:
    """Check the numbers of a container's health check.

    Raises:
        EcsError: ClientException.

    """
    check_given = container.get("healthCheck", {})
    for member, bounds in _HEALTH_CHECK_BOUNDS.items():
        if member in check_given and check_given[member] not in bounds:
            raise client_error(
                f"Invalid 'healthCheck.{member}' setting for container '{container['name']}': "
                f"{check_given[member]} is not between {bounds[0]} and {bounds[-1]}."
            )
