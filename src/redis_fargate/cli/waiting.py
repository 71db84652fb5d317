"""Waits until a local cluster is as it is wanted."""

import time
from typing import TYPE_CHECKING

from redis_fargate.cli.output import Progress
from redis_fargate.cli.render import remarks, verdict
from redis_fargate.controller.result import Result
from redis_fargate.local.errors import StartFailed
from redis_fargate.topology.health import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis_fargate.cli.local_cloud import LocalCloud

_BASE_S = 60
_PER_TASK_S = 2
_POLL_S = 0.2


def await_as_wanted(
    cloud: "LocalCloud", task_count: int, tell: Progress, check: "Callable[[], None]"
) -> Result:
    """Wait until the controller has formed the cluster, and all of it is well.

    ``check`` is called now and then, to raise when waiting has become pointless.

    Raises:
        StartFailed: it is not so in time; the message is what the controller says of it.

    """
    deadline = time.monotonic() + _BASE_S + _PER_TASK_S * task_count
    # From the start: the endpoint's process for this function takes a second to come up, and that
    # second is there while the tasks start.
    while (result := cloud.status()).health is not Health.OK or _size(result) != task_count:
        check()
        tell(verdict(result))
        if time.monotonic() > deadline:
            raise _too_late(result)
        time.sleep(_POLL_S)
    return result


def _size(result: Result) -> int:
    return sum(bool(shard.master) + len(shard.replicas) for shard in result.shards)


def _too_late(result: Result) -> StartFailed:
    details = "".join(f"\n  {line}" for line in remarks(result))
    return StartFailed(f"The cluster is not as it is wanted. {verdict(result)}{details}")
