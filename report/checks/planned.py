"""Was what the profile plans offered: the schedule is computed again from run.json's profile."""

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from contract.profiles import ProfileError, parse
from contract.runread import Run, mapping
from contract.schedule import Schedule
from report.checks.check import FAIL, RunCheck, judged
from report.checks.compared import told

Ints = npt.NDArray[np.int64]

MOST_TEXT = 100_000
MOST_PLANNED = 20_000_000
"""Twenty times the original's load; drawing Poisson arrivals takes a second for each four million or so."""
_LEAST_S = 1e-6


def schedule_of(run: Run) -> Schedule | str:
    """The schedule that run.json's profile gives with its scale and compression, or why there is none."""
    profile = mapping(run.meta.get("profile"))
    text, scale, compress = profile.get("text"), run.meta.get("scale"), run.meta.get("compress")
    if not isinstance(text, str) or len(text) > MOST_TEXT:
        return f"run.json has no text of its profile, or one of more than {MOST_TEXT:,} characters"
    for name, factor in (("scale", scale), ("compress", compress)):
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not math.isfinite(factor):
            return f"run.json's {name} is {factor!r}"
    return _schedule(text, str(scale), str(compress))


@lru_cache(maxsize=4)
def _schedule(text: str, scale: str, compress: str) -> Schedule | str:
    try:
        profile = parse(text, file="run.json's profile", scale=scale, compress=compress)
    except (ProfileError, RecursionError) as error:
        return str(error)[:300]
    planned = sum((phase.area for phase in profile.phases), Fraction(0))
    if planned > MOST_PLANNED:
        return f"its profile plans {float(planned):,.0f} arrivals; at most {MOST_PLANNED:,} are computed again"
    return Schedule(profile)


def offered(run: Run) -> Iterator[RunCheck]:
    """Each second offered what the profile plans for it."""
    schedule = schedule_of(run)
    name, limit = "Offered as planned", "in each second what the profile plans"
    meaning = "Only the load of the profile can be compared or repeated."
    if isinstance(schedule, str):
        yield RunCheck(name, FAIL, schedule, limit, meaning)
        return
    t_s = run.seconds.t_s
    first, last = edges_of(run, schedule)
    planned = last - first
    phases = np.array([schedule.phase_at(t).index for t in t_s.tolist()], dtype=np.int64)
    gaps = [*_declared(run, schedule)]
    if (apart := planned != run.seconds["offered"]).any():
        first = int(np.flatnonzero(apart)[0])
        gaps.append(
            f"other than planned in {told(t_s[apart])}: "
            f"{int(run.seconds['offered'][first]):,} offered, {int(planned[first]):,} planned in second {t_s[first]}"
        )
    if (apart := phases != run.seconds.phase).any():
        gaps.append(f"counted under another phase: {told(t_s[apart])}")
    yield judged(name, not gaps, "; ".join(gaps) or f"{schedule.total:,} arrivals as planned", limit, meaning)


def edges_of(run: Run, schedule: Schedule) -> tuple[Ints, Ints]:
    """The first arrival planned in each second that is recorded, and the first one after it."""
    t_s = run.seconds.t_s.tolist()
    edges = [(schedule.count_before(second), schedule.count_before(second + 1)) for second in t_s]
    table = np.array(edges, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _declared(run: Run, schedule: Schedule) -> Iterator[str]:
    """What run.json says of the schedule beside the profile's text."""
    profile = mapping(run.meta.get("profile"))
    for key, value in (("arrivals", schedule.profile.arrivals), ("seed", schedule.profile.seed)):
        if profile.get(key) != value:
            yield f"run.json's profile says {key} {profile.get(key)!r}, its text {value!r}"
    if not math.isclose(run.number("duration_s"), schedule.duration_s, rel_tol=1e-9, abs_tol=_LEAST_S):
        yield f"duration_s is {run.meta.get('duration_s')!r}, the profile lasts {schedule.duration_s:g} s"
    if len(run.phases) != len(schedule.phases):
        yield f"run.json lists {len(run.phases)} phases, the profile has {len(schedule.phases)}"
        return
    for listed, planned in zip(run.phases, schedule.phases, strict=True):
        for key in ("name", "start_s", "duration_s", "rate_from", "rate_to", "arrivals"):
            said, meant = getattr(listed, key), getattr(planned, key)
            if said != meant and not (key != "name" and math.isclose(said, meant, rel_tol=1e-9, abs_tol=_LEAST_S)):
                yield f"run.json says {key} {said!r} of phase {planned.index + 1}, the profile {meant!r}"
