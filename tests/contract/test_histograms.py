"""Percentiles that merge soundly, and do not improve when things break."""

import math

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from contract.histograms import HIGHEST_US, HistogramCodec, Latencies, bucket, bucket_top, percentiles_us

values = st.lists(st.integers(1, 200_000_000), min_size=1, max_size=300)


@given(st.integers(1, HIGHEST_US))
def test_buckets_are_hdrhistograms(value: int) -> None:
    """Our buckets are the library's, bucket for bucket, so that nothing shifts when histograms are written."""
    histogram = HdrHistogram(1, HIGHEST_US, 3)
    assert bucket(value) == histogram.get_lowest_equivalent_value(value)
    assert bucket_top(value) == histogram.get_highest_equivalent_value(value)
    assert (bucket_top(value) - bucket(value)) / value <= 0.001


@given(values, values)
def test_merging_is_the_same_as_recording_together(left: list[int], right: list[int]) -> None:
    """Histograms of two workers, added, equal one histogram of all values, above the range too."""
    merged, together = Latencies(), Latencies()
    for part in (left, right):
        latencies = Latencies()
        latencies.record(part)
        merged.add(latencies)
    together.record([*left, *right])
    assert merged.counts == together.counts
    assert merged.total == len(left) + len(right)
    assert merged.above_range == sum(1 for value in [*left, *right] if value > HIGHEST_US)


@given(st.lists(st.integers(1, HIGHEST_US), min_size=1, max_size=200), st.integers(0, 100))
def test_percentiles_are_the_nearest_rank_over_all_offered(good: list[int], others: int) -> None:
    """Each arrival without a good reply counts as the time limit, in its place among the others."""
    limit = 2_000_000
    everything = sorted([bucket_top(value) for value in good] + [bucket_top(limit)] * others)
    latencies = Latencies()
    latencies.record(good)
    for percentile in (50.0, 90.0, 99.0, 100.0):
        rank = max(1, math.ceil(percentile / 100 * len(everything)))
        assert percentiles_us(latencies.counts, [percentile], others=others, time_limit_us=limit) == [
            everything[rank - 1]
        ]


def test_failures_raise_the_percentile() -> None:
    """Two failures in a hundred put p99 at the time limit; without them it would look fine."""
    latencies = Latencies()
    latencies.record([1000] * 98)
    assert latencies.summary_ms()["p99"] == 1.0
    assert latencies.summary_ms(others=2, time_limit_us=20_000_000)["p99"] == pytest.approx(20_000, rel=0.001)


def test_nothing_has_no_percentiles() -> None:
    """No values give None, not zero."""
    assert Latencies().summary_ms() == {"p50": None, "p90": None, "p95": None, "p99": None, "max": None, "count": 0}


@given(values)
def test_the_payload_is_a_standard_histogram(recorded: list[int]) -> None:
    """What is written decodes with the standard library to the same counts, with one reused encoder."""
    codec = HistogramCodec()
    for part in (recorded, recorded[: len(recorded) // 2 + 1]):
        latencies = Latencies()
        latencies.record(part)
        decoded = HdrHistogram.decode(codec.encode(latencies))
        assert decoded.get_total_count() == len(part)
        for percentile in (50.0, 99.0, 100.0):
            expected = percentiles_us(latencies.counts, [percentile])[0]
            got = decoded.get_value_at_percentile(percentile)
            assert expected is not None
            assert abs(got - expected) <= max(1, 0.001 * expected) or _neighbours(latencies, got, expected)


def _neighbours(latencies: Latencies, got: int, expected: int) -> bool:
    """The library rounds the rank half up where we take the nearest rank: the next value is right, too."""
    ordered = sorted(bucket_top(value) for value in latencies.counts)
    return got in ordered and abs(ordered.index(got) - ordered.index(expected)) == 1
