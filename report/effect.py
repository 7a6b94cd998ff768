"""What one reshard cost: each second of its phase less the same second of the control phase.

d(t) = Q(t) - Q(t'), Q being a percentile of one planned second and t' the same offset of the control phase.
Effect = mean d(during) - mean d(before); aftermath = mean d(after) - mean d(before).

One reshard is one event. Where at least `LEAST_PLACEBOS` windows of the move's length fit side by side into the seconds
in which no slot moved, the same statistic is worked out for each of them. p = (1 + as large) / (1 + windows) then says
how unusual the effect is within this run. Where fewer fit, the design has no figure of chance, and none is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.runread import Run
from report import measures
from report.measures import Floats
from report.windows import MoveWindows

STATS = {"p50": 0.5, "p99": 0.99}
MIN_BASE_S = 3
"""With fewer seconds before the move there is no mean to subtract."""
LEAST_PLACEBOS = 20
"""Of fewer windows p cannot be 0.05 or less, whatever the effect."""


@dataclass(frozen=True)
class Placebo:
    """The statistic for windows side by side without a reshard, in ms, and how many are as large as the effect."""

    values: Floats
    as_large: int

    @property
    def p(self) -> float:
        """How often chance alone gives as large a value, sign aside."""
        return (1 + self.as_large) / (1 + len(self.values))


@dataclass(frozen=True)
class Effect:
    """One percentile of one series, in ms. `paired` says whether a control was subtracted."""

    series: str
    stat: str
    paired: bool
    effect: float | None
    aftermath: float | None
    placebo: Placebo | None


def differences(run: Run, windows: MoveWindows, series: str, quantile: float) -> Floats:
    """d(t) for every row of the run's seconds, NaN outside the phase; without a control, Q(t) itself."""
    values = measures.per_second_ms(run, series, quantile)
    inside = windows.before | windows.during | windows.after | _phase_rows(run, windows)
    d = np.full(len(values), np.nan)
    if windows.control is None:
        d[inside] = values[inside]
    else:
        paired = inside & (windows.control_row >= 0)
        d[paired] = values[paired] - values[windows.control_row[paired]]
    return d


def _phase_rows(run: Run, windows: MoveWindows) -> npt.NDArray[np.bool_]:
    t_s = run.seconds.t_s
    return (t_s >= windows.phase.start_s - 1e-6) & (t_s + 1 <= windows.phase.end_s + 1e-6)


def series_of(timings: Sequence[str]) -> tuple[str, ...]:
    """The series whose effects are told, in a run whose application tells these timings."""
    return (*timings, "response", "service")


def effects(run: Run, windows: MoveWindows) -> list[Effect]:
    """The effect on each series, at p50 and p99 of each second."""
    return [
        _effect(run, windows, series, stat, differences(run, windows, series, quantile))
        for series in series_of(run.timings)
        for stat, quantile in STATS.items()
    ]


def _effect(run: Run, windows: MoveWindows, series: str, stat: str, d: Floats) -> Effect:
    before, during, after = (_mean(d[windows.rows(name)]) for name in ("before", "during", "after"))
    effect = _less(during, before)
    enough = int(np.isfinite(d[windows.before]).sum()) >= MIN_BASE_S
    placebo = _placebo(run, windows, d, effect) if enough and effect is not None else None
    return Effect(
        series, stat, windows.control is not None,
        effect if enough else None, _less(after, before) if enough else None, placebo,
    )  # fmt: skip


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _less(value: float, base: float) -> float | None:
    return None if np.isnan(value) or np.isnan(base) else value - base


def _placebo(run: Run, windows: MoveWindows, d: Floats, effect: float) -> Placebo | None:
    """The effect's formula for windows of the same length, side by side, in which no slot moved here or in the control.

    None if fewer than `LEAST_PLACEBOS` fit.
    """
    length = int(windows.during.sum())
    quiet = (windows.before | windows.after) & np.isfinite(d) & ~_near_sham(run, windows)
    base = windows.before & np.isfinite(d)
    t_s = run.seconds.t_s
    values: list[float] = []
    end = 0
    while length and end + length <= len(d):
        start, end = end, end + length
        if not quiet[start:end].all() or t_s[end - 1] - t_s[start] != length - 1:
            end = start + 1
            continue
        rest = base.copy()
        rest[start:end] = False
        if int(rest.sum()) >= MIN_BASE_S:
            values.append(float(d[start:end].mean() - d[rest].mean()))
    if len(values) < LEAST_PLACEBOS:
        return None
    statistics = np.array(values)
    return Placebo(statistics, int((np.abs(statistics) >= abs(effect)).sum()))


def _near_sham(run: Run, windows: MoveWindows) -> npt.NDArray[np.bool_]:
    """Seconds whose control second overlaps the sham."""
    near = np.zeros(len(run.seconds), dtype=np.bool_)
    sham = windows.sham
    if sham is None:
        return near
    end = sham.finished_s if sham.finished_s is not None else np.inf
    paired = windows.control_row >= 0
    times = run.seconds.t_s[windows.control_row[paired]]
    near[paired] = (times + 1 > sham.requested_s) & (times < end)
    return near
