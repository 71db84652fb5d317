"""The report: one HTML page that needs nothing but itself."""

import json
from collections.abc import Sequence
from importlib.resources import files

from redis_fargate.local.rehearsal.documents import detail
from redis_fargate.local.rehearsal.running import Outcome


def page(outcomes: Sequence[Outcome], about: str) -> str:
    """Make the page; ``about`` says in a line what was rehearsed on what."""
    document = {"about": about, "scenarios": [detail(outcome) for outcome in outcomes]}
    # Nothing in it may end the element that it stands in.
    data = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")
    template = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    before, after = template.split(">DATA<")
    return f"{before}>{data}<{after}"
