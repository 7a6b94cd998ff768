"""The page in a real headless Chromium: drawn without a complaint, zoomed together, dark, narrow, on paper, hostile."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

from report import build
from report.compare import compare
from tests.report.test_cycles import cycles_run
from tests.report.test_report import HOSTILE
from tools import synthetic, synthetic_aws
from tools.synthetic import Synthetic

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]
# A browser that speaks to nobody: no updates, no sync, no lookups at start.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a reshard whose every text is an attack."""
    plain = Synthetic()
    names = [(f"{HOSTILE} {name}", *rest) for name, *rest in plain.phases]
    what = replace(
        plain, phases=names, failures=[(50.0, "refused", HOSTILE)], run={"command": HOSTILE, "host": HOSTILE}
    )
    run = synthetic.write(tmp_path_factory.mktemp("runs") / "hostile", what)
    build(run)
    return run


class WatchedPage:
    """A page with everything it complained of or asked the network for."""

    def __init__(self, browser: Browser, file: Path, *, width: int = 1280, dark: bool = False) -> None:
        self.problems: list[str] = []
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.page.on("console", lambda message: self.problems.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._asked)
        self._file = file.resolve().as_uri()
        self.page.goto(self._file)
        self.until("document.documentElement.dataset.drawn !== undefined")

    def until(self, condition: str) -> None:
        """Wait for a condition, asked from outside: the page's own policy forbids playwright's evaluated polling."""
        for _ in range(600):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"not in 30 s: {condition}")

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append("a dialog")
        dialog.dismiss()

    def _asked(self, request: Request) -> None:
        url = request.url
        if url != self._file and not url.startswith(("data:", "blob:")):
            self.problems.append(f"request: {url}")

    def charts(self) -> int:
        """How many charts hold a line or a marker that is really drawn."""
        return int(
            self.page.evaluate("""() => [...document.querySelectorAll('.chart')].filter((chart) =>
            [...chart.querySelectorAll('.scatterlayer path')].some((path) => path.getTotalLength() > 0)).length""")
        )


def test_every_chart_is_drawn_and_nothing_complains(browser: Browser, hostile_run: Path) -> None:
    """No console message, no request, no script of a hostile text, and a line in every chart."""
    watched = WatchedPage(browser, hostile_run / "report.html")
    assert watched.problems == []
    assert watched.charts() == watched.page.locator(".chart").count() >= 15
    assert watched.page.locator("img[src=x]").count() == 0


def test_a_zoom_moves_every_time_axis(browser: Browser, hostile_run: Path) -> None:
    """Zooming one chart of the timeline zooms all of them, and back, and leaves the others alone."""
    watched = WatchedPage(browser, hostile_run / "report.html")
    range_of = "(key) => document.getElementById('chart-' + key).layout.xaxis.range.map(Math.round)"
    pair_before = watched.page.evaluate(range_of, "pair-read")
    watched.page.evaluate("Plotly.relayout('chart-read', {'xaxis.range': [95, 115]})")
    for key in ("load", "response", "cpu"):
        watched.until(f"String(({range_of})('{key}')) === '95,115'")
    assert watched.page.evaluate(range_of, "pair-read") == pair_before
    watched.page.evaluate("Plotly.relayout('chart-load', {'xaxis.autorange': true})")
    for key in ("load", "read", "cpu"):
        watched.until(f"String(({range_of})('{key}')) === '0,150'")
    assert watched.problems == []


def test_both_moves_are_shaded_from_their_request_on(browser: Browser, hostile_run: Path) -> None:
    """The sham's nodes join at the same cost as the reshard's, so both stretches can be seen before the slots move."""
    watched = WatchedPage(browser, hostile_run / "report.html")
    shaded = "document.getElementById('chart-read').layout.shapes.map((shape) => [shape.x0, shape.x1])"
    spans = watched.page.evaluate(shaded)
    assert [span for span in spans if span[1] - span[0] <= 10] == [[10, 12], [12, 22], [100, 102], [102, 112]]


def test_dark_light_and_paper_each_have_their_colours(browser: Browser, hostile_run: Path) -> None:
    """The charts follow the reader's theme, also when it changes, and paper is always light."""
    watched = WatchedPage(browser, hostile_run / "report.html", dark=True)
    ink = "document.getElementById('chart-read').layout.font.color"
    dark = watched.page.evaluate(ink)
    watched.page.emulate_media(color_scheme="light")
    watched.until(f"{ink} !== '{dark}'")
    light = watched.page.evaluate(ink)
    watched.page.emulate_media(color_scheme="dark", media="print")
    watched.until(f"{ink} === '{light}'")
    assert watched.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert watched.page.pdf(format="A4", print_background=True).startswith(b"%PDF")
    assert watched.problems == []


def test_an_invalid_run_is_marked_on_the_screen_and_on_paper(browser: Browser, tmp_path: Path) -> None:
    """The mark on a chart is words that are drawn, in both."""
    run = synthetic.write(tmp_path / "run", replace(Synthetic(), ended="stopped"))
    build(run)
    watched = WatchedPage(browser, run / "report.html")
    for media in ("screen", "print"):
        watched.page.emulate_media(media=media)
        marks = watched.page.locator("figcaption .unusable")
        assert marks.count() == watched.page.locator("figure").count() >= 15
        assert all(marks.nth(place).is_visible() for place in range(marks.count()))
        assert watched.page.locator(".verdict").inner_text().count("What to do: ") == 1
    assert watched.problems == []


def test_a_phone_never_scrolls_sideways(browser: Browser, hostile_run: Path) -> None:
    """At 360 pixels the page fits; only tables scroll, inside themselves."""
    watched = WatchedPage(browser, hostile_run / "report.html", width=360)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert watched.charts() == watched.page.locator(".chart").count()
    assert watched.problems == []


def test_the_minutes_of_aws_are_drawn_too(browser: Browser, tmp_path: Path) -> None:
    """Every chart of a run on AWS, CloudWatch's among them, is drawn without a complaint, and fits a phone."""
    run = synthetic.write(tmp_path / "aws", synthetic_aws.ON_AWS)
    synthetic_aws.write_metrics(run)
    build(run, [])
    watched = WatchedPage(browser, run / "report.html", width=360)
    assert watched.problems == []
    assert watched.charts() == watched.page.locator(".chart").count() >= 20
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_cycles_and_comparisons_are_drawn_too(browser: Browser, hostile_run: Path, tmp_path: Path) -> None:
    """The charts of a run of cycles and of two runs compared are drawn without a complaint."""
    cycles = synthetic.write(tmp_path / "cycles", cycles_run(atomic=True))
    build(cycles)
    compare([hostile_run, cycles], tmp_path / "compare.html")
    for file in (cycles / "report.html", tmp_path / "compare.html"):
        watched = WatchedPage(browser, file)
        assert watched.problems == []
        assert watched.charts() == watched.page.locator(".chart").count() >= 12
