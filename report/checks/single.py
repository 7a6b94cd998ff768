"""Are the single arrivals of arrivals.csv whole, possible, and those that seconds.csv and latency.hlog count?"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.hdrread import Histograms, highest_equivalent
from contract.histograms import HIGHEST_US
from contract.runfolder import MISSED_CAUSES
from contract.runread import Run, number
from contract.schedule import Schedule
from report.checks.check import RunCheck, judged
from report.checks.compared import told
from report.checks.planned import edges_of, schedule_of
from report.checks.promises import limit_of
from report.measures import Floats, Mask
from report.moves import PlayedMove
from report.windows import load_end_s

Ints = npt.NDArray[np.int64]

AROUND_S = 10.0
"""Arrivals are kept from so long before a move is requested until so long after its slots have moved."""
_WRITTEN_S = 1.01e-6  # arrivals.csv has times with six decimals
_WRITTEN_US = 2  # and a histogram's values are whole microseconds, cut off


@dataclass(frozen=True)
class _Kept:
    """arrivals.csv by planned second: for each arrival its row of seconds.csv, and which of those rows are whole."""

    row: Ints
    whole: Mask


def single_arrivals(run: Run, moves: Sequence[PlayedMove]) -> Iterator[RunCheck]:
    """Every arrival around a move has its row, at its planned time, with times in order and counted elsewhere."""
    schedule = schedule_of(run)
    if isinstance(schedule, str) or not len(run.seconds):
        return  # another check fails for it
    gaps: list[str] = []
    arrivals = run.arrivals
    usable = np.isfinite(arrivals.k) & (arrivals.k == np.floor(arrivals.k)) & (arrivals.k >= 0)
    usable &= arrivals.k < schedule.total
    if not usable.all():
        gaps.append(f"{int((~usable).sum())} row(s) have a k that no arrival of the profile has")
    else:
        kept = _by_second(run, schedule)
        gaps += _whole(run, kept, moves)
        gaps += [] if gaps else [*_planned(run, schedule), *_times(run)]
        gaps += [] if gaps else [*_counted(run, kept), *_measured(run, kept)]
    if len(arrivals) or gaps or any(move.kind for move in moves):
        yield judged(
            "Single arrivals",
            not gaps,
            "; ".join(gaps) or f"{len(arrivals):,} arrivals kept, as counted",
            "around each move every arrival, as planned, counted and measured",
            "Stalls and short moves are measured from single arrivals.",
        )


def _by_second(run: Run, schedule: Schedule) -> _Kept:
    """The row of seconds.csv of each arrival (by its number, not by its rounded time), and which rows are whole."""
    t_s, k = run.seconds.t_s, run.arrivals.k.astype(np.int64)
    first, last = edges_of(run, schedule)
    row = np.searchsorted(first, k, "right") - 1
    row[(row >= 0) & (k >= last[row])] = -1
    held = np.bincount(row[row >= 0], minlength=len(t_s))
    return _Kept(row, (held == run.seconds["offered"]) & (held > 0))


def _whole(run: Run, kept: _Kept, moves: Sequence[PlayedMove]) -> Iterator[str]:
    t_s = run.seconds.t_s
    k = run.arrivals.k
    if len(k) and (np.diff(k) <= 0).any():
        yield f"{int((np.diff(k) <= 0).sum())} arrival(s) come twice or out of order"
    if (kept.row < 0).any():
        yield f"{int((kept.row < 0).sum())} arrival(s) of seconds that seconds.csv does not hold"
    held = np.bincount(kept.row[kept.row >= 0], minlength=len(t_s))
    offered = run.seconds["offered"]
    needed = _needed(run, moves) & (offered > 0)
    lacking = (needed | (held > 0)) & (held != offered)
    if lacking.any():
        first = int(np.flatnonzero(lacking)[0])
        yield (
            f"rows lack or are too many in {told(t_s[lacking])}: "
            f"{int(held[first])} of {int(offered[first])} arrivals in second {t_s[first]}"
        )


def _needed(run: Run, moves: Sequence[PlayedMove]) -> Mask:
    """The seconds whose single arrivals a run keeps."""
    t_s = run.seconds.t_s
    if limit_of(run, "single"):
        return np.zeros(len(t_s), dtype=np.bool_)
    if not math.isnan(number(run.table("cycles").get("window_s"))):
        return np.ones(len(t_s), dtype=np.bool_)
    needed = np.zeros(len(t_s), dtype=np.bool_)
    for move in moves:
        end = next((at for at in (move.finished_s, move.ended_s) if at is not None), load_end_s(run))
        needed |= (t_s >= math.floor(move.requested_s - AROUND_S)) & (t_s < math.ceil(end + AROUND_S))
    return needed


def _planned(run: Run, schedule: Schedule) -> Iterator[str]:
    planned = np.array([schedule.planned_s(k) for k in run.arrivals.k.astype(np.int64).tolist()])
    apart = np.abs(planned - run.arrivals.planned_s) > _WRITTEN_S
    if apart.any():
        first = int(np.flatnonzero(apart)[0])
        yield (
            f"{int(apart.sum())} arrival(s) are planned at another time than the profile plans: number "
            f"{int(run.arrivals.k[first])} at {run.arrivals.planned_s[first]:.6f}, not {planned[first]:.6f}"
        )


def _times(run: Run) -> Iterator[str]:
    """Planned, then sent, then done; what was not sent has no time of sending."""
    arrivals = run.arrivals
    unsent = np.array([name in MISSED_CAUSES or name == "unknown" for name in arrivals.outcome], dtype=np.bool_)
    sent, done, limit_s = arrivals.sent_s, arrivals.done_s, run.time_limit_us / 1e6
    rules = {
        "were sent before they were planned": sent < arrivals.planned_s - _WRITTEN_S,
        "were done before they were sent": done < sent - _WRITTEN_S,
        "were sent and have no time of it": ~unsent & ~(np.isfinite(sent) & np.isfinite(done)),
        "were not sent and have a time of it": unsent & np.isfinite(sent),
        "took longer than the time limit and are ok": arrivals.ok & (done - sent > limit_s + _WRITTEN_S),
    }
    for problem, broken in rules.items():
        if broken.any():
            yield f"{int(broken.sum())} arrival(s) {problem}: the first is number {int(arrivals.k[broken][0])}"


def _counted(run: Run, kept: _Kept) -> Iterator[str]:
    """Outcomes, late, cold, redirects and retries, added up again from the rows of each whole second."""
    arrivals, seconds = run.arrivals, run.seconds
    t_s, whole, size = seconds.t_s, kept.whole, len(seconds)

    def added(values: Floats | Mask) -> Floats:
        weights = np.nan_to_num(values.astype(np.float64))
        return np.bincount(kept.row, weights=weights, minlength=size).astype(np.float64)

    lag_s, limit_s = arrivals.sent_s - arrivals.planned_s, run.number("late_threshold_ms", 10.0) / 1000
    said = added(np.isfinite(arrivals.cold)) > 0
    apart = {
        "ok": added(arrivals.ok) != seconds["ok"],
        "redirects": added(arrivals.redirects) != seconds["redirects"],
        "retries": added(arrivals.retries) != seconds["retries"],
        "late": (added(lag_s > limit_s + _WRITTEN_S) > seconds["late"])
        | (added(lag_s > limit_s - _WRITTEN_S) < seconds["late"]),
        "cold": (added(arrivals.cold) != np.nan_to_num(seconds.cold)) | (said != np.isfinite(seconds.cold)),
    }
    for name, differs in apart.items():
        if (differs & whole).any():
            yield f"{name} is not what the arrivals say in {told(t_s[differs & whole])}"
    others: dict[int, Counter[str]] = {}
    for place in np.flatnonzero(~arrivals.ok).tolist():
        others.setdefault(int(kept.row[place]), Counter())[arrivals.outcome[place]] += 1
    strange: list[int] = []
    for row in np.flatnonzero(whole).tolist():
        wanted = dict(seconds.causes[row])
        if unknown := int(seconds["unknown"][row]):
            wanted["unknown"] = unknown
        if wanted != dict(others.get(row, {})):
            strange.append(int(t_s[row]))
    if strange:
        yield f"causes are not what the arrivals say in {told(strange)}"


def _measured(run: Run, kept: _Kept) -> Iterator[str]:
    """The values of each whole second lie in the counters of its histograms."""
    arrivals = run.arrivals
    good = np.where(arrivals.ok, 1.0, np.nan)
    values: dict[str, tuple[Floats, int]] = {
        "response": ((arrivals.done_s - arrivals.planned_s) * 1e6 * good, _WRITTEN_US),
        "service": ((arrivals.done_s - arrivals.sent_s) * 1e6 * good, _WRITTEN_US),
        "lag": ((arrivals.sent_s - arrivals.planned_s) * 1e6, _WRITTEN_US),
        **{timing: (arrivals.timings_us[timing] * good, 0) for timing in run.timings},
    }
    for series, (of_arrivals, tolerance) in values.items():
        apart = _apart(run.latency[series], kept, of_arrivals, tolerance)
        if apart.any():
            yield f"{series} of the arrivals is not what latency.hlog holds in {told(run.seconds.t_s[apart])}"


def _apart(histograms: Histograms, kept: _Kept, values: Floats, tolerance: int) -> Mask:
    """For each second whether its values, in order of size, do not lie in its histogram's counters, in order."""
    size = len(kept.whole)
    used = np.isfinite(values) & kept.whole[kept.row]
    row, clipped = kept.row[used], np.clip(values[used], 1, HIGHEST_US)
    apart = kept.whole & (np.bincount(row, minlength=size) != histograms.totals)
    fits = ~apart[row]
    row, clipped = row[fits], clipped[fits]
    ordered = clipped[np.lexsort((clipped, row))]
    counters = np.repeat(kept.whole & ~apart, np.diff(histograms.starts))
    index = np.repeat(histograms.index[counters].astype(np.int64), histograms.count[counters])
    top = highest_equivalent(index)
    bottom = np.where(index > 0, highest_equivalent(np.maximum(index - 1, 0)) + 1, 0)
    outside = (ordered < bottom - tolerance) | (ordered > top + tolerance)
    apart[np.sort(row)[outside]] = True
    return apart
