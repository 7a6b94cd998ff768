"""Latency by percentile, as HdrHistogram plots it: the axis stretches towards 100 %."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from contract.runread import Run
from report import measures
from report.charts.chart import Chart, curve, log_axis, percentile_axis, titles
from report.findings import Findings
from report.measures import Floats

FEWEST_VALUES = 20
"""Fewer make no curve."""
_COLOURS = ("muted", "muted", "p95", "p99", "p50")
_DASHES = ("solid", "dot", "dash", "solid", "solid", "dashdot", "longdash")


def of_one_run(findings: Findings) -> list[Chart]:
    """The whole run, a curve a series."""
    run = findings.run
    shown = ("response", "service", *run.timings)
    curves = [
        (series, run, series, (_COLOURS[place % len(_COLOURS)], _DASHES[place % len(_DASHES)]))
        for place, series in enumerate(shown)
    ]
    chart = _chart(
        "percentiles",
        "Latency by percentile",
        "over the whole run; each line ends where fewer than ten values lie above it",
        f"Latency in milliseconds by percentile for {', '.join(shown[:-1])} and {shown[-1]}; the table gives "
        "the numbers.",
        curves,
    )
    return [chart] if chart.traces else []


def of_several_runs(runs: Sequence[Run], names: Sequence[str], series: str, looks: Sequence[tuple[str, str]]) -> Chart:
    """One series of whole runs, a curve a run."""
    return _chart(
        f"{series}-percentiles",
        f"{titles(series)[0]} by percentile",
        "whole runs",
        f"{titles(series)[0]} by percentile for each run; the table gives the numbers.",
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
