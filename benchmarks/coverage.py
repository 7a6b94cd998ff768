"""Do the intervals and p-values of a run of cycles keep their word? Simulation, through the report's own functions.

    python -m benchmarks.coverage [--experiments N] [--folders N]    coverage and family-wise error
    python -m benchmarks.coverage --tables                           the tables of report/coverage.py

An experiment is a run of K blocks: single arrivals with exponential noise, on a level that is AR(1) from second to
second (0.8, standard deviation 1 ms) and is shared by all of them. `report.cycles.compare` finds the effect in them, as
in a run's arrivals.csv; with --folders, `report.findings.examine` in whole run folders. The figures
go to benchmarks/results as JSON. Exits 1 when a goal is missed.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import results
from contract.runread import read_run
from contract.runtables import Arrivals
from report import cycles
from report.blocks import Block, Design
from report.findings import examine
from report.inference import ALPHA, interval_of, skew, spread
from report.moves import PlayedMove
from tools import synthetic

Floats = npt.NDArray[np.float64]
BLOCKS = (8, 12, 20)
EXPERIMENTS = 1_000
DESIGN = Design(0, window_s=12.0, flank_s=10.0, primary="response.p99")
FILLING_S, LEAD_S, RATE = 2, 1, 85
BASE_MS = 8.0
AUTOCORRELATION = 0.8
WORK_MS = 0.7
"""What moving slots costs the machine, real or sham."""
SLOW_MS, SLOW_SHARE = 20.0, 0.001
TIMINGS = ("connection", "write", "read")
EXACT, CONSERVATIVE = (0.93, 0.97), (0.93, 1.0)
MOST_ERRORS = 0.065


@dataclass(frozen=True)
class Model:
    """What the moves do, in ms, beside the noise. `effects` gives each block's own effect on every arrival.

    `drift` is by how much the response time, and the work of every move too, grows over the run. `pause` is added to
    one move's window, real or sham.
    """

    effects: Callable[[np.random.Generator, int], Floats]
    goal: tuple[float, float] | None = EXACT
    truth: Callable[[Floats], float] = field(default=lambda effects: float(effects.mean()))
    drift: float = 0.0
    pause: float = 0.0


def constant(effect: float) -> Callable[[np.random.Generator, int], Floats]:
    """The same effect in every block."""
    return lambda _random, count: np.full(count, effect)


def by_direction(one: float, other: float) -> Callable[[np.random.Generator, int], Floats]:
    """One effect when a shard is added, another when it is removed."""
    return lambda _random, count: np.where(np.arange(count) % 2 == 0, one, other)


def uneven(_random: np.random.Generator, count: int) -> Floats:
    """Effects of mean 3, whose standard deviation is 0.5 in one direction and 5 in the other."""
    return 3 + _random.normal(0, 1, count) * np.where(np.arange(count) % 2 == 0, 0.5, 5.0)


def lognormal(sigma: float) -> Callable[[np.random.Generator, int], Floats]:
    """Effects of mean 5 whose logarithm has this standard deviation."""
    return lambda random, count: 5 * random.lognormal(-(sigma**2) / 2, sigma, count)


def always(mean: float) -> Callable[[Floats], float]:
    """The estimand where effects are drawn: the mean of those that might have been."""
    return lambda _effects: mean


MODELS: Mapping[str, Model] = {
    "no effect": Model(constant(0.0)),
    "an effect": Model(constant(1.5)),
    "drift common to both moves": Model(constant(1.5), drift=10.0),
    "directions of different means": Model(by_direction(0.5, 2.5)),
    "one outlier": Model(constant(1.5), CONSERVATIVE, pause=15.0),
    "a growing effect": Model(lambda _random, count: np.linspace(0, 6, count), CONSERVATIVE),
    "unequal spread by direction, 1 to 10": Model(uneven, None, always(3.0)),
    "skewed effects, lognormal 0.73": Model(lognormal(0.73), None, always(5.0)),
    "skewed effects, lognormal 1.5": Model(lognormal(1.5), None, always(5.0)),
}
"""A growing effect, and an effect by direction, are those of the blocks that were played: their mean is the truth.
Drawn effects (skewed, unequal) stand for all blocks that might have been played: the truth is the mean of those."""


def played(random: np.random.Generator, count: int) -> list[Block]:
    """Blocks as experiment.plan lays them out: filling, flank, move, flank, move, flank; the order by coin."""
    blocks: list[Block] = []
    at_s = 0.0
    step = LEAD_S + DESIGN.window_s + DESIGN.flank_s
    for number in range(count):
        direction = "1->2" if number % 2 == 0 else "2->1"
        begin = at_s + FILLING_S + DESIGN.flank_s
        requests = [begin, begin + step]
        real, sham = requests if random.random() < 0.5 else requests[::-1]
        moves = [
            PlayedMove(kind, request, request + LEAD_S, request + LEAD_S + DESIGN.window_s - 1, None, number, direction)
            for kind, request in (("real", real), ("sham", sham))
        ]
        blocks.append(Block(number, direction, *moves))
        at_s = begin + 2 * step
    return blocks


def noise(random: np.random.Generator, seconds: int) -> Floats:
    """AR(1) by second, of standard deviation 1, begun in its stationary state."""
    shocks = random.normal(0, math.sqrt(1 - AUTOCORRELATION**2), seconds)
    shocks[0] = random.normal()
    level = 0.0
    values = np.empty(seconds)
    for place, shock in enumerate(shocks.tolist()):
        level = AUTOCORRELATION * level + shock
        values[place] = level
    return values


def arrivals(level: Floats, random: np.random.Generator, timings: Sequence[str]) -> Arrivals:
    """RATE arrivals a second, evenly; one in 1,000 is slow whatever the moves do."""
    planned = (np.arange(len(level) * RATE) + 0.5) / RATE
    own = level[planned.astype(np.int64)]
    taken = BASE_MS + own + random.exponential(1.0, len(planned))
    taken[random.random(len(planned)) < SLOW_SHARE] += 30
    times = {name: 1000 * (2 + own / 3 + random.exponential(0.5, len(planned))) for name in timings}
    good = np.ones(len(planned), dtype=np.bool_)
    zeros = np.zeros(len(planned))
    done = planned + taken / 1000
    return Arrivals(planned, planned, planned, done, good, [], zeros, zeros, zeros, zeros, times)


def seconds_of(blocks: Sequence[Block]) -> int:
    """How long a run of the blocks lasts."""
    latest = max(move.started_s for block in blocks for move in (block.real, block.sham))
    return math.ceil(latest + DESIGN.window_s + DESIGN.flank_s)


def add_to_window(values: Floats, move: PlayedMove, per_second: int, added: float) -> None:
    """Raise what happens in the move's window."""
    first = round(move.started_s * per_second)
    values[first : first + round(DESIGN.window_s * per_second)] += added


def covers(model: Model, count: int, seed: Sequence[int]) -> tuple[bool, float]:
    """One experiment: whether the interval of the primary outcome holds the truth, and the primary's p-value."""
    random = np.random.default_rng(seed)
    blocks = played(random, count)
    level = noise(random, seconds_of(blocks)) + np.linspace(0, model.drift, seconds_of(blocks))
    effects = model.effects(random, count)
    for block, effect in zip(blocks, effects.tolist(), strict=True):
        for move, added in ((block.real, effect), (block.sham, 0.0)):
            add_to_window(level, move, 1, added + WORK_MS + model.drift * move.started_s / len(level))
    stricken = blocks[int(random.integers(count))]
    add_to_window(level, stricken.real if random.random() < 0.5 else stricken.sham, 1, model.pause)
    kept = arrivals(level, random, ())
    found = cycles.compare(kept, replace(DESIGN, blocks=count), (blocks, []), 15_000.0, SLOW_MS).outcomes[0].conclusion
    assert found.interval is not None  # noqa: S101 - 8 blocks and more have one
    assert found.p is not None  # noqa: S101 - and its p-value
    return found.interval.low <= model.truth(effects) <= found.interval.high, found.p


def errs(affected: bool, count: int, seed: Sequence[int]) -> tuple[bool, bool]:
    """One experiment with nothing affected, or only the primary outcome: a false p-value at most ALPHA, and a true one.

    Where it is affected, 6 ms are added in the real windows to the arrivals whose noise is among the highest 3 %, and
    which stay below the threshold of slow: p99 rises, the median and the share of slow arrivals do not.
    """
    random = np.random.default_rng(seed)
    blocks = played(random, count)
    level = noise(random, seconds_of(blocks))
    kept = arrivals(level, random, TIMINGS)
    taken = (kept.done_s - kept.planned_s) * 1000
    own = taken - BASE_MS - level[kept.planned_s.astype(np.int64)]
    high = (own > -math.log(0.03)) & (taken + 6 < SLOW_MS)
    for block in blocks if affected else ():
        added = np.zeros(len(kept))
        add_to_window(added, block.real, RATE, 0.006)
        kept.done_s[high] += added[high]
    found = cycles.compare(kept, replace(DESIGN, blocks=count), (blocks, []), 15_000.0, SLOW_MS)
    rejected = {
        outcome.name for outcome in found.outcomes if outcome.conclusion.p is not None and outcome.conclusion.p <= ALPHA
    }
    true = {DESIGN.primary} if affected else set[str]()
    return bool(rejected - true), DESIGN.primary in rejected & true


def folder_covers(seed: int, effect: float = 1.5, count: int = 8) -> bool:
    """The model "an effect" as a whole run folder, read by the report."""
    random = np.random.default_rng((count, 200, seed))
    spec = synthetic.cycles(
        count, seed=seed, length_s=2.0, window_s=3.0, flank_s=2.0, rate=340.0, real_us=0.0, sham_us=0.0
    )
    level = BASE_MS + noise(random, math.ceil(spec.duration_s))
    for move in spec.moves:
        first = round(move.start_s)
        level[first : first + 3] += effect if move.kind == "real" else 0.0
    with tempfile.TemporaryDirectory() as folder:
        synthetic.write(Path(folder) / "run", replace(spec, seed=seed, level_us=(1000 * level).tolist()))
        found = examine(read_run(Path(folder) / "run")).cycles
    interval = found.outcomes[0].conclusion.interval if found else None
    if interval is None:
        raise ValueError(f"seed {seed}: no interval, because {found.problem if found else 'it is no run of cycles'}")
    return interval.low <= effect <= interval.high


def tables(experiments: int = 10_000) -> dict[str, dict[int, list[tuple[float, float]]]]:
    """The tables of report/coverage.py: d drawn as it is, without noise, both directions half of the blocks."""
    random = np.random.default_rng(2)

    def row(
        draw: Callable[[int], list[Floats]], count: int, shown: Callable[[Sequence[Floats]], float]
    ) -> tuple[float, float]:
        drawn = [draw(count // 2) for _ in range(experiments)]
        intervals = [interval for parts in drawn if (interval := interval_of(parts))]
        covered = sum(interval.low <= 1 <= interval.high for interval in intervals) / experiments
        return round(float(np.median([abs(shown(parts)) for parts in drawn])), 2), round(covered, 3)

    def skewed(sigma: float, half: int) -> list[Floats]:
        return [
            1 + random.normal(size=half) if sigma == 0 else random.lognormal(-(sigma**2) / 2, sigma, half) for _ in "12"
        ]

    def spread_out(ratio: float, half: int) -> list[Floats]:
        return [1 + random.normal(0, 1, half), 1 + random.normal(0, ratio, half)]

    counts = (8, 12, 20, 30)
    return {
        "SKEW": {
            count: [row(partial(skewed, sigma), count, skew) for sigma in (0, 0.25, 0.5, 0.73, 1, 1.5, 2)]
            for count in counts
        },
        "SPREAD": {
            count: [row(partial(spread_out, ratio), count, spread) for ratio in (1, 2, 4, 10)] for count in counts
        },
    }


def share(hits: Sequence[bool]) -> float:
    """How many of them are true."""
    return sum(hits) / len(hits)


def simulate(experiments: int) -> tuple[dict[str, dict[int, float]], list[str]]:
    """Coverage and family-wise error by model and number of blocks, and the goals that were missed."""
    result: dict[str, dict[int, float]] = {}
    missed: list[str] = []

    def keep(name: str, count: int, figure: float, low: float = 0.0, high: float = 1.0) -> None:
        result.setdefault(name, {})[count] = figure
        if not low <= figure <= high:
            missed.append(f"{name}, K = {count}: {figure}, the goal {low} to {high}")
        sys.stderr.write(f"{name}, K = {count}: {figure}\n")

    for count in BLOCKS:
        for place, (name, model) in enumerate(MODELS.items()):
            found = [covers(model, count, (count, place, seed)) for seed in range(experiments)]
            keep(f"coverage, {name}", count, share([covered for covered, _ in found]), *(model.goal or ()))
            if name == "no effect":
                keep("p at most 0.05, no effect", count, share([p <= ALPHA for _, p in found]), high=MOST_ERRORS)
        for affected, name in ((False, "no effect"), (True, "only the primary affected")):
            errors = [errs(affected, count, (count, 100 + affected, seed)) for seed in range(experiments)]
            keep(f"family-wise error, {name}", count, share([false for false, _ in errors]), high=MOST_ERRORS)
            if affected:
                keep("effect found, only the primary affected", count, share([true for _, true in errors]))
    return result, missed


def main() -> int:
    """Simulate, print; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS, help="of each model and K (1000)")
    parser.add_argument("--folders", type=int, default=0, help="whole run folders of 8 blocks too, such as 300 (0)")
    parser.add_argument("--tables", action="store_true", help="the tables of report/coverage.py instead")
    options = parser.parse_args()
    if options.tables:
        for name, by_count in tables().items():
            sys.stdout.write(f"{name}: Table = {by_count}\n")
        return 0
    began = time.time()
    result, missed = simulate(options.experiments)
    figures: dict[str, Any] = {"experiments": options.experiments, "coverage": result}
    if options.folders:
        hits = [folder_covers(seed) for seed in range(options.folders)]
        figures["folders"] = {"folders": len(hits), "coverage": share(hits)}
    path = results.save("coverage", began, {**figures, "missed": missed}, numpy=np.__version__)
    sys.stdout.write(f"{json.dumps(figures, indent=1)}\nwritten to {path}\n")
    sys.stderr.write("".join(f"goal missed: {line}\n" for line in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
