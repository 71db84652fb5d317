"""``redis-fargate rehearse``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redis_fargate.cli.exitcodes import ExitCode
from redis_fargate.cli.options import (
    Json,
    Masters,
    Port,
    RedisConfig,
    Replicas,
    Server,
    Zones,
)
from redis_fargate.cli.output import Progress, Table, print_json, print_line, print_table, progress
from redis_fargate.local.errors import InvalidOption, StartFailed
from redis_fargate.local.options import DEFAULT_PORT, DEFAULT_SERVER, Options, parse_redis_config
from redis_fargate.topology.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis_fargate.local.rehearsal.judging import Limits
    from redis_fargate.local.rehearsal.running import Outcome
    from redis_fargate.local.rehearsal.scenarios import Scenario

_HEADERS = (
    "SCENARIO", "", "WRITE GAP", "REDUNDANT", "ACKNOWLEDGED", "LOST", "FAILED", "P50", "P99", "MAX",
)  # fmt: skip
_RIGHTS = frozenset(range(2, len(_HEADERS)))
_MOST_WRITES_PER_S = 2000
"""About as many as one Python process can write and time."""


def rehearse(  # noqa: PLR0913, PLR0917 - the options that it has
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A scenario; may be given often.  [default: all]"),
    ] = None,
    load: Annotated[float, typer.Option(help="Writes per second.")] = 200.0,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="What is allowed: planned-gap-s (1), unplanned-gap-s (10), redundancy-s (180), "
            "p99-ms (unlimited); may be given often.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report too, an HTML page.")
    ] = None,
    masters: Masters = 3,
    replicas: Replicas = 3,
    zones: Zones = 3,
    server: Server = DEFAULT_SERVER,
    redis_config: RedisConfig = None,
    port: Port = DEFAULT_PORT,
    as_json: Json = False,  # noqa: FBT002 - an option, given by name
) -> None:
    """Let faults and changes happen to a local cluster, and count what clients notice.

    Starts a local cloud, plays the scenarios in it while clients write, reads back all that was
    acknowledged, and stops it. Exit code 1 says that a scenario exceeded its limits.

    \b
    Examples:
      redis-fargate rehearse --report report.html
      redis-fargate rehearse --scenario kill-zone --scenario rolling-upgrade --server redis-server
    """  # noqa: D301 - click's sign for lines that are not to be joined
    from redis_fargate.local.rehearsal.judging import parse_limits  # noqa: PLC0415 - slow

    limits = parse_limits(limit or ())
    scenarios = _chosen(scenario or ())
    options = Options(
        spec=Spec(masters, replicas),
        zones=zones,
        server=server,
        redis_config=parse_redis_config(redis_config or ()),
        port=port,
    )
    _check(options.spec, load)
    if report is not None:
        _check_writable(report)
    from redis_fargate.local.rehearsal.documents import summary  # noqa: PLC0415

    with progress() as tell:
        outcomes = _played(options, scenarios, limits, load, tell)
    if report is not None:
        from redis_fargate.local.rehearsal.report import page  # noqa: PLC0415

        report.write_text(page(outcomes, _about(options, load, outcomes)), encoding="utf-8")
    passed = all(outcome.passed for outcome in outcomes)
    if as_json:
        print_json({"passed": passed, "scenarios": [summary(outcome) for outcome in outcomes]})
    else:
        _print(outcomes)
    raise typer.Exit(ExitCode.OK if passed else ExitCode.NOT_AS_WANTED)


def _chosen(names: "Sequence[str]") -> "list[Scenario]":
    """Choose the scenarios, in their own order.

    Raises:
        InvalidOption: there is none of a name.

    """
    from redis_fargate.local.rehearsal.scenarios import SCENARIOS  # noqa: PLC0415 - slow

    known = {scenario.name for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise InvalidOption(
                f"--scenario {name}: there is no such scenario. There are: "
                f"{', '.join(scenario.name for scenario in SCENARIOS)}."
            )
    return [scenario for scenario in SCENARIOS if not names or scenario.name in names]


def _check(spec: Spec, writes_per_s: float) -> None:
    """Refuse what could not be judged.

    Raises:
        InvalidOption: with these, no scenario says anything.

    """
    if spec.replica_count < spec.master_count:
        raise InvalidOption(
            f"--replicas is {spec.replica_count}, and --masters is {spec.master_count}: a master "
            "without a replica takes all its data along when it crashes. Give each at least one."
        )
    if not 1 <= writes_per_s <= _MOST_WRITES_PER_S:
        raise InvalidOption(
            f"--load is {writes_per_s:g}: give a number of writes per second from 1 to "
            f"{_MOST_WRITES_PER_S}."
        )


def _check_writable(report: Path) -> None:
    """See now, and not after minutes of rehearsing, that the report can be written.

    Raises:
        InvalidOption: it cannot.

    """
    try:
        report.touch()
    except OSError as error:
        raise InvalidOption(f"--report {report} cannot be written: {error.strerror}.") from error


def _about(options: Options, writes_per_s: float, outcomes: "Sequence[Outcome]") -> str:
    """Say in a line what was rehearsed on what."""
    from redis_fargate.local.rehearsal.watching import nodes_of  # noqa: PLC0415 - slow

    nodes = nodes_of(outcomes[0].before.result)
    version = next((node.version for node in nodes if node.version), "unknown")
    at = datetime.fromtimestamp(outcomes[0].began_s, UTC).isoformat(" ", "minutes")
    return (
        f"{options.spec.master_count} masters and {options.spec.replica_count} replicas in "
        f"{options.zones} zones, server {options.server} (version {version}), {writes_per_s:g} "
        f"writes per second, {at[:16]} UTC."
    )


def _played(
    options: Options,
    scenarios: "Sequence[Scenario]",
    limits: "Limits",
    writes_per_s: float,
    tell: Progress,
) -> "list[Outcome]":
    """Play all scenarios, on a new local cloud whenever one was left that is not whole."""
    from redis_fargate.cli.bringing_up import brought_up  # noqa: PLC0415 - imports boto3, slowly
    from redis_fargate.cli.local_down import bring_down  # noqa: PLC0415
    from redis_fargate.local.rehearsal.running import Rehearsal  # noqa: PLC0415

    outcomes: list[Outcome] = []
    left = list(scenarios)
    while left:
        with brought_up(options, tell) as (cloud, _):
            rehearsal = Rehearsal(cloud, limits, writes_per_s, tell, options.spec)
            fresh = True
            while left:
                try:
                    outcomes.append(rehearsal.play(left[0]))
                except StartFailed:
                    if fresh:
                        raise
                    break  # it was not left whole: another one will do
                fresh = False
                left.pop(0)
                if outcomes[-1].figures.redundancy_s is None:
                    break
            tell("Stopping the local cloud …")
        bring_down(cloud.record, cloud.state)
    return outcomes


def _print(outcomes: "Sequence[Outcome]") -> None:
    print_table(Table(_HEADERS, [_row(outcome) for outcome in outcomes], _RIGHTS))
    print_line()
    for outcome in outcomes:
        for problem in outcome.problems:
            print_line(f"{outcome.scenario.name}: {problem}")
    failed = sum(not outcome.passed for outcome in outcomes)
    if failed:
        print_line(f"{failed} of {len(outcomes)} scenarios failed.", style="bold red")
    else:
        print_line(f"{len(outcomes)} of {len(outcomes)} scenarios passed.", style="bold green")


def _row(outcome: "Outcome") -> tuple[str, ...]:
    figures = outcome.figures
    lost = str(figures.lost_copied + figures.lost_uncopied)
    if figures.lost_uncopied and not outcome.scenario.planned:
        lost += f" (no survivor had {figures.lost_uncopied if figures.lost_copied else 'them'})"
    return (
        outcome.scenario.name,
        "passed" if outcome.passed else "FAILED",
        _amount(figures.write_gap_s, "{:.2f} s"),
        _amount(figures.redundancy_s, "{:.1f} s"),
        str(figures.acknowledged),
        lost,
        str(figures.failed),
        *(_amount(each, "{:.1f} ms") for each in (figures.p50_ms, figures.p99_ms, figures.max_ms)),
    )


def _amount(number: float | None, form: str) -> str:
    return "never" if number is None else form.format(number)
