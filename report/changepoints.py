"""Where the per-second response p99 changes its level: E-Divisive, without being told when slots moved.

Matteson and James, A nonparametric approach for multiple change point analysis of multivariate data, Journal of the
American Statistical Association 109 (2014). Apache Otava finds changes of benchmarks by the same statistic.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.runread import Run
from report import measures, series
from report.measures import Floats
from report.moves import PlayedMove, is_cycles
from report.recovery import recovery
from report.windows import MoveWindows

ALPHA = 0.01
LEAST = 5
"""Points on each side of a change: a shorter rise is a stall, which single arrivals tell."""
MOST_POINTS = 250
"""Of a longer run each point is the median of a few seconds: the statistic takes n^2 for each permutation."""
ALIKE = 0.1
"""Points are permuted in blocks of so many that the autocorrelation about their levels falls to this."""
NEAR_S = 5.0
LOAD_SHARE = 0.2
"""Where the rate differs by more between both sides of a change, the load explains it as well as anything."""
MOVE, SHAM, FILLING, LOAD, OTHER = "move", "sham", "filling", "load", "undeclared"
_PERMUTATIONS = 199
_SEED = 20_261_124


@dataclass(frozen=True)
class Split:
    """A change before the point at `place`; `p` is its permutation p-value."""

    place: int
    p: float


@dataclass(frozen=True)
class ChangePoint:
    """A change at `t_s`, from the median p99 before it to the one after it; `near` says what was declared there."""

    t_s: float
    p: float
    before_ms: float
    after_ms: float
    near: str


@dataclass(frozen=True)
class Changes:
    """`within_s`: how far from a declared event a change point still belongs to it."""

    seconds_a_point: int
    within_s: float
    points: Sequence[ChangePoint]


def changes(run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None) -> Changes:
    """The change points of the run's response p99, each with what was declared there."""
    p99 = measures.per_second_ms(run, "response", 0.99)
    known = np.isfinite(p99) & (p99 > 0)
    each = max(1, math.ceil(int(known.sum()) / MOST_POINTS))
    begins = np.arange(0, int(known.sum()), each)
    t_s = run.seconds.t_s[known][begins].astype(np.float64)
    level = np.array([np.median(p99[known][begin : begin + each]) for begin in begins])
    rate = run.seconds["offered"][known][begins].astype(np.float64)
    splits = searched(np.log(level))
    within_s = max(NEAR_S, 2.0 * each)
    edges = [0, *(split.place for split in splits), len(level)]
    declared = _declared(run, moves, windows)
    found: list[ChangePoint] = []
    for place, split in enumerate(splits, 1):
        sides = slice(edges[place - 1], edges[place]), slice(edges[place], edges[place + 1])
        before, after = (float(np.median(level[side])) for side in sides)
        rates = sorted(float(rate[side].mean()) for side in sides)
        at_s = float(t_s[split.place])
        near = next((name for name, from_s, to_s in declared if from_s - within_s <= at_s <= to_s + within_s), "")
        near = near or (LOAD if rates[1] > rates[0] * (1 + LOAD_SHARE) else OTHER)
        found.append(ChangePoint(at_s, split.p, before, after, near))
    return Changes(each, within_s, found)


def _declared(run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None) -> list[tuple[str, float, float]]:
    """What was declared, with its begin and end: moves first, then where the load changes its phase."""
    last_s = float(run.seconds.t_s[-1] + 1) if len(run.seconds) else 0.0
    found: list[tuple[str, float, float]] = []
    for move in sorted(moves, key=lambda move: move.kind):
        ends = [end_s for end_s in (move.finished_s, move.ended_s) if end_s is not None]
        end_s = max(ends, default=last_s)
        if windows is not None and move == windows.move:
            end_s += recovery(run, windows).after_s or 0
        found.append((MOVE if move.kind == "real" else SHAM, move.requested_s, end_s))
    if is_cycles(moves):
        # Before the first move of each block the sham's cluster is filled, of which no event tells.
        firsts = {move.cycle: move.requested_s for move in reversed(moves)}
        befores = [0.0, *(end_s for _, _, end_s in sorted(found, key=lambda item: item[1]))]
        found += [
            (FILLING, max((before for before in befores if before < first_s), default=first_s), first_s)
            for first_s in firsts.values()
        ]
    return [*found, *((LOAD, phase.start_s, phase.start_s) for phase in run.phases[1:])]


def searched(values: Floats) -> list[Split]:
    """The change points of a series whose neighbours may be alike.

    Found with single points permuted at first. If neighbours are alike about the levels between these, the series is
    searched again with blocks permuted: a series that wanders must not be taken for one that changes.
    """
    splits = e_divisive(values)
    level_of = np.searchsorted([split.place for split in splits], np.arange(len(values)), "right")
    alike = series.lag_one(values, level_of) if splits else 0.0
    if alike <= max(ALIKE, 2 / math.sqrt(max(len(values), 1))):
        return splits
    # About a mean of n neighbours r is too small by about (1 + 3 r) / n (Kendall; Marriott and Pope, 1954).
    alike += (1 + 3 * alike) * (len(splits) + 1) / len(values)
    return e_divisive(values, block=math.ceil(math.log(ALIKE) / math.log(min(alike, 0.9))))


def e_divisive(values: Floats, *, block: int = 1, least: int = LEAST, seed: int = _SEED) -> list[Split]:
    """The change points in order: the best split of a segment is kept if permutations seldom give one as good.

    Each half is searched in turn. `block` points stay together in a permutation.
    """
    random = np.random.default_rng(seed)
    found: list[Split] = []
    waiting = [(0, len(values))]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2 * least:
            continue
        segment = values[first:last]
        distance = np.abs(segment[:, None] - segment[None, :])
        best, place = best_split(distance, least)
        p = _chance(distance, best, least, block, random)
        if p <= ALPHA:
            found.append(Split(first + place, p))
            waiting += [(first, first + place), (first + place, last)]
    return sorted(found, key=lambda split: split.place)


def best_split(distance: npt.NDArray[np.float64], least: int) -> tuple[float, int]:
    """The largest Q over all splits and its place, from the distances |x_i - x_j| of the points to each other.

    For X the first t points and Y the next m up to any k = t + m (the paper's kappa, so that a rise that ends again is
    seen), with all means over pairs:

        E = 2 mean |X - Y| - mean |X - X'| - mean |Y - Y'|,    Q = t m / (t + m) * E
    """
    n = len(distance)
    total = np.zeros((n + 1, n + 1))
    np.cumsum(np.cumsum(distance, axis=0), axis=1, out=total[1:, 1:])
    square = np.diagonal(total)
    t, k = np.arange(least, n - least + 1)[:, None], np.arange(2 * least, n + 1)[None, :]
    m = np.maximum(k - t, least)
    upto = total[least : n - least + 1, 2 * least :]
    left, whole = square[least : n - least + 1, None], square[None, 2 * least :]
    energy = 2 * (upto - left) / (t * m) - left / (t * (t - 1)) - (whole - 2 * upto + left) / (m * (m - 1))
    q = np.where(k - t >= least, t * m / (t + m) * energy, -np.inf)
    row, column = np.unravel_index(int(np.argmax(q)), q.shape)
    return float(q[row, column]), int(row) + least


def _chance(
    distance: npt.NDArray[np.float64], best: float, least: int, block: int, random: np.random.Generator
) -> float:
    """(1 + as good) / (1 + permutations); stops as soon as it must exceed ALPHA (Besag and Clifford, 1991)."""
    blocks = np.array_split(np.arange(len(distance)), max(2, len(distance) // block))
    as_good = 0
    for drawn in range(1, _PERMUTATIONS + 1):
        order = np.concatenate([blocks[place] for place in random.permutation(len(blocks))])
        as_good += best_split(distance[np.ix_(order, order)], least)[0] >= best - 1e-9 * abs(best)
        if (1 + as_good) / (1 + _PERMUTATIONS) > ALPHA:
            return (1 + as_good) / (1 + drawn)
    return (1 + as_good) / (1 + _PERMUTATIONS)
