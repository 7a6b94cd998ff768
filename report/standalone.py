"""A page in one file that works from a mail attachment: template, style, data, plotly.js and script, nothing loaded.

Text of the run folder comes from outside. It reaches the page only through the template's escaping, and the charts only
through `_chart_data`. The page's security policy lets no script run but the three written here, each named by its hash.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from report import escapes, formats
from report.charts.chart import Chart
from report.measures import P99_SAMPLES

_TEMPLATES = Path(__file__).resolve().parent / "templates"


def fill(template: str, charts: Sequence[Chart], shading: Mapping[str, Any], **values: Any) -> str:
    """The page of a template, with the charts that its script draws."""
    data = escapes.script_data(_chart_data(charts, shading))
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    values |= {
        "p99_samples": P99_SAMPLES,
        "policy": _policy([data, _plotly(), script]),
        "css": Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - the project's own file
        "data": Markup(data),  # noqa: S704 - JSON with every < written as an escape
        "plotly": Markup(_plotly()),  # noqa: S704 - the library's own file
        "script": Markup(script),  # noqa: S704 - the project's own file
    }
    return _environment().get_template(template).render(values)


def _chart_data(charts: Sequence[Chart], shading: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's script draws. Numbers that several lines share, the seconds above all, are held once."""
    arrays: dict[str, int] = {}
    held: list[object] = []

    def shared(value: object) -> object:
        if isinstance(value, str):
            return escapes.chart_label(value)
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

    return {"charts": [shared(chart.as_json()) for chart in charts], "shading": shared(shading), "arrays": held}


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy under which only these scripts run, and nothing is fetched."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'" for script in scripts
    )
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


@cache
def _plotly() -> str:
    """plotly.js as the package ships it."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - 0.2 s that a usage error need not wait for

    return str(get_plotlyjs())


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=escapes.in_template,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=False,
    )
    environment.filters["ms"] = formats.milliseconds
    environment.filters["signed"] = formats.signed
    environment.filters["dollars"] = formats.dollars
    environment.filters["mark"] = formats.mark
    environment.filters["quantity"] = formats.quantity
    environment.filters["change"] = formats.change
    environment.filters["p_value"] = formats.p_value
    return environment
