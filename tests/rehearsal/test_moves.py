"""When moves are played: beside their control, and in cycles with idle flanks."""

import time
from types import SimpleNamespace
from typing import cast

import pytest

from contract import profiles
from contract.schedule import Schedule
from rehearsal import mover
from rehearsal.moves import PlanError, PlannedMove, cycles_duration_s, expected_keys, plan_cycles, plan_reshard
from rehearsal.recorder import Recorder
from rehearsal.stack import Stack


def original(compress: str = "20") -> Schedule:
    """The original's profile."""
    return Schedule(profiles.load("artillery-50min", scale="3", compress=compress))


@pytest.mark.parametrize(("compress", "real_s", "sham_s"), [("1", 1950.0, 150.0), ("20", 97.5, 7.5)])
def test_the_sham_stands_at_the_same_offset_of_the_control(compress: str, real_s: float, sham_s: float) -> None:
    """65 % of the run is in phase 3; the sham is as far into phase 1, whose ramp is the same."""
    sham, real = plan_reshard(original(compress), 0.65, 2)
    assert (sham.kind, real.kind) == ("sham", "real")
    assert (sham.at_s, real.at_s) == pytest.approx((sham_s, real_s))


@pytest.mark.parametrize("at", [0.61, 0.98, 0.3999, 0.4001])
def test_a_reshard_needs_room_in_its_phase(at: float) -> None:
    """Less than 10 % of the phase before or after the reshard is refused, and the message says from where to where."""
    with pytest.raises(PlanError, match=r"from .* to "):
        plan_reshard(original(), at, 2)


def test_a_phase_without_a_twin_has_no_sham() -> None:
    """There is no control to put a sham into: only the real move is played."""
    [move] = plan_reshard(original(), 0.5, 2)
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
    assert expected_keys(original(), 96.0) == pytest.approx(15300 + 15750 + 6 * (60 + 99) / 2, abs=2)


def test_a_move_that_breaks_in_an_unforeseen_way_is_a_problem_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mover that ended unseen would leave a run that looks as if no move had been planned."""

    def broken(*_args: object, **_options: object) -> None:
        raise TypeError("unforeseen")

    monkeypatch.setattr(mover, "play", broken)
    running = cast("Stack", SimpleNamespace(cluster=object(), sham=None))
    recorder = cast("Recorder", SimpleNamespace(started_at_unix_s=time.time()))
    moves = [PlannedMove("real", 0.0, 2)]
    played = mover.Mover(
        moves, running, recorder, before=[], values={}, stack="dev", migration="slots", slots_per_s=300.0
    )
    played.start()
    played.finish(5)
    assert played.problems == ["the real move to 2 shards failed: TypeError: unforeseen"]
