"""When response times were back to normal after a move of slots.

A second is ordinary if its response p99 is at most the 99th percentile (nearest rank) of the response p99s of the
control phase's seconds in which no sham ran; without a control, of the seconds before the move was requested. Below 100
such seconds that is the highest of them. Response times are back to normal from the first ordinary second after the
move with which five seconds begin of which at least four are ordinary: one slow second by chance does not put it off.
"""

import math
from dataclasses import dataclass

import numpy as np

from contract.runread import Run
from report import measures
from report.measures import Mask
from report.stalls import SETTLE_S
from report.windows import MoveWindows

AT_ONCE, AFTER, NOT_SEEN, UNKNOWN = "at once", "after", "not within the record", "unknown"
LEAST_ORDINARY_S = 10
"""From fewer seconds nobody knows what is ordinary."""
RUN_S, MOST_S = 5, 4
"""Of so many seconds in a row, so many must be ordinary."""


@dataclass(frozen=True)
class Recovery:
    """`after_s`: whole seconds from the move's end, rounded up; 0 at once; None if it was not seen or is unknown."""

    state: str
    after_s: int | None
    watched_s: int
    limit_ms: float | None
    why: str = ""


def recovery(run: Run, windows: MoveWindows) -> Recovery:
    """When the phase of the move was back to normal."""
    p99 = measures.per_second_ms(run, "response", 0.99)
    ordinary = p99[_ordinary(run, windows)]
    ordinary = ordinary[np.isfinite(ordinary)]
    after = windows.after & np.isfinite(p99)
    watched = int(after.sum())
    end_s = windows.move.finished_s
    if end_s is None:
        return Recovery(UNKNOWN, None, 0, None, "the record ends before the move does")
    if len(ordinary) < LEAST_ORDINARY_S:
        return Recovery(
            UNKNOWN, None, watched, None,
            f"only {len(ordinary)} seconds without a move or sham tell what is normal, {LEAST_ORDINARY_S} are needed",
        )  # fmt: skip
    limit_ms = float(np.quantile(ordinary, 0.99, method="inverted_cdf"))
    if watched < RUN_S:
        return Recovery(
            UNKNOWN, None, watched, limit_ms, f"the phase goes on for {watched} s after the move, {RUN_S} are needed"
        )
    good = p99[after] <= limit_ms
    times = run.seconds.t_s[after]
    for place in range(watched - RUN_S + 1):
        if good[place] and int(good[place : place + RUN_S].sum()) >= MOST_S:
            after_s = math.ceil(float(times[place]) - end_s)
            return Recovery(AFTER if place else AT_ONCE, after_s if place else 0, watched, limit_ms)
    return Recovery(NOT_SEEN, None, watched, limit_ms)


def _ordinary(run: Run, windows: MoveWindows) -> Mask:
    """The seconds that tell what is normal."""
    if windows.control is None:
        return windows.before
    t_s = run.seconds.t_s
    rows = np.zeros(len(t_s), dtype=np.bool_)
    rows[windows.control_row[windows.control_row >= 0]] = True
    sham = windows.sham
    if sham is not None:
        ended = [end_s for end_s in (sham.finished_s, sham.ended_s) if end_s is not None]
        end_s = max(ended) + SETTLE_S if ended else math.inf
        rows &= (t_s + 1 <= sham.requested_s) | (t_s >= end_s)
    return rows
