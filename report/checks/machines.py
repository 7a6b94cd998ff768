"""Did the generator, the machine or the function's environments run out, and do the workers' clocks agree?"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from contract.runread import Json, Run, mapping, number
from report.checks.check import FAIL, PASS, WARN, RunCheck, judged
from report.checks.compared import Stretch
from report.checks.promises import absent, limit_of
from report.measures import Floats, Mask
from report.moves import PlayedMove, is_cycles
from report.windows import MoveWindows, load_end_s

GENERATOR_CORE_SHARE = 0.8
MACHINE_BUSY_10S = 0.95
SATURATED_S = 5
CLOCK_MS = 10.0
COLD_SHARE = 0.002
COLD_A_SECOND = 3
MOST_NAMED = 4


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
    t_s, second = run.seconds.t_s, np.rint(under_load[:, 0]) - 1
    for stretch in compared:
        first, last = t_s[stretch.rows][[0, -1]] if stretch.rows.stop > stretch.rows.start else (0, -1)
        parts.append(under_load[(second >= first) & (second <= last)])
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
    below = np.flatnonzero(np.concatenate([[True], table[:, 1] <= MACHINE_BUSY_10S, [True]]))
    return int(np.diff(below).max()) - 1


def _busiest(table: Floats) -> float:
    """The highest mean of ten rows in a row."""
    width = min(10, len(table))
    return float(np.convolve(table[:, 1], np.ones(width) / width, "valid").max()) if width else 0.0


def environments(run: Run) -> Iterator[RunCheck]:
    """The function never had all its environments busy. Each row is about the second before it."""
    reached = sum(1 for event in run.events if event.name == "limit.reached")
    rows = [row for row in run.environments if number(row.get("t_s")) >= 0]  # before, environments are warmed
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


def cold_starts(run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None) -> Iterator[RunCheck]:
    """The seconds that a move is compared with met warm environments; those during and after it are an effect."""
    cold, offered = run.seconds.cold, run.seconds["offered"]
    if not np.isfinite(cold).any():  # the application does not say
        return
    compared, moved = _of_cycles(run, moves) if is_cycles(moves) else _of_one_move(windows)
    counts = {name: np.nan_to_num(cold[rows]).astype(np.int64) for name, rows in compared.items()}
    if not counts:
        return
    spoiled = [
        f"{name} {count.sum():,} in {offered[compared[name]].sum():,} arrivals, at most {count.max()} a second"
        for name, count in counts.items()
        if count.sum() > COLD_SHARE * offered[compared[name]].sum() or count.max(initial=0) > COLD_A_SECOND
    ]
    total = f"{sum(count.sum() for count in counts.values()):,} in {', '.join(counts)}"
    if len(counts) > MOST_NAMED:
        total = f"{sum(count.sum() for count in counts.values()):,} in {len(counts)} windows"
    sums = {name: int(np.nansum(cold[rows])) for name, rows in moved.items()}
    effect = [f"{name} {count:,}{', an effect' if count else ''}" for name, count in sums.items()]
    yield judged(
        "Cold starts",
        not spoiled,
        "; ".join([*(spoiled[:MOST_NAMED] or [total]), *effect]),
        f"<= {COLD_SHARE:.1%} of the arrivals and <= {COLD_A_SECOND} a second, in the control and before the move",
        "A new environment answers later than a warm one: with many in the control, the move looks better than it is.",
    )


def _of_one_move(windows: MoveWindows | None) -> tuple[Mapping[str, Mask], Mapping[str, Mask]]:
    """The windows that the move is compared with, and its own."""
    if windows is None:
        return {}, {}
    controls = () if windows.control is None else ("before", "during", "after")
    compared = {"before": windows.before, **{f"control of {name}": windows.control_rows(name) for name in controls}}
    return compared, {"during": windows.during, "after": windows.after}


def _of_cycles(run: Run, moves: Sequence[PlayedMove]) -> tuple[Mapping[str, Mask], Mapping[str, Mask]]:
    """The idle time before each move, and the shams; and the real moves."""
    declared = run.table("cycles")
    flank_s, window_s = number(declared.get("flank_s"), 0.0), number(declared.get("window_s"), 0.0)
    t_s = run.seconds.t_s
    compared: dict[str, Mask] = {}
    moving = np.zeros(len(t_s), dtype=np.bool_)
    for move in moves:
        if math.isnan(move.started_s):
            continue
        name = f"{move.kind} move {move.cycle} {move.direction}".rstrip()
        window = (t_s + 1 > move.started_s) & (t_s < max(move.finished_s or 0.0, move.started_s + window_s))
        compared[f"before {name}"] = (t_s >= move.requested_s - flank_s) & (t_s + 1 <= move.requested_s)
        if move.kind == "sham":
            compared[name] = window
        else:
            moving |= window
    return compared, {"in the real moves": moving}


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
