"""Locust's own statistics, fed from the books in batches: the load as `GET`, the cache's figures as entries beside it.

Only the load counts in the Aggregated row. Times are milliseconds with three decimals: Locust's rounding to whole ones,
in two digits, is replaced.
"""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from locust.env import Environment
from locust.stats import StatsEntry, StatsError

from loadgen.books import Batch
from loadgen.observer import RunObserver
from locust import stats


def bucket_us(value_us: int) -> int:
    """A key of Locust's tables: to the microsecond below 0.256 ms, within 0.8 % above.

    Coarser than the histograms on purpose: Locust copies these tables every second and keeps twenty copies.
    """
    shift = value_us.bit_length() - 8
    return max(value_us, 1) if shift <= 0 else value_us >> shift << shift


def bucket_ms(response_time: float) -> float:
    """The same in Locust's milliseconds."""
    return bucket_us(int(response_time * 1000)) / 1000


class Feed(RunObserver):
    """An observer of runs that fills Locust's tables and charts."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._name = "/"
        self._timings: list[str] = []
        stats.bucket_response_time = bucket_ms  # type: ignore[assignment] - Locust says it may be replaced

    def started(self, folder: Path, run: Mapping[str, object]) -> None:
        """Name the entries: after the target's path, and the application's timings."""
        del folder
        self._name = urlsplit(str(run["host"])).path or "/"
        self._timings = cast("list[str]", run["timings"])

    def reported(self, batch: Batch) -> None:
        """Enter one report."""
        tables = self.environment.stats
        failed = sum(batch.failed.values())
        for entry in (tables.total, tables.get(self._name, "GET")):
            _enter(entry, batch.values_us["response"], failed)
        for cause, count in batch.failed.items():
            key = StatsError.create_key("GET", self._name, cause)
            error = tables.errors.get(key)
            if error is None:
                error = tables.errors[key] = StatsError("GET", self._name, cause)
            error.occurrences += count
        for series in self._timings:
            if values := batch.values_us[series]:
                _enter(tables.get(series, "cache"), values, 0)


def _enter(entry: StatsEntry, values_us: list[int], failed: int) -> None:
    """What StatsEntry.log does for one response, for many."""
    now = time.time()
    second = int(now)
    total = entry is entry.stats.total  # the charts show current percentiles of the total only
    if (
        total
        and entry.use_response_times_cache
        and entry.last_request_timestamp
        and second > int(entry.last_request_timestamp)
    ):
        entry._cache_response_times(second - 1)  # noqa: SLF001 - as StatsEntry.log does
    count = len(values_us) + failed
    if not count:
        return
    entry.num_requests += count
    entry.num_none_requests += failed
    entry.num_reqs_per_sec[second] += count
    entry.last_request_timestamp = now
    if failed:
        entry.num_failures += failed
        entry.num_fail_per_sec[second] += failed
    if values_us:
        entry.total_response_time += sum(values_us) / 1000  # type: ignore[assignment] - a float by its own code too
        low, high = min(values_us) / 1000, max(values_us) / 1000
        known = entry.min_response_time
        entry.min_response_time = low if known is None else min(known, low)  # type: ignore[assignment] - as above
        entry.max_response_time = max(entry.max_response_time, high)  # type: ignore[assignment] - as above
        for value, times in Counter(map(bucket_us, values_us)).items():
            entry.response_times[value / 1000] += times  # type: ignore[index] - keys are whatever bucket_response_time gives
