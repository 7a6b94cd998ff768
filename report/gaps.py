"""Whether requests left as the profile says: exponential gaps of Poisson arrivals, planned gaps of uniform ones."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from contract.runread import Run, mapping
from report.checks.check import UNKNOWN, WARN, RunCheck, judged
from report.measures import Floats

MOST_GAPS = 2_000
"""Of more, as many are taken from all over the record: any size of test finds that clocks tick, given enough gaps."""
LEAST_GAPS = 100
CRITICAL = 3.857
"""Of A^2 at 0.01, for a distribution that is wholly known (Stephens, JASA 69, 1974; from five values on)."""
OFF_SHARE = 0.05
"""A convention, set before it was tried on real runs; docs/report.md says what three of them had."""
_OFF_S = 0.001
_TICK_S = 1e-6
_NAME = "Arrivals as distributed"


def arrivals(run: Run) -> Iterator[RunCheck]:
    """The gaps between requests that left, of the single arrivals that were kept."""
    poisson = mapping(run.meta.get("profile")).get("arrivals") == "poisson"
    limit = f"exponential gaps (A^2 <= {CRITICAL})" if poisson else f"<= {OFF_SHARE:.0%} of the gaps off"
    meaning = "Requests that leave in clumps or in step queue differently from the arrivals that the profile declares."
    planned, sent = _sent_gaps(run)
    gaps = _exponential(run) if poisson else sent
    if len(gaps) < LEAST_GAPS:
        yield RunCheck(_NAME, UNKNOWN, f"{len(gaps)} gaps of single arrivals, {LEAST_GAPS} needed", limit, meaning)
        return
    if poisson:
        squared = anderson_darling(gaps[:: math.ceil(len(gaps) / MOST_GAPS)])
        good, value = squared <= CRITICAL, f"A^2 {squared:.2f} of {len(gaps):,} gaps (at most {MOST_GAPS:,} taken)"
    else:
        off = float((np.abs(sent - planned) > np.maximum(planned / 2, _OFF_S)).mean())
        good = off <= OFF_SHARE
        value = f"{off:.1%} of {len(gaps):,} gaps are off by over half of the planned gap (and over 1 ms)"
    yield judged(_NAME, good, value, limit, meaning, otherwise=WARN)


def anderson_darling(gaps: Floats) -> float:
    """A^2 of gaps against the exponential distribution with mean 1.

    It weighs both tails, where clumps and pauses show; a correlation of quantiles hardly sees the short gaps.
    """
    ordered = np.sort(gaps)
    n = len(ordered)
    weights = 2 * np.arange(1, n + 1) - 1
    return -n - float((weights * (np.log(-np.expm1(-ordered)) - ordered[::-1])).sum()) / n


def _whole_seconds(run: Run) -> npt.NDArray[np.int64]:
    """For each kept arrival the number of its stretch of whole seconds, or -1: a second may be kept in part only."""
    second = np.floor(run.arrivals.planned_s).astype(np.int64)
    t_s = run.seconds.t_s
    kept = np.searchsorted(second, t_s, "right") - np.searchsorted(second, t_s, "left")
    whole = kept == run.seconds["offered"]
    begins = np.concatenate([[True], (np.diff(t_s) != 1) | ~whole[:-1]])
    row = np.minimum(np.searchsorted(t_s, second), len(t_s) - 1)
    return np.where((t_s[row] == second) & whole[row], np.cumsum(begins)[row], -1)


def _sent_gaps(run: Run) -> tuple[Floats, Floats]:
    """Planned and sent gaps of arrivals that follow each other in whole seconds, in seconds."""
    kept = run.arrivals
    if not len(kept) or not len(run.seconds):
        return np.zeros(0), np.zeros(0)
    stretch = _whole_seconds(run)
    planned, sent = np.diff(kept.planned_s), np.diff(kept.sent_s)
    usable = (stretch[1:] == stretch[:-1]) & (stretch[1:] >= 0) & np.isfinite(sent)
    return planned[usable], sent[usable]


def _exponential(run: Run) -> Floats:
    """The gaps of the sending times on the scale of expected arrivals, where those of a Poisson process have mean 1.

    A phase that repeats an earlier one repeats its arrivals: of phases alike only the one with most kept is taken.
    """
    kept = run.arrivals
    if not len(kept) or not len(run.seconds) or not run.phases:
        return np.zeros(0)
    stretch = _whole_seconds(run)
    starts = np.array([phase.start_s for phase in run.phases])
    shape = np.array([(phase.rate_from, (phase.rate_to - phase.rate_from) / phase.duration_s) for phase in run.phases])
    place = np.searchsorted(starts, kept.planned_s, "right") - 1
    order = np.lexsort((kept.sent_s, stretch, place))
    order = order[(stretch[order] >= 0) & (place[order] >= 0) & np.isfinite(kept.sent_s[order])]
    stretch, place = stretch[order], place[order]
    since = kept.sent_s[order] - starts[place]
    rate_from, slope = shape[place].T
    gaps = np.diff(rate_from * since + slope * since * since / 2)
    gaps = np.maximum(gaps, np.maximum(rate_from + slope * since, 0)[:-1] * _TICK_S / 2)
    gaps[(stretch[1:] != stretch[:-1]) | (place[1:] != place[:-1])] = 0.0
    held = np.bincount(place[:-1][gaps > 0], minlength=len(run.phases))
    most: dict[tuple[float, float, float], int] = {}
    for number, phase in enumerate(run.phases):
        kind = phase.duration_s, phase.rate_from, phase.rate_to
        if held[number] > (held[most[kind]] if kind in most else -1):
            most[kind] = number
    return gaps[(gaps > 0) & np.isin(place[:-1], list(most.values()))]
