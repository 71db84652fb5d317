"""A result as a table and sentences."""

from collections.abc import Iterator

from redis_fargate.cli.output import Table, print_line, print_table
from redis_fargate.controller.result import NodeReport, Result, ShardReport
from redis_fargate.topology.health import Health

_STYLES = {
    Health.OK: "bold green",
    Health.DEGRADED: "bold yellow",
    Health.FORMING: "bold yellow",
    Health.DOWN: "bold red",
}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_UNIT = 1024
_WHOLE = 100
_HEADERS = ("SHARD", "ROLE", "ADDRESS", "ZONE", "TASK", "SLOTS", "KEYS", "MEMORY", "LAG", "")
_RIGHTS = frozenset({6, 7, 8})
SHORT_ID = 12
"""So many characters of a task id are shown; any unique beginning names a task."""


def print_result(result: Result) -> None:
    """Print the table of shards, what is to be said about them, and the verdict last."""
    if result.shards or result.others:
        print_table(shard_table(result))
        print_line()
    for line in remarks(result):
        print_line(line)
    style = _STYLES.get(result.health, "bold red") if result.health else "bold red"
    print_line(verdict(result), style=style)


def verdict(result: Result) -> str:
    """Give the judgement in one line."""
    word = result.health.value if result.health else result.outcome.value
    return f"{result.cluster}: {word}. {result.verdict}"


def remarks(result: Result) -> Iterator[str]:
    """Give what else the result says, a line each."""
    for refusal in result.refusals:
        yield f"refused: {refusal}"
    for waiting in result.waiting:
        yield f"waiting: {waiting}"
    for remark in result.remarks:
        yield f"note: {remark}"
    for step in result.plan:
        yield f"planned: {step.step} ({step.why})"


def shard_table(result: Result) -> Table:
    """Make a row of each node, shard by shard; tasks that are in no shard come last."""
    rows = [
        row for number, shard in enumerate(result.shards, start=1) for row in _shard(number, shard)
    ]
    rows += [_row("-", other, "", "-") for other in result.others]
    if not any(row[-1] for row in rows):
        return Table(_HEADERS[:-1], [row[:-1] for row in rows], _RIGHTS)
    return Table(_HEADERS, rows, _RIGHTS)


def _shard(number: int, shard: ShardReport) -> Iterator[tuple[str, ...]]:
    slots = f"{shard.slots} ({shard.slot_count})"
    if shard.master:
        yield _row(str(number), shard.master, slots, "-")
    else:
        yield (str(number), "no master", "", "", "", slots, "", "", "", "")
    for replica in shard.replicas:
        behind = "?" if replica.lag_bytes is None else size(replica.lag_bytes)
        yield _row("", replica, "", behind if replica.link_up else "not linked")


def _row(shard: str, node: NodeReport, slots: str, lag: str) -> tuple[str, ...]:
    observed = bool(node.node_id)
    limit = f" / {size(node.max_memory_bytes)}" if node.max_memory_bytes else ""
    return (
        shard,
        node.role,
        node.address,
        node.zone,
        node.task_id[:SHORT_ID],
        slots,
        str(node.keys) if observed else "-",
        f"{size(node.used_memory_bytes)}{limit}" if observed else "-",
        lag,
        node.detail,
    )


def size(count_bytes: int) -> str:
    """Give a number of bytes for people: ``1.9 MiB``."""
    amount, unit = float(count_bytes), 0
    while amount >= _UNIT and unit < len(_UNITS) - 1:
        amount /= _UNIT
        unit += 1
    return (
        f"{amount:.0f} {_UNITS[unit]}"
        if not unit or amount >= _WHOLE
        else (f"{amount:.1f} {_UNITS[unit]}")
    )
