"""Student's t and Welch's interval, without a statistics library: two formulas do not justify one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A difference of means with its two-sided interval, degrees of freedom and standard error."""

    estimate: float
    low: float
    high: float
    degrees: float
    error: float


def welch(one: Sequence[float], other: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Mean of `one` less mean of `other`, the variances not taken to be equal; None with fewer than two of either."""
    if len(one) < 2 or len(other) < 2:
        return None
    mean_one, error_one = _mean_and_error(one)
    mean_other, error_other = _mean_and_error(other)
    estimate = mean_one - mean_other
    squared = error_one + error_other
    if squared == 0:
        return Interval(estimate, estimate, estimate, math.inf, 0.0)
    degrees = squared**2 / (error_one**2 / (len(one) - 1) + error_other**2 / (len(other) - 1))
    half = t_quantile((1 + confidence) / 2, degrees) * math.sqrt(squared)
    return Interval(estimate, estimate - half, estimate + half, degrees, math.sqrt(squared))


def difference(one: Interval, other: Interval, confidence: float = 0.95) -> Interval:
    """One Welch difference less another from other data, their variances added (Welch and Satterthwaite again)."""
    estimate = one.estimate - other.estimate
    squared = one.error**2 + other.error**2
    if squared == 0:
        return Interval(estimate, estimate, estimate, math.inf, 0.0)
    degrees = squared**2 / (one.error**4 / one.degrees + other.error**4 / other.degrees)
    half = t_quantile((1 + confidence) / 2, degrees) * math.sqrt(squared)
    return Interval(estimate, estimate - half, estimate + half, degrees, math.sqrt(squared))


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the variance of the mean."""
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)


def t_quantile(probability: float, degrees: float) -> float:
    """The value that Student's t stays below with `probability` (over one half), by bisection."""
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < probability:
        high *= 2
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def t_cdf(value: float, degrees: float) -> float:
    """P(T <= value) for value >= 0: 1 - I_x(v/2, 1/2) / 2 with x = v / (v + value^2)."""
    return 1 - _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + value * value)) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22, Lentz's method)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + numerator * d)
            c = _away_from_zero(1 + numerator / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * fraction / a


def _away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
