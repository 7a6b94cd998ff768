"""Tests of a series of seconds by ranks: are neighbours alike, and does it drift? Only numpy."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from report.measures import Floats

Ints = npt.NDArray[np.int64]
LAGS = (1, 2, 3)
_PERMUTATIONS = 999
_SEED = 20_261_124
_MOST = 600
"""Of a longer series the trend is that of the medians of a few neighbours: it takes n^2."""


@dataclass(frozen=True)
class Autocorrelation:
    """Spearman's rank autocorrelation at lag 1, and p of the largest of LAGS by permutation."""

    first: float
    p: float


@dataclass(frozen=True)
class Trend:
    """Kendall's S over its most, from -1 to 1, and the p-value of Mann and Kendall."""

    tau: float
    p: float


def ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def autocorrelation(values: Floats, t_s: Ints, group: Ints) -> Autocorrelation:
    """Whether seconds 1 to 3 apart are alike. Seconds of two groups are not compared.

    Under independence every order of a group's values is as likely, so p is exact for any number of seconds, also if
    some are missing between them. It is that of the largest r * sqrt(pairs) over the lags: only neighbours that are
    alike, not unlike, make a mean less certain.
    """
    centred = np.zeros(len(values))
    places = [np.flatnonzero(group == name) for name in np.unique(group)]
    for place in places:
        rank = ranks(values[place])
        centred[place] = (rank - rank.mean()) / len(place)
    pairs = [_pairs(t_s, group, lag) for lag in LAGS]
    power = float((centred**2).mean()) if len(centred) else 0.0
    if power == 0 or not len(pairs[0][0]):
        return Autocorrelation(0.0, 1.0)

    def largest(series: Floats) -> float:
        return max(float(series[one] @ series[other]) / math.sqrt(max(len(one), 1)) for one, other in pairs)

    one, other = pairs[0]
    observed = largest(centred)
    random = np.random.default_rng(_SEED)
    as_large = 0
    drawn = centred.copy()
    for _ in range(_PERMUTATIONS):
        for place in places:
            drawn[place] = random.permutation(centred[place])
        as_large += largest(drawn) >= observed - 1e-9 * abs(observed)
    return Autocorrelation(float((centred[one] * centred[other]).mean()) / power, (1 + as_large) / (1 + _PERMUTATIONS))


def _pairs(t_s: Ints, group: Ints, lag: int) -> tuple[Ints, Ints]:
    """The places of all pairs of seconds that lie `lag` apart, of one group."""
    place = np.minimum(np.searchsorted(t_s, t_s + lag), max(len(t_s) - 1, 0))
    there = (t_s[place] == t_s + lag) & (group[place] == group)
    return np.flatnonzero(there), place[there]


def trend(values: Floats, t_s: Ints, group: Ints) -> Trend:
    """Mann and Kendall's test, S and its variance summed over the groups (Hirsch, Slack and Smith, 1982).

    The variance is enlarged for neighbours that are alike, by the effective number of values that the lag-1
    autocorrelation about Sen's slope leaves (Yue and Wang, 2004). Without it a series that wanders drifts by chance.
    """
    values, t_s, group = _thinned(values, t_s, group)
    score = most = variance = 0.0
    rest = values.astype(np.float64)
    for name in np.unique(group):
        place = np.flatnonzero(group == name)
        n = len(place)
        upper = np.triu_indices(n, 1)
        later = (values[place][None, :] - values[place][:, None])[upper]
        apart = (t_s[place][None, :] - t_s[place][:, None])[upper]
        score += float(np.sign(later).sum())
        most += n * (n - 1) / 2
        ties = np.unique(values[place], return_counts=True)[1].astype(np.float64)
        variance += (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
        if n > 1:
            rest[place] -= float(np.median(later / apart)) * t_s[place]
    variance *= inflation(lag_one(rest, group))
    if variance <= 0:
        return Trend(0.0, 1.0)
    z = max(abs(score) - 1, 0.0) / math.sqrt(variance)
    return Trend(score / most, math.erfc(z / math.sqrt(2)))


def inflation(correlation: float) -> float:
    """How many seconds count as one: (1 + r) / (1 - r) of an AR(1) series with the lag-1 autocorrelation r."""
    limited = min(max(correlation, 0.0), 0.95)
    return (1 + limited) / (1 - limited)


def lag_one(values: Floats, group: Ints) -> float:
    """Spearman's autocorrelation of neighbours in the series, about each group's middle."""
    centred = np.zeros(len(values))
    for name in np.unique(group):
        place = group == name
        rank = ranks(values[place])
        centred[place] = (rank - rank.mean()) / len(rank)
    alike = group[1:] == group[:-1]
    power = float((centred**2).mean())
    return float((centred[1:] * centred[:-1])[alike].mean()) / power if power > 0 and alike.any() else 0.0


def _thinned(values: Floats, t_s: Ints, group: Ints) -> tuple[Floats, Ints, Ints]:
    each = math.ceil(len(values) / _MOST)
    if each <= 1:
        return values, t_s, group
    cuts: list[Ints] = []
    for name in np.unique(group):
        place = np.flatnonzero(group == name)
        cuts += np.array_split(place, math.ceil(len(place) / each))
    cuts.sort(key=lambda cut: int(cut[0]))
    return (
        np.array([np.median(values[cut]) for cut in cuts]),
        np.array([t_s[cut[0]] for cut in cuts], dtype=np.int64),
        np.array([group[cut[0]] for cut in cuts], dtype=np.int64),
    )
