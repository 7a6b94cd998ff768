"""Estimate, interval, p-values and the order in which they are told, held against worked examples and enumeration."""

import itertools
import math

import numpy as np
import pytest

from report import inference, student
from report.inference import conclude, holm, interval_of, sign_flip_p

ADDING, REMOVING = np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 5.0, 7.0, 9.0])
DIRECTIONS = ("1->2", "2->1") * 4


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.975, 7, 2.36462), (0.975, 14, 2.14479), (0.995, 30, 2.75000),
     (0.975, 1e7, 1.959964), (0.9, 5, 1.47588)],
)  # fmt: skip
def test_t_quantiles_are_those_of_the_tables(probability: float, degrees: float, expected: float) -> None:
    """Student's t agrees with printed tables, where the standard library has none."""
    assert student.t_quantile(probability, degrees) == pytest.approx(expected, abs=1e-5)


def test_the_interval_is_that_of_the_worked_example() -> None:
    """Means 2.5 and 6, squares 5 + 20 over 6 degrees of freedom, t 2.44691: 4.25 +- 1.76591."""
    interval = interval_of([ADDING, REMOVING])
    assert interval is not None
    assert (interval.estimate, interval.degrees) == (4.25, 6)
    assert interval.error == pytest.approx(math.sqrt(25 / 6 / 2) / 2)
    assert interval.high - 4.25 == pytest.approx(1.76591, abs=1e-5)
    assert 4.25 - interval.low == pytest.approx(1.76591, abs=1e-5)


def test_both_directions_count_alike_when_a_block_is_left_out() -> None:
    """The estimate of 4 and 3 blocks is still the mean of the two directions' means, not of the 7 blocks."""
    interval = interval_of([ADDING, REMOVING[:3]])
    assert interval is not None
    assert interval.estimate == (2.5 + 5) / 2
    assert interval.error == pytest.approx(math.sqrt(13 / 5 * (1 / 4 + 1 / 3)) / 2)


@pytest.mark.parametrize("counts", [(4, 4), (5, 3), (6, 6), (2, 7)])
def test_the_p_value_is_that_of_enumerating_every_sign(counts: tuple[int, int]) -> None:
    """Split enumeration gives what trying all 2^K signs one by one gives, also with ties and unequal directions."""
    random = np.random.default_rng(sum(counts))
    parts = [np.round(random.normal(0.4, 1, count), 1) for count in counts]
    observed = abs(sum(part.mean() for part in parts))
    signed = [
        abs(
            sum(
                float((part * signs).mean())
                for part, signs in zip(parts, (np.array(one), np.array(other)), strict=True)
            )
        )
        for one in itertools.product((-1, 1), repeat=counts[0])
        for other in itertools.product((-1, 1), repeat=counts[1])
    ]
    assert sign_flip_p(parts) == sum(value >= observed - 1e-9 for value in signed) / 2 ** sum(counts)


@pytest.mark.parametrize(("count", "expected"), [(4, 2 / 2**8), (10, 2 / 2**20), (15, 2 / 2**30)])
def test_the_smallest_p_value_is_two_of_all_signs(count: int, expected: float) -> None:
    """With every block alike only the observed signs, and all of them turned round, lie as far from zero."""
    assert sign_flip_p([np.ones(count), np.ones(count)]) == expected


def test_above_30_blocks_the_signs_are_drawn() -> None:
    """Drawn p-values are the same each time, near the normal one, and never zero (Phipson and Smyth)."""
    random = np.random.default_rng(5)
    parts = [random.normal(0.3, 1, 25) for _ in "12"]
    p = sign_flip_p(parts)
    z = sum(part.mean() for part in parts) / 2 / math.sqrt(sum((part**2).sum() for part in parts) / 50**2)
    assert p == sign_flip_p(parts) == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), abs=0.015)
    assert sign_flip_p([np.ones(25), np.ones(25)]) == 1 / 10_000


def test_holm_agrees_with_a_worked_example() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never falling, never above 1."""
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": 0.9})
    assert adjusted == pytest.approx({"d": 0.025, "a": 0.04, "c": 0.09, "b": 0.09, "e": 0.9})


@pytest.mark.parametrize(("primary", "opened"), [(1.0, True), (0.0, False)])
def test_the_secondary_outcomes_wait_for_the_primary(primary: float, opened: bool) -> None:
    """Without an effect on the primary outcome the others are estimates alone, however clear they look."""
    rest = np.array([0.3, -0.3, 0.1, -0.1, -0.2, 0.2, 0.05, -0.05])
    found = conclude("first", {"first": primary + rest, "other": 5 + rest, "noise": rest}, DIRECTIONS, {})
    assert (found["first"].p is not None and found["first"].p <= 0.05) == opened
    assert found["first"].interval is not None
    for name in ("other", "noise"):
        assert found[name].estimate is not None
        assert ((found[name].interval is not None), (found[name].p is not None)) == (opened, opened)
    if opened:
        assert found["other"].p == pytest.approx(2 * 2 / 256)
        assert found["noise"].p == 1.0


@pytest.mark.parametrize(
    ("directions", "why"), [(DIRECTIONS[:7], "7 blocks"), (("1->2",) * 7 + ("2->1",), "1 of a direction")]
)
def test_too_few_blocks_give_no_figure(directions: tuple[str, ...], why: str) -> None:
    """Below 8 blocks, or 2 of a direction, there is neither estimate nor interval nor p-value."""
    found = conclude("first", {"first": np.linspace(1, 2, len(directions))}, directions, {})["first"]
    assert (found.blocks, found.estimate, found.interval, found.p) == (len(directions), None, None, None), why


def test_a_block_without_a_value_is_not_counted() -> None:
    """An outcome that one block does not tell (no good reply in a window) has one block fewer, not a zero."""
    values = np.array([1.0, 2.0, np.nan, 4.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0])
    found = conclude("first", {"first": values}, (*DIRECTIONS, *DIRECTIONS[:2]), {})["first"]
    assert (found.blocks, found.estimate) == (9, pytest.approx((10 / 4 + 17 / 5) / 2))


def test_no_count_at_all_is_not_certainty() -> None:
    """Where d does not vary the interval reaches as far as the rule of three says; without that there is none."""
    zeros = {"first": np.zeros(8)}
    found = conclude("first", zeros, DIRECTIONS, {"first": 0.002})["first"]
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((-0.002, 0.002))
    assert (found.p, conclude("first", zeros, DIRECTIONS, {})["first"].interval) == (1.0, None)


def test_skew_and_spread_are_about_the_directions_own_means() -> None:
    """Directions of different means are no skew, and the spread is the ratio of standard deviations."""
    assert inference.skew([ADDING, 100 + ADDING]) == pytest.approx(0)
    assert inference.skew([np.array([0.0, 0.0, 0.0, 4.0]), np.array([1.0, 1.0, 1.0, 5.0])]) == pytest.approx(2 / 3**0.5)
    assert inference.spread([ADDING, REMOVING]) == pytest.approx(2)
