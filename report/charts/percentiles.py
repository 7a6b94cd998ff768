"""Latency by percentile, as HdrHistogram plots it: the axis stretches towards 100 %."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from contract.runread import SERIES, Run
from report import measures
from report.charts.chart import TITLES, Chart, curve, log_axis, percentile_axis
from report.findings import Findings
from report.measures import Floats

FEWEST_VALUES = 20
"""Fewer make no curve."""


def of_one_run(findings: Findings) -> list[Chart]:
    """The whole run, a curve a series."""
    looks = {
        "response": ("muted", "solid"), "service": ("muted", "dot"), "connection": ("p95", "dash"),
        "write": ("p99", "solid"), "read": ("p50", "solid"),
    }  # fmt: skip
    curves = [(series, findings.run, series, looks[series]) for series in SERIES if series in looks]
    chart = _chart(
        "percentiles",
        "Latency by percentile",
        "over the whole run; each line ends where fewer than ten values lie above it",
        "Latency in milliseconds by percentile for response, service, connection, write and read; the table gives "
        "the numbers.",
        curves,
    )
    return [chart] if chart.traces else []


def of_several_runs(runs: Sequence[Run], names: Sequence[str], series: str, looks: Sequence[tuple[str, str]]) -> Chart:
    """One series of whole runs, a curve a run."""
    return _chart(
        f"{series}-percentiles",
        f"{TITLES[series][0]} by percentile",
        "whole runs",
        f"{TITLES[series][0]} by percentile for each run; the table gives the numbers.",
        [(name, run, series, look) for run, name, look in zip(runs, names, looks, strict=False)],
    )


def _chart(key: str, title: str, note: str, alt: str, curves: Sequence[tuple[str, Run, str, tuple[str, str]]]) -> Chart:
    """A curve for each name, run, series and look (colour, dash)."""
    traces: list[dict[str, Any]] = []
    drawn: list[Floats] = []
    most = 1
    for name, run, series, look in curves:
        values = measures.merged(run, series, np.ones(len(run.seconds), dtype=np.bool_))
        if values.total < FEWEST_VALUES:
            continue
        most = max(most, values.total)
        steps = _steps(values.total)
        latency_ms = np.array([values.quantile_us(1 - 1 / step) / 1000 for step in steps])
        traces.append(curve(name, steps, latency_ms, *look))
        drawn.append(latency_ms)
    layout = {"yaxis": log_axis("ms", *drawn), "xaxis": percentile_axis(most), "hovermode": "x unified"}
    return Chart(key, title, note, alt, traces, layout, on_timeline=False)


def _steps(total: int) -> Floats:
    """1 / (1 - percentile), evenly on the plot's axis, up to where ten values lie beyond."""
    return np.geomspace(1.0001, max(total / 10, 2.0), 200)
