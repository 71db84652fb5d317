"""The report in a browser: it is drawn, asks nobody for anything, and can be looked into."""

from collections.abc import Iterator

import pytest

from browser import Page, browser
from redis_fargate.controller.result import NodeReport, Outcome, Result, ShardReport
from redis_fargate.local.rehearsal.judging import Limits, Measured, figures, problems
from redis_fargate.local.rehearsal.load import CLIENTS, Write
from redis_fargate.local.rehearsal.report import page as page_of
from redis_fargate.local.rehearsal.running import Outcome as Played
from redis_fargate.local.rehearsal.scenarios import SCENARIOS
from redis_fargate.local.rehearsal.watching import Mark, Sight
from redis_fargate.topology.health import Health

BEGAN_S = 1_000_000.0
WORDS = "</script><b>a crash</b> & more"


def node(number: int, role: str, *, linked: bool | None = None) -> NodeReport:
    return NodeReport(
        f"task{number}", f"zone-{number % 3}", f"127.0.0.{number}", "n" * 40, role,
        0, 0, 0, 0, None, linked, "valkey 9.1.0",
    )  # fmt: skip


def result(*, broken: bool = False) -> Result:
    shards = tuple(
        ShardReport(
            f"{first}-{last}",
            last - first + 1,
            None if broken and number == 0 else node(number, "master"),
            (node(number + 4, "replica", linked=not broken),),
        )
        for number, (first, last) in enumerate(((0, 5461), (5462, 10922), (10923, 16383)))
    )
    health = Health.DOWN if broken else Health.OK
    return Result("redis-local", Outcome.OBSERVED, health, "As it is.", 0, shards)


def outcome() -> Played:
    """Ten seconds of ten writes a second, of which those of one second failed."""
    writes = [
        Write(
            f"key:{number}", number % CLIENTS, BEGAN_S - 2 + number / 10, 0.002, "127.0.0.1",
            "TimeoutError" if 30 <= number < 40 else "",
        )
        for number in range(100)
    ]  # fmt: skip
    measured = Measured(
        planned=False, began_s=BEGAN_S, ended_s=BEGAN_S + 8, redundant_s=BEGAN_S + 5,
        writes=writes, lost=writes[19:20], lost_copied=[],
    )  # fmt: skip
    found = figures(measured)
    return Played(
        scenario=next(each for each in SCENARIOS if each.name == "kill-task"),
        began_s=BEGAN_S,
        writes=writes,
        marks=[
            Mark(BEGAN_S, "fault", WORDS),
            Mark(BEGAN_S + 1.9, "ecs", "(service) has started 1 tasks: (task 1)."),
            Mark(BEGAN_S + 2, "step", "rescue: let it take its master's place"),
        ],
        before=Sight(BEGAN_S - 2, result()),
        during=Sight(BEGAN_S + 1, result(broken=True)),
        after=Sight(BEGAN_S + 8, result()),
        figures=found,
        problems=problems(measured, found, Limits(redundancy_s=3)),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    report = tmp_path_factory.mktemp("report") / "report.html"
    report.write_text(page_of([outcome()], f"3 masters. {WORDS}"), encoding="utf-8")
    with browser() as opened:
        opened.open(report.as_uri())
        yield opened
        assert opened.complaints == []


def text(page: Page, selector: str) -> str:
    words: str = page.evaluate(f"document.querySelector({selector!r}).textContent")
    return words


def at(page: Page, second: float) -> tuple[float, float]:
    """Where on the page a moment of the timeline is."""
    box = page.evaluate(
        "(() => { const b = document.querySelector('.timeline svg').getBoundingClientRect();"
        " return [b.left, b.top, b.width, b.height] })()"
    )
    first, last = domain(page)
    left, right, wide = 44, 8, 1040
    x = (left + (second - first) / (last - first) * (wide - left - right)) / wide * box[2]
    return box[0] + x, box[1] + box[3] / 2


def domain(page: Page) -> tuple[float, float]:
    """The seconds that the timeline shows."""
    first, last = page.evaluate("document.querySelector('.timeline svg').dataset.domain").split()
    return float(first), float(last)


def test_it_says_what_happened(page: Page) -> None:
    row = text(page, "#table tr:nth-child(2)")
    assert row.startswith("kill-task")
    assert "failed" in row
    assert "5.0 s" in row
    assert "1 (no survivor had them)" in row
    assert "3 s allowed" in text(page, "section p.bad")
    assert WORDS in text(page, "#about")
    assert page.evaluate("document.querySelectorAll('b').length") == 3  # none of WORDS is markup


def test_the_pictures_show_slots_shards_and_zones(page: Page) -> None:
    pictures = page.evaluate(
        "[...document.querySelectorAll('.pictures figure')].map((figure) => ["
        "figure.querySelector('b').textContent, figure.querySelectorAll('circle').length,"
        " figure.querySelectorAll('[stroke-dasharray]').length, figure.textContent])"
    )
    assert [picture[:3] for picture in pictures] == [
        ["before", 6, 0],
        ["during", 5, 3],
        ["after", 6, 0],
    ]
    assert "no master" in pictures[1][3]
    assert "zone-2" in pictures[0][3]


def test_hovering_tells_of_the_moment(page: Page) -> None:
    assert page.evaluate("document.querySelector('.tip').hidden")
    page.mouse("mouseMoved", *at(page, 1.55))
    told = text(page, ".tip")
    assert "0 acknowledged per second, 1 failed (TimeoutError)" in told
    page.mouse("mouseMoved", *at(page, 0.0))
    assert WORDS in text(page, ".tip")
    page.mouse("mouseMoved", *at(page, 4.55))
    assert "10 acknowledged per second" in text(page, ".tip")
    assert "median 2 ms" in text(page, ".tip")
    page.mouse("mouseMoved", 2, 2)
    assert page.evaluate("document.querySelector('.tip').hidden")


def test_dragging_zooms_in_and_the_button_shows_all_again(page: Page) -> None:
    whole = domain(page)
    start, end = at(page, 1.0), at(page, 3.0)
    page.mouse("mousePressed", *start, button="left", clickCount=1)
    page.mouse("mouseMoved", *end, button="left")
    page.mouse("mouseReleased", *end, button="left", clickCount=1)
    assert domain(page) == pytest.approx((1.0, 3.0), abs=0.1)
    assert page.evaluate("document.querySelectorAll('.timeline .fault').length") == 0
    assert page.evaluate("document.querySelectorAll('.timeline .step').length") == 1
    page.evaluate("document.querySelector('button').click()")
    assert domain(page) == whole
    assert page.evaluate("document.querySelector('button').hidden")


def test_the_wheel_zooms_around_the_cursor(page: Page) -> None:
    whole = domain(page)
    page.mouse("mouseWheel", *at(page, 3.0), deltaX=0, deltaY=-100, modifiers=2)
    first, last = domain(page)
    assert whole[0] < first < 3.0 < last < whole[1]
    page.mouse("mouseWheel", *at(page, 3.0), deltaX=0, deltaY=100, modifiers=2)
    page.mouse("mouseWheel", *at(page, 3.0), deltaX=0, deltaY=100, modifiers=2)
    assert domain(page) == whole
