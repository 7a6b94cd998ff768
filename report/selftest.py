"""The run tests itself, as Lancet does (Kogias, Mallon, Bugnion, USENIX ATC 2019): notes, which never make it INVALID.

Are the arrivals distributed as declared, are the quiet seconds independent and steady, and did the response time change
its level only where something was declared? A test that finds nothing at the 0.01 level is no proof.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contract.runread import Run
from report import changepoints, measures, sensitivity
from report.changepoints import Changes
from report.checks.check import UNKNOWN, WARN, RunCheck, judged
from report.checks.remedies import with_remedy
from report.cycles import CycleFindings
from report.gaps import arrivals
from report.moves import PlayedMove
from report.quiet import Quiet, quiet_seconds
from report.sensitivity import Sensitivity
from report.series import Autocorrelation, Trend, autocorrelation, trend
from report.windows import MoveWindows

ALPHA = 0.01
LEAST_S = 15
"""Of fewer quiet seconds a test at this level hardly finds anything."""
MOST_S = 5_000
"""Of a longer run the first so many quiet seconds are tested: permutations take time, and these find enough."""
STATS = {"p50": 0.5, "p99": 0.99}
_CLAIM_TIMES = 8


@dataclass(frozen=True)
class SelfTest:
    """What the run says about itself. `series` by percentile; empty with too few quiet seconds."""

    quiet: Quiet
    series: dict[str, tuple[Autocorrelation, Trend]]
    changes: Changes
    smallest: Sensitivity | None
    checks: Sequence[RunCheck]

    def as_json(self, *, usable: bool) -> dict[str, Any]:
        """For report.json; times in ms, shares from 0 to 1."""
        return {
            "usable": usable,
            "quiet": {
                "seconds": len(self.quiet.rows),
                "how": self.quiet.how,
                "series": {
                    stat: {
                        "autocorrelation": round(alike.first, 6), "autocorrelation_p": round(alike.p, 6),
                        "tau": round(drift.tau, 6), "trend_p": round(drift.p, 6),
                    }
                    for stat, (alike, drift) in self.series.items()
                },
            },
            "changes": {
                "seconds_a_point": self.changes.seconds_a_point,
                "within_s": self.changes.within_s,
                "points": [
                    {
                        "t_s": point.t_s, "p": round(point.p, 6), "before_ms": round(point.before_ms, 6),
                        "after_ms": round(point.after_ms, 6), "near": point.near,
                    }
                    for point in self.changes.points
                ],
            },
            "smallest": None if self.smallest is None else {
                "how": self.smallest.how,
                "why": self.smallest.why,
                "outcomes": {
                    row.outcome: {"unit": row.unit, "value": round(row.value, 6), "half_blocks": row.half_blocks}
                    for row in self.smallest.rows
                },
            },
        }  # fmt: skip


def examine(
    run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None, cycles: CycleFindings | None
) -> SelfTest:
    """Work it out."""
    quiet = quiet_seconds(run, moves, windows).first(MOST_S)
    series: dict[str, tuple[Autocorrelation, Trend]] = {}
    for stat, quantile in STATS.items():
        values = quiet.values(measures.per_second_ms(run, "response", quantile))
        known = np.isfinite(values)
        if known.sum() >= LEAST_S:
            chosen = values[known], quiet.t_s[known], quiet.state[known]
            series[stat] = autocorrelation(*chosen), trend(*chosen)
    changes = changepoints.changes(run, moves, windows)
    smallest = None
    if cycles is not None:
        smallest = sensitivity.of_cycles(cycles)
    elif windows is not None:
        smallest = sensitivity.of_one_move(run, windows, quiet)
    checks = [*arrivals(run), *_quiet(quiet, series), *_changed(changes, moves)]
    return SelfTest(quiet, series, changes, smallest, [with_remedy(check) for check in checks])


def _quiet(quiet: Quiet, series: dict[str, tuple[Autocorrelation, Trend]]) -> Iterator[RunCheck]:
    """Independence and steadiness of the quiet seconds; of two percentiles each has half of the level."""
    limit = f"p > {ALPHA / len(STATS):g} for each of response p50 and p99"
    texts = {
        "Seconds independent": "Quiet seconds that resemble their neighbours tell less than their number says.",
        "Seconds steady": "The response time drifts while nothing is changed, so a later move meets another system.",
    }
    if len(series) < len(STATS):
        value = f"{len(quiet.rows)} quiet seconds can be compared at an equal rate, {LEAST_S} are needed"
        for name, meaning in texts.items():
            yield RunCheck(name, UNKNOWN, value, limit, meaning)
        return
    figures = [
        [(f"{stat} r = {alike.first:+.2f}", alike.p) for stat, (alike, _) in series.items()],
        [(f"{stat} tau = {drift.tau:+.2f}", drift.p) for stat, (_, drift) in series.items()],
    ]
    for (name, meaning), found in zip(texts.items(), figures, strict=True):
        value = ", ".join(f"{told} (p = {p:.2g})" for told, p in found) + f", of {len(quiet.rows)} seconds"
        yield judged(name, min(p for _, p in found) > ALPHA / len(STATS), value, limit, meaning, otherwise=WARN)


def _changed(changes: Changes, moves: Sequence[PlayedMove]) -> Iterator[RunCheck]:
    """Whether the level changes only where something was declared, and whether it does where slots moved."""
    others = [point.t_s for point in changes.points if point.near == changepoints.OTHER]
    counts = {
        name: sum(point.near == name for point in changes.points)
        for name in (changepoints.MOVE, changepoints.SHAM, changepoints.FILLING, changepoints.LOAD)
    }
    told = [f"{count} at {_NEAR[name]}" for name, count in counts.items() if count]
    if any(move.kind == "real" for move in moves) and not counts[changepoints.MOVE]:
        told.append("none where slots moved")
    if others:
        named = ", ".join(f"{t_s:g}" for t_s in others[:_CLAIM_TIMES]) + ("..." if len(others) > _CLAIM_TIMES else "")
        told.append(f"{len(others)} where nothing was declared (second {named})")
    value = f"{len(changes.points)} changes of level" + (f": {', '.join(told)}" if told else "")
    yield judged(
        "Changes declared", not others, value, f"each within {changes.within_s:g} s of a declared one",
        "The response p99 changed its level although nothing was declared: its cause may act during the move, too.",
        otherwise=WARN,
    )  # fmt: skip


_NEAR = {
    changepoints.MOVE: "a move",
    changepoints.SHAM: "a sham",
    changepoints.FILLING: "a filling",
    changepoints.LOAD: "a change of the load",
}
