"""How long single arrivals waited around a move of slots, which a percentile per second cannot show."""

from dataclasses import dataclass

import numpy as np

from contract.runread import Run
from report import measures
from report.measures import Mask
from report.moves import PlayedMove

SLOW_MS = 20.0
"""An arrival whose response took longer than `slow_ms` of run.json is slow; this where run.json has none."""
SETTLE_S = 1.0
"""Arrivals planned up to this long after the move count too: the move may still delay them."""


@dataclass(frozen=True)
class Around:
    """The single arrivals planned while slots moved. Times in seconds from the run's start."""

    kind: str
    start_s: float
    end_s: float
    arrivals: int
    failed: int
    slow: int
    slow_ms: float
    longest_ms: float | None
    stall_ms: float
    stall_from_s: float | None
    stalled_arrivals: int


def slow_ms(run: Run) -> float:
    """The threshold over which a response of this run is slow."""
    threshold = run.number("slow_ms", SLOW_MS)
    return threshold if threshold > 0 else SLOW_MS


def slow_arrivals(run: Run, rows: Mask) -> int:
    """How many arrivals that were offered in the rows took longer than the threshold, or had no good reply."""
    return measures.merged(run, "response", rows).above(slow_ms(run) * 1000)


def around(run: Run, move: PlayedMove) -> Around | None:
    """The arrivals planned from the start of the move to `SETTLE_S` after it; None when none were kept."""
    if move.finished_s is None:
        return None
    kept = run.arrivals
    start_s, end_s = move.started_s, move.finished_s + SETTLE_S
    first, last = np.searchsorted(kept.planned_s, [start_s, end_s])
    if first == last:
        return None
    planned = kept.planned_s[first:last]
    ok = kept.ok[first:last]
    limit_s = run.time_limit_us / 1e6
    # A failed arrival waited until its failure was known: one that was refused at once did not wait long.
    done = np.where(np.isfinite(kept.done_s[first:last]), kept.done_s[first:last], planned + limit_s)
    waited_ms = (done - planned) * 1000
    threshold = slow_ms(run)
    slow = waited_ms > threshold
    stall_ms, stall_from, stalled = _longest_stall(planned[slow], done[slow])
    return Around(
        kind=move.kind,
        start_s=start_s,
        end_s=end_s,
        arrivals=len(planned),
        failed=int((~ok).sum()),
        slow=int(slow.sum()),
        slow_ms=threshold,
        longest_ms=float(waited_ms.max()),
        stall_ms=stall_ms,
        stall_from_s=stall_from,
        stalled_arrivals=stalled,
    )


def _longest_stall(begins: np.ndarray, ends: np.ndarray) -> tuple[float, float | None, int]:
    """The longest union of overlapping waits: its length in ms, its start, the slow arrivals in it."""
    if not len(begins):
        return 0.0, None, 0
    reach = np.maximum.accumulate(ends)
    opens = np.concatenate([[True], begins[1:] > reach[:-1]])
    group = np.cumsum(opens) - 1
    starts = begins[opens]
    closes = np.zeros(len(starts))
    np.maximum.at(closes, group, ends)
    longest = int(np.argmax(closes - starts))
    return float((closes - starts)[longest] * 1000), float(starts[longest]), int((group == longest).sum())
