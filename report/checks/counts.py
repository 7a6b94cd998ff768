"""Do the counts of the run agree with each other, with the schedule, and with the histograms, second by second?"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from contract.hdrread import Histograms, highest_equivalent
from contract.histograms import HIGHEST_US
from contract.runfolder import COUNTS, FAILED_CAUSES, MISSED_CAUSES, TIMINGS
from contract.runread import Run, mapping, number
from report.checks.check import RunCheck, judged
from report.checks.compared import told
from report.checks.promises import is_ours, limit_of
from report.measures import Floats, Mask

Ints = npt.NDArray[np.int64]

_LATE_REPLY_S = 10.0  # a reply is waited for a little beyond its limit, to tell late from never
_COUNTERS = 500_000  # of a series at a time
_TOP_INDEX = int(np.searchsorted(highest_equivalent(np.arange(1 << 16)), HIGHEST_US))
_HTTP = re.compile(r"http_[1-9]\d{2}")


def counts(run: Run) -> Iterator[RunCheck]:
    """Outcomes, causes and totals agree, and none is larger than what it is a part of."""
    gaps = [*_by_second(run), *_causes(run), *_totals(run), *_examples(run)]
    yield judged(
        "Counts add up",
        not gaps,
        "; ".join(gaps) or f"{int(run.seconds['offered'].sum()):,} arrivals, each with one outcome",
        "offered = ok + failed + missed + unknown in each second, causes and totals the same",
        "Counts that contradict each other were changed, or counted wrongly.",
    )


def is_count(value: object) -> bool:
    """Whether a value of a JSON file is a whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _by_second(run: Run) -> Iterator[str]:
    seconds = run.seconds
    ok, failed, sent = seconds["ok"], seconds["failed"], seconds["sent"]
    rules = {
        "do not add up": seconds["offered"] != ok + failed + seconds["missed"] + seconds["unknown"],
        "have sent other than ok + failed": sent != ok + failed,
        "have more late than sent": seconds["late"] > sent,
        "have more cold than sent": np.nan_to_num(seconds.cold) > sent,
        "have redirects or retries and no good reply": (ok == 0) & (seconds["redirects"] + seconds["retries"] > 0),
        "know of cold starts without a reply": (sent == 0) & np.isfinite(seconds.cold),
    }
    for problem, broken in rules.items():
        if broken.any():
            yield f"{int(broken.sum())} second(s) {problem}: {told(seconds.t_s[broken])}"
    if limit_of(run, "cold") is None and (unsaid := (ok > 0) & np.isnan(seconds.cold)).any():
        yield f"whether environments were cold is unknown in {told(seconds.t_s[unsaid])}"


def _causes(run: Run) -> Iterator[str]:
    sums: list[tuple[int, int]] = []
    unknown: set[str] = set()
    for causes in run.seconds.causes:
        failed = sum(count for name, count in causes.items() if name in FAILED_CAUSES or _HTTP.fullmatch(name))
        missed = sum(count for name, count in causes.items() if name in MISSED_CAUSES)
        sums.append((failed, missed))
        unknown |= {
            name for name in causes if not (name in FAILED_CAUSES or name in MISSED_CAUSES or _HTTP.fullmatch(name))
        }
        if any(count < 1 for count in causes.values()):
            yield "a cause is counted less than once"
    if unknown:
        yield f"unknown cause {', '.join(sorted(unknown)[:3])!r}"
    table = np.array(sums, dtype=np.int64).reshape(-1, 2)
    for name, found in (("failed", table[:, 0]), ("missed", table[:, 1])):
        apart = found != run.seconds[name]
        if apart.any():
            yield f"causes of {name} arrivals are not as many as {name}: {told(run.seconds.t_s[apart])}"


def _totals(run: Run) -> Iterator[str]:
    """run.json's totals; a run that never ended has none."""
    totals = run.meta.get("totals")
    if totals is None:
        if run.text("ended") == "finished":
            yield "run.json has no totals"
        return
    cold = run.seconds.cold[np.isfinite(run.seconds.cold)]
    sums: dict[str, int | None] = {name: int(run.seconds[name].sum()) for name in COUNTS}
    sums["cold"] = int(cold.sum()) if len(cold) else None
    for name, total in sums.items():
        value = mapping(totals).get(name)
        if value != total or not (value is None or is_count(value)):
            yield f"totals say {name} {value!r}, the seconds {total!r}"
    above = run.meta.get("above_range")
    for series, count in mapping(above).items():
        held = run.latency.get(series)
        top = 0 if held is None else int(held.count[held.index >= _TOP_INDEX].sum())
        if not is_count(count) or count > top:
            yield f"above_range says {series} {count!r}, its histograms hold {top} at their top"


def _examples(run: Run) -> Iterator[str]:
    """Each example has a failed or missed arrival of its cause, planned at most the time limit before it ended."""
    t_s, causes = run.seconds.t_s, run.seconds.causes
    reach_s = run.time_limit_us / 1e6 + _LATE_REPLY_S
    seconds_of: dict[str, list[int]] = {}
    for second, named in zip(t_s.tolist(), causes, strict=True):
        for name in named:
            seconds_of.setdefault(name, []).append(second)
    strange = 0
    for failure in run.failures:
        at_s, cause = number(failure.get("t_s")), str(failure.get("cause"))
        seconds = seconds_of.get(cause, [])
        first = bisect_left(seconds, at_s - 1 - reach_s)  # the earliest second whose arrival could end so late
        strange += not (first < len(seconds) and seconds[first] - 1 <= at_s)
    if strange:
        yield f"failures.jsonl has {strange} example(s) of failures that no second counts"


def latencies(run: Run) -> Iterator[RunCheck]:
    """Each second's histograms hold one value for each of its arrivals, and fit each other."""
    if not run.latency["response"].totals.any() and not run.seconds["ok"].any():
        gaps: list[str] = []
    else:
        gaps = [*_histogram_counts(run), *_fit(run)]
    yield judged(
        "Latencies counted",
        not gaps,
        "; ".join(gaps) or f"{int(run.latency['response'].totals.sum()):,} response times",
        "in each second one value per good reply (lag: per sent arrival), response = lag + service",
        "A histogram that lacks values, or holds others, makes percentiles of nothing.",
    )


def _histogram_counts(run: Run) -> Iterator[str]:
    ok, sent, t_s = run.seconds["ok"], run.seconds["sent"], run.seconds.t_s
    exact = limit_of(run, "timings") is None and is_ours(run)
    for series, histograms in run.latency.items():
        held = histograms.totals
        wanted = sent if series == "lag" else ok
        is_part = (series in run.timings and not exact) or "/" in series
        apart = held > wanted if is_part else held != wanted
        if apart.any():
            first = int(np.flatnonzero(apart)[0])
            of = "sent arrivals" if series == "lag" else "good replies"
            yield (
                f"{series} has {int(held[first]):,} values for {int(wanted[first]):,} {of} in second {t_s[first]}"
                + (f", and {int(apart.sum()) - 1} other second(s) differ" if apart.sum() > 1 else "")
            )
    scenarios = [histograms.totals for series, histograms in run.latency.items() if "/" in series]
    if scenarios and (apart := sum(scenarios, np.zeros_like(ok)) != ok).any():
        yield f"the scenarios' response times are not as many as the good replies: {told(t_s[apart])}"


def _fit(run: Run) -> Iterator[str]:
    """What histograms of one second must have to do with each other, within the width of their counters."""
    seconds = run.seconds
    ok, sent, t_s = seconds["ok"], seconds["sent"], seconds.t_s
    response, service, lag = (run.latency[series] for series in ("response", "service", "lag"))
    counted = (response.totals == ok) & (service.totals == ok) & (lag.totals == sent)
    threshold_us = run.number("late_threshold_ms", 10.0) * 1000
    late_least = _per_row(lag, lambda index: _lowest(index) > threshold_us)
    late_most = _per_row(lag, lambda index: highest_equivalent(index) >= threshold_us)
    sums = {name: _sums(run.latency[name]) for name in ("response", "service", "lag")}
    all_ok = sent == ok
    low, high = sums["response"]
    rules = {
        "late is not what the lag's histogram says": (seconds["late"] < late_least) | (seconds["late"] > late_most),
        "response times are not lag + service time": all_ok
        & (
            (low > sums["service"][1] + sums["lag"][1] + 2 * ok) | (high + 2 * ok < sums["service"][0] + sums["lag"][0])
        ),
        "response times are shorter than service times": high + 2 * ok < sums["service"][0],
        "a good reply took longer than the time limit": _least_maxima(service) > run.time_limit_us,
    }
    if is_ours(run) and tuple(run.timings) == TIMINGS:
        own = [_sums(run.latency[timing])[0] for timing in TIMINGS]
        whole = np.all([run.latency[timing].totals == ok for timing in TIMINGS], axis=0)
        rules["connection, write and read take longer than the service time"] = whole & (
            sum(own, np.zeros(len(ok))) > sums["service"][1] + ok
        )
    for problem, broken in rules.items():
        at = broken & counted
        if at.any():
            yield f"{problem}: {told(t_s[at])}"


def _lowest(index: npt.NDArray[np.integer]) -> Ints:
    """The smallest value (microseconds) that is counted at `index`."""
    return np.where(index > 0, highest_equivalent(np.maximum(index.astype(np.int64) - 1, 0)) + 1, 0)


def _per_row(histograms: Histograms, weigh: Callable[[npt.NDArray[np.uint16]], Floats | Ints | Mask]) -> Floats:
    """For each second the sum over its counters of count times weight, some counters at a time."""
    starts = histograms.starts
    sums = np.zeros(len(starts) - 1)
    first = 0
    while first < len(sums):
        last = max(int(np.searchsorted(starts, starts[first] + _COUNTERS, "right")) - 1, first + 1)
        part = slice(int(starts[first]), int(starts[last]))
        weighed = histograms.count[part] * weigh(histograms.index[part]).astype(np.float64)
        running = np.concatenate([np.zeros(1), np.cumsum(weighed)])
        at = starts[first : last + 1] - starts[first]
        sums[first:last] = running[at[1:]] - running[at[:-1]]
        first = last
    return sums


def _sums(histograms: Histograms) -> tuple[Floats, Floats]:
    """The least and the most that the values of each second can sum up to."""
    return _per_row(histograms, _lowest), _per_row(histograms, highest_equivalent)


def _least_maxima(histograms: Histograms) -> Floats:
    """The least that the highest value of each second can be; 0 for an empty one."""
    starts, ends = histograms.starts[:-1], histograms.starts[1:]
    used = ends > starts
    least = np.zeros(len(starts))
    least[used] = _lowest(histograms.index[ends[used] - 1])
    return least
