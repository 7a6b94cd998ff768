"""The blocks of a run of cycles: what each shows on the primary outcome, and their mean with its interval."""

from typing import Any

import numpy as np

from report.charts.chart import Chart, curve, points
from report.cycles_verdict import name
from report.findings import Findings
from report.formats import UNITS, change

_LOOKS = (("p99", "diamond"), ("p50", "circle"), ("p95", "square"), ("fourth", "triangle-up"))


def by_block(findings: Findings) -> list[Chart]:
    """The values of every block, by direction, with the mean of the directions' means."""
    found = findings.cycles
    if found is None or not found.blocks:
        return []
    outcome = found.outcomes[0]
    scale = 100.0 if outcome.unit == "share" else 1.0
    numbers = np.array([block.number for block in found.blocks], dtype=np.float64)
    directions = [block.direction for block in found.blocks]
    traces: list[dict[str, Any]] = []
    for place, direction in enumerate(sorted(set(directions))):
        chosen = np.array([direction == other for other in directions])
        look = (*_LOOKS[place % len(_LOOKS)], 9)
        traces.append(points(direction, numbers[chosen], scale * outcome.d[chosen], look))
    interval, estimate = outcome.conclusion.interval, outcome.conclusion.estimate
    lines = [] if estimate is None else [("mean", estimate, "solid")]
    if interval is not None:
        lines += [("95 % interval", interval.low, "dot"), ("", interval.high, "dot")]
    ends = np.array([numbers.min() - 0.5, numbers.max() + 0.5])
    for label, value, dash in lines:
        traces.append(curve(label, ends, np.full(2, scale * value), "muted", dash, showlegend=bool(label)))
    told = "no estimate is told" if estimate is None else f"their mean is {change(estimate, outcome.unit)}"
    return [
        Chart(
            "cycles-blocks",
            f"Effect of each block on {name(outcome.name)}",
            "d: the real move less its sham, each less its flanks",
            f"The difference of each of {len(numbers)} blocks on {name(outcome.name)}; {told}.",
            traces,
            {
                "yaxis": {"title": UNITS[outcome.unit], "zeroline": True},
                "xaxis": {"title": "block"},
                "hovermode": "closest",
            },
            on_timeline=False,
        )
    ]
