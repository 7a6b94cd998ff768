"""Is the record whole, was the schedule delivered on time, and were the sessions read back?"""

import math
from collections.abc import Iterator
from typing import cast

import numpy as np

from contract.runread import Run, number
from report import measures
from report.checks.check import FAIL, UNKNOWN, RunCheck, judged
from report.measures import Floats

DELIVERED_SHARE = 0.999
DELIVERED_WORST_10S = 0.99
LATE_SHARE = 0.01


def data(run: Run) -> Iterator[RunCheck]:
    """Every planned second is recorded, the counts add up, and the run ended by itself."""
    seconds = run.seconds
    planned = math.ceil(run.number("duration_s", 0.0) - 1e-6)
    lacking = max(planned - len(seconds), 0)
    balance = seconds["ok"] + seconds["failed"] + seconds["missed"] + seconds["unknown"] - seconds["offered"]
    off = int((balance != 0).sum())
    replies = int(seconds["ok"].sum())
    known = int(run.latency["response"].totals.sum())
    gaps = [
        *([f"{lacking} of {planned} planned seconds are missing"] if lacking else []),
        *([f"{off} second(s) do not add up"] if off else []),
        *([f"{known:,} response times for {replies:,} good replies"] if known != replies else []),
        *run.damage,
    ]
    yield judged(
        "Data complete",
        not gaps,
        "; ".join(gaps) or f"{len(seconds):,} planned seconds, {known:,} response times",
        "every planned second, one response time per good reply, nothing unreadable",
        "Missing data may hide a failure.",
    )
    ended = run.text("ended", "unknown")
    yield judged(
        "Ended by itself",
        ended == "finished",
        ended,
        "finished",
        "A run that was stopped or interrupted did not offer its whole schedule.",
    )
    problems = run.meta.get("problems")
    if isinstance(problems, list) and problems:
        yield RunCheck(
            "No problems reported", FAIL, "; ".join(map(str, cast("list[object]", problems)))[:1000], "none", ""
        )


def schedule(run: Run) -> Iterator[RunCheck]:
    """The generator sent what the profile plans, over the whole run and in any ten seconds."""
    offered, sent = run.seconds["offered"], run.seconds["sent"]
    total = int(offered.sum())
    planned = sum(phase.arrivals for phase in run.phases)
    if not total:
        yield RunCheck(
            "Schedule delivered",
            FAIL,
            "nothing was offered",
            f">= {DELIVERED_SHARE:.1%}",
            "Without load there is nothing to judge.",
        )
        return
    share = int(sent.sum()) / max(planned, total)
    worst = _worst_share(sent, offered)
    yield judged(
        "Schedule delivered",
        share >= DELIVERED_SHARE and worst >= DELIVERED_WORST_10S,
        f"{int(sent.sum()):,} of {max(planned, total):,} arrivals sent ({share:.2%}); worst 10 s {worst:.2%}",
        f">= {DELIVERED_SHARE:.1%}, and {DELIVERED_WORST_10S:.0%} in any 10 s",
        "Latencies at a lower rate than planned are those of another load.",
    )


def _worst_share(part: Floats | np.ndarray, whole: Floats | np.ndarray) -> float:
    """The least share of `part` in `whole` over any ten rows."""
    width = min(10, len(whole))
    ones = np.ones(width)
    sums = np.convolve(whole, ones, "valid")
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(sums > 0, np.convolve(part, ones, "valid") / sums, 1.0)
    return float(shares.min())


def lag(run: Run) -> Iterator[RunCheck]:
    """Few requests left late."""
    lag_ms = measures.latency_of(run.latency["lag"].merged(np.ones(len(run.seconds), dtype=np.bool_)))
    sent = int(run.seconds["sent"].sum())
    if lag_ms.p99 is None or not sent:
        yield RunCheck("Sent on time", UNKNOWN, "no send lag recorded", f"late <= {LATE_SHARE:.0%}", "")
        return
    late = int(run.seconds["late"].sum()) / sent
    threshold = run.number("late_threshold_ms")
    more = "" if math.isnan(threshold) else f" by more than {threshold:g} ms"
    yield judged(
        "Sent on time",
        late <= LATE_SHARE,
        f"{late:.2%} late{more}; lag p50 {lag_ms.p50} ms, p99 {lag_ms.p99} ms, max {lag_ms.max} ms",
        f"late <= {LATE_SHARE:.0%}",
        "When requests leave late, latencies include the generator's own delay.",
    )


def audit(run: Run) -> Iterator[RunCheck]:
    """Every acknowledged session was read back after the load."""
    limit = "every acknowledged session read back"
    meaning = "A session that was not read back may be lost."
    if run.audit is None:
        expected = run.text("where") in ("rehearsal", "aws")
        yield RunCheck("Audit complete", FAIL if expected else UNKNOWN, "no audit was made", limit, meaning)
        return
    acknowledged = int(number(run.audit.get("acknowledged"), 0.0))
    checked = int(number(run.audit.get("checked"), 0.0))
    listed = max(run.sessions, acknowledged)
    yield judged(
        "Audit complete",
        run.audit.get("complete") is True and checked >= listed,
        f"{checked:,} of {listed:,} sessions read back",
        limit,
        meaning,
    )
