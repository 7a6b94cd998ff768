"""The tables of a comparison: each figure of the runs with its difference to the first run's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.runread import mapping
from report import student
from report.findings import Findings
from report.formats import change, signed
from report.inference import Conclusion


@dataclass(frozen=True)
class FigureRow:
    """One line of the table: a name, a value per run, the differences to the first run, and its unit."""

    name: str
    values: list[float | None]
    differences: list[str]
    unit: str


def figure_rows(reports: Sequence[Mapping[str, Any]], shown: Sequence[str]) -> list[FigureRow]:
    """One row a figure, latencies of the `shown` series; figures that no run has are left out."""
    counts = [
        (name, [name], "") for name in ("offered", "ok", "failed", "missed", "unknown", "late", "redirects", "retries")
    ]
    audit = [(f"sessions {name}", ["audit", name], "") for name in ("checked", "missing", "different")]
    whole = [
        (f"{series} {stat}", ["latency", series, stat], "ms") for series in shown for stat in ("p50", "p99", "max")
    ]
    move = [("slots moved", ["reshard", "slots"], ""), ("slots moved in", ["reshard", "duration_ms"], "ms")]
    during = [
        (f"during the move: {series} {stat}", ["reshard", "during", "latency", series, stat], "ms")
        for series in shown
        for stat in ("p50", "p99")
    ]
    effect = [
        (f"{kind} on {series} {stat}", ["reshard", "effect", series, stat, f"{kind}_ms"], "ms")
        for kind in ("effect", "aftermath")
        for series in shown
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
    value: object = report
    for key in keys:
        value = mapping(value).get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _row(name: str, values: list[float | None], unit: str) -> FigureRow:
    show: Callable[[float], str] = signed if unit else "{:+,.0f}".format
    differences: list[str] = []
    first = values[0]
    for value in values[1:]:
        if value is None or first is None:
            differences.append("")
            continue
        percent = f" ({(value - first) / abs(first):+.0%})" if first and abs(value / first) < 100 else ""
        differences.append(show(value - first) + percent)
    return FigureRow(name, values, differences, unit)


def cycle_rows(runs: Sequence[Findings]) -> list[dict[str, str]]:
    """For runs of cycles: the mean of each outcome's d with its interval, and the difference to the first run's.

    An INVALID run's effect is not shown, and neither is a difference of estimates that have no interval.
    """
    rows: list[dict[str, str]] = []
    found = [findings.cycles for findings in runs]
    base = {} if found[0] is None or runs[0].reasons else {outcome.name: outcome for outcome in found[0].outcomes}
    for place, (findings, cycles) in enumerate(zip(runs, found, strict=True)):
        if cycles is None:
            return []
        for outcome in cycles.outcomes:
            interval, other = outcome.conclusion.interval, base.get(outcome.name)
            row = {
                "run": chr(ord("A") + place), "name": outcome.name, "migration": cycles.migration,
                "effect": "INVALID" if findings.reasons else _effect(outcome.conclusion, outcome.unit),
                "difference": "",
            }  # fmt: skip
            if place and interval and other and other.conclusion.interval and not findings.reasons:
                between = student.difference(interval, other.conclusion.interval)
                row["difference"] = _interval(between, outcome.unit)
            rows.append(row)
    return sorted(rows, key=lambda row: (row["name"], row["run"]))


def _effect(found: Conclusion, unit: str) -> str:
    return change(found.estimate, unit) if found.interval is None else _interval(found.interval, unit)


def _interval(interval: student.Interval, unit: str) -> str:
    return f"{change(interval.estimate, unit)} ({change(interval.low, unit, to=interval.high)})"
