"""What the blocks of a run of cycles allow to claim: estimate, interval and p-value, from the differences alone.

d is the difference of one block, real less sham. The estimand is the mean of d, both directions of a move (adding,
removing a shard) counting alike; the estimate is the mean of the directions' means. docs/report.md says why.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from report import student
from report.measures import Floats
from report.student import Interval

LEAST_BLOCKS = 8
"""Fewer give no estimate: with K blocks the smallest p-value is 2 / 2^K, and Holm's of six needs 1/120 at most."""
LEAST_OF_A_DIRECTION = 2
"""Fewer of one direction say nothing about the spread of its d."""
ALPHA = 0.05
MOST_EXACT = 30
"""Of more blocks the signs are drawn, not enumerated."""
_DRAWS = 9_999
_SEED = 20_261_124


@dataclass(frozen=True)
class Conclusion:
    """What is claimed of one outcome. `estimate` is None with too few blocks; `p` is Holm's for a secondary outcome.

    `interval` is None without a p-value, and where times do not vary at all.
    """

    blocks: int
    estimate: float | None = None
    interval: Interval | None = None
    p: float | None = None
    skew: float | None = None
    spread: float | None = None


def conclude(
    primary: str | None, d: Mapping[str, Floats], directions: Sequence[str], rare: Mapping[str, float]
) -> dict[str, Conclusion]:
    """The whole procedure, for every outcome: `d` by its name, a value a block, NaN where a block has none.

    `rare` is, for outcomes that count, the largest mean that 95 % of runs without a single count could have had.

    The primary outcome gets its interval and p-value. The others get theirs, the p-values by Holm's method, only if
    the primary's is at most ALPHA, otherwise estimates alone; so they do without a primary (None).
    """
    known = {name: np.isfinite(values) for name, values in d.items()}
    strata = {name: _strata(values[known[name]], np.asarray(directions)[known[name]]) for name, values in d.items()}
    usable = {name: parts for name, parts in strata.items() if _enough(parts)}
    p = {primary: sign_flip_p(usable[primary])} if primary is not None and primary in usable else {}
    if primary in p and p[primary] <= ALPHA:
        p |= holm({name: sign_flip_p(parts) for name, parts in usable.items() if name != primary})
    return {
        name: Conclusion(
            blocks=sum(len(part) for part in parts),
            estimate=estimate_of(parts) if name in usable else None,
            interval=interval_of(parts, rare.get(name)) if name in p else None,
            p=p.get(name),
            skew=skew(parts) if name in usable else None,
            spread=spread(parts) if name in usable else None,
        )
        for name, parts in strata.items()
    }


def _strata(values: Floats, directions: np.ndarray) -> list[Floats]:
    """The values by direction, in the order of the directions' names."""
    return [values[directions == direction] for direction in np.unique(directions)]


def _enough(parts: Sequence[Floats]) -> bool:
    counts = [len(part) for part in parts]
    return sum(counts) >= LEAST_BLOCKS and min(counts) >= LEAST_OF_A_DIRECTION


def estimate_of(parts: Sequence[Floats]) -> float:
    """The mean of the directions' means."""
    return float(np.mean([part.mean() for part in parts]))


def interval_of(parts: Sequence[Floats], rare: float | None = None) -> Interval | None:
    """The 95 % interval of the mean of G directions' means, with one variance s^2 for all of them.

    s^2 = sum of (d - mean of its direction)^2 / (K - G),  error^2 = s^2 / G^2 * sum of 1 / n_g,  K - G degrees of
    freedom: a contrast of the one-way layout (Montgomery, Design and Analysis of Experiments, 3.5.4). With equal n_g,
    as every finished run has, separate variances (stratified sampling: Cochran, Sampling Techniques, 5.4) give the
    same error; only with unequal ones do they differ, and there one variance keeps K - G degrees of freedom exact.

    That d does not vary (no block had a slow arrival) does not make its mean certain: then the interval reaches
    `rare` to both sides, and there is none without it.
    """
    degrees = sum(len(part) for part in parts) - len(parts)
    variance = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) / degrees
    error = math.sqrt(variance * sum(1 / len(part) for part in parts)) / len(parts)
    if error == 0 and rare is not None:
        error = rare / student.t_quantile(0.975, degrees)
    return student.interval(estimate_of(parts), error, degrees) if error > 0 else None


def sign_flip_p(parts: Sequence[Floats]) -> float:
    """The share of all 2^K ways to sign the blocks' d whose estimate lies as far from zero as the one observed.

    Which move of a block is real was a coin's choice: had the moves no effect, the other choice would have given -d
    (Fisher's randomisation test; Ernst, Permutation Methods, Statistical Science 19, 2004). Two-sided, exact up to
    MOST_EXACT blocks. Above them the signs are drawn from a fixed seed, and the p-value is (1 + as far) / (1 + draws)
    (Phipson and Smyth, Permutation p-values should never be zero, 2010).
    """
    terms = np.concatenate([part / len(part) for part in parts]) / len(parts)
    far = abs(float(terms.sum())) - 1e-9 * float(np.abs(terms).sum())  # sums in another order are ties still
    if len(terms) > MOST_EXACT:
        random = np.random.default_rng(_SEED)
        drawn = [float(terms @ random.choice((-1.0, 1.0), len(terms))) for _ in range(_DRAWS)]
        return (1 + int((np.abs(drawn) >= far).sum())) / (1 + _DRAWS)
    half = len(terms) // 2
    one, other = _signed_sums(terms[:half]), np.sort(_signed_sums(terms[half:]))
    as_far = len(one) * len(other) - int(np.searchsorted(other, far - one).sum())
    return min(1.0, 2 * as_far / 2.0 ** len(terms))  # as many lie as far below zero


def _signed_sums(terms: Floats) -> Floats:
    sums = np.zeros(1)
    for term in terms:
        sums = np.concatenate([sums - term, sums + term])
    return sums


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values: the largest of (m - i) p_i up to each place in ascending order (Holm, 1979)."""
    ascending = sorted(p, key=lambda name: p[name])
    adjusted = [min(1.0, (len(p) - place) * p[name]) for place, name in enumerate(ascending)]
    return dict(zip(ascending, itertools.accumulate(adjusted, max), strict=True))


def skew(parts: Sequence[Floats]) -> float:
    """Skewness of d about its direction's mean: m3 / m2^1.5, 0 where d does not vary."""
    rest = np.concatenate([part - part.mean() for part in parts])
    second = float((rest**2).mean())
    return 0.0 if second == 0 else float((rest**3).mean()) / second**1.5


def spread(parts: Sequence[Floats]) -> float:
    """The largest standard deviation of a direction's d by the smallest; 1 where none varies, infinite where one."""
    deviations = [float(part.std(ddof=1)) for part in parts]
    return 1.0 if max(deviations) == 0 else math.inf if min(deviations) == 0 else max(deviations) / min(deviations)
