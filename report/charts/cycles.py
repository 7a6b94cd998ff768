"""What many moves cost: each effect with its interval, over all moves and by direction."""

from typing import Any

import numpy as np

from report.charts.chart import Chart, packed, points
from report.effect import series_of
from report.findings import Findings


def effects_by_direction(findings: Findings) -> list[Chart]:
    """Each effect with its interval, and the moves behind it."""
    shown = [effect for effect in findings.cycles if effect.interval is not None]
    if not shown:
        return []
    directions = list(dict.fromkeys(effect.direction for effect in shown))
    looks = (("p99", "diamond"), ("p50", "circle"), ("p95", "square"), ("fourth", "triangle-up"))
    charts: list[Chart] = []
    for stat in ("p50", "p99"):
        shown_directions = [direction or "all moves" for direction in reversed(directions)]
        names = [f"{series}, {way}" for series in reversed(series_of(findings.run.timings)) for way in shown_directions]
        traces: list[dict[str, Any]] = []
        for place, direction in enumerate(directions):
            colour, symbol = looks[place % len(looks)]
            rows = [effect for effect in shown if effect.direction == direction and effect.stat == stat]
            middle = np.array([effect.interval.estimate for effect in rows if effect.interval])
            high = np.array([effect.interval.high for effect in rows if effect.interval])
            label = direction or "all moves"
            trace = points(label, middle, [f"{effect.series}, {label}" for effect in rows], (colour, symbol, 9))
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
