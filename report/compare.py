"""Two runs or more side by side: charts overlaid, a table of differences, and in what the runs were not alike."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contract.runread import mapping, read_run
from report import charts, document, measures, page, student, verdict
from report.charts import Chart, curve, line, log_axis, per_second
from report.charts_effect import percentile_steps
from report.document import Findings

SERIES = ("response", "connection", "write", "read")
LOOKS = (("p50", "solid"), ("p99", "dash"), ("p95", "dot"), ("fourth", "dashdot"), ("muted", "longdash"))
MOST_RUNS = len(LOOKS)
_ALIKE = (
    "where", "scale", "compress", "workers", "connection", "time_limit_s", "duration_s", "max_in_flight", "engine",
    "machine", "function", "cluster_medium", "versions", "settings",
)  # fmt: skip


class CompareError(ValueError):
    """Runs that cannot be compared; the message says why."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a name, a value per run, the differences to the first run, and its unit."""

    name: str
    values: list[float | None]
    differences: list[str]
    unit: str


@dataclass(frozen=True)
class Comparison:
    """What came out; `exit_code` is 2 when one of the runs is INVALID."""

    exit_code: int
    html: Path
    unlike: list[str]
    invalid: list[str]


def compare(folders: Sequence[Path], out: Path) -> Comparison:
    """Write the comparison of the runs into the file `out`.

    Raises:
        CompareError: fewer than two runs, or too many to tell apart.
        contract.runread.RunFolderError: a folder is no run folder.
    """
    if not 2 <= len(folders) <= MOST_RUNS:
        raise CompareError(f"compare takes 2 to {MOST_RUNS} runs, got {len(folders)}")
    found = [document.examine(read_run(folder)) for folder in folders]
    reports = [document.document(findings) for findings in found]
    for report in reports:
        report["verdict"] = verdict.sentences(report)
    names = _names(folders)
    unlike = differences_of_runs(found)
    invalid = [name for name, report in zip(names, reports, strict=True) if not report["valid"]]
    drawn = overlaid(found, names)
    rows = _rows(reports)
    cycles = _cycle_rows(found)
    out.write_text(
        page.render_comparison(
            names=names, reports=reports, unlike=unlike, invalid=invalid, drawn=drawn, rows=rows, cycles=cycles,
            shading=charts.shading(found[0]),
        ),
        encoding="utf-8",
    )  # fmt: skip
    return Comparison(2 if invalid else 0, out, unlike, invalid)


def _names(folders: Sequence[Path]) -> list[str]:
    """A letter and the folder's name each: the same folder may come twice."""
    return [f"{chr(ord('A') + place)}: {folder.resolve().name}" for place, folder in enumerate(folders)]


def differences_of_runs(found: Sequence[Findings]) -> list[str]:
    """Each setting in which the runs were not alike, with its values in order."""
    seen: dict[str, list[str]] = {}
    for place, findings in enumerate(found):
        for name, value in _facts(findings).items():
            seen.setdefault(name, ["not recorded"] * len(found))[place] = value
    return [f"{name}: {' | '.join(values)}" for name, values in seen.items() if len(set(values)) > 1]


def _facts(findings: Findings) -> dict[str, str]:
    run = findings.run
    profile = run.table("profile")
    facts = {
        "profile": str(profile.get("name", "unknown")),
        "arrivals": str(profile.get("arrivals", "unknown")),
        "phases": "; ".join(
            f"{phase.name} {phase.duration_s:g} s {phase.rate_from:g} to {phase.rate_to:g}/s" for phase in run.phases
        ),
    }
    for key in _ALIKE:
        value = run.meta.get(key)
        if isinstance(value, dict):
            facts |= {f"{key} {inner}": _fact(held) for inner, held in mapping(value).items()}
        elif value is not None:
            facts[key] = _fact(value)
    for key in ("from", "to", "migration"):
        if (value := run.table("reshard").get(key)) is not None:
            facts[f"reshard {key}"] = str(value)
    return facts


def _fact(value: object) -> str:
    """A value to be read and compared: a float to nine digits, for that is all that was ever meant."""
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def overlaid(found: Sequence[Findings], names: Sequence[str]) -> list[Chart]:
    """The charts of the runs over each other, on the time axis of the first."""
    drawn = [_load(found, names)]
    for stat, quantile in (("p50", 0.5), ("p99", 0.99)):
        drawn += [_latency(found, names, series, (stat, quantile)) for series in SERIES]
    drawn += [_percentiles(found, names, series) for series in SERIES]
    return [chart for chart in drawn if chart.traces]


def _load(found: Sequence[Findings], names: Sequence[str]) -> Chart:
    traces = [
        line(name, item.run.seconds.t_s.astype(np.float64), per_second(item.run, "ok"), *look)
        for item, name, look in zip(found, names, LOOKS, strict=False)
        if len(item.run.seconds)
    ]
    totals = ", ".join(f"{name} {int(item.run.seconds['ok'].sum()):,}" for item, name in zip(found, names, strict=True))
    return Chart(
        "load",
        "Good replies",
        "per planned second",
        f"Good replies per second of each run; in all: {totals}.",
        traces,
        {"yaxis": {"title": "per second", "rangemode": "tozero"}},
    )


def _latency(found: Sequence[Findings], names: Sequence[str], series: str, stat: tuple[str, float]) -> Chart:
    title, note = charts.TITLES[series]
    values = [measures.per_second_ms(item.run, series, stat[1]) for item in found]
    traces = [
        line(name, item.run.seconds.t_s.astype(np.float64), value, *look)
        for item, name, value, look in zip(found, names, values, LOOKS, strict=False)
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


def _percentiles(found: Sequence[Findings], names: Sequence[str], series: str) -> Chart:
    traces: list[dict[str, Any]] = []
    drawn: list[measures.Floats] = []
    most = 1
    for item, name, look in zip(found, names, LOOKS, strict=False):
        values = measures.merged(item.run, series, np.ones(len(item.run.seconds), dtype=np.bool_))
        if values.total >= 20:
            most = max(most, values.total)
            steps = percentile_steps(values.total)
            y = np.array([values.quantile_us(1 - 1 / step) / 1000 for step in steps])
            traces.append(curve(name, steps, y, *look))
            drawn.append(y)
    return Chart(
        f"{series}-percentiles",
        f"{charts.TITLES[series][0]} by percentile",
        "whole runs",
        f"{charts.TITLES[series][0]} by percentile for each run; the table gives the numbers.",
        traces,
        {"yaxis": log_axis("ms", *drawn), "xaxis": charts.percentile_axis(most)},
        on_timeline=False,
    )


def _rows(reports: Sequence[Mapping[str, Any]]) -> list[Row]:
    counts = [
        (name, [name], "") for name in ("offered", "ok", "failed", "missed", "unknown", "late", "redirects", "retries")
    ]
    audit = [(f"sessions {name}", ["audit", name], "") for name in ("checked", "missing", "different")]
    whole = [
        (f"{series} {stat}", ["latency", series, stat], "ms") for series in SERIES for stat in ("p50", "p99", "max")
    ]
    move = [("slots moved", ["reshard", "slots"], ""), ("slots moved in", ["reshard", "duration_ms"], "ms")]
    during = [
        (f"during the move: {series} {stat}", ["reshard", "during", "latency", series, stat], "ms")
        for series in SERIES
        for stat in ("p50", "p99")
    ]
    effect = [
        (f"{kind} on {series} {stat}", ["reshard", "effect", series, stat, f"{kind}_ms"], "ms")
        for kind in ("effect", "aftermath")
        for series in SERIES
        for stat in ("p50", "p99")
    ]
    stall = [
        ("longest stall", ["reshard", "stall", "stall_ms"], "ms"),
        ("slow arrivals", ["reshard", "stall", "slow"], ""),
    ]
    rows = [
        _row(name, [_at(report, keys) for report in reports], unit)
        for name, keys, unit in [*counts, *audit, *whole, *move, *during, *effect, *stall]
    ]
    return [row for row in rows if any(value is not None for value in row.values)]


def _at(report: Mapping[str, Any], keys: Sequence[str]) -> float | None:
    found: object = report
    for key in keys:
        found = mapping(found).get(key)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def _row(name: str, values: list[float | None], unit: str) -> Row:
    show: Callable[[float], str] = page.signed if unit else "{:+,.0f}".format
    differences: list[str] = []
    first = values[0]
    for value in values[1:]:
        if value is None or first is None:
            differences.append("")
            continue
        percent = f" ({(value - first) / abs(first):+.0%})" if first and abs(value / first) < 100 else ""
        differences.append(show(value - first) + percent)
    return Row(name, values, differences, unit)


def _cycle_rows(found: Sequence[Findings]) -> list[dict[str, str]]:
    """For runs of cycles: each effect with its interval, and the difference to the first run's with its own."""
    rows: list[dict[str, str]] = []
    base = {(effect.series, effect.stat, effect.direction): effect for effect in found[0].cycles}
    if not all(item.cycles for item in found):
        return rows
    for place, item in enumerate(found):
        for effect in item.cycles:
            interval = effect.interval
            if interval is None:
                continue
            row = {
                "run": chr(ord("A") + place), "series": effect.series, "stat": effect.stat,
                "direction": effect.direction or "all", "migration": effect.migration,
                "effect": _interval(interval), "difference": "",
            }  # fmt: skip
            other = base.get((effect.series, effect.stat, effect.direction))
            if place and other and other.interval:
                row["difference"] = _interval(student.difference(interval, other.interval))
            rows.append(row)
    return sorted(rows, key=lambda row: (row["series"], row["stat"], row["direction"], row["run"]))


def _interval(interval: student.Interval) -> str:
    if math.isnan(interval.estimate):
        return "-"
    return f"{page.signed(interval.estimate)} ({page.signed(interval.low)} to {page.signed(interval.high)})"
