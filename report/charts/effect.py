"""What one reshard cost: its phase over the control, the placebo windows, single arrivals around the move."""

from typing import Any

import numpy as np

from contract.runread import Run
from report import measures
from report.charts.chart import Chart, line, log_axis, points, titles
from report.findings import Findings
from report.measures import Floats
from report.moves import PlayedMove
from report.stalls import SETTLE_S
from report.windows import MoveWindows

MOST_ARRIVALS = 4_000
"""Drawn in one chart: the slowest are drawn, and of the others as many as fit, evenly chosen."""
AROUND_S = 5.0
"""Drawn before the move's start and after its end."""


def pairs(findings: Findings) -> list[Chart]:
    """The reshard's phase over the control's, offset by offset."""
    windows = findings.windows
    if windows is None or windows.control is None:
        return []
    return [_pair(findings.run, windows, series) for series in ("response", *findings.run.timings)]


def _pair(run: Run, windows: MoveWindows, series: str) -> Chart:
    rows = np.flatnonzero(windows.control_row >= 0)
    twins = windows.control_row[rows]
    offset: Floats = run.seconds.t_s[rows].astype(np.float64) - windows.phase.start_s
    traces: list[dict[str, Any]] = []
    drawn: list[Floats] = []
    for stat, quantile, colour in (("p99", 0.99, "p99"), ("p50", 0.5, "p50")):
        values = measures.per_second_ms(run, series, quantile)
        drawn += [values[twins], values[rows]]
        traces.append(line(f"{stat} control", offset, values[twins], colour, "dot"))
        traces.append(line(f"{stat} reshard", offset, values[rows], colour))
    title, _ = titles(series)
    move = windows.move
    during = [_span(move, windows.phase.start_s, "real", "realEdge", "solid")]
    if windows.sham and windows.control:
        during.append(_span(windows.sham, windows.control.start_s, "rgba(0,0,0,0)", "shamEdge", "dot"))
    return Chart(
        f"pair-{series}",
        f"{title}: with the reshard, and its control",
        f"same offsets of {windows.phase.name!r} and {windows.control.name if windows.control else ''!r}",
        f"{title} at p50 and p99 of each second in the phase with the reshard and, dotted, in its control.",
        traces,
        {
            "yaxis": log_axis("ms", *drawn),
            "xaxis": {"title": "seconds from the start of the phase", "range": [0, windows.phase.duration_s]},
            "shapes": [shape for shape in during if shape],
        },
        on_timeline=False,
    )


def _span(move: PlayedMove, origin_s: float, fill: str, edge: str, dash: str) -> dict[str, Any] | None:
    if move.finished_s is None:
        return None
    return {
        "type": "rect", "xref": "x", "yref": "paper", "layer": "below", "y0": 0, "y1": 1, "fillcolor": fill,
        "x0": move.started_s - origin_s, "x1": move.finished_s - origin_s,
        "line": {"width": 1, "color": edge, "dash": dash},
    }  # fmt: skip


def placebo(findings: Findings) -> list[Chart]:
    """Each effect beside the same statistic of the windows in which no slot moved."""
    shown = [effect for effect in findings.effects if effect.placebo is not None and effect.effect is not None]
    if not shown:
        return []
    names = [f"{effect.series} {effect.stat}" for effect in reversed(shown)]
    values = np.concatenate([effect.placebo.values for effect in reversed(shown) if effect.placebo])
    labels = [
        name
        for name, effect in zip(names, reversed(shown), strict=True)
        for _ in range(len(effect.placebo.values) if effect.placebo else 0)
    ]
    effects = np.array([effect.effect for effect in reversed(shown)], dtype=np.float64)
    return [
        Chart(
            "placebo",
            "Effect and placebo distribution",
            "the same formula for windows of the same length, side by side, in which no slot moved",
            "The effect and the placebo values for each percentile of each series; the table above gives the numbers.",
            [
                points("windows without a reshard", values, labels, ("muted", "line-ns-open", 9)),
                points("the reshard", effects, names, ("p99", "diamond", 12)),
            ],
            {
                "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": names},
                "xaxis": {"title": "ms", "zeroline": True},
                "hovermode": "closest",
                "height": 120 + 26 * len(names),
            },
            on_timeline=False,
        )
    ]


def single_arrivals(findings: Findings) -> list[Chart]:
    """Response times of single arrivals around the move and around the sham, on one axis."""
    windows = findings.windows
    if windows is None or windows.move.finished_s is None or not len(findings.run.arrivals):
        return []
    traces: list[dict[str, Any]] = []
    drawn: list[Floats] = []
    for name, move, colour, symbol in (
        ("sham", windows.sham, "p50", "circle-open"),
        ("reshard", windows.move, "p99", "circle"),
    ):
        if move is None or move.finished_s is None:
            continue
        x, y = _single(findings.run, move)
        traces.append(points(name, x, y, (colour, symbol, 4)))
        drawn.append(y)
    length = windows.move.finished_s - windows.move.started_s
    shape = {
        "type": "rect", "xref": "x", "yref": "paper", "layer": "below", "y0": 0, "y1": 1, "fillcolor": "real",
        "x0": 0, "x1": length, "line": {"width": 1, "color": "realEdge", "dash": "solid"},
    }  # fmt: skip
    return [
        Chart(
            "single",
            "Single arrivals around the move",
            "response time by planned time; failed ones at the time limit",
            "Response times of single arrivals around the move of slots and around the sham; the table above gives the "
            "longest stall and the number of slow arrivals.",
            traces,
            {
                "yaxis": log_axis("ms", *drawn),
                "xaxis": {"title": "seconds from the first slot's move"},
                "hovermode": "closest",
                "shapes": [shape],
            },
            on_timeline=False,
        )
    ]


def _single(run: Run, move: PlayedMove) -> tuple[Floats, Floats]:
    kept = run.arrivals
    end = move.finished_s or move.started_s
    first, last = np.searchsorted(kept.planned_s, [move.started_s - AROUND_S, end + SETTLE_S + AROUND_S])
    planned = kept.planned_s[first:last]
    limit_s = run.time_limit_us / 1e6
    waited = np.where(kept.ok[first:last], kept.done_s[first:last] - planned, limit_s) * 1000
    known = np.isfinite(waited)
    planned, waited = planned[known], waited[known]
    if len(planned) > MOST_ARRIVALS:
        slowest = np.argpartition(waited, -MOST_ARRIVALS // 4)[-MOST_ARRIVALS // 4 :]
        even = np.linspace(0, len(planned) - 1, MOST_ARRIVALS * 3 // 4).astype(np.int64)
        chosen = np.unique(np.concatenate([slowest, even]))
        planned, waited = planned[chosen], waited[chosen]
    return planned - move.started_s, waited
