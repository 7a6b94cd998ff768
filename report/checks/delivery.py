"""Is the record whole, was the schedule delivered on time, and were the sessions read back?"""

import math
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from contract.runread import Run, mapping, number
from report import measures
from report.checks.check import FAIL, RunCheck, judged
from report.checks.compared import Stretch
from report.checks.counts import is_count
from report.checks.promises import absent, is_ours, limit_of
from report.measures import Floats

DELIVERED_SHARE = 0.999
DELIVERED_WORST_10S = 0.99
LATE_SHARE = 0.01


def data(run: Run) -> Iterator[RunCheck]:
    """Every planned second is recorded and readable, and the run ended by itself."""
    planned = math.ceil(run.number("duration_s", 0.0) - 1e-6)
    lacking = max(planned - len(run.seconds), 0)
    gaps = [
        *([f"{lacking} of {planned} planned seconds are missing"] if lacking else []),
        *_not_sent_whole(run),
        *run.damage,
    ]
    yield judged(
        "Data complete",
        not gaps,
        "; ".join(gaps) or f"{len(run.seconds):,} planned seconds",
        "every planned second, nothing unreadable",
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


def _not_sent_whole(run: Run) -> Iterator[str]:
    """On AWS the master says which bytes it sent to the bucket; `contract.runread` compares them."""
    if limit_of(run, "evidence"):
        return
    if run.evidence is None:
        yield "evidence.json is missing: the master did not confirm that it sent everything"
    elif run.evidence.get("whole") is not True:
        yield f"evidence.json says that not everything was sent: {run.evidence.get('problems')!r:.300}"
    elif not mapping(run.evidence.get("files")):
        yield "evidence.json names no files"


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


def lag(run: Run, compared: Sequence[Stretch]) -> Iterator[RunCheck]:
    """Few requests left late, in the whole run and in each window that is compared."""
    seconds = run.seconds
    lag_ms = measures.latency_of(run.latency["lag"].merged(np.ones(len(seconds), dtype=np.bool_)))
    sent = int(seconds["sent"].sum())
    if lag_ms.p99 is None or not sent:
        state = absent(run, "latencies")
        yield RunCheck("Sent on time", state, "no send lag recorded", f"late <= {LATE_SHARE:.0%}", "")
        return
    late = int(seconds["late"].sum()) / sent
    shares = [
        (int(seconds["late"][part.rows].sum()) / max(int(seconds["sent"][part.rows].sum()), 1), part.name)
        for part in compared
    ]
    worst, where = max(shares, default=(late, "the run"))
    threshold = run.number("late_threshold_ms")
    more = "" if math.isnan(threshold) else f" by more than {threshold:g} ms"
    yield judged(
        "Sent on time",
        max(late, worst) <= LATE_SHARE,
        f"{late:.2%} late{more}, {worst:.2%} in {where}; "
        f"lag p50 {lag_ms.p50} ms, p99 {lag_ms.p99} ms, max {lag_ms.max} ms",
        f"late <= {LATE_SHARE:.0%}, in each window that is compared",
        "When requests leave late, latencies include the generator's own delay.",
    )


def audit(run: Run) -> Iterator[RunCheck]:
    """Every good reply's session is listed, and was read back after the load."""
    limit = "every good reply's session listed and read back"
    meaning = "A session that was not read back may be lost."
    ok = int(run.seconds["ok"].sum())
    gaps: list[str] = []
    if run.sessions != ok and limit_of(run, "sessions") is None:
        gaps.append(f"sessions.bin lists {run.sessions:,} sessions of {ok:,} good replies")
    if run.repeated_sessions and is_ours(run):
        gaps.append(f"sessions.bin lists {run.repeated_sessions:,} sessions twice")
    if run.audit is None:
        missing = "; ".join([*gaps, "no audit was made"])
        yield RunCheck("Audit complete", FAIL if gaps else absent(run, "audit"), missing, limit, meaning)
        return
    told = {name: run.audit.get(name) for name in ("acknowledged", "checked", "missing", "different")}
    strange = [f"{name} is {value!r}" for name, value in told.items() if not is_count(value)]
    acknowledged, checked, missing, different = (int(number(value, -1.0)) for value in told.values())
    if strange:
        gaps += strange
    elif not checked == acknowledged == run.sessions:
        gaps.append(f"{checked:,} read back of {acknowledged:,} acknowledged and {run.sessions:,} listed")
    elif missing + different > checked:
        gaps.append(f"{missing:,} missing and {different:,} different of {checked:,}")
    examples = run.audit.get("examples")
    if not strange and isinstance(examples, list) and (missing + different > 0) != bool(examples):
        gaps.append(f"{len(examples)} example(s) of {missing + different:,} sessions missing or different")
    if run.audit.get("complete") is not True:
        gaps.append(f"it says that it is not complete: {run.audit.get('problems')!r:.300}")
    yield judged(
        "Audit complete", not gaps, "; ".join(gaps) or f"{checked:,} of {ok:,} sessions read back", limit, meaning
    )
