"""A small version of benchmarks/coverage.py: intervals hold the truth, and p-values err, as often as they say.

Seeds are fixed. The bounds are those within which a binomial count stays in all but 1 of 1,000 seeds.
"""

from functools import cache

import numpy as np
import pytest

from benchmarks.coverage import MODELS, covers, errs, folder_covers, noise, tables
from report import coverage
from report.inference import ALPHA, interval_of

EXPERIMENTS = 120


@cache
def outcomes(name: str) -> tuple[float, float]:
    """Of one model with 8 blocks: how often the interval held the truth, and how often p was at most 0.05."""
    found = [covers(MODELS[name], 8, (8, list(MODELS).index(name), seed)) for seed in range(EXPERIMENTS)]
    return sum(covered for covered, _ in found) / EXPERIMENTS, sum(p <= ALPHA for _, p in found) / EXPERIMENTS


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("no effect", 0.88, 1.0),
        ("drift common to both moves", 0.88, 1.0),
        ("directions of different means", 0.88, 1.0),
        ("one outlier", 0.88, 1.0),
        ("a growing effect", 0.88, 1.0),
        ("skewed effects, lognormal 1.5", 0.6, 0.85),
    ],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(name: str, low: float, high: float) -> None:
    """Coverage of the 95 % interval stays within what chance allows; of very skewed effects it is as low as told."""
    assert low <= outcomes(name)[0] <= high


def test_the_p_value_errs_as_often_as_it_says() -> None:
    """Without an effect one run in twenty has a p of at most 0.05, and no more than chance adds to that."""
    assert outcomes("no effect")[1] <= 0.11


@pytest.mark.parametrize("affected", [False, True])
def test_the_whole_family_errs_in_one_run_of_twenty(affected: bool) -> None:
    """Holm's method behind the primary outcome: one false claim among seven outcomes stays as rare as one p-value's."""
    found = [errs(affected, 8, (8, 100 + affected, seed)) for seed in range(EXPERIMENTS // 2)]
    assert sum(false for false, _ in found) / len(found) <= 0.14
    assert all(true == affected for _, true in found)


def test_whole_run_folders_cover_too() -> None:
    """From files to interval: of two folders with a planted effect one at least holds it."""
    assert any(folder_covers(seed) for seed in range(2))


def test_an_interval_that_took_seconds_for_independent_would_not() -> None:
    """The checks above can fail: seconds of the same noise, taken as blocks, cover far less than they say."""
    random = np.random.default_rng(1)
    intervals = [interval_of([noise(random, 12), noise(random, 12)]) for _ in range(200)]
    assert sum(interval.low <= 0 <= interval.high for interval in intervals if interval) / 200 < 0.8


def test_the_tables_of_coverage_are_those_that_the_benchmark_makes() -> None:
    """A report quotes figures that simulation gave: with fewer experiments they come out alike."""
    made = tables(400)
    for name, table in (("SKEW", coverage.SKEW), ("SPREAD", coverage.SPREAD)):
        assert made[name].keys() == table.keys()
        for count, rows in table.items():
            for (shown, covered), (again, found) in zip(rows, made[name][count], strict=True):
                assert again == pytest.approx(shown, rel=0.2)
                assert abs(found - covered) < 4.5 * (covered * (1 - covered) / 400) ** 0.5


@pytest.mark.parametrize(
    ("blocks", "skew", "spread", "expected"),
    [
        (8, 0.0, 1.0, coverage.SKEW[8][0][1]),
        (9, -0.7, 1.0, coverage.SKEW[8][3][1]),
        (12, 9.0, 1.0, coverage.SKEW[12][-1][1]),
        (100, 0.0, 20.0, coverage.SPREAD[30][-1][1]),
    ],
)
def test_the_coverage_told_is_that_of_the_row_at_or_below(
    blocks: int, skew: float, spread: float, expected: float
) -> None:
    """Skew to either side is looked up by its size, in the rows of the largest number of blocks not above the run's."""
    assert coverage.of_interval(blocks, skew, spread)[0] == expected
