"""The tree of commands."""

import typer

from redis_fargate.cli import (
    init,
    local_down,
    local_fault,
    local_logs,
    local_scale,
    local_status,
    local_stop_task,
    local_up,
    reconcile,
    rehearse,
    status,
)
from redis_fargate.cli.exitcodes import EXIT_CODES


def _tree(help_text: str) -> typer.Typer:
    return typer.Typer(
        help=help_text,
        epilog=EXIT_CODES,
        no_args_is_help=True,
        add_completion=False,
        # Plain help: Rich would make every command a tenth of a second slower.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


app = _tree("A Redis Cluster on AWS ECS Fargate that forms and heals itself.")
local = _tree("The local cloud: an AWS endpoint, ECS and real Redis servers on this machine.")
app.command("init")(init.init)
app.command("status")(status.status)
app.command("reconcile")(reconcile.reconcile)
app.command("rehearse")(rehearse.rehearse)
app.add_typer(local, name="local")
local.command("up")(local_up.up)
local.command("down")(local_down.down)
local.command("status")(local_status.status)
local.command("scale")(local_scale.scale)
local.command("stop-task")(local_stop_task.stop_task)
local.command("logs")(local_logs.logs)
fault = _tree("Let something go wrong in the local cluster.")
local.add_typer(fault, name="fault")
fault.command("kill-task")(local_fault.kill_task)
fault.command("kill-zone")(local_fault.kill_zone)
fault.command("pause")(local_fault.pause)
fault.command("resume")(local_fault.resume)
fault.command("cut")(local_fault.cut)
fault.command("mend")(local_fault.mend)
