"""Did the generator, the machine or the function's environments run out, and do the workers' clocks agree?"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from contract.runread import Json, Run, mapping, number
from report.checks.check import FAIL, PASS, WARN, RunCheck, judged
from report.checks.compared import Stretch
from report.checks.promises import absent, limit_of
from report.measures import Floats
from report.windows import MoveWindows, load_end_s

GENERATOR_CORE_SHARE = 0.8
MACHINE_BUSY_10S = 0.95
SATURATED_S = 5
CLOCK_MS = 10.0


def saturation(run: Run, windows: MoveWindows | None, compared: Sequence[Stretch]) -> Iterator[RunCheck]:
    """No worker of the generator used its core up, and the machine was not saturated."""
    shares: list[float] = []
    duration = min(run.number("duration_s"), float(len(run.seconds)))
    for name, used in run.table("generator_cpu").items():
        if name != "master" and duration:
            shares.append(number(used, 0.0) / duration)
    yield RunCheck(
        "Generator not saturated",
        absent(run, "workers") if not shares else PASS if max(shares) <= GENERATOR_CORE_SHARE else FAIL,
        f"busiest worker {max(shares):.0%} of a core" if shares else "not recorded",
        f"<= {GENERATOR_CORE_SHARE:.0%} of a core",
        "A worker sends from one core; near that core's limit it sends late.",
    )
    yield from _machine(run, windows, compared)


def _machine(run: Run, windows: MoveWindows | None, compared: Sequence[Stretch]) -> Iterator[RunCheck]:
    """Fails the run if the machine is saturated in a phase that is compared; elsewhere in the run it is a note."""
    limit = f"<= {MACHINE_BUSY_10S:.0%} in any 10 s, above it at most {SATURATED_S} s in a row"
    rows = [row for row in run.servers if row.get("node") == "machine"]
    table = np.array([(number(row.get("t_s")), number(row.get("cpu_busy"))) for row in rows]).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    under_load = table[(table[:, 0] >= 0) & (table[:, 0] < load_end_s(run))]
    if not len(under_load):
        if not limit_of(run, "machine"):
            yield RunCheck("Machine not saturated", FAIL, "not recorded", limit, "")
        return
    phases = [] if windows is None else [phase for phase in (windows.phase, windows.control) if phase]
    parts = [under_load[(under_load[:, 0] >= phase.start_s) & (under_load[:, 0] < phase.end_s)] for phase in phases]
    # A row tells of the second that ends with it.
    seconds = run.seconds.t_s
    parts += [under_load[np.isin(np.rint(under_load[:, 0]) - 1, seconds[stretch.rows])] for stretch in compared]
    whole = _busiest(under_load)
    busiest = max(map(_busiest, parts), default=whole)
    longest = max(map(_longest, parts), default=_longest(under_load))
    inside = f"busiest 10 s {busiest:.0%}, {longest} s in a row above {MACHINE_BUSY_10S:.0%}"
    inside += " in the phases compared" if phases else ""
    value = f"{inside}; {whole:.0%} in the whole run, mean {under_load[:, 1].mean():.0%}"
    saturated = busiest > MACHINE_BUSY_10S or longest > SATURATED_S
    state = FAIL if saturated else WARN if whole > MACHINE_BUSY_10S else PASS
    meaning = "On a saturated machine every process waits for a core, the cache included."
    yield RunCheck("Machine not saturated", state, value, limit, meaning)


def _longest(table: Floats) -> int:
    """The most rows in a row above the limit."""
    longest = now = 0
    for busy in table[:, 1].tolist():
        now = now + 1 if busy > MACHINE_BUSY_10S else 0
        longest = max(longest, now)
    return longest


def _busiest(table: Floats) -> float:
    """The highest mean of ten rows in a row."""
    width = min(10, len(table))
    return float(np.convolve(table[:, 1], np.ones(width) / width, "valid").max()) if width else 0.0


def environments(run: Run) -> Iterator[RunCheck]:
    """The function never had all its environments busy."""
    reached = sum(1 for event in run.events if event.name == "limit.reached")
    rows = run.environments
    if not reached and not rows:
        if not limit_of(run, "environments"):
            yield RunCheck("Function environments", FAIL, "not recorded", "never exhausted", "")
        return
    limit = _most(rows, "limit", number(run.table("function").get("limit")))
    full = sum(1 for row in rows if number(row.get("busy_max"), 0.0) >= limit or number(row.get("limit_reached"), 0.0))
    waited = sum(int(number(row.get("waited"), 0.0)) for row in rows)
    of = "" if math.isnan(limit) else f" of {limit:.0f}"
    yield judged(
        "Function environments",
        not reached and not full,
        f"at most {_most(rows, 'busy_max', 0.0):.0f}{of} busy; all busy in {max(full, reached)} second(s); "
        f"{waited:,} invocations waited for one, {_most(rows, 'wait_ms_max', 0.0):.1f} ms at most",
        "never exhausted",
        "Once all environments are busy, requests wait for one, and latencies include that wait.",
    )


def _most(rows: Sequence[Json], key: str, default: float) -> float:
    return max((value for row in rows if not math.isnan(value := number(row.get(key)))), default=default)


def clocks(run: Run) -> Iterator[RunCheck]:
    """The clock of every worker that took part is near the master's, and its CPU is known."""
    joined = {str(event.fields.get("worker")) for event in run.events if event.name == "worker.joined"}
    clock, used = run.table("clock"), run.table("generator_cpu")
    gaps: list[str] = []
    offsets: list[float] = []
    for worker in sorted(joined | set(clock)):
        offset, trip = (number(mapping(clock.get(worker)).get(key)) for key in ("offset_ms", "round_trip_ms"))
        if math.isnan(offset) or not 0 <= trip <= 2 * CLOCK_MS:
            gaps.append(f"the clock of worker {worker[:60]} is not known to {CLOCK_MS:g} ms")
        else:
            offsets.append(abs(offset))
    if clock and joined != set(clock):
        gaps.append(f"{len(joined)} worker(s) joined, {len(clock)} clocks are recorded")
    if (joined or clock) and set(used) - {"master"} != set(clock):
        gaps.append(f"{len(set(used) - {'master'})} workers have their CPU recorded, {len(clock)} their clock")
    if any(number(cpu_s, -1.0) < 0 for cpu_s in used.values()):
        gaps.append("a worker's CPU is no number")
    if len(clock) < run.number("workers", 0.0):
        gaps.append(f"{len(clock)} clocks for {run.meta.get('workers')} workers")
    state = PASS if not gaps and max(offsets, default=math.inf) <= CLOCK_MS else FAIL
    apart = f"at most {max(offsets):.2f} ms apart" if offsets else "not recorded"
    yield RunCheck(
        "Clocks agree",
        state if offsets or gaps else absent(run, "workers"),
        "; ".join([*gaps, apart]),
        f"every worker's <= {CLOCK_MS:g} ms",
        "The workers follow one schedule, each by its own clock.",
    )
