"""timeline.png and timeline.svg: the main chart without a browser."""

from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import Image

from contract.files import replace
from report import escapes, measures
from report.charts.chart import broken
from report.findings import Findings

_COLOURS = {"p50": "#0072b2", "p99": "#c24e00", "max": "#7b838b"}
_STYLES = {"p50": "-", "p99": "-", "max": ":"}


def draw(findings: Findings, folder: Path) -> bytes:
    """Write both pictures into the folder; a smaller PNG is given back for the page."""
    run = findings.run
    figure = Figure(figsize=(10, 8.2))
    figure.subplots_adjust(left=0.075, right=0.99, top=0.955, bottom=0.06, hspace=0.12)
    shown = ("response", *run.timings[-2:])
    axes: list[Axes] = list(np.atleast_1d(figure.subplots(1 + len(shown), 1, sharex=True)))
    t_s = run.seconds.t_s.astype(np.float64)
    for name, colour, style in (("offered", "#7b838b", ":"), ("ok", "#0072b2", "-")):
        axes[0].plot(
            *broken(t_s, run.seconds[name].astype(np.float64)), color=colour, linestyle=style, label=_LOAD[name]
        )
    axes[0].set_ylabel("arrivals/s")
    axes[0].set_ylim(bottom=0)
    for axis, series in zip(axes[1:], shown, strict=True):
        for stat, quantile in (("max", 1.0), ("p99", 0.99), ("p50", 0.5)):
            values = measures.per_second_ms(run, series, quantile)
            axis.plot(*broken(t_s, values), color=_COLOURS[stat], linestyle=_STYLES[stat], linewidth=1.1, label=stat)
        axis.set_ylabel(f"{series}, ms")
        if len(t_s):
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FuncFormatter(_plain))
            axis.yaxis.set_minor_locator(NullLocator())
    for place, point in enumerate(findings.selftest.changes.points):
        label = None if place else "p99 changes its level"
        axes[1].axvline(point.t_s, color="#1c2024", linewidth=1.1, linestyle=":", label=label)
    axes[-1].set_xlabel("seconds from the start")
    for place, axis in enumerate(axes):
        _shade(findings, axis, label=place == 0)
        axis.grid(visible=True, color="#e3e6e9", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.legend(loc="upper left", ncols=5, fontsize=8, frameon=False)
    unusable = "" if findings.usable else "INVALID run, not usable: "
    figure.suptitle(
        unusable + escapes.printable(run.text("id", run.path.name)[:80]), fontsize=10, y=0.985, parse_math=False,
        color="black" if findings.usable else "#b03a00",
    )  # fmt: skip
    with mpl.rc_context({"svg.hashsalt": "report"}):
        drawing = BytesIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
    replace(folder / "timeline.svg", drawing.getvalue())
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    replace(folder / "timeline.png", buffer.getvalue())
    small = BytesIO()
    Image.open(buffer).convert("RGB").quantize(32).save(small, format="png", optimize=True)
    return small.getvalue()


def _plain(value: float, _place: int | None) -> str:
    return f"{value:g}"


_LOAD = {"offered": "offered", "ok": "good replies"}


def _shade(findings: Findings, axis: Axes, *, label: bool) -> None:
    end = float(findings.run.seconds.t_s[-1] + 1) if len(findings.run.seconds) else 0.0
    named: set[str] = set()
    for move in findings.moves:
        if not np.isfinite(move.started_s):
            continue
        name = "slots moving" if move.kind == "real" else "sham"
        axis.axvspan(
            move.started_s,
            end if move.finished_s is None else move.finished_s,
            color="#e69f00" if move.kind == "real" else "#5678b4",
            alpha=0.3,
            linewidth=0,
            label=name if label and name not in named else None,
        )
        named.add(name)
    for phase in findings.run.phases[1:]:
        axis.axvline(phase.start_s, color="#9aa1a9", linewidth=0.8)
