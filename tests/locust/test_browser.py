"""The web UI in a real browser: start, see the numbers move in the Arrivals tab, stop, start again otherwise."""

import os
import re
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.locust.swarm import Written, counted, counting_server, swarm

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Pictures for the docs are kept only when asked for: SCREENSHOTS=docs/images pytest tests/locust/test_browser.py
SCREENSHOTS = os.environ.get("SCREENSHOTS")


@pytest.fixture
def page(tmp_path: Path) -> Generator[Page]:
    """A headless Chromium's page."""
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / "chromium"),
            executable_path=CHROMIUM,
            headless=True,
            args=ARGUMENTS,
            viewport={"width": 1440, "height": 1000},
        )
        yield context.pages[0]
        context.close()


def keep(page: Page, name: str) -> None:
    """A picture for the docs."""
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(600)  # animations
        page.screenshot(full_page=True, path=str(Path(SCREENSHOTS) / f"{name}.png"))


def rows(page: Page) -> list[list[str]]:
    """The cells of the table that is shown."""
    return [row.locator("td").all_inner_texts() for row in page.locator("table tbody tr").all()]


def figures(page: Page, scope: str, latency: str) -> list[str]:
    """p50, p90, p95, p99 and max of one line of the Arrivals tab."""
    for row in rows(page):
        if row and row[0] == scope and row[6].startswith(latency):
            return row[7:12]
    return []


def test_a_user_starts_watches_stops_and_starts_again(page: Page, tmp_path: Path) -> None:
    """What a person does in the UI works, and the tab's numbers are the run's."""
    with counting_server() as url, swarm(tmp_path, url, "--load-profile", "short", workers=2) as it:
        page.goto(f"http://127.0.0.1:{it.web_port}/")
        host = page.get_by_label("Host", exact=False).first
        expect(host).to_have_value(f"{url}/")
        page.get_by_text("Custom parameters").click()
        run_dir = page.get_by_label("Run Dir", exact=False)
        run_dir.fill("")
        keep(page, "start-form")
        run_dir.fill(str(it.run_dir))
        scale = page.get_by_label("Load Scale", exact=False)
        scale.fill("many")
        page.get_by_role("button", name=re.compile("^start", re.IGNORECASE)).click()
        expect(page.get_by_text("load scale 'many': must be a number above 0", exact=False)).to_be_visible()

        scale.fill("4")
        page.get_by_role("button", name=re.compile("^start", re.IGNORECASE)).click()
        page.get_by_role("tab", name="Arrivals").click()
        expect(page.locator("table")).to_contain_text("Last 10 seconds", timeout=20_000)
        it.wait_second(6.0)
        page.wait_for_timeout(2500)
        first = rows(page)
        assert first[0][0] == "Whole run (running)"
        lag = figures(page, "Last 10 seconds", "Send lag")
        assert lag, first
        assert all(re.fullmatch(r"\d+\.\d{3}", cell) for cell in lag)
        assert figures(page, "Last 10 seconds", "Cache: connection")[0] == "3.101"
        keep(page, "arrivals-tab")
        page.wait_for_timeout(3000)
        assert int(rows(page)[0][2].replace(",", "")) > int(first[0][2].replace(",", ""))  # the numbers move

        page.get_by_role("tab", name="Statistics").click()
        expect(page.locator("table")).to_contain_text("connection")
        keep(page, "statistics")
        page.get_by_role("tab", name="Charts").click()
        page.wait_for_timeout(1000)
        keep(page, "charts")
        page.get_by_role("button", name=re.compile("^stop", re.IGNORECASE)).click()
        it.wait_state("stopped")
        stopped = Written(it.run_dir)
        assert stopped.run["scale"] == 4
        assert stopped.total("ok") == stopped.total("offered") == counted(url)

        page.get_by_role("button", name=re.compile("^new", re.IGNORECASE)).click()
        page.get_by_text("Custom parameters").click()
        page.get_by_label("Load Compress", exact=False).fill("5")
        page.get_by_label("Load Scale", exact=False).fill("1")
        page.get_by_label("Host", exact=False).first.fill(f"{url}/again")
        page.get_by_role("button", name=re.compile("^start", re.IGNORECASE)).click()
        it.wait_state("finished")
        second = Written(it.run_dir.with_name("run-2"))
        assert (second.run["host"], second.run["scale"], second.run["compress"]) == (f"{url}/again", 1, 5)
        assert second.total("ok") == second.total("offered") == 180
