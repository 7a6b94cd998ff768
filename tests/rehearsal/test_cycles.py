"""Blocks of moves with real clusters: the planned order, the planned moments, the same work in each pair."""

from dataclasses import replace
from pathlib import Path

import pytest

from contract.runread import read_run
from experiment.driver import Experiment
from experiment.plan import Blocks, Plan, plan_cycles
from experiment.screen import Screen
from experiment.state import State
from rehearsal import options
from rehearsal.place import Here
from report.moves import find_moves

pytestmark = [pytest.mark.rehearsal, pytest.mark.alone]

RATE = 60.0
BLOCKS = Blocks(2, 5, RATE, filling_s=1, flank_s=1, preparing_s=5, window_s=4, moving_s=1)
PROFILE = f"phases: [{{name: Steady, duration: {BLOCKS.duration_s + 1}s, arrivalRate: {RATE}}}]"


def test_both_moves_of_a_block_do_the_same_work(tmp_path: Path) -> None:
    """Two short blocks, there and back: shams move as many keys as real moves, at their moments; all arrivals are kept.

    So few keys vary by chance: 5 % is asked of a run of usual length only.
    """
    file = tmp_path / "steady.yml"
    file.write_text(PROFILE)
    words = ["--load-profile", str(file), "--load-scale", "1", "--load-compress", "1", "--migration", "atomic"]
    plan = Plan(tuple(plan_cycles(BLOCKS, (1, 2))), (1, 2), "atomic", blocks=BLOCKS)
    chosen = replace(
        options.read([*words, "--reshard-at", "50%", "--set", "loadTasks=1", "--set", "loadWarm=0"]), plan=plan
    )
    with Screen(quiet_every_s=5.0) as screen:
        place = Here(chosen, tmp_path / "run", screen)
        experiment = Experiment(place, State.in_memory("dev"), screen, gates=[], notes={})
        code = experiment.run(plan, down=False)
    run = read_run(tmp_path / "run")
    assert code in (0, 2)  # a busy machine carries no claim
    assert "problems" not in run.meta
    moves = find_moves(run)
    assert [(move.kind, move.cycle) for move in moves] == [(move.kind, move.cycle) for move in plan.moves]
    assert [move.direction for move in moves] == ["1->2", "1->2", "2->1", "2->1"]
    for move, planned in zip(moves, plan.moves, strict=True):
        assert planned.window is not None
        assert move.started_s == pytest.approx(planned.window[0], abs=0.3)
        assert move.ended_s is not None
        assert move.ended_s < planned.window[1]
    for one, other in zip(moves[::2], moves[1::2], strict=True):
        assert one.slots == other.slots == 8192
        assert one.keys == pytest.approx(other.keys, rel=0.2)
        assert one.bytes == pytest.approx(other.bytes, rel=0.2)
    assert len(run.arrivals) == int(run.seconds["offered"].sum())
