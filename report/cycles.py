"""What many moves cost, in a run of cycles: each block's real move against its sham.

The contrast of a move is a statistic of its window less the mean of the same statistic of its two flanks, always from
single arrivals. d is the real move's contrast less the sham's of the same block. `report.blocks` finds the blocks,
`report.inference` says what their d allow to claim.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.runread import Run
from contract.runtables import Arrivals
from report import coverage, stalls
from report.blocks import Block, Design, LeftOut, design_of, find_blocks, stretches
from report.inference import LEAST_BLOCKS, LEAST_OF_A_DIRECTION, Conclusion, conclude
from report.measures import Floats
from report.windows import PlayedMove

PRIMARIES = ("response.p99", "response.slow")
"""What a run may declare as its primary outcome."""
TAILS = (("p99", 0.99, 1_000), ("p90", 0.9, 100))
"""The highest percentile of a window, and the arrivals that it takes: ten lie above it."""
Statistic = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], Floats]
"""Of the stretches from the first arrival to before the last, all of one shape."""


@dataclass(frozen=True)
class Outcome:
    """One thing that is compared. `unit` is ms, share (0 to 1) or arrivals."""

    name: str
    unit: str
    conclusion: Conclusion
    d: Floats


@dataclass(frozen=True)
class CycleFindings:
    """What the blocks of a run show. `problem` says why no p-value is told, `primary` is None then.

    `outcomes` by name, the primary first; `moved` counts the windows' arrivals by kind of move.
    """

    design: Design
    slow_ms: float
    migration: str
    blocks: Sequence[Block]
    left_out: Sequence[LeftOut]
    arrivals_a_window: int
    primary: str | None
    problem: str
    outcomes: Sequence[Outcome]
    moved: Mapping[str, Mapping[str, int]]

    def as_json(self) -> dict[str, Any]:
        """For report.json; times in ms."""
        return {
            "declared": self.design.blocks,
            "blocks": [
                {
                    "cycle": block.number,
                    "direction": block.direction,
                    "first": "real" if block.real.requested_s < block.sham.requested_s else "sham",
                    "d": {outcome.name: _rounded(outcome.d[place]) for outcome in self.outcomes},
                }
                for place, block in enumerate(self.blocks)
            ],
            "left_out": [{"cycle": left.number, "why": left.why} for left in self.left_out],
            "window_s": _rounded(self.design.window_s),
            "flank_s": _rounded(self.design.flank_s),
            "slow_ms": self.slow_ms,
            "migration": self.migration or None,
            "arrivals_a_window": self.arrivals_a_window,
            "primary": self.primary,
            "problem": self.problem,
            "moved": {kind: dict(counts) for kind, counts in self.moved.items()},
            "outcomes": {outcome.name: self._outcome(outcome) for outcome in self.outcomes},
        }

    def _outcome(self, outcome: Outcome) -> dict[str, Any]:
        found = outcome.conclusion
        interval = found.interval
        covered, cause = None, None
        if interval is not None and found.skew is not None and found.spread is not None:
            covered, cause = coverage.of_interval(found.blocks, found.skew, found.spread)
        return {
            "unit": outcome.unit,
            "role": "primary" if outcome.name == self.primary else "secondary",
            "blocks": found.blocks,
            "estimate": _rounded(found.estimate),
            "low": None if interval is None else _rounded(interval.low),
            "high": None if interval is None else _rounded(interval.high),
            "p": found.p,
            "skew": _rounded(found.skew),
            "spread": _rounded(found.spread),
            "coverage": covered,
            "coverage_by": cause,
        }


def analyse(run: Run, moves: Sequence[PlayedMove]) -> CycleFindings:
    """Everything that the blocks of the run show."""
    design = design_of(run)
    blocks, left_out = find_blocks(run, moves, design) if design.is_usable else ([], [])
    return compare(run.arrivals, design, (blocks, left_out), run.time_limit_us / 1000, stalls.slow_ms(run))


def compare(
    kept: Arrivals,
    design: Design,
    found: tuple[Sequence[Block], Sequence[LeftOut]],
    time_limit_ms: float,
    slow_ms: float,
) -> CycleFindings:
    """What the single arrivals show of the whole blocks; `found` names those left out too."""
    edges = np.array([[stretches(move, design) for move in (block.real, block.sham)] for block in found[0]])
    first, last = np.searchsorted(kept.planned_s, np.moveaxis(edges.reshape(-1, 2, 3, 2), 3, 0))
    held = (last > first).all(axis=(1, 2))
    first, last = first[held], last[held]
    blocks = [block for block, holds in zip(found[0], held, strict=True) if holds]
    empty = "no single arrivals were kept in a window or flank"
    lost = [LeftOut(block.number, empty) for block, holds in zip(found[0], held, strict=True) if not holds]
    least = int((last - first)[:, :, 0].min()) if blocks else 0
    statistics = family(kept, time_limit_ms, slow_ms, least, design)
    primary, problem = _primary(design, statistics, blocks, least)
    d = {name: differences(statistic, first, last) for name, (_, statistic) in statistics.items()}
    conclusions = conclude(primary, d, [block.direction for block in blocks], _rare(least, len(blocks)))
    if primary is not None and conclusions[primary].p is None:
        problem = f"an interval needs {LEAST_BLOCKS} whole blocks, {LEAST_OF_A_DIRECTION} of each direction"
    return CycleFindings(
        design=design,
        slow_ms=slow_ms,
        migration=next((block.real.migration for block in blocks), ""),
        blocks=blocks,
        left_out=sorted([*found[1], *lost], key=lambda left: left.number),
        arrivals_a_window=least,
        primary=primary,
        problem=problem,
        outcomes=[
            Outcome(name, statistics[name][0], conclusions[name], d[name])
            for name in sorted(statistics, key=lambda name: name != design.primary)
        ],
        moved=_moved(kept, first, last, statistics["response.slow"][1]),
    )


def _rare(least: int, blocks: int) -> dict[str, float]:
    """The rule of three: none seen in n makes 3 / n the 95 % limit of their share (Hanley, Lippman-Hand, 1983)."""
    return {"response.slow": 3 / (least * blocks), "response.slow_arrivals": 3 / blocks} if blocks else {}


def family(
    kept: Arrivals, time_limit_ms: float, slow_ms: float, least: int, design: Design
) -> dict[str, tuple[str, Statistic]]:
    """What is compared, where the smallest window holds `least` arrivals: by name the unit and the statistic.

    Of the response time a tail, the share of slow arrivals, the median and the number of slow arrivals a move; of each
    timing the tail. One of the first two is primary, the others are secondary: six, with our function's three timings.
    """
    response = response_ms(kept, time_limit_ms)
    slow = np.concatenate([[0], np.cumsum(response > slow_ms)])

    def share(first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> Floats:
        return (slow[last] - slow[first]) / (last - first)

    def count(first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> Floats:
        # A flank's count is that of a stretch as long as the window.
        lengths = np.array([1.0, *[design.window_s / design.flank_s] * 2])
        return (slow[last] - slow[first]) * lengths

    tail = next(((name, quantile) for name, quantile, needed in TAILS if least >= needed), None)
    series = {"response": response, **{name: values / 1000 for name, values in kept.timings_us.items()}}
    tails = (
        {f"{name}.{tail[0]}": ("ms", quantile_of(values, tail[1])) for name, values in series.items()} if tail else {}
    )
    return {
        **{name: statistic for name, statistic in tails.items() if name.startswith("response.")},
        "response.slow": ("share", share),
        "response.p50": ("ms", quantile_of(response, 0.5)),
        "response.slow_arrivals": ("arrivals", count),
        **tails,
    }


def response_ms(kept: Arrivals, time_limit_ms: float) -> Floats:
    """From planned time to reply; an arrival without a good reply counts as the time limit."""
    taken = (kept.done_s - kept.planned_s) * 1000
    return np.where(kept.ok & np.isfinite(taken), taken, time_limit_ms)


def quantile_of(values: Floats, quantile: float) -> Statistic:
    """The quantile (nearest rank) of the known values of each stretch; NaN where none is known."""

    def of_stretches(first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> Floats:
        result = np.full(first.shape, np.nan)
        for place in np.ndindex(first.shape):
            chosen = values[first[place] : last[place]]
            chosen = chosen[np.isfinite(chosen)]
            if len(chosen):
                rank = max(math.ceil(quantile * len(chosen) - 1e-9), 1) - 1
                result[place] = np.partition(chosen, rank)[rank]
        return result

    return of_stretches


def differences(statistic: Statistic, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> Floats:
    """The d of each block. `first`, `last`: arrivals by block; real, sham; window, flank before, flank after."""
    values = statistic(first, last)
    contrast = values[:, :, 0] - values[:, :, 1:].mean(axis=2)
    return contrast[:, 0] - contrast[:, 1]


def _primary(
    design: Design, statistics: Mapping[str, object], blocks: Sequence[Block], least: int
) -> tuple[str | None, str]:
    """The declared primary outcome where it can be computed, else None and why not."""
    if not design.is_usable:
        return None, "run.json's cycles has no window_s and flank_s above 0, so no block can be compared"
    if design.primary not in PRIMARIES:
        return None, f"run.json's cycles declares no primary outcome ({' or '.join(PRIMARIES)}), so no p-value is told"
    if blocks and design.primary not in statistics:
        needed = TAILS[0][2]
        return None, (
            f"{design.primary} was declared primary, but a window holds only {least:,} arrivals and a p99 needs "
            f"{needed:,}: it is not told, and no p-value is"
        )
    return (design.primary if blocks else None), ("" if blocks else "no block is whole")


def _moved(
    kept: Arrivals, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64], share: Statistic
) -> dict[str, dict[str, int]]:
    """By kind of move the windows' arrivals, the slow ones and those without a good reply."""
    good = np.concatenate([[0], np.cumsum(kept.ok)])
    window = first[:, :, 0], last[:, :, 0]
    arrivals = window[1] - window[0]
    columns = {
        "arrivals": arrivals,
        "slow": np.rint(share(*window) * arrivals).astype(np.int64),
        "failed": arrivals - (good[window[1]] - good[window[0]]),
    }
    return {
        kind: {name: int(values[:, place].sum()) for name, values in columns.items()}
        for place, kind in enumerate(("real", "sham"))
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 6)
