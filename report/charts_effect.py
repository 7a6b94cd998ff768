"""The charts of sections 4 and 7: the pairs, the placebo, single arrivals around the move, cycles, percentiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.runread import SERIES, Run
from report import cycles, measures
from report.charts import TITLES, Chart, curve, line, log_axis, packed, percentile_axis
from report.document import Findings
from report.stalls import SETTLE_S
from report.windows import Comparison, Move

Floats = npt.NDArray[np.float64]

MOST_POINTS = 4_000
"""Of the single arrivals: the slowest are drawn, and of the others as many as fit, evenly chosen."""
AROUND_S = 5.0
"""Drawn before the move's start and after its end."""


def pairs(found: Findings) -> list[Chart]:
    """The reshard's phase over the control's, offset by offset."""
    comparison = found.comparison
    if comparison is None or comparison.control is None:
        return []
    return [_pair(found.run, comparison, series) for series in ("response", "connection", "write", "read")]


def _pair(run: Run, comparison: Comparison, series: str) -> Chart:
    rows = np.flatnonzero(comparison.control_row >= 0)
    twins = comparison.control_row[rows]
    offset: Floats = run.seconds.t_s[rows].astype(np.float64) - comparison.phase.start_s
    traces: list[dict[str, Any]] = []
    drawn: list[Floats] = []
    for stat, quantile, colour in (("p99", 0.99, "p99"), ("p50", 0.5, "p50")):
        values = measures.per_second_ms(run, series, quantile)
        drawn += [values[twins], values[rows]]
        traces.append(line(f"{stat} control", offset, values[twins], colour, "dot"))
        traces.append(line(f"{stat} reshard", offset, values[rows], colour))
    title, _ = TITLES[series]
    move = comparison.move
    during = [_span(move, comparison.phase.start_s, "real", "realEdge", "solid")]
    if comparison.sham and comparison.control:
        during.append(_span(comparison.sham, comparison.control.start_s, "rgba(0,0,0,0)", "shamEdge", "dot"))
    return Chart(
        f"pair-{series}",
        f"{title}: with the reshard, and its control",
        f"same offsets of {comparison.phase.name!r} and {comparison.control.name if comparison.control else ''!r}",
        f"{title} at p50 and p99 of each second in the phase with the reshard and, dotted, in its control.",
        traces,
        {
            "yaxis": log_axis("ms", *drawn),
            "xaxis": {"title": "seconds from the start of the phase", "range": [0, comparison.phase.duration_s]},
            "shapes": [shape for shape in during if shape],
        },
        on_timeline=False,
    )


def _span(move: Move, origin_s: float, fill: str, edge: str, dash: str) -> dict[str, Any] | None:
    if move.finished_s is None:
        return None
    return {
        "type": "rect", "xref": "x", "yref": "paper", "layer": "below", "y0": 0, "y1": 1, "fillcolor": fill,
        "x0": move.started_s - origin_s, "x1": move.finished_s - origin_s,
        "line": {"width": 1, "color": edge, "dash": dash},
    }  # fmt: skip


def placebo(found: Findings) -> list[Chart]:
    """Each effect beside the same statistic of the windows in which nothing happened."""
    shown = [effect for effect in found.effects if effect.placebo is not None and effect.effect is not None]
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
            "the effect's own formula for every window of the same length in which no slot moved",
            "The effect and the placebo values for each percentile of each series; the table above gives the numbers.",
            [
                _points("windows without a reshard", values, labels, ("muted", "line-ns-open", 9)),
                _points("the reshard", effects, names, ("p99", "diamond", 12)),
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


def _points(name: str, x: Floats, y: Sequence[str] | Floats, look: tuple[str, str, int]) -> dict[str, Any]:
    """Markers in a look: colour, symbol, size."""
    colour, symbol, size = look
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": packed(x),
        "y": packed(y) if isinstance(y, np.ndarray) else list(y),
        "marker": {"color": colour, "symbol": symbol, "size": size},
    }


def single_arrivals(found: Findings) -> list[Chart]:
    """Response times of single arrivals around the move and around the sham, on one axis."""
    comparison = found.comparison
    if comparison is None or comparison.move.finished_s is None or not len(found.run.arrivals):
        return []
    traces: list[dict[str, Any]] = []
    drawn: list[Floats] = []
    for name, move, colour, symbol in (
        ("sham", comparison.sham, "p50", "circle-open"),
        ("reshard", comparison.move, "p99", "circle"),
    ):
        if move is None or move.finished_s is None:
            continue
        x, y = _single(found.run, move)
        traces.append(_points(name, x, y, (colour, symbol, 4)))
        drawn.append(y)
    length = comparison.move.finished_s - comparison.move.started_s
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


def _single(run: Run, move: Move) -> tuple[Floats, Floats]:
    kept = run.arrivals
    end = move.finished_s or move.started_s
    first, last = np.searchsorted(kept.planned_s, [move.started_s - AROUND_S, end + SETTLE_S + AROUND_S])
    planned = kept.planned_s[first:last]
    limit_s = run.time_limit_us / 1e6
    waited = np.where(kept.ok[first:last], kept.done_s[first:last] - planned, limit_s) * 1000
    known = np.isfinite(waited)
    planned, waited = planned[known], waited[known]
    if len(planned) > MOST_POINTS:
        slowest = np.argpartition(waited, -MOST_POINTS // 4)[-MOST_POINTS // 4 :]
        even = np.linspace(0, len(planned) - 1, MOST_POINTS * 3 // 4).astype(np.int64)
        chosen = np.unique(np.concatenate([slowest, even]))
        planned, waited = planned[chosen], waited[chosen]
    return planned - move.started_s, waited


def cycle_charts(found: Findings) -> list[Chart]:
    """Each effect with its interval, and the moves behind it."""
    shown = [effect for effect in found.cycles if effect.interval is not None]
    if not shown:
        return []
    directions = list(dict.fromkeys(effect.direction for effect in shown))
    looks = (("p99", "diamond"), ("p50", "circle"), ("p95", "square"), ("fourth", "triangle-up"))
    charts: list[Chart] = []
    for stat in ("p50", "p99"):
        shown_directions = [direction or "all moves" for direction in reversed(directions)]
        names = [f"{series}, {way}" for series in reversed(cycles.SERIES) for way in shown_directions]
        traces: list[dict[str, Any]] = []
        for place, direction in enumerate(directions):
            colour, symbol = looks[place % len(looks)]
            rows = [effect for effect in shown if effect.direction == direction and effect.stat == stat]
            middle = np.array([effect.interval.estimate for effect in rows if effect.interval])
            high = np.array([effect.interval.high for effect in rows if effect.interval])
            label = direction or "all moves"
            trace = _points(label, middle, [f"{effect.series}, {label}" for effect in rows], (colour, symbol, 9))
            trace["error_x"] = {"type": "data", "array": packed(high - middle), "color": colour, "thickness": 2}
            traces.append(trace)
        charts.append(
            Chart(
                f"cycles-{stat}",
                f"Effect on {stat}, with 95 % intervals",
                "real moves less shams; over all moves, and each direction by itself",
                f"Effect on the {stat} of each series with its 95 % interval; the table gives the numbers.",
                traces,
                {
                    "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": names},
                    "xaxis": {"title": "ms", "zeroline": True, "rangemode": "tozero"},
                    "hovermode": "closest",
                    "height": 120 + 22 * len(names),
                },
                on_timeline=False,
            )
        )
    return charts


def percentiles(found: Findings) -> list[Chart]:
    """The whole run by percentile, as HdrHistogram plots it: the axis stretches towards 100 %."""
    run = found.run
    everything = np.ones(len(run.seconds), dtype=np.bool_)
    looks = {
        "response": ("muted", "solid"), "service": ("muted", "dot"), "connection": ("p95", "dash"),
        "write": ("p99", "solid"), "read": ("p50", "solid"),
    }  # fmt: skip
    traces: list[dict[str, Any]] = []
    drawn: list[Floats] = []
    most = 1
    for series in (name for name in SERIES if name in looks):
        values = measures.merged(run, series, everything)
        if values.total < 20:
            continue
        most = max(most, values.total)
        steps = percentile_steps(values.total)
        y = np.array([values.quantile_us(1 - 1 / step) / 1000 for step in steps])
        colour, dash = looks[series]
        traces.append(curve(series, steps, y, colour, dash))
        drawn.append(y)
    if not traces:
        return []
    return [
        Chart(
            "percentiles",
            "Latency by percentile",
            "over the whole run; each line ends where fewer than ten values are left to tell it",
            "Latency in milliseconds by percentile for response, service, connection, write and read; the table gives "
            "the numbers.",
            traces,
            {
                "yaxis": log_axis("ms", *drawn),
                "xaxis": percentile_axis(most),
                "hovermode": "x unified",
            },
            on_timeline=False,
        )
    ]


def percentile_steps(total: int) -> Floats:
    """1 / (1 - percentile), evenly on the plot's axis, up to where ten values lie beyond."""
    return np.geomspace(1.0001, max(total / 10, 2.0), 200)
