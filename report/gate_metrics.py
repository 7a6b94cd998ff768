"""The metrics that a gate may name, and where report.json holds each of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.histograms import LATENCIES
from contract.runfolder import COUNTS
from contract.runread import mapping

_COUNTS = (*COUNTS, "cold")
_WINDOWS = ("before", "during", "after")
_STATS = ("p50", "p90", "p95", "p99", "p99.9", "max", "count")
_RUN_ONLY: Mapping[tuple[str, ...], tuple[tuple[str, ...], bool]] = {
    ("stall",): (("reshard", "stall", "stall_ms"), True),
    ("reshard", "duration"): (("reshard", "duration_ms"), True),
    **{("audit", name): (("audit", name), False) for name in ("missing", "different", "checked")},
}


@dataclass(frozen=True)
class Quantity:
    """A value, in ms if `is_time`; None when the run does not have it, and `why` tells the reason."""

    value: float | None
    is_time: bool
    why: str = ""


Reading = Callable[[Mapping[str, Any]], Quantity]
"""What takes a value out of a report.json."""


def known(timings: Sequence[str]) -> str:
    """The metrics of a run whose application tells these timings; named in the error about an unknown one."""
    return (
        f"SERIES.STAT ({', '.join((*LATENCIES, *timings))}; {', '.join(_STATS)}), {', '.join(_COUNTS)}, audit.missing, "
        "audit.different, audit.checked, reshard.duration, stall, effect.SERIES.p50|p99, aftermath.SERIES.p50|p99, "
        "each of the first two also with before., during., after., control.during. ..., phase.1. or "
        'phase."NAME". in front'
    )


def reading_of(names: Sequence[str], timings: Sequence[str]) -> tuple[Reading, bool] | None:
    """What reads the metric of that name, and whether it is a time; None when there is no such metric.

    `timings` are those that the run's application tells.
    """
    series = (*LATENCIES, *timings)
    scope, metric = _split_scope(names)
    if scope[:1] == ("control",) and scope[1] not in _WINDOWS:
        return None
    keys, is_time = _of_window(metric, series) or (None if scope else _of_run(metric, series)) or ((), False)
    return (_look_up(scope, keys, is_time=is_time), is_time) if keys else None


def _split_scope(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if names[0] == "run":
        return (), tuple(names[1:])
    if names[0] == "control" and len(names) > 1:
        return tuple(names[:2]), tuple(names[2:])
    if names[0] == "phase" and len(names) > 1:
        return tuple(names[:2]), tuple(names[2:])
    if names[0] in _WINDOWS:
        return (names[0],), tuple(names[1:])
    return (), tuple(names)


def _of_window(metric: tuple[str, ...], series: Sequence[str]) -> tuple[tuple[str, ...], bool] | None:
    """Where a window's report (or the run's) holds the metric."""
    if len(metric) == 2 and metric[0] in series and metric[1] in _STATS:
        return ("latency", *metric), metric[1] != "count"
    return (metric, False) if len(metric) == 1 and metric[0] in _COUNTS else None


def _of_run(metric: tuple[str, ...], series: Sequence[str]) -> tuple[tuple[str, ...], bool] | None:
    """Where the report holds a metric that only a whole run has."""
    if metric in _RUN_ONLY:
        return _RUN_ONLY[metric]
    if (
        len(metric) == 3
        and metric[0] in ("effect", "aftermath")
        and metric[1] in series
        and metric[2] in ("p50", "p99")
    ):
        return ("reshard", "effect", metric[1], metric[2], f"{metric[0]}_ms"), True
    return None


def _look_up(scope: tuple[str, ...], keys: tuple[str, ...], *, is_time: bool) -> Reading:
    named = ".".join((*scope, *keys))

    def result(report: Mapping[str, Any]) -> Quantity:
        value: object = _scoped(scope, report)
        for key in keys:
            value = mapping(value).get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return Quantity(None, is_time, f"this run has no {named}")
        return Quantity(float(value), is_time)

    return result


def _scoped(scope: tuple[str, ...], report: Mapping[str, Any]) -> object:
    if not scope:
        return report
    if scope[0] == "phase":
        phases: list[Mapping[str, Any]] = report["phases"]
        for place, phase in enumerate(phases, start=1):
            if scope[1] in (str(place), phase["name"]):
                return phase
        return None
    window: object = report["reshard"]
    for key in scope:
        window = mapping(window).get(key)
    return window
