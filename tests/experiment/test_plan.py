"""When moves are played: beside their control, and in cycles with idle flanks."""

import pytest

from contract import profiles
from contract.schedule import Schedule
from experiment.errors import OptionsError
from experiment.plan import cycles_duration_s, plan_cycles, plan_reshard


def original(compress: str = "20") -> Schedule:
    """The original's profile."""
    return Schedule(profiles.load("artillery-50min", scale="3", compress=compress))


@pytest.mark.parametrize(("compress", "real_s", "sham_s"), [("1", 1950.0, 150.0), ("20", 97.5, 7.5)])
def test_the_sham_stands_at_the_same_offset_of_the_control(compress: str, real_s: float, sham_s: float) -> None:
    """65 % of the run is in phase 3; the sham is as far into phase 1, whose ramp is the same."""
    sham, real = plan_reshard(original(compress), 0.65, 2, sham=True)
    assert (sham.kind, real.kind) == ("sham", "real")
    assert (sham.at_s, real.at_s) == pytest.approx((sham_s, real_s))


@pytest.mark.parametrize("at", [0.61, 0.98, 0.3999, 0.4001])
def test_a_reshard_needs_room_in_its_phase(at: float) -> None:
    """Less than 10 % of the phase before or after the reshard is refused, and the message says from where to where."""
    with pytest.raises(OptionsError, match=r"from .* to "):
        plan_reshard(original(), at, 2, sham=True)


def test_a_phase_without_a_twin_has_no_sham() -> None:
    """There is no control to put a sham into: only the real move is played."""
    [move] = plan_reshard(original(), 0.5, 2, sham=True)
    assert move.kind == "real"


def test_cycles_are_balanced_random_and_repeatable() -> None:
    """As many real moves as shams, directions alternating within each, the same order for the same seed."""
    moves = plan_cycles(8, 1, 2, flank_s=10, room_s=20, seed=3)
    for kind in ("real", "sham"):
        assert [move.to for move in moves if move.kind == kind] == [2, 1] * 4
        assert [move.cycle for move in moves if move.kind == kind] == list(range(8))
    assert [move.kind for move in moves] != ["real", "sham"] * 8
    assert moves == plan_cycles(8, 1, 2, flank_s=10, room_s=20, seed=3)
    assert moves != plan_cycles(8, 1, 2, flank_s=10, room_s=20, seed=4)


def test_every_move_of_the_cycles_has_its_flanks() -> None:
    """Moves are a room and a flank apart, the first and the last have a flank as well."""
    moves = plan_cycles(2, 1, 2, flank_s=10, room_s=20, seed=1)
    assert [move.at_s for move in moves] == [10, 40, 70, 100]
    assert cycles_duration_s(2, flank_s=10, room_s=20) == 130


def test_the_sham_gets_as_many_keys_as_the_reshard_will_meet() -> None:
    """Keys at the reshard are the arrivals planned before it: 60 s at 255/s, 30 s at 525/s, then 6 s of the ramp."""
    assert original().count_before(96.0) == pytest.approx(15300 + 15750 + 6 * (60 + 99) / 2, abs=2)
