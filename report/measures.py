"""Percentiles of a window, over every arrival that was offered in it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.hdrread import Merged
from contract.runfolder import COUNTS
from contract.runread import Run

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
FINE_SAMPLES = 10_000
"""Of fewer values, fewer than ten lie above p99.9, so it is not told."""

P99_SAMPLES = 1_000
"""Of fewer values, fewer than ten lie above p99, so the verdict and the tables of windows do not tell it."""

OVER_ALL_OFFERED = ("response", "service")
"""Series in which an arrival without a good reply counts as the time limit; the others know good replies only."""


@dataclass(frozen=True)
class Latency:
    """One series in one window, in milliseconds; None where there is no value."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    max: float | None
    count: int
    p99_9: float | None = None

    def as_json(self) -> dict[str, float | int | None]:
        """The contract's form; p99.9 only when there are enough values to tell it."""
        fields: dict[str, float | int | None] = {
            "p50": self.p50, "p90": self.p90, "p95": self.p95, "p99": self.p99, "max": self.max, "count": self.count,
        }  # fmt: skip
        if self.p99_9 is not None:
            fields["p99.9"] = self.p99_9
        return fields


@dataclass(frozen=True)
class Measures:
    """The counts and latencies of one window of a run."""

    seconds: int
    counts: Mapping[str, int]
    cold: int | None  # replies from an environment that was cold; None if no reply said whether it was
    latency: Mapping[str, Latency]


def no_good_reply(run: Run) -> npt.NDArray[np.int64]:
    """Per second the arrivals that had no good reply."""
    return run.seconds["failed"] + run.seconds["missed"] + run.seconds["unknown"]


def merged(run: Run, series: str, rows: Mask) -> Merged:
    """The values of `series` in the rows, with the arrivals without a good reply at the time limit."""
    values = run.latency[series].merged(rows)
    if series in OVER_ALL_OFFERED:
        values = values.with_beyond(int(no_good_reply(run)[rows].sum()), run.time_limit_us)
    return values


def latency_of(values: Merged) -> Latency:
    """The percentiles that the number of values allows."""
    if not values.total:
        return Latency(None, None, None, None, None, 0)
    p50, p90, p95, p99, top = (_ms(values.quantile_us(q)) for q in (*QUANTILES.values(), 1.0))
    fine = _ms(values.quantile_us(0.999)) if values.total >= FINE_SAMPLES else None
    return Latency(p50, p90, p95, p99, top, values.total, fine)


def measure(run: Run, rows: Mask) -> Measures:
    """Counts and latencies of the rows together."""
    cold = run.seconds.cold[rows]
    cold = cold[np.isfinite(cold)]
    return Measures(
        seconds=int(rows.sum()),
        counts={name: int(run.seconds[name][rows].sum()) for name in COUNTS},
        cold=int(cold.sum()) if len(cold) else None,
        latency={series: latency_of(merged(run, series, rows)) for series in run.series},
    )


def per_second_ms(run: Run, series: str, quantile: float) -> Floats:
    """The quantile of every planned second in milliseconds; NaN where the second has no value."""
    if series in OVER_ALL_OFFERED:
        return run.latency[series].per_row(quantile, no_good_reply(run), run.time_limit_us) / 1000
    return run.latency[series].per_row(quantile) / 1000


def _ms(value_us: float) -> float:
    return round(value_us / 1000, 4)
