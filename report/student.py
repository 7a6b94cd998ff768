"""Student's t, without a statistics library: one quantile does not justify one of 35 MB.

benchmarks/coverage.py and the tests hold it against printed tables and simulation.
"""

import functools
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided interval, degrees of freedom and standard error."""

    estimate: float
    low: float
    high: float
    degrees: float
    error: float


def interval(estimate: float, error: float, degrees: float, confidence: float = 0.95) -> Interval:
    """The interval of an estimate whose standard error (above 0) has `degrees` of freedom."""
    half = t_quantile((1 + confidence) / 2, degrees) * error
    return Interval(estimate, estimate - half, estimate + half, degrees, error)


def difference(one: Interval, other: Interval) -> Interval:
    """One estimate less another from other data: the variances add, the degrees of freedom are Satterthwaite's."""
    estimate, squared = one.estimate - other.estimate, one.error**2 + other.error**2
    degrees = squared**2 / (one.error**4 / one.degrees + other.error**4 / other.degrees)
    return interval(estimate, math.sqrt(squared), degrees)


@functools.cache
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
