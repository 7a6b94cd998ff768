"""Known answers come back from synthetic cycles: the interval covers what was planted as often as it says."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from report import cycles, student
from report.assemble import build
from report.moves import PlayedMove
from tools import synthetic
from tools.synthetic import Synthetic, write

EXPERIMENTS = 1_000
K = 8
FLANK_S = 10
MOVE_S = 12
AUTOCORRELATION = 0.8
Floats = npt.NDArray[np.float64]


def played(random: np.random.Generator) -> list[PlayedMove]:
    """K real moves and K shams in random order, each with idle flanks, directions alternating within a kind."""
    kinds = np.array(["real", "sham"] * K)
    random.shuffle(kinds)
    seen = {"real": 0, "sham": 0}
    moves: list[PlayedMove] = []
    for place, kind in enumerate(kinds.tolist()):
        start = FLANK_S + place * (MOVE_S + 2 * FLANK_S)
        direction = "1->2" if seen[kind] % 2 == 0 else "2->1"
        moves.append(PlayedMove(kind, start, start, start + MOVE_S, None, seen[kind], direction, "slots"))
        seen[kind] += 1
    return moves


def noise(random: np.random.Generator, seconds: int) -> Floats:
    """AR(1) per second, of standard deviation 1, begun in its stationary state."""
    shocks = random.normal(0, np.sqrt(1 - AUTOCORRELATION**2), seconds)
    values = np.empty(seconds)
    values[0] = random.normal()
    for t_s in range(1, seconds):
        values[t_s] = AUTOCORRELATION * values[t_s - 1] + shocks[t_s]
    return values


def experiment(seed: int, effect: float, work: float = 0.7, ramp: float = 4.0) -> student.Interval:
    """One experiment: noise, a ramp over the run, `work` in every move, `effect` in the real ones alone."""
    random = np.random.default_rng(seed)
    moves = played(random)
    seconds = 2 * K * (MOVE_S + 2 * FLANK_S)
    level = noise(random, seconds) + np.linspace(0, ramp, seconds)
    for move in moves:
        level[int(move.started_s) : int(move.started_s) + MOVE_S] += work + (effect if move.kind == "real" else 0)
    sums = np.concatenate([np.zeros(1), np.cumsum(level)])

    def q(start_s: float, end_s: float) -> float:
        return float(sums[round(end_s)] - sums[round(start_s)]) / (end_s - start_s)

    found = [(move, cycles.contrast(move, flank, q)) for move, flank in cycles.flanks(moves, seconds)]
    assert len(found) == 2 * K
    interval = student.welch(
        [e for move, e in found if move.kind == "real"], [e for move, e in found if move.kind == "sham"]
    )
    assert interval is not None
    return interval


@pytest.mark.parametrize(("effect", "seed"), [(0.0, 10_000), (1.5, 20_000)], ids=["no effect", "an effect"])
def test_the_interval_covers_what_was_planted_as_often_as_it_says(effect: float, seed: int) -> None:
    """Over 1,000 experiments the 95 % interval holds the planted effect in 93 to 97 % of them, none or some."""
    intervals = [experiment(seed + number, effect) for number in range(EXPERIMENTS)]
    coverage = sum(interval.low <= effect <= interval.high for interval in intervals) / EXPERIMENTS
    assert 0.93 <= coverage <= 0.97
    bias = np.mean([interval.estimate for interval in intervals]) - effect
    assert abs(bias) < 0.05


def test_an_interval_that_ignores_autocorrelation_would_not() -> None:
    """The check above can fail: seconds taken as independent cover far less than they say."""
    covered = 0
    for number in range(200):
        random = np.random.default_rng(number)
        level = noise(random, 2 * MOVE_S)
        interval = student.welch(level[:MOVE_S].tolist(), level[MOVE_S:].tolist())
        assert interval is not None
        covered += interval.low <= 0 <= interval.high
    assert covered / 200 < 0.8


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.975, 7, 2.36462), (0.975, 14, 2.14479), (0.995, 30, 2.75000),
     (0.975, 1e7, 1.959964), (0.9, 5, 1.47588)],
)  # fmt: skip
def test_t_quantiles_are_those_of_the_tables(probability: float, degrees: float, expected: float) -> None:
    """Student's t agrees with printed tables, where the standard library has none."""
    assert student.t_quantile(probability, degrees) == pytest.approx(expected, abs=1e-5)


def test_welch_agrees_with_a_worked_example() -> None:
    """Means, degrees of freedom and interval as worked out apart, the quantile by integrating the density."""
    interval = student.welch([10.0, 12.0, 14.0, 16.0], [9.0, 9.5, 10.0, 10.5, 11.0])
    assert interval is not None
    assert interval.estimate == pytest.approx(3.0)
    assert interval.degrees == pytest.approx(3.4532, abs=1e-3)
    assert interval.high - interval.estimate == pytest.approx(3.9608, abs=1e-3)


def test_flanks_are_equal_and_never_shared() -> None:
    """Both flanks of a move are equally long, no longer than it, and neighbours split the gap between them."""
    moves = [
        PlayedMove("real", 10, 12, 20, 21, 0),
        PlayedMove("sham", 25, 27, 35, None, 0),
        PlayedMove("real", 60, 60, 60.2, None, 1),
    ]
    assert [(move.started_s, length) for move, length in cycles.flanks(moves, 100.0)] == [
        (12, 2.0),
        (27, 2.0),
        (60, pytest.approx(0.2)),
    ]


def cycles_run(atomic: bool) -> Synthetic:
    """A run of 8 blocks: real moves cost 200 us, shams 50."""
    if atomic:
        return synthetic.cycles(K, length_s=0.25, window_s=2.0, migration="atomic")
    return synthetic.cycles(K, migration="slots")


@pytest.mark.parametrize("atomic", [False, True], ids=["slot by slot", "atomic"])
def test_a_run_folder_of_cycles_gives_the_planted_effect(tmp_path: Path, atomic: bool) -> None:
    """From files to verdict: 0.15 ms more for real moves than for shams lies in the p50 interval, directions apart."""
    folder = write(tmp_path / "cycles", cycles_run(atomic))
    result = build(folder, [])
    rows = {(row["series"], row["stat"], row["direction"]): row for row in result.report["cycles"]}
    read = rows["read", "p50", "all"]
    assert read["headline"] is True
    assert read["real_moves"] == read["sham_moves"] == K
    assert read["low_ms"] <= 0.15 <= read["high_ms"]
    assert read["effect_ms"] == pytest.approx(0.15, abs=0.02)
    for direction in ("1->2", "2->1"):
        assert rows["read", "p50", direction]["effect_ms"] == pytest.approx(0.15, abs=0.03)
        assert rows["read", "p50", direction]["headline"] is False
    assert "8 real moves" in result.verdict
    assert (
        f"On p50: read {read['effect_ms']:+.3f} ms ({read['low_ms']:+.3f} to {read['high_ms']:+.3f})" in result.verdict
    )
    assert result.verdict.startswith("Slots moved 8 times")
    assert ("atomic" if atomic else "slot by slot") in result.verdict
