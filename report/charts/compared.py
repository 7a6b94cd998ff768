"""The charts of several runs laid over each other, on the time axis of the first."""

from collections.abc import Sequence

import numpy as np

from report import measures
from report.charts import percentiles
from report.charts.chart import LOOKS, Chart, line, log_axis, titles
from report.charts.timeline import per_second
from report.findings import Findings


def series_of(runs: Sequence[Findings]) -> tuple[str, ...]:
    """The series that are compared: the application's timings that all of the runs have."""
    first, *others = (findings.run for findings in runs)
    return ("response", *(timing for timing in first.timings if all(timing in run.timings for run in others)))


def overlaid(runs: Sequence[Findings], names: Sequence[str]) -> list[Chart]:
    """The charts of the runs over each other, on the time axis of the first."""
    shown = series_of(runs)
    drawn = [_load(runs, names)]
    for stat, quantile in (("p50", 0.5), ("p99", 0.99)):
        drawn += [_latency(runs, names, series, (stat, quantile)) for series in shown]
    drawn += [
        percentiles.of_several_runs([findings.run for findings in runs], names, series, LOOKS) for series in shown
    ]
    return [chart for chart in drawn if chart.traces]


def _load(runs: Sequence[Findings], names: Sequence[str]) -> Chart:
    traces = [
        line(name, findings.run.seconds.t_s.astype(np.float64), per_second(findings.run, "ok"), *look)
        for findings, name, look in zip(runs, names, LOOKS, strict=False)
        if len(findings.run.seconds)
    ]
    totals = ", ".join(
        f"{name} {int(findings.run.seconds['ok'].sum()):,}" for findings, name in zip(runs, names, strict=True)
    )
    return Chart(
        "load",
        "Good replies",
        "per planned second",
        f"Good replies per second of each run; in all: {totals}.",
        traces,
        {"yaxis": {"title": "per second", "rangemode": "tozero"}},
    )


def _latency(runs: Sequence[Findings], names: Sequence[str], series: str, stat: tuple[str, float]) -> Chart:
    title, note = titles(series)
    values = [measures.per_second_ms(findings.run, series, stat[1]) for findings in runs]
    traces = [
        line(name, findings.run.seconds.t_s.astype(np.float64), value, *look)
        for findings, name, value, look in zip(runs, names, values, LOOKS, strict=False)
        if np.isfinite(value).any()
    ]
    said = ", ".join(
        f"{name} {np.nanmedian(value):.3f} ms"
        for name, value in zip(names, values, strict=True)
        if np.isfinite(value).any()
    )
    return Chart(
        f"{series}-{stat[0]}",
        f"{title}, {stat[0]} of each second",
        note,
        f"{title} at {stat[0]} over time for each run; the median second: {said}.",
        traces,
        {"yaxis": log_axis("ms", *values)},
    )
