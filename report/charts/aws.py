"""What CloudWatch counted in a run on AWS, minute by minute, on the time axis of the timeline."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from report.charts.chart import Chart, curve, look
from report.cloudwatch import BALANCER, FUNCTION, MINUTE_S, NODE, CloudWatch, Minutes
from report.findings import Findings
from report.measures import Floats

# Key, title, note, unit of the axis, namespace, and each metric with its name in the legend.
_CHARTS = (
    ("aws-concurrency", "Function concurrency", "environments busy at once, the highest of each minute", "environments",
     FUNCTION, (("ConcurrentExecutions", ""),)),
    ("aws-throttles", "Function errors and throttles", "per minute; a throttled invocation is refused", "per minute",
     FUNCTION, (("Errors", "errors"), ("Throttles", "throttles"))),
    ("aws-5xx", "5xx replies of the balancer", "per minute: its own (502, 503, 504) and those of the function",
     "per minute", BALANCER, (("HTTPCode_ELB_5XX_Count", "its own"), ("HTTPCode_Target_5XX_Count", "the function's"))),
    ("aws-cpu", "CPU by node", "of the whole node, the mean of each minute", "%", NODE, (("CPUUtilization", ""),)),
    ("aws-connections", "New connections by node", "per minute", "per minute", NODE, (("NewConnections", ""),)),
    ("aws-evictions", "Evictions by node", "keys removed because memory was full, per minute", "per minute", NODE,
     (("Evictions", ""),)),
)  # fmt: skip


def by_minute(findings: Findings) -> list[Chart]:
    """The charts for which CloudWatch has values."""
    metrics = CloudWatch(findings.run)
    charts: list[Chart] = []
    for key, title, note, unit, namespace, named in _CHARTS:
        lines = [
            (" ".join(filter(None, (thing, name))), metrics.minutes(namespace, thing, metric))
            for thing in metrics.things(namespace)
            for metric, name in named
        ]
        lines = [(name, minutes) for name, minutes in lines if len(minutes.values)]
        if lines:
            charts.append(_chart(key, title, note, unit, lines))
    return charts


def _chart(key: str, title: str, note: str, unit: str, lines: Sequence[tuple[str, Minutes]]) -> Chart:
    traces: list[dict[str, Any]] = []
    for place, (name, minutes) in enumerate(lines):
        traces.append(curve(name, *_steps(minutes), *look(place)))
    highest = "; ".join(f"{name} at most {minutes.values.max():g}" for name, minutes in lines)
    return Chart(key, title, note, f"{title} over time, {note}: {highest}.", traces,
                 {"yaxis": {"title": unit, "rangemode": "tozero"}})  # fmt: skip


def _steps(minutes: Minutes) -> tuple[Floats, Floats]:
    """A level over each minute, and nothing over a minute without a value."""
    ends = minutes.t_s + MINUTE_S
    x = np.column_stack([minutes.t_s, ends]).ravel()
    y = np.repeat(minutes.values, 2)
    gaps = (np.flatnonzero(np.diff(minutes.t_s) > 1.5 * MINUTE_S) + 1) * 2
    return np.insert(x, gaps, x[gaps - 1]), np.insert(y, gaps, np.nan)
