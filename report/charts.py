"""The charts as data for plotly.js: `page.js` draws them in the reader's theme and keeps their time axes together.

A colour is a role ("p99", "real"), not a value: the page's script knows what it is in light, in dark and on paper. No
two lines of a chart differ by colour alone; they differ in dashes too.
"""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.runread import Run, number
from report import measures
from report.document import Findings

Floats = npt.NDArray[np.float64]

MOST_POINTS = 3_600
"""Of one line of the timeline."""
SHORTEST_PART_S = 0.05  # of a second at the end: one arrival in less is no rate

PERCENTILES = (("p50", 0.5, "p50", "solid"), ("p95", 0.95, "p95", "dash"), ("p99", 0.99, "p99", "solid"))
TITLES = {
    "response": ("Response time", "from the planned time to the reply, over all offered arrivals"),
    "service": ("Service time", "from the send to the reply, over all offered arrivals"),
    "connection": ("Connection", "as the function measured it: connect and learn the layout"),
    "write": ("Write", "as the function measured it"),
    "read": ("Read", "as the function measured it"),
    "lag": ("Send lag", "from the planned time to the send: the generator's own lateness"),
}


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


def plain(text: object) -> str:
    """Text for plotly, which reads a little HTML in labels."""
    return html.escape(str(text), quote=False)


def line(name: str, x: Floats, y: Floats, colour: str, dash: str = "solid", **more: Any) -> dict[str, Any]:
    """A line over x; where x has a gap of more than a second so has the line."""
    return curve(name, *thinned(*broken(x, y)), colour, dash, **more)


def curve(name: str, x: Floats, y: Floats, colour: str, dash: str, **more: Any) -> dict[str, Any]:
    """A line through the points as they are."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain(name),
        "x": packed(x),
        "y": packed(y),
        "line": {"color": colour, "dash": dash, "width": 1.5},
        **more,
    }


def seconds_a_point(count: int) -> int:
    """How many seconds share a point of a line, so that the page of a day's run stays small."""
    return math.ceil(count / MOST_POINTS)


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """No more than `MOST_POINTS`: of a longer run the highest second of each few, so that no peak is hidden."""
    each = seconds_a_point(len(x))
    if each == 1:
        return x, y
    starts = np.arange(0, len(x), each)
    return x[starts], np.fmax.reduceat(y, starts)


def broken(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A NaN wherever a second or more is missing, so that no line is drawn over what is not known."""
    if len(x) < 3:
        return x, y
    step = float(np.median(np.diff(x)))
    gaps = np.flatnonzero(np.diff(x) > 1.5 * step) + 1
    return np.insert(x, gaps, x[gaps - 1] + step), np.insert(y, gaps, np.nan)


def log_axis(title: str, *values: Floats) -> dict[str, Any]:
    """A logarithmic axis with plain numbers at as many steps of each power of ten as there is room for."""
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
    """The axis of 1 / (1 - percentile), with the percentiles that `most` values can tell."""
    ticks = [value for value in (1, 2, 10, 100, 1000, 10_000, 100_000) if value <= most]
    labels = ["0", "50", "90", "99", "99.9", "99.99", "99.999"][: len(ticks)]
    return {"title": "percentile", "type": "log", "tickvals": ticks, "ticktext": labels}


def timeline(found: Findings) -> list[Chart]:
    """Section 3: everything over time, on one time axis."""
    run = found.run
    t_s = run.seconds.t_s.astype(np.float64)
    if not len(t_s):
        return []
    charts = [_load(run, t_s)]
    charts += [_latency(run, t_s, series) for series in ("response", "service", "connection", "write", "read")]
    charts.append(_redirects(run, t_s))
    charts += _servers(run)
    charts += _environments(run)
    charts.append(_latency(run, t_s, "lag"))
    return [chart for chart in charts if chart.traces]


def shading(found: Findings) -> dict[str, Any]:
    """What is shaded on every chart of the timeline: phases, shams and moves of slots."""
    run = found.run
    end = float(run.seconds.t_s[-1] + 1) if len(run.seconds) else run.number("duration_s", 0.0)
    moves = [
        {
            "kind": move.kind,
            "requested": move.requested_s,
            "from": move.started_s,
            "to": end if move.finished_s is None else move.finished_s,
        }
        for move in found.moves
        if np.isfinite(move.started_s)
    ]
    lost = [event.t_s for event in run.events if event.name == "worker.lost"]
    phases = [{"name": plain(phase.name), "from": phase.start_s, "to": phase.end_s} for phase in run.phases]
    first = min([0.0, *(number(row.get("t_s"), 0.0) for row in run.servers[:20])])
    last = max([end, *(move["to"] for move in moves)])
    return {"phases": phases, "moves": moves, "lost": lost, "range": [max(first, -10.0), last]}


def per_second(run: Run, name: str) -> Floats:
    """A count's rate in each planned second.

    A profile may end within a second: there it is the rate in the part that was planned, not a fall to almost nothing.
    """
    planned_s = run.number("duration_s", np.inf) - run.seconds.t_s
    part_s = np.where(planned_s > 0, np.clip(planned_s, SHORTEST_PART_S, 1.0), 1.0)
    return run.seconds[name] / part_s


def _load(run: Run, t_s: Floats) -> Chart:
    columns = run.seconds
    traces = [
        line("offered", t_s, per_second(run, "offered"), "muted", "dot"),
        line("sent", t_s, per_second(run, "sent"), "p95", "dash"),
        line("good replies", t_s, per_second(run, "ok"), "p50"),
    ]
    for name, dash in (("failed", "solid"), ("missed", "dash"), ("unknown", "dot"), ("late", "dashdot")):
        if columns[name].any():
            traces.append(line(name, t_s, per_second(run, name), "p99", dash))
    offered, ok = int(columns["offered"].sum()), int(columns["ok"].sum())
    return Chart(
        "load",
        "Offered and achieved",
        "arrivals per planned second",
        f"Arrivals per second over time: {offered:,} offered, {ok:,} with a good reply; "
        f"the highest second offered {int(columns['offered'].max())}.",
        traces,
        {"yaxis": {"title": "arrivals/s", "rangemode": "tozero"}},
    )


def _latency(run: Run, t_s: Floats, series: str) -> Chart:
    title, note = TITLES[series]
    values = {name: measures.per_second_ms(run, series, quantile) for name, quantile, _, _ in PERCENTILES}
    values["max"] = measures.per_second_ms(run, series, 1.0)
    if not np.isfinite(values["p50"]).any():
        return Chart(series, title, note, "", [])
    traces = [
        line("max", t_s, values["max"], "muted", "dot"),
        *(line(name, t_s, values[name], colour, dash) for name, _, colour, dash in reversed(PERCENTILES)),
    ]
    worst = int(np.nanargmax(values["p99"]))
    p50, p99 = np.nanmedian(values["p50"]), np.nanmedian(values["p99"])
    return Chart(
        series,
        title,
        note,
        f"{title} in milliseconds over time, {note}. The median of the seconds' p50 is {p50:.3f} ms "
        f"and of their p99 {p99:.3f} ms; the highest p99 is {values['p99'][worst]:.3f} ms at second {int(t_s[worst])}.",
        traces,
        {"yaxis": log_axis("ms", *values.values())},
    )


def _redirects(run: Run, t_s: Floats) -> Chart:
    redirects, retries = run.seconds["redirects"], run.seconds["retries"]
    return Chart(
        "redirects",
        "Redirects and retries",
        "MOVED and ASK answers that the function followed, and commands it sent again",
        f"Redirects and retries per second: {int(redirects.sum()):,} and {int(retries.sum()):,} in all.",
        [
            line("redirects", t_s, redirects.astype(np.float64), "p50"),
            line("retries", t_s, retries.astype(np.float64), "p99", "dash"),
        ],
        {"yaxis": {"title": "per second", "rangemode": "tozero"}},
    )


_SHARD_LINES = (("p50", "solid"), ("p99", "dash"), ("p95", "dot"), ("fourth", "dashdot"), ("muted", "longdash"))


def _servers(run: Run) -> list[Chart]:
    """Keys, commands and CPU of each shard's primary, without the sham's nodes."""
    by_node: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in run.servers:
        if row.get("role") == "primary" and row.get("group") == "application":
            node = f"shard {row.get('shard')} ({row.get('node')})"
            by_node.setdefault(node, []).append(
                (number(row.get("t_s")), number(row.get("keys")), number(row.get("commands")), number(row.get("cpu_s")))
            )
    keys: list[Mapping[str, Any]] = []
    commands: list[Mapping[str, Any]] = []
    cpu: list[Mapping[str, Any]] = []
    for place, node in enumerate(sorted(by_node)):
        colour, dash = _SHARD_LINES[place % len(_SHARD_LINES)]
        table = np.array(sorted(by_node[node]))
        table = table[np.isfinite(table[:, 0])]
        if len(table) < 2:
            continue
        t_s, rows = table[:, 0], table
        keys.append(line(node, t_s, rows[:, 1], colour, dash))
        commands.append(line(node, t_s[1:], _rate(t_s, rows[:, 2]), colour, dash))
        cpu.append(line(node, t_s[1:], 100 * _rate(t_s, rows[:, 3]), colour, dash))
    busy = np.array(
        [(number(row.get("t_s")), number(row.get("cpu_busy"))) for row in run.servers if row.get("node") == "machine"]
    )
    if len(busy):
        cpu.append(line("whole machine", busy[:, 0], 100 * busy[:, 1], "muted", "dot"))
    shards = f"{len(keys)} primaries"
    return [
        Chart("keys", "Keys", "per shard's primary", f"Keys per shard over time, {shards}.", keys,
              {"yaxis": {"title": "keys", "rangemode": "tozero"}}),
        Chart("commands", "Commands", "per second and shard's primary", f"Commands per second, {shards}.", commands,
              {"yaxis": {"title": "per second", "rangemode": "tozero"}}),
        Chart("cpu", "CPU", "each shard's primary in per cent of a core; the machine in per cent of all its cores",
              f"CPU over time, {shards} and the whole machine.", cpu, {"yaxis": {"title": "%", "rangemode": "tozero"}}),
    ]  # fmt: skip


def _rate(t_s: Floats, total: Floats) -> Floats:
    """The rate of a counter; a counter that falls was begun anew with its node."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.diff(total) / np.diff(t_s)
    return np.where((rate >= 0) & np.isfinite(rate), rate, np.nan)


def _environments(run: Run) -> list[Chart]:
    rows = np.array([
        (number(row.get("t_s")), number(row.get("count")), number(row.get("busy_max")), number(row.get("wait_ms_max")))
        for row in run.environments
    ])  # fmt: skip
    if not len(rows):
        return []
    rows = rows[np.argsort(rows[:, 0])]
    return [
        Chart(
            "environments",
            "Function environments",
            "each takes one invocation at a time",
            f"Function environments over time: at most {np.nanmax(rows[:, 1]):.0f}, "
            f"of which at most {np.nanmax(rows[:, 2]):.0f} busy.",
            [
                line("environments", rows[:, 0], rows[:, 1], "p50"),
                line("busy at most", rows[:, 0], rows[:, 2], "p99", "dash"),
            ],
            {"yaxis": {"title": "environments", "rangemode": "tozero"}},
        )
    ]
