"""report.html: one file that works from a mail attachment, with nothing loaded from anywhere.

Text of the run folder comes from outside. It reaches the page only through the template's escaping, and the page's
security policy lets no script run but the three written here, each named by its hash.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from report import charts, charts_effect, verdict
from report.document import Findings

_HERE = Path(__file__).resolve().parent
_MARKS = {
    "pass": "✓ pass",
    "warn": "! note",
    "fail": "✗ fail",
    "unknown": "? unknown",
    "passed": "✓ held",
    "failed": "✗ failed",
}
_SECTIONS = (
    ("trust", "Can it be trusted?"),
    ("timeline", "Timeline"),
    ("effect", "Before, during, after"),
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
_NONE = "-"


def render(report: Mapping[str, Any], found: Findings, timeline: Sequence[charts.Chart], png: bytes) -> str:
    """The page as text."""
    state = verdict.state(report)
    groups = {
        "timeline": timeline,
        "placebo_charts": charts_effect.placebo(found),
        "pair_charts": charts_effect.pairs(found),
        "single_charts": charts_effect.single_arrivals(found),
        "cycle_charts": charts_effect.cycle_charts(found),
        "percentile_charts": charts_effect.percentiles(found),
    }
    drawn = [chart for group in groups.values() for chart in group]
    data = as_script_data(chart_data(drawn, charts.shading(found)))
    return _fill(
        "page.html.jinja",
        data,
        report=report,
        title=f"{report['id']}: {_subject(report)}",
        state=state,
        state_name=verdict.STATES[state],
        sections=_SECTIONS,
        has_real=any(move.kind == "real" for move in found.moves),
        has_sham=any(move.kind == "sham" for move in found.moves),
        facts=facts(report),
        each=charts.seconds_a_point(len(found.run.seconds)),
        picture=base64.b64encode(png).decode("ascii"),
        picture_alt="Offered and achieved load, and response, read and write times over the run",
        **groups,
    )


def render_comparison(
    *, names: Sequence[str], reports: Sequence[Mapping[str, Any]], drawn: Sequence[charts.Chart], **more: Any
) -> str:
    """The page of `compare`."""
    data = as_script_data(chart_data(drawn, more.pop("shading")))
    return _fill(
        "compare.html.jinja", data, title=f"{len(names)} runs compared", names=names, drawn=drawn,
        runs=list(zip(names, reports, strict=True)), **more,
    )  # fmt: skip


def _fill(template: str, data: str, **values: Any) -> str:
    """A template with the page's style, data, library and script."""
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    values |= {
        "policy": policy([data, plotly(), script]),
        "css": Markup((_HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - the project's own file
        "data": Markup(data),  # noqa: S704 - JSON with every < written as an escape
        "plotly": Markup(plotly()),  # noqa: S704 - the library's own file
        "script": Markup(script),  # noqa: S704 - the project's own file
    }
    return _environment().get_template(template).render(values)


def chart_data(drawn: Sequence[charts.Chart], shading: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's script draws. Numbers that several lines share, the seconds above all, are held once."""
    arrays: dict[str, int] = {}
    held: list[object] = []

    def shared(value: object) -> object:
        if isinstance(value, list):
            return [shared(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if value.keys() != {"kind", "step", "data"}:
            return {key: shared(inner) for key, inner in value.items()}
        key = f"{value['kind']} {value['step']} {value['data']}"
        if key not in arrays:
            arrays[key] = len(held)
            held.append(value)
        return {"array": arrays[key]}

    return {"charts": [shared(chart.as_json()) for chart in drawn], "shading": shading, "arrays": held}


def as_script_data(value: object) -> str:
    """JSON that can stand inside a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(scripts: Sequence[str]) -> str:
    """A content security policy under which only these scripts run, and nothing is fetched."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'" for script in scripts
    )
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


@cache
def plotly() -> str:
    """plotly.js as the package ships it."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - 0.2 s that a usage error need not wait for

    return str(get_plotlyjs())


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=False,
    )
    environment.filters["ms"] = milliseconds
    environment.filters["signed"] = signed
    environment.filters["mark"] = _mark
    environment.filters["quantity"] = quantity
    return environment


def _mark(state: str) -> str:
    return _MARKS.get(state, state)


def milliseconds(value: object) -> str:
    """A latency for a table: three decimals below 10 ms, fewer above; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NONE
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def signed(value: object) -> str:
    """A difference of latencies, with its sign."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NONE
    return f"+{milliseconds(value)}" if value >= 0 else milliseconds(value)


def quantity(value: object, unit: str) -> str:
    """A gate's side: a time in ms, or a plain number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NONE
    return f"{milliseconds(value)} ms" if unit else f"{value:,.6g}"


def _subject(report: Mapping[str, Any]) -> str:
    if report["cycles"]:
        return "moving slots again and again, against shams"
    if report["reshard"] is None:
        return "a run without a reshard"
    before, after = report["reshard"]["from"], report["reshard"]["to"]
    adding = isinstance(before, int) and isinstance(after, int) and after == before + 1
    return "what adding a shard did" if adding else "what the reshard did"


def facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Section 8 as pairs: what was run, where, on what."""
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
    pairs += [(key.replace("_", " "), _flat(run[key])) for key in _TABLES if run.get(key)]
    return [(name, str(value)) for name, value in pairs if value is not None]


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(_flat(inner) for inner in value)
    return str(value)
