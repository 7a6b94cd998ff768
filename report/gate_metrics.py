"""The metrics that a gate may name, of which kind each is, and where report.json holds it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from contract.histograms import LATENCIES
from contract.runfolder import COUNTS
from contract.runread import mapping
from report import effect


class Kind(Enum):
    """What a value is. Only values of one kind are compared; a bare number goes with counts and ratios."""

    TIME = "a time"
    COUNT = "a count"
    RATIO = "a ratio"
    NUMBER = "a bare number"


@dataclass(frozen=True)
class Quantity:
    """A value, in ms if it is a time; None when the run does not have it, and `why` tells the reason."""

    value: float | None
    why: str = ""


Reading = Callable[[Mapping[str, Any]], Quantity]
"""What takes a value out of a report.json."""


class UnknownMetricError(ValueError):
    """There is no metric of that name; the message says what is known."""


@dataclass(frozen=True)
class PlannedLoad:
    """What is known of a run before it starts: the names of its phases, and whether one reshard is planned.

    `reshard` is False without a reshard and in a run of cycles, which has no seconds before and after *the* move.
    """

    phases: Sequence[str]
    reshard: bool

    def lacks(self, name: str) -> str:
        """Why a metric of that name cannot be there after the run; empty if it can."""
        match = _NAME.fullmatch(name)
        scope = (match["scope"] or "") if match else ""
        first, _, rest = scope.partition(".")
        if first == "phase":
            named = self.phases[int(rest) - 1 : int(rest)] if rest.isdecimal() else self.phases
            count = len(named) if rest.isdecimal() else list(named).count(rest.strip('"'))
            if count > 1:
                return f"{count} phases are called {rest}; name one by its place, such as phase.1"
            if not count:
                listed = ", ".join(f'{place} "{phase}"' for place, phase in enumerate(self.phases[:20], start=1))
                return f"the load has no such phase; it has {listed}"
        if not self.reshard and (first in _WINDOWS or name in ("stall", "reshard.duration")):
            return "the run is planned without a reshard, or with cycles of them"
        return ""


Metrics = Mapping[str, tuple[tuple[str, ...], Kind]]
"""By a metric's name: the keys that lead to it in report.json, and its kind."""

_WINDOWS = ("before", "during", "after", "control")
_COUNTS = (*COUNTS, "cold")
_STATS = ("p50", "p90", "p95", "p99", "p99.9", "max", "count")
_NAME = re.compile(
    r'(?:(?P<scope>run|(?:control\.)?(?:before|during|after)|phase\.(?:[1-9]\d{0,3}|"[^"]*"))\.)?(?P<metric>.+)',
    re.ASCII,
)


def metric(name: str, timings: Sequence[str]) -> tuple[Reading, Kind]:
    """What reads the metric of that name, and its kind, in a run whose application tells these timings.

    Raises:
        UnknownMetricError: there is no such metric, or it takes no scope.
    """
    match = _NAME.fullmatch(name)
    scope, rest = (match["scope"] or "", match["metric"]) if match else ("", name)
    of_the_run = _of_the_run(timings)
    of_cycles = _of_cycles(timings).get(name)
    if of_cycles:
        return _effect(name, of_the_run.get(name, ((), Kind.NUMBER))[0], *of_cycles[0]), of_cycles[1]
    keys, kind = _of_a_window(timings).get(rest) or (None if scope else of_the_run.get(rest)) or ((), Kind.NUMBER)
    if keys:
        return _look_up(name, scope, keys), kind
    if rest in of_the_run or rest in _of_cycles(timings):
        raise UnknownMetricError(f"no such metric; {rest} takes no scope, write {rest} alone")
    raise UnknownMetricError(f"no such metric; known are {_known(timings)}")


def _of_a_window(timings: Sequence[str]) -> Metrics:
    return {
        **{
            f"{series}.{stat}": (("latency", series, stat), Kind.COUNT if stat == "count" else Kind.TIME)
            for series in (*LATENCIES, *timings)
            for stat in _STATS
        },
        **{count: ((count,), Kind.COUNT) for count in _COUNTS},
    }


def _of_the_run(timings: Sequence[str]) -> Metrics:
    return {
        "stall": (("reshard", "stall", "stall_ms"), Kind.TIME),
        "reshard.duration": (("reshard", "duration_ms"), Kind.TIME),
        **{f"audit.{name}": (("audit", name), Kind.COUNT) for name in ("missing", "different", "checked")},
        **{
            f"{what}.{series}.{stat}": (("reshard", "effect", series, stat, f"{what}_ms"), Kind.TIME)
            for what in ("effect", "aftermath")
            for series in effect.series_of(timings)
            for stat in effect.STATS
        },
    }


def _of_cycles(timings: Sequence[str]) -> Metrics:
    """The outcomes of a run of cycles, and which part of them: mean of d, or an end of its interval."""
    kinds = {
        **{f"{series}.{stat}": Kind.TIME for series in ("response", *timings) for stat in ("p50", "p90", "p99")},
        "response.slow": Kind.RATIO,
        "response.slow_arrivals": Kind.COUNT,
    }
    return {
        f"effect.{outcome}{end}": ((outcome, end.removeprefix(".") or "estimate"), kind)
        for outcome, kind in kinds.items()
        for end in ("", ".low", ".high")
    }


def _known(timings: Sequence[str]) -> str:
    return (
        f"SERIES.STAT ({', '.join((*LATENCIES, *timings))}; {', '.join(_STATS)}) and {', '.join(_COUNTS)}, each also "
        "with run., before., during., after., control.before., control.during., control.after., phase.1. or "
        'phase."NAME". in front; and without any: audit.missing, audit.different, audit.checked, reshard.duration, '
        f"stall, effect.SERIES.STAT and aftermath.SERIES.STAT ({', '.join(effect.series_of(timings))}; "
        f"{', '.join(effect.STATS)}), of cycles effect.OUTCOME, effect.OUTCOME.low and effect.OUTCOME.high "
        "(response.slow, response.slow_arrivals, and p50, p90, p99 of response and the timings)"
    )


def _effect(name: str, of_one_move: tuple[str, ...], outcome: str, part: str) -> Reading:
    """An effect: the mean over the blocks of a run of cycles or an end of its interval, else that of the one move."""
    single = _look_up(name, "", of_one_move)

    def result(report: Mapping[str, Any]) -> Quantity:
        cycles = mapping(report.get("cycles"))
        if not cycles:
            return single(report) if of_one_move else Quantity(None, f"{name} is known of cycles only")
        found = mapping(mapping(cycles["outcomes"]).get(outcome))
        value = found.get(part)
        if isinstance(value, (int, float)):
            return Quantity(float(value))
        if not found:
            why = f"cycles of {cycles['arrivals_a_window']} arrivals a window do not tell it"
        elif cycles["problem"]:
            why = str(cycles["problem"])
        elif found["p"] is None:
            why = "the primary outcome shows no effect, so the others are estimates alone; judge by the primary's ends"
        else:
            why = "the blocks do not differ, so there is no interval"
        return Quantity(None, why)

    return result


def _look_up(name: str, scope: str, keys: tuple[str, ...]) -> Reading:
    def result(report: Mapping[str, Any]) -> Quantity:
        value, why = _scoped(scope, report)
        for key in keys:
            value = mapping(value).get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return Quantity(None, why or f"this run has no {name}")
        return Quantity(float(value))

    return result


def _scoped(scope: str, report: Mapping[str, Any]) -> tuple[object, str]:
    """The part of the report that the scope names, and why there is none if that needs words."""
    if scope in ("", "run"):
        return report, ""
    first, _, rest = scope.partition(".")
    if first != "phase":
        window = mapping(report["reshard"]).get(first)
        return (mapping(window).get(rest) if rest else window), ""
    phases: list[Mapping[str, Any]] = report["phases"]
    if not rest.startswith('"'):
        phases = phases[int(rest) - 1 : int(rest)]
    else:
        phases = [phase for phase in phases if phase["name"] == rest.strip('"')]
    if len(phases) > 1:
        return None, f"{len(phases)} phases are called {rest}; name one by its place, such as phase.1"
    return (phases[0], "") if phases else (None, f"this run has no {scope}")
