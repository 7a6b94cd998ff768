"""A chart as data for plotly.js, and the parts that every chart is made of: lines, points, axes.

`templates/page.js` draws the charts in the reader's theme and keeps their time axes together. A colour is a role
("p99", "real"), not a value: the page's script knows what it is in light, in dark and on paper. No two lines of a chart
differ by colour alone; they differ in dashes too.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from report.measures import Floats

MOST_POINTS = 3_600
"""Of one line of the timeline."""

LOOKS = (("p50", "solid"), ("p99", "dash"), ("p95", "dot"), ("fourth", "dashdot"), ("muted", "longdash"))
"""Colour and dash of the lines that stand side by side: shards, nodes, runs."""
TITLES = {
    "response": ("Response time", "from the planned time to the reply, over all offered arrivals"),
    "service": ("Service time", "from the send to the reply, over all offered arrivals"),
    "connection": ("Connection", "as the function measured it: connect and learn the layout"),
    "write": ("Write", "as the function measured it"),
    "read": ("Read", "as the function measured it"),
    "lag": ("Send lag", "from the planned time to the send: the generator's own lateness"),
}


def titles(series: str) -> tuple[str, str]:
    """A series' title, and what it measures."""
    return TITLES.get(series, (series, "as the application measured it"))


@dataclass(frozen=True)
class Chart:
    """One chart: `traces` and `layout` are plotly's; `alt` says in words what it shows."""

    key: str
    title: str
    note: str
    alt: str
    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any] = field(default_factory=dict[str, Any])
    on_timeline: bool = True

    def as_json(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {
            "key": self.key,
            "traces": list(self.traces),
            "layout": dict(self.layout),
            "timeline": self.on_timeline,
        }


def packed(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Numbers in a fraction of the size of their digits; `page.js` unpacks them.

    Counts are whole, and latencies whole microseconds: those go as 2 or 4 bytes of `step`s, the highest for NaN.
    Whatever is neither goes as a 4-byte float.
    """
    known = np.isfinite(values)
    for step in (1.0, 0.001):
        steps = np.where(known, values, 0.0) / step
        whole = np.rint(steps)
        if (whole >= 0).all() and (whole < 2**32 - 1).all() and np.abs(steps - whole).max(initial=0.0) < 1e-3:
            kind = "u2" if (whole < 2**16 - 1).all() else "u4"
            unsigned = np.where(known, whole, 2.0 ** (8 * int(kind[1])) - 1).astype(f"<{kind}")
            return {"kind": kind, "step": step, "data": base64.b64encode(unsigned.tobytes()).decode("ascii")}
    return {"kind": "f4", "step": 1.0, "data": base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")}


def line(name: str, x: Floats, y: Floats, colour: str, dash: str = "solid", **more: Any) -> dict[str, Any]:
    """A line over x; where x has a gap of more than a second so has the line."""
    return curve(name, *thinned(*broken(x, y)), colour, dash, **more)


def curve(name: str, x: Floats, y: Floats, colour: str, dash: str, **more: Any) -> dict[str, Any]:
    """A line through the points as they are."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": packed(x),
        "y": packed(y),
        "line": {"color": colour, "dash": dash, "width": 1.5},
        **more,
    }


def look(place: int) -> tuple[str, str]:
    """Colour and dash of the line at a place; the first 25 all differ."""
    round_, position = divmod(place, len(LOOKS))
    return LOOKS[position][0], LOOKS[(position + round_) % len(LOOKS)][1]


def seconds_a_point(count: int) -> int:
    """How many seconds share a point of a line, so that the page of a day's run stays small."""
    return math.ceil(count / MOST_POINTS)


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """No more than `MOST_POINTS`: of a longer run the highest second of each few, so that no peak is hidden."""
    seconds = seconds_a_point(len(x))
    if seconds == 1:
        return x, y
    starts = np.arange(0, len(x), seconds)
    return x[starts], np.fmax.reduceat(y, starts)


def broken(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A NaN wherever a second or more is missing, so that no line is drawn over unknown values."""
    if len(x) < 3:
        return x, y
    step = float(np.median(np.diff(x)))
    gaps = np.flatnonzero(np.diff(x) > 1.5 * step) + 1
    return np.insert(x, gaps, x[gaps - 1] + step), np.insert(y, gaps, np.nan)


def log_axis(title: str, *values: Floats) -> dict[str, Any]:
    """A logarithmic axis labelled with plain numbers, more of them the fewer powers of ten it spans."""
    known = np.concatenate([part[np.isfinite(part) & (part > 0)] for part in values]) if values else np.zeros(0)
    axis: dict[str, Any] = {"title": title, "type": "log"}
    if len(known):
        low, high = math.floor(math.log10(known.min())), math.ceil(math.log10(known.max()))
        spread = known.max() / known.min()
        parts = (1, 1.5, 2, 3, 4, 5, 7) if spread < 8 else (1, 2, 5) if spread < 300 else (1,)
        ticks = [float(f"{part}e{power}") for power in range(low - 1, high + 1) for part in parts]
        axis |= {"tickvals": ticks, "ticktext": [f"{tick:,g}" if tick < 1e4 else f"{tick:,.0f}" for tick in ticks]}
    return axis


def percentile_axis(most: int) -> dict[str, Any]:
    """The axis of 1 / (1 - percentile), up to the percentile that `most` values allow."""
    ticks = [value for value in (1, 2, 10, 100, 1000, 10_000, 100_000) if value <= most]
    labels = ["0", "50", "90", "99", "99.9", "99.99", "99.999"][: len(ticks)]
    return {"title": "percentile", "type": "log", "tickvals": ticks, "ticktext": labels}


def points(name: str, x: Floats, y: Sequence[str] | Floats, look: tuple[str, str, int]) -> dict[str, Any]:
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
