"""Many moves and shams in one run: the effect with an interval that means something.

For each move e = Q(move) - mean of Q(idle flank before) and Q(idle flank after), the flanks being equally long, so
that a steady ramp cancels. Effect = mean e(real) - mean e(sham), with Welch's t interval over the moves: they are far
enough apart to be independent, which neighbouring seconds are not. Directions (1 -> 2, 2 -> 1) are judged apart.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from contract.runread import Run
from report import measures, student
from report.effect import STATS, series_of
from report.windows import PlayedMove

Quantile = Callable[[float, float], float]

HEADLINE_MOVES = 8
"""Real moves, and as many shams, that a headline interval needs."""
SHORT_S = 5.0
"""A shorter move is measured from single arrivals; whole seconds are too coarse for it."""
LEAST_FLANK_S = 0.1


@dataclass(frozen=True)
class CycleEffects:
    """The effect on one percentile of one series, for the moves of one direction ("" for all)."""

    series: str
    stat: str
    direction: str
    migration: str
    real: tuple[float, ...]
    sham: tuple[float, ...]
    interval: student.Interval | None

    @property
    def is_headline(self) -> bool:
        """Whether there are enough moves to quote the interval by itself."""
        return min(len(self.real), len(self.sham)) >= HEADLINE_MOVES

    def as_json(self) -> dict[str, Any]:
        """For report.json; times in ms."""
        interval = self.interval
        return {
            "series": self.series,
            "stat": self.stat,
            "direction": self.direction or "all",
            "migration": self.migration or None,
            "real_moves": len(self.real),
            "sham_moves": len(self.sham),
            "effect_ms": None if interval is None else round(interval.estimate, 6),
            "low_ms": None if interval is None else round(interval.low, 6),
            "high_ms": None if interval is None else round(interval.high, 6),
            "headline": self.is_headline,
        }


def flanks(moves: Sequence[PlayedMove], load_end_s: float) -> list[tuple[PlayedMove, float]]:
    """Each finished move with the length of its idle flanks, the same on both sides and at most as long as the move.

    A gap between two moves is shared: each takes at most half, so that no second is in two flanks. Nodes that join
    before the slots move, or leave after it, are in neither.
    """
    finished = [move for move in moves if move.finished_s is not None and not math.isnan(move.started_s)]
    with_flanks: list[tuple[PlayedMove, float]] = []
    for place, move in enumerate(finished):
        before, after = move.requested_s, load_end_s - _idle_from(move)
        if place > 0:
            before = (move.requested_s - _idle_from(finished[place - 1])) / 2
        if place < len(finished) - 1:
            after = (finished[place + 1].requested_s - _idle_from(move)) / 2
        length = min(_end(move) - move.started_s, before, after)
        if length >= LEAST_FLANK_S:
            with_flanks.append((move, length))
    return with_flanks


def contrast(move: PlayedMove, flank_s: float, quantile: Quantile) -> float:
    """What one move did, `e` above. `quantile(start, end)` is Q of a stretch of the run."""
    after = _idle_from(move)
    idle = (quantile(move.requested_s - flank_s, move.requested_s) + quantile(after, after + flank_s)) / 2
    return quantile(move.started_s, _end(move)) - idle


def _end(move: PlayedMove) -> float:
    return move.started_s if move.finished_s is None else move.finished_s


def _idle_from(move: PlayedMove) -> float:
    """When the move is over, with the nodes that leave after its slots."""
    return _end(move) if move.ended_s is None else max(_end(move), move.ended_s)


def analyse(run: Run, moves: Sequence[PlayedMove]) -> list[CycleEffects]:
    """The effect on every series, over all moves and by direction, separately for each way of moving slots."""
    load_end = float(run.seconds.t_s[-1] + 1) if len(run.seconds) else 0.0
    usable = flanks(moves, load_end)
    ways = {(move.migration, "") for move, _ in usable} | {(move.migration, move.direction) for move, _ in usable}
    all_effects: list[CycleEffects] = []
    for series in series_of(run.timings):
        for stat, quantile in STATS.items():
            q = quantile_of(run, series, quantile)
            e = [(move, contrast(move, length, q)) for move, length in usable]
            all_effects += [_effects(series, stat, way, e) for way in sorted(ways)]
    return all_effects


def _effects(series: str, stat: str, way: tuple[str, str], e: Sequence[tuple[PlayedMove, float]]) -> CycleEffects:
    """Of the moves in one `way`: how slots moved, and in which direction ("" for any)."""
    migration, direction = way
    chosen = [
        (move.kind, value)
        for move, value in e
        if move.migration == migration and direction in ("", move.direction) and math.isfinite(value)
    ]
    real = tuple(value for kind, value in chosen if kind == "real")
    sham = tuple(value for kind, value in chosen if kind == "sham")
    return CycleEffects(series, stat, direction, migration, real, sham, student.welch(real, sham))


def quantile_of(run: Run, series: str, quantile: float) -> Quantile:
    """Q of a stretch in ms: from single arrivals where they were kept, else from the planned seconds inside it."""
    kept = run.arrivals
    limit_s = run.time_limit_us / 1e6
    if series in ("response", "service"):
        begin = kept.planned_s if series == "response" else kept.sent_s
        values = (np.where(kept.ok, kept.done_s, begin + limit_s) - begin) * 1000
        values = np.where(np.isfinite(values), values, limit_s * 1000)
    else:
        values = kept.timings_us[series] / 1000

    def of_stretch(start_s: float, end_s: float) -> float:
        if end_s - start_s < SHORT_S:
            first, last = np.searchsorted(kept.planned_s, [start_s, end_s])
            chosen = values[first:last]
            chosen = chosen[np.isfinite(chosen)]
            if not len(chosen):
                return math.nan
            return float(np.quantile(chosen, quantile, method="inverted_cdf"))
        t_s = run.seconds.t_s
        rows = (t_s + 1 > start_s) & (t_s < end_s) if end_s - start_s < 2 else (t_s >= start_s) & (t_s + 1 <= end_s)
        return measures.merged(run, series, rows).quantile_us(quantile) / 1000

    return of_stretch
