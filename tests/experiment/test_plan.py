"""When moves are played: beside their control, and in cycles with idle flanks."""

from dataclasses import replace
from itertools import pairwise

import pytest

from contract import profiles
from contract.schedule import Schedule
from experiment.errors import OptionsError
from experiment.plan import Blocks, Filling, plan_cycles, plan_reshard


def original(compress: str = "20") -> Schedule:
    """The original's profile."""
    return Schedule(profiles.load("artillery-50min", scale="3", compress=compress))


@pytest.mark.parametrize(("compress", "real_s", "sham_s"), [("1", 1950.0, 150.0), ("20", 97.5, 7.5)])
def test_the_sham_stands_at_the_same_offset_of_the_control(compress: str, real_s: float, sham_s: float) -> None:
    """65 % of the run is in phase 3; the sham is as far into phase 1, whose ramp is the same."""
    sham, real = plan_reshard(original(compress), 0.65, 2, sham=True)
    assert (sham.kind, real.kind) == ("sham", "real")
    assert (sham.at_s, real.at_s) == pytest.approx((sham_s, real_s))
    assert (sham.window, real.window) == (None, None)


@pytest.mark.parametrize("at", [0.61, 0.98, 0.3999, 0.4001])
def test_a_reshard_needs_room_in_its_phase(at: float) -> None:
    """Less than 10 % of the phase before or after the reshard is refused, and the message says from where to where."""
    with pytest.raises(OptionsError, match=r"from .* to "):
        plan_reshard(original(), at, 2, sham=True)


def test_a_phase_without_a_twin_has_no_sham() -> None:
    """There is no control to put a sham into: only the real move is played."""
    [move] = plan_reshard(original(), 0.5, 2, sham=True)
    assert move.kind == "real"


def test_the_sham_is_filled_for_the_middle_of_the_real_move() -> None:
    """Not for its request: the application's cluster goes on growing while nodes join and slots move."""
    sham, real = plan_reshard(original(), 0.65, 2, sham=True, middle_after_s=15.0)
    assert sham.filling == Filling(as_at_s=real.at_s + 15.0)
    assert real.filling is None
    # 60 s at 255/s, 30 s at 525/s, then 22.5 s of the ramp: 15 s more than at the request
    assert original().count_before(real.at_s + 15.0) == pytest.approx(15300 + 15750 + 22.5 * (60 + 206.25) / 2, abs=2)


def blocks(count: int = 8, seed: int = 3, rate: float = 100.0, window_s: float = 20.0) -> Blocks:
    """Blocks of 2 (filling) + 3 x 10 (flanks) + 2 x (5 + window + 1) seconds."""
    return Blocks(count, seed, rate, filling_s=2, flank_s=10, preparing_s=5, window_s=window_s, moving_s=18)


def test_each_block_has_a_real_and_a_sham_move_of_one_direction() -> None:
    """Directions alternate from block to block, for both clusters; a seed repeats its order, another has another."""
    moves = plan_cycles(blocks(), (1, 2))
    pairs = [moves[place : place + 2] for place in range(0, 16, 2)]
    assert [{move.kind for move in pair} for pair in pairs] == [{"real", "sham"}] * 8
    assert [[move.cycle for move in pair] for pair in pairs] == [[block, block] for block in range(8)]
    assert [[move.to for move in pair] for pair in pairs] == [[2, 2], [1, 1]] * 4
    assert moves == plan_cycles(blocks(), (1, 2))
    orders = {tuple(move.kind for move in plan_cycles(blocks(seed=seed), (1, 2))) for seed in range(20)}
    assert len(orders) == 20


def test_a_coin_decides_each_block_by_itself() -> None:
    """Over many seeds the real move comes first in half of the blocks, whatever came first in the block before."""
    first = [[pair.kind == "real" for pair in plan_cycles(blocks(seed=seed), (1, 2))[::2]] for seed in range(200)]
    share = sum(map(sum, first)) / 1600
    changes = sum(one != other for order in first for one, other in pairwise(order)) / 1400
    assert share == pytest.approx(0.5, abs=0.05)
    assert changes == pytest.approx(0.5, abs=0.06)


def test_the_first_block_waits_for_keys() -> None:
    """Everything is later by as much, and the load lasts as much longer."""
    plan = replace(blocks(count=4), lead_s=30)
    early, late = plan_cycles(blocks(count=4), (1, 2)), plan_cycles(plan, (1, 2))
    assert [move.at_s for move in late] == [move.at_s + 30 for move in early]
    assert plan.duration_s == blocks(count=4).duration_s + 30


def test_filling_flanks_and_windows_never_overlap() -> None:
    """Filling 2, flank 10, request, window 5 s later, flank, request, window, flank; then the next block begins."""
    plan = blocks(count=4)
    moves = plan_cycles(plan, (1, 2))
    assert (plan.block_s, plan.duration_s) == (84, 336)
    assert [move.at_s for move in moves] == [12, 48, 96, 132, 180, 216, 264, 300]
    assert [move.window for move in moves[:2]] == [(17, 37), (53, 73)]
    spans: list[tuple[float, float]] = []
    for move in moves:
        assert move.window is not None
        if move.filling is not None:
            assert move.filling.during is not None
            spans.append(move.filling.during)
            assert move.filling.during[1] + plan.flank_s <= move.at_s
        spans += [(move.at_s, move.window[1]), (move.window[1], move.window[1] + plan.flank_s)]
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    assert spans[-1][1] <= plan.duration_s


@pytest.mark.parametrize("seed", range(6))
def test_a_block_is_filled_once_for_its_real_moves_middle(seed: int) -> None:
    """Before its first move, whichever that is; and the last of its slots' keys are those of half of the move."""
    plan = blocks(count=4, seed=seed)
    moves = plan_cycles(plan, (1, 2))
    for first, second in zip(moves[::2], moves[1::2], strict=True):
        [real] = [move for move in (first, second) if move.kind == "real"]
        assert second.filling is None
        assert first.filling is not None
        assert first.filling.as_at_s == real.at_s + plan.preparing_s + plan.moving_s / 2


@pytest.mark.parametrize(
    ("rate", "window_s", "primary"),
    [(100.0, 10.0, "response.p99"), (99.9, 10.0, "response.slow"), (300.0, 4.0, "response.p99")],
)
def test_the_primary_outcome_is_declared_from_the_arrivals_of_a_window(
    rate: float, window_s: float, primary: str
) -> None:
    """p99 needs 1,000 arrivals in a window; with fewer it is the share of slow ones."""
    said = blocks(rate=rate, window_s=window_s).as_json()
    assert said == {"count": 8, "seed": 3, "window_s": window_s, "flank_s": 10, "primary": primary}
