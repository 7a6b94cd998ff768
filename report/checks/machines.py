"""Did the generator, the machine or the function's environments run out, and do the workers' clocks agree?"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from contract.runread import Json, Run, mapping, number
from report.checks.check import FAIL, PASS, UNKNOWN, WARN, RunCheck, judged
from report.measures import Floats
from report.windows import MoveWindows, load_end_s

GENERATOR_CORE_SHARE = 0.8
MACHINE_BUSY_10S = 0.95
CLOCK_MS = 10.0


def saturation(run: Run, windows: MoveWindows | None) -> Iterator[RunCheck]:
    """No worker of the generator used its core up, and the machine was not saturated."""
    shares: list[float] = []
    duration = min(run.number("duration_s"), float(len(run.seconds)))
    for name, used in run.table("generator_cpu").items():
        if name != "master" and duration:
            shares.append(number(used, 0.0) / duration)
    yield RunCheck(
        "Generator not saturated",
        UNKNOWN if not shares else PASS if max(shares) <= GENERATOR_CORE_SHARE else FAIL,
        f"busiest worker {max(shares):.0%} of a core" if shares else "not recorded",
        f"<= {GENERATOR_CORE_SHARE:.0%} of a core",
        "A worker sends from one core; near that core's limit it sends late.",
    )
    yield from _machine(run, windows)


def _machine(run: Run, windows: MoveWindows | None) -> Iterator[RunCheck]:
    """Fails the run if the machine is saturated in a phase that is compared; elsewhere in the run it is a note."""
    limit = f"<= {MACHINE_BUSY_10S:.0%} in any 10 s"
    rows = [row for row in run.servers if row.get("node") == "machine"]
    table = np.array([(number(row.get("t_s")), number(row.get("cpu_busy"))) for row in rows]).reshape(-1, 2)
    table = table[np.isfinite(table).all(axis=1)]
    under_load = table[(table[:, 0] >= 0) & (table[:, 0] < load_end_s(run))]
    if not len(under_load):
        if run.text("where") == "rehearsal":
            yield RunCheck("Machine not saturated", UNKNOWN, "not recorded", limit, "")
        return
    phases = [] if windows is None else [phase for phase in (windows.phase, windows.control) if phase]
    compared = [
        _busiest(under_load[(under_load[:, 0] >= phase.start_s) & (under_load[:, 0] < phase.end_s)]) for phase in phases
    ]
    whole = _busiest(under_load)
    judged = max(compared, default=whole)
    inside = f"busiest 10 s {judged:.0%}" + (" in the phases compared" if compared else "")
    value = f"{inside}; {whole:.0%} in the whole run, mean {under_load[:, 1].mean():.0%}"
    state = FAIL if judged > MACHINE_BUSY_10S else WARN if whole > MACHINE_BUSY_10S else PASS
    meaning = "On a saturated machine every process waits for a core, the cache included."
    yield RunCheck("Machine not saturated", state, value, limit, meaning)


def _busiest(table: Floats) -> float:
    """The highest mean of ten rows in a row."""
    width = min(10, len(table))
    return float(np.convolve(table[:, 1], np.ones(width) / width, "valid").max()) if width else 0.0


def environments(run: Run) -> Iterator[RunCheck]:
    """The function never had all its environments busy."""
    reached = sum(1 for event in run.events if event.name == "limit.reached")
    rows = run.environments
    if not reached and not rows:
        if run.text("where") == "rehearsal":
            yield RunCheck("Function environments", UNKNOWN, "not recorded", "never exhausted", "")
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
    """The workers' clocks are near the master's."""
    offsets = [abs(number(mapping(row).get("offset_ms"), 0.0)) for row in run.table("clock").values()]
    yield RunCheck(
        "Clocks agree",
        UNKNOWN if not offsets else PASS if max(offsets) <= CLOCK_MS else FAIL,
        f"at most {max(offsets):.2f} ms apart" if offsets else "not recorded",
        f"<= {CLOCK_MS:g} ms",
        "The workers follow one schedule, each by its own clock.",
    )
