"""Everything over time, on one time axis: load, latency, redirects, the shards, the function's environments."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from contract.runread import Run, number
from report import measures
from report.charts.chart import Chart, line, log_axis, look, titles
from report.findings import Findings
from report.measures import Floats

SHORTEST_PART_S = 0.05  # of a profile's last second: one arrival in less is no rate
PERCENTILES = (("p50", 0.5, "p50", "solid"), ("p95", 0.95, "p95", "dash"), ("p99", 0.99, "p99", "solid"))


def timeline(findings: Findings) -> list[Chart]:
    """The charts of the timeline; those without data are left out."""
    run = findings.run
    t_s = run.seconds.t_s.astype(np.float64)
    if not len(t_s):
        return []
    charts = [_load(run, t_s)]
    charts += [_latency(run, t_s, series) for series in ("response", "service", *run.timings)]
    charts.append(_redirects(run, t_s))
    charts += _servers(run)
    charts += _environments(run)
    charts.append(_latency(run, t_s, "lag"))
    return [chart for chart in charts if chart.traces]


def shading(findings: Findings) -> dict[str, Any]:
    """What is shaded on every chart of the timeline: phases, shams and moves of slots."""
    run = findings.run
    end = float(run.seconds.t_s[-1] + 1) if len(run.seconds) else run.number("duration_s", 0.0)
    moves = [
        {
            "kind": move.kind,
            "requested": move.requested_s,
            "from": move.started_s,
            "to": end if move.finished_s is None else move.finished_s,
        }
        for move in findings.moves
        if np.isfinite(move.started_s)
    ]
    lost = [event.t_s for event in run.events if event.name == "worker.lost"]
    phases = [{"name": phase.name, "from": phase.start_s, "to": phase.end_s} for phase in run.phases]
    first = min([0.0, *(number(row.get("t_s"), 0.0) for row in run.servers[:20])])
    last = max([end, *(move["to"] for move in moves)])
    changes = [point.t_s for point in findings.selftest.changes.points]
    return {"phases": phases, "moves": moves, "lost": lost, "changes": changes, "range": [max(first, -10.0), last]}


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
    title, note = titles(series)
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
        colour, dash = look(place)
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
    """The rate of a counter; NaN where it falls, for its node was restarted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.diff(total) / np.diff(t_s)
    return np.where((rate >= 0) & np.isfinite(rate), rate, np.nan)


def _environments(run: Run) -> list[Chart]:
    rows = np.array([
        (number(row.get("t_s")), number(row.get("count")), number(row.get("busy_max")), number(row.get("wait_ms_max")))
        for row in run.environments
        if number(row.get("t_s")) >= 0  # before, the warming starts them
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
