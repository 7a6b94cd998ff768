"""report.html: what the page of one run shows, section by section."""

import base64
from collections.abc import Mapping
from typing import Any

from report import headline, standalone, verdict
from report.charts import aws, cycles, effect, percentiles
from report.charts.chart import seconds_a_point
from report.charts.timeline import shading, timeline
from report.findings import Findings
from report.mechanism import explained

_SECTIONS = (
    ("trust", "Can it be trusted?"),
    ("selftest", "What the run says about itself"),
    ("timeline", "Timeline"),
    ("effect", "Before, during, after"),
    ("aws", "What AWS counted"),
    ("phases", "Phases"),
    ("failures", "Failures"),
    ("percentiles", "Percentiles"),
    ("run", "What was run"),
    ("definitions", "Definitions"),
)
_TABLES = (
    "engine", "reshard", "function", "versions", "machine", "settings", "clock", "generator_cpu", "cluster_medium",
    "substitutions",
)  # fmt: skip


def render(report: Mapping[str, Any], findings: Findings, png: bytes) -> str:
    """The page as text; `png` is the main chart for a reader without JavaScript."""
    state = verdict.state(report)
    groups = {
        "timeline": timeline(findings),
        "placebo_charts": effect.placebo(findings),
        "pair_charts": effect.pairs(findings),
        "single_charts": effect.single_arrivals(findings),
        "aws_charts": aws.by_minute(findings),
        "cycle_charts": cycles.by_block(findings),
        "percentile_charts": percentiles.of_one_run(findings),
    }
    return standalone.fill(
        "page.html.jinja",
        [chart for group in groups.values() for chart in group],
        shading(findings),
        report=report,
        headline=report["headline"] and headline.table(report["headline"]),
        headline_note=report["headline"] and headline.note(report["headline"]),
        judged=[verdict.judged(report, gate) for gate in report["gates"]],
        unusable="" if report["valid"] else "INVALID run: not usable",
        has_placebo=any(found.placebo for found in findings.effects),
        title=f"{report['id']}: {_subject(report)}",
        state=state,
        state_name=verdict.STATES[state],
        sections=[(key, name) for key, name in _SECTIONS if key != "aws" or "aws" in report],
        has_real=any(move.kind == "real" for move in findings.moves),
        has_sham=any(move.kind == "sham" for move in findings.moves),
        facts=_facts(report),
        seconds_a_point=seconds_a_point(len(findings.run.seconds)),
        picture=base64.b64encode(png).decode("ascii"),
        picture_alt="Offered and achieved load, and response, read and write times over the run",
        **groups,
    )


def _subject(report: Mapping[str, Any]) -> str:
    if report["cycles"]:
        return "moving slots again and again, against shams"
    if report["reshard"] is None:
        return "a run without a reshard"
    before, after = report["reshard"]["from"], report["reshard"]["to"]
    adding = isinstance(before, int) and isinstance(after, int) and after == before + 1
    return "what adding a shard did" if adding else "what the reshard did"


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was run, where and on what: a name and a value for each row of the table."""
    run: Mapping[str, Any] = report["run"]
    profile = run.get("profile")
    pairs: list[tuple[str, object]] = [
        ("run", report["id"]),
        ("where", report["where"]),
        ("started, ended", f"{run.get('started_at', 'unknown')}, {run.get('ended_at', 'unknown')} ({report['ended']})"),
        ("load", profile.get("name") if isinstance(profile, dict) else None),
        (
            "scale, compress, workers",
            ", ".join(str(run.get(key, "unknown")) for key in ("scale", "compress", "workers")),
        ),
        ("target", f"{run.get('host', 'unknown')}, {run.get('connection', 'unknown')} connections"),
        ("time limit", f"{run.get('time_limit_s', 'unknown')} s"),
    ]
    pairs.append(("how slots moved", explained(run.get("reshard")) or None))
    pairs += [(key.replace("_", " "), _flat(run[key])) for key in _TABLES if run.get(key)]
    return [(name, str(value)) for name, value in pairs if value is not None]


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_flat(inner) for inner in value)
    return str(value)
