"""Latencies as counts in HdrHistogram's buckets (microseconds, three digits), merged by adding, never averaged.

A dict of bucket -> count is a tenth of the cost of a full histogram array for the few hundred different values of a
second, travels between processes as a few bytes, and becomes a standard HdrHistogram when it is written.
"""

import ctypes
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hdrh.histogram import HdrHistogram

LATENCIES = ("response", "service", "lag")  # what the generator measures; the application's timings stand beside them
OVER_ALL_OFFERED = frozenset({"response", "service"})  # those that every offered arrival should have had
HIGHEST_US = 120_000_000
DIGITS = 3
_SUB_BUCKET_BITS = 11  # 2 * 10^3 sub-buckets, rounded up to a power of two
PERCENTILES = (50.0, 90.0, 95.0, 99.0)


def bucket(value_us: int) -> int:
    """The lowest value of the histogram bucket that holds a value; exact below 2,048 us, within 0.1 % above."""
    shift = value_us.bit_length() - _SUB_BUCKET_BITS
    return value_us if shift <= 0 else value_us >> shift << shift


def bucket_top(value_us: int) -> int:
    """The highest value of the same bucket: what HdrHistogram reports for a percentile."""
    shift = value_us.bit_length() - _SUB_BUCKET_BITS
    return value_us if shift <= 0 else ((value_us >> shift) + 1 << shift) - 1


class Latencies:
    """Counts of latencies; values above the range are counted at its top and in `above_range`, never lost."""

    __slots__ = ("above_range", "counts", "total")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.total = 0
        self.above_range = 0

    def record(self, values_us: Iterable[int]) -> None:
        """Count values; below one microsecond counts as one."""
        for value, count in Counter(values_us).items():
            if value > HIGHEST_US:
                self.above_range += count
                self.counts[bucket(HIGHEST_US)] += count
            else:
                self.counts[bucket(max(value, 1))] += count
            self.total += count

    def add(self, other: "Latencies") -> None:
        """Merge another's counts."""
        counts = self.counts
        for value, count in other.counts.items():  # Counter.update is slower for small ones
            counts[value] += count
        self.total += other.total
        self.above_range += other.above_range

    def summary_ms(self, *, others: int = 0, time_limit_us: int = 0) -> dict[str, float | int | None]:
        """`{p50, p90, p95, p99, max, count}` in ms; None where nothing was counted. `others`: see `percentiles_us`."""
        *values, highest = percentiles_us(
            self.counts, (*PERCENTILES, 100.0), others=others, time_limit_us=time_limit_us
        )
        names = [f"p{percentile:g}" for percentile in PERCENTILES]
        summary: dict[str, float | int | None] = {
            name: None if value is None else value / 1000 for name, value in zip(names, values, strict=True)
        }
        summary["max"] = None if highest is None else highest / 1000
        summary["count"] = self.total + others
        return summary


def percentiles_us(
    counts: Mapping[int, int], percentiles: Sequence[float], *, others: int = 0, time_limit_us: int = 0
) -> list[int | None]:
    """The values at the given percentiles (0 to 100), nearest rank, over the counted values and `others` more.

    `others` are offered arrivals without a good reply (failed, missed, unknown); each counts as the time limit, because
    otherwise a percentile would improve when things break. None everywhere if there is nothing at all.
    """
    merged = dict(counts)
    if others:
        limit = bucket(max(time_limit_us, 1))
        merged[limit] = merged.get(limit, 0) + others
    total = sum(merged.values())
    if not total:
        return [None] * len(percentiles)
    ranks = sorted({max(1, math.ceil(percentile / 100 * total)) for percentile in percentiles})
    at_rank: dict[int, int] = {}
    seen = 0
    values = iter(sorted(merged))
    value = 0
    for rank in ranks:
        while seen < rank:
            value = next(values)
            seen += merged[value]
        at_rank[rank] = bucket_top(value)
    return [at_rank[max(1, math.ceil(percentile / 100 * total))] for percentile in percentiles]


class HistogramCodec:
    """Turns counts into a standard histogram's base64 payload, reusing one array of counters."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, HIGHEST_US, DIGITS)

    def encode(self, latencies: Latencies) -> str:
        """The payload for one line of an interval log."""
        histogram = self._histogram
        ctypes.memset(ctypes.addressof(histogram.counts), 0, ctypes.sizeof(histogram.counts))
        histogram.total_count = 0
        histogram.min_value, histogram.max_value = HIGHEST_US, 0
        for value, count in latencies.counts.items():
            histogram.record_value(value, count)
        return histogram.encode().decode("ascii")
