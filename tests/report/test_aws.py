"""The report of a run on AWS: what CloudWatch counted by minute, and the cost."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from contract.runread import read_run
from report import build
from report.charts.aws import by_minute
from report.findings import examine
from tests.report.test_report import HOSTILE, holds_to_the_schema
from tools import synthetic, synthetic_aws
from tools.synthetic_aws import ON_AWS


@pytest.fixture(scope="module")
def aws_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on AWS with trouble in its seventh minute."""
    run = synthetic.write(tmp_path_factory.mktemp("runs") / "20261122T151100Z-aws", ON_AWS)
    synthetic_aws.write_metrics(run)
    return run


def test_what_cloudwatch_counted_is_told_by_thing(aws_run: Path) -> None:
    """Counts are summed and levels are maxima over the run; a minute without a 5xx has none, not an unknown number."""
    result = build(aws_run, [])
    holds_to_the_schema(json.loads((aws_run / "report.json").read_text(encoding="utf-8")))
    aws = result.report["aws"]
    assert aws["functions"] == [
        {"name": "dev-session", "invocations": 24_000, "errors": 3, "throttles": 12, "concurrency_max": 11,
         "duration_mean_ms": 4.5}
    ]  # fmt: skip
    assert aws["balancers"] == [
        {"name": "app/dev-alb/50dc6c495c0c9188", "requests": 24_000, "new_connections": 24_000, "balancer_5xx": 5,
         "target_5xx": 0}
    ]  # fmt: skip
    assert [node["name"] for node in aws["nodes"]] == [
        "dev-0001-001", "dev-0001-002", "dev-0002-001", "dev-0002-002",
    ]  # fmt: skip
    assert aws["nodes"][0] == {
        "name": "dev-0001-001", "cpu_max_percent": 37, "new_connections": 24_000, "evictions": 40, "swap_max_bytes": 0,
    }  # fmt: skip
    assert result.exit_code == 0


def test_the_page_shows_each_metric_by_minute_and_the_cost(aws_run: Path) -> None:
    """A chart for concurrency, throttles, 5xx, CPU, connections and evictions, with its highest minute in words."""
    page = build(aws_run, []).html.read_text(encoding="utf-8")
    words = {chart.key: chart.alt for chart in by_minute(examine(read_run(aws_run)))}
    assert list(words) == [
        "aws-concurrency", "aws-throttles", "aws-5xx", "aws-cpu", "aws-connections", "aws-evictions",
    ]  # fmt: skip
    assert all(f'id="chart-{key}"' in page for key in words)
    assert "dev-session throttles at most 12" in words["aws-throttles"]
    assert "app/dev-alb/50dc6c495c0c9188 its own at most 5" in words["aws-5xx"]
    assert "dev-0001-001 at most 37" in words["aws-cpu"]
    assert "About $1.23 for 1.05 hours of the stack ($1.10 an hour)" in page
    assert "price list gave no price: X-Ray" in page


def test_a_minute_that_cloudwatch_lacks_is_a_gap(aws_run: Path, tmp_path: Path) -> None:
    """No line is drawn over a minute whose value is unknown."""
    run = synthetic.write(tmp_path / "gap", replace(ON_AWS, moves=()))
    text = (aws_run / "metrics.jsonl").read_text(encoding="utf-8")
    (run / "metrics.jsonl").write_text(
        "".join(line for line in text.splitlines(keepends=True) if json.loads(line)["t_s"] != 98.5), encoding="utf-8"
    )
    whole, gap = (
        {chart.key: chart for chart in by_minute(examine(read_run(folder)))}["aws-concurrency"]
        for folder in (aws_run, run)
    )
    missing = unpacked(gap.traces[0]["y"])
    assert missing.count(None) == 1
    assert unpacked(whole.traces[0]["y"]).count(None) == 0
    assert len(missing) == 2 * 7 + 1


def unpacked(values: dict[str, str]) -> list[int | None]:
    """Whole numbers of two bytes, the highest standing for none, as the page's script reads them."""
    assert values["kind"] == "u2"
    numbers = memoryview(base64.b64decode(values["data"])).cast("H").tolist()
    return [None if value == 65_535 else value for value in numbers]


@pytest.mark.parametrize(
    "line",
    ["{}", '{"t_s": 1, "metric": "Errors", "value": 1}', '{"t_s": 1e300, "metric": "Errors", "value": 1}', "[]", "{"],
)
def test_a_line_that_cannot_be_used_is_told(tmp_path: Path, line: str) -> None:
    """A metric without a time, a thing or a value is left out, and the run is INVALID for what it lacks."""
    run = synthetic.write(tmp_path / "run", replace(ON_AWS, moves=()))
    (run / "metrics.jsonl").write_text(line + "\n", encoding="utf-8")
    result = build(run, [])
    assert any("metrics.jsonl: 1 " in reason for reason in result.reasons)


def test_names_and_prices_from_outside_stay_text(tmp_path: Path) -> None:
    """A node or a price line with HTML in its name never becomes an element, and a cost of wrong types is no crash."""
    cost = {"usd": "much", "unknown": [HOSTILE], "lines": [{"item": HOSTILE, "price_usd": []}, 7], "hours": None}
    run = synthetic.write(tmp_path / "hostile", replace(ON_AWS, moves=(), run={"where": "aws", "cost": cost}))
    for t_s in (0, 60):
        row = {"t_s": t_s, "namespace": "AWS/ElastiCache", "metric": "Evictions", "value": 1}
        synthetic.append_line(run, "metrics.jsonl", {**row, "dimensions": {"CacheClusterId": HOSTILE}})
    page = build(run, []).html.read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;/script&gt;" in page


def test_only_a_run_on_aws_has_the_section(tmp_path: Path) -> None:
    """A rehearsal's report neither has the section nor a link to it."""
    result = build(synthetic.write(tmp_path / "run", replace(synthetic.Synthetic(), moves=())), [])
    assert "aws" not in result.report
    assert "What AWS counted" not in result.html.read_text(encoding="utf-8")
