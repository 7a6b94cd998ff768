"""Can the run be trusted: each check with its number and its limit. Any that fails makes the run INVALID."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from contract.runread import Json, Run, mapping, number
from report import measures
from report.windows import Comparison, Move

DELIVERED_SHARE = 0.999
DELIVERED_WORST_10S = 0.99
LATE_SHARE = 0.01
GENERATOR_CORE_SHARE = 0.8
MACHINE_BUSY_10S = 0.95
CLOCK_MS = 10.0
PAIR_RATE_SHARE = 0.01
SHAM_COVER_SHARE = 0.8
EDGE_SHARE = 0.10

PASS, WARN, FAIL, UNKNOWN = "pass", "warn", "fail", "unknown"


@dataclass(frozen=True)
class Check:
    """One question about the run itself. `state` is pass, warn, fail or unknown; only fail makes the run INVALID."""

    name: str
    state: str
    value: str
    limit: str
    meaning: str


def check_run(run: Run, moves: Sequence[Move], comparison: Comparison | None) -> list[Check]:
    """Every check, in the order in which a reader would ask."""
    checks = [
        *_data(run),
        *_schedule(run),
        *_lag(run),
        *_saturation(run, comparison),
        *_environments(run),
        *_audit(run),
        *_clocks(run),
    ]
    if comparison is not None:
        checks += _pairs(run, comparison)
        checks += _sham(run, comparison)
        checks += _place(comparison)
    checks += _moves_ended(run, moves)
    return checks


def _check(name: str, good: bool, value: str, limit: str, meaning: str, *, otherwise: str = FAIL) -> Check:
    return Check(name, PASS if good else otherwise, value, limit, meaning)


def _data(run: Run) -> Iterator[Check]:
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
    yield _check(
        "Data complete",
        not gaps,
        "; ".join(gaps) or f"{len(seconds):,} planned seconds, {known:,} response times",
        "every planned second, one response time per good reply, nothing unreadable",
        "What is missing could be what went wrong.",
    )
    ended = run.text("ended", "unknown")
    yield _check(
        "Ended by itself",
        ended == "finished",
        ended,
        "finished",
        "A run that was stopped or interrupted did not offer its whole schedule.",
    )
    problems = run.meta.get("problems")
    if isinstance(problems, list) and problems:
        yield Check(
            "No problems reported", FAIL, "; ".join(map(str, cast("list[object]", problems)))[:1000], "none", ""
        )


def _schedule(run: Run) -> Iterator[Check]:
    offered, sent = run.seconds["offered"], run.seconds["sent"]
    total = int(offered.sum())
    planned = sum(phase.arrivals for phase in run.phases)
    if not total:
        yield Check(
            "Schedule delivered", FAIL, "nothing was offered", f">= {DELIVERED_SHARE:.1%}", "There is no load to judge."
        )
        return
    share = int(sent.sum()) / max(planned, total)
    worst = _worst_share(sent, offered)
    yield _check(
        "Schedule delivered",
        share >= DELIVERED_SHARE and worst >= DELIVERED_WORST_10S,
        f"{int(sent.sum()):,} of {max(planned, total):,} arrivals sent ({share:.2%}); worst 10 s {worst:.2%}",
        f">= {DELIVERED_SHARE:.1%}, and {DELIVERED_WORST_10S:.0%} in any 10 s",
        "Latency at a lower rate than planned is another experiment.",
    )


def _worst_share(part: measures.Floats | np.ndarray, whole: measures.Floats | np.ndarray) -> float:
    """The least share of `part` in `whole` over any ten rows."""
    width = min(10, len(whole))
    ones = np.ones(width)
    sums = np.convolve(whole, ones, "valid")
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(sums > 0, np.convolve(part, ones, "valid") / sums, 1.0)
    return float(shares.min())


def _lag(run: Run) -> Iterator[Check]:
    lag = measures.latency_of(run.latency["lag"].merged(np.ones(len(run.seconds), dtype=np.bool_)))
    sent = int(run.seconds["sent"].sum())
    if lag.p99 is None or not sent:
        yield Check("Sent on time", UNKNOWN, "no send lag recorded", f"late <= {LATE_SHARE:.0%}", "")
        return
    late = int(run.seconds["late"].sum()) / sent
    threshold = run.number("late_threshold_ms")
    more = "" if math.isnan(threshold) else f" by more than {threshold:g} ms"
    yield _check(
        "Sent on time",
        late <= LATE_SHARE,
        f"{late:.2%} late{more}; lag p50 {lag.p50} ms, p99 {lag.p99} ms, max {lag.max} ms",
        f"late <= {LATE_SHARE:.0%}",
        "A generator that sends late measures itself.",
    )


def _saturation(run: Run, comparison: Comparison | None) -> Iterator[Check]:
    shares: list[float] = []
    duration = min(run.number("duration_s"), float(len(run.seconds)))
    for name, used in run.table("generator_cpu").items():
        if name != "master" and duration:
            shares.append(number(used, 0.0) / duration)
    yield Check(
        "Generator not saturated",
        UNKNOWN if not shares else PASS if max(shares) <= GENERATOR_CORE_SHARE else FAIL,
        f"busiest worker {max(shares):.0%} of a core" if shares else "not recorded",
        f"<= {GENERATOR_CORE_SHARE:.0%} of a core",
        "Python sends from one core; near its limit it sends late.",
    )
    yield from _machine(run, comparison)


def _machine(run: Run, comparison: Comparison | None) -> Iterator[Check]:
    """Judged in the phases that are compared, where there are such; a full machine elsewhere is worth a note."""
    limit = f"<= {MACHINE_BUSY_10S:.0%} in any 10 s"
    rows = [row for row in run.servers if row.get("node") == "machine"]
    table = np.array([(number(row.get("t_s")), number(row.get("cpu_busy"))) for row in rows]).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    under_load = table[(table[:, 0] >= 0) & (table[:, 0] < load_end_s(run))]
    if not len(under_load):
        if run.text("where") == "rehearsal":
            yield Check("Machine not saturated", UNKNOWN, "not recorded", limit, "")
        return
    phases = [] if comparison is None else [phase for phase in (comparison.phase, comparison.control) if phase]
    compared = [
        _busiest(under_load[(under_load[:, 0] >= phase.start_s) & (under_load[:, 0] < phase.end_s)]) for phase in phases
    ]
    whole = _busiest(under_load)
    judged = max(compared, default=whole)
    inside = f"busiest 10 s {judged:.0%}" + (" in the phases compared" if compared else "")
    value = f"{inside}; {whole:.0%} in the whole run, mean {under_load[:, 1].mean():.0%}"
    state = FAIL if judged > MACHINE_BUSY_10S else WARN if whole > MACHINE_BUSY_10S else PASS
    meaning = "On a full machine everything waits for a core, the cache included."
    yield Check("Machine not saturated", state, value, limit, meaning)


def _busiest(table: measures.Floats) -> float:
    """The highest mean of ten rows in a row."""
    width = min(10, len(table))
    return float(np.convolve(table[:, 1], np.ones(width) / width, "valid").max()) if width else 0.0


def _environments(run: Run) -> Iterator[Check]:
    reached = sum(1 for event in run.events if event.name == "limit.reached")
    rows = run.environments
    if not reached and not rows:
        if run.text("where") == "rehearsal":
            yield Check("Function environments", UNKNOWN, "not recorded", "never exhausted", "")
        return
    limit = _most(rows, "limit", number(run.table("function").get("limit")))
    full = sum(1 for row in rows if number(row.get("busy_max"), 0.0) >= limit or number(row.get("limit_reached"), 0.0))
    waited = sum(int(number(row.get("waited"), 0.0)) for row in rows)
    of = "" if math.isnan(limit) else f" of {limit:.0f}"
    yield _check(
        "Function environments",
        not reached and not full,
        f"at most {_most(rows, 'busy_max', 0.0):.0f}{of} busy; all busy in {max(full, reached)} second(s); "
        f"{waited:,} invocations waited for one, {_most(rows, 'wait_ms_max', 0.0):.1f} ms at most",
        "never exhausted",
        "Past the limit the wait for an environment is what is measured.",
    )


def _most(rows: Sequence[Json], key: str, default: float) -> float:
    return max((value for row in rows if not math.isnan(value := number(row.get(key)))), default=default)


def _audit(run: Run) -> Iterator[Check]:
    limit = "every acknowledged session read back"
    meaning = "Only what was read back is known to have survived."
    if run.audit is None:
        expected = run.text("where") in ("rehearsal", "aws")
        yield Check("Audit complete", FAIL if expected else UNKNOWN, "no audit was made", limit, meaning)
        return
    acknowledged = int(number(run.audit.get("acknowledged"), 0.0))
    checked = int(number(run.audit.get("checked"), 0.0))
    listed = max(run.sessions, acknowledged)
    yield _check(
        "Audit complete",
        run.audit.get("complete") is True and checked >= listed,
        f"{checked:,} of {listed:,} sessions read back",
        limit,
        meaning,
    )


def _clocks(run: Run) -> Iterator[Check]:
    offsets = [abs(number(mapping(row).get("offset_ms"), 0.0)) for row in run.table("clock").values()]
    yield Check(
        "Clocks agree",
        UNKNOWN if not offsets else PASS if max(offsets) <= CLOCK_MS else FAIL,
        f"at most {max(offsets):.2f} ms apart" if offsets else "not recorded",
        f"<= {CLOCK_MS:g} ms",
        "Workers share one schedule by the clock.",
    )


def _pairs(run: Run, comparison: Comparison) -> Iterator[Check]:
    if comparison.control is None:
        yield Check(
            "Pairs comparable", WARN, "no earlier phase has the same rates", "a control phase",
            "Without a control, before and after are all there is to compare with.",
        )  # fmt: skip
        return
    sent = run.seconds["sent"]
    apart: list[str] = []
    worst = 0.0
    for name in ("before", "during", "after"):
        window = comparison.window(name) & (comparison.control_row >= 0)
        here, there = int(sent[window].sum()), int(sent[comparison.control_row[window]].sum())
        if max(here, there):
            difference = abs(here - there) / max(here, there)
            worst = max(worst, difference)
            if difference > PAIR_RATE_SHARE:
                apart.append(f"{name} {difference:.1%}")
    unpaired = int((comparison.before | comparison.during | comparison.after).sum()) - int(
        ((comparison.before | comparison.during | comparison.after) & (comparison.control_row >= 0)).sum()
    )
    value = f"rates differ by {worst:.2%} at most" + (f" ({', '.join(apart)})" if apart else "")
    yield _check(
        "Pairs comparable",
        not apart and not unpaired,
        value + (f"; {unpaired} second(s) without a pair" if unpaired else ""),
        f"<= {PAIR_RATE_SHARE:.0%} in each window",
        "Only seconds at the same rate can be subtracted.",
    )


def _sham(run: Run, comparison: Comparison) -> Iterator[Check]:
    if comparison.control is None:
        return
    limit = f"a sham during >= {SHAM_COVER_SHARE:.0%} of the paired seconds"
    meaning = "Without it the control lacks the machine's own work of moving slots."
    if comparison.sham is None:
        expected = WARN if run.text("where") == "rehearsal" else UNKNOWN
        yield Check("Sham in the control", expected, "none was played", limit, meaning)
        return
    rows = comparison.control_row[comparison.during]
    times = run.seconds.t_s[rows[rows >= 0]]
    end = comparison.sham.finished_s if comparison.sham.finished_s is not None else math.inf
    covered = ((times + 1 > comparison.sham.started_s) & (times < end)).sum()
    share = float(covered) / max(len(times), 1)
    yield _check("Sham in the control", share >= SHAM_COVER_SHARE, f"{share:.0%}", limit, meaning, otherwise=WARN)


def _place(comparison: Comparison) -> Iterator[Check]:
    phase, move = comparison.phase, comparison.move
    before = (move.requested_s - phase.start_s) / phase.duration_s
    end = move.finished_s
    after = 0.0 if end is None else max(phase.end_s - end, 0.0) / phase.duration_s
    yield _check(
        "Room around the move",
        before >= EDGE_SHARE - 0.005 and after >= EDGE_SHARE,
        f"{before:.0%} of the phase before, {after:.0%} after",
        f">= {EDGE_SHARE:.0%} of the phase before and after",
        "A comparison needs seconds on both sides of the event.",
        otherwise=WARN,
    )


def load_end_s(run: Run) -> float:
    """When the last arrival was planned: the planned length, or the last second of a run that ended before."""
    last = float(run.seconds.t_s[-1] + 1) if len(run.seconds) else 0.0
    return min(run.number("duration_s", last), last)


def _moves_ended(run: Run, moves: Sequence[Move]) -> Iterator[Check]:
    real = [move for move in moves if move.kind == "real"]
    if not real:
        if run.table("reshard"):
            yield Check("Reshard played", FAIL, "run.json declares a reshard, no event tells of one", "as declared", "")
        return
    end = load_end_s(run)
    open_ended = [move for move in real if move.finished_s is None or move.finished_s > end]
    failed = [move for move in real if move.error]
    value = "all slots moved under load"
    if failed:
        value = f"a reshard failed: {failed[0].error[:200]}"
    elif open_ended:
        value = "slots still moved when the load ended"
    yield _check(
        "Reshard finished under load", not open_ended and not failed, value, "all slots moved before the load ends",
        "What was not under load was not measured.", otherwise=FAIL if failed else WARN,
    )  # fmt: skip
