"""Which blocks of a run of cycles are compared, and why the others are not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from contract.runread import Run, read_run
from report.blocks import Design, design_of, find_blocks, stretches
from report.moves import PlayedMove, find_moves
from tools import synthetic


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three blocks of windows of 3 s and flanks of 2 s."""
    spec = synthetic.cycles(3, length_s=2.0, window_s=3.0, flank_s=2.0, rate=20)
    return read_run(synthetic.write(tmp_path_factory.mktemp("blocks") / "run", spec))


def test_every_sound_block_is_whole(run: Run) -> None:
    """Each block has its real and its sham move, in one direction, and no window or flank meets another move's."""
    blocks, left_out = find_blocks(run, find_moves(run), design_of(run))
    assert left_out == []
    assert [(block.number, block.direction) for block in blocks] == [(0, "1->2"), (1, "2->1"), (2, "1->2")]
    assert all((block.real.kind, block.sham.kind) == ("real", "sham") for block in blocks)


def test_a_window_lasts_as_long_as_was_fixed_before_the_run() -> None:
    """The window begins with the first slot whatever the move takes; flanks end at the request, begin at its end."""
    move = PlayedMove("real", 10.0, 12.0, 12.5, 13.0, 0, "1->2")
    assert stretches(move, Design(8, 4.0, 3.0, "response.p99")) == ((12.0, 16.0), (7.0, 10.0), (16.0, 19.0))


Change = Callable[[list[PlayedMove]], list[PlayedMove]]


def of_block_1(**changes: object) -> Change:
    """Change the real move of block 1."""
    return lambda moves: [
        replace(move, **changes) if (move.cycle, move.kind) == (1, "real") else move  # type: ignore[arg-type]
        for move in moves
    ]


def later(by_s: float) -> Change:
    """Let the real move of block 1 end later, in its slots."""
    return lambda moves: [
        replace(move, finished_s=(move.finished_s or 0) + by_s) if (move.cycle, move.kind) == (1, "real") else move
        for move in moves
    ]


CASES: list[tuple[str, Change, str]] = [
    ("no sham", lambda moves: [m for m in moves if (m.cycle, m.kind) != (1, "sham")], "it has no sham move"),
    ("twice", lambda moves: [*moves, *(m for m in moves if (m.cycle, m.kind) == (1, "real"))], "it has 2 real moves"),
    ("directions", of_block_1(direction="1->2"), "its moves differ in direction (1->2 and 2->1)"),
    ("failed", of_block_1(error="no majority"), "its real move failed: no majority"),
    (
        "failed, and the real move not played",
        lambda moves: [
            replace(m, error="too slow") if m.cycle == 1 else m for m in moves if (m.cycle, m.kind) != (1, "real")
        ],
        "its sham move failed: too slow",
    ),
    ("not started", of_block_1(started_s=float("nan"), finished_s=None), "its real move did not start"),
    ("too long", later(1.5), "its real move took 3.5 s, longer than its window of 3 s"),
]


@pytest.mark.parametrize(("change", "why"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_block_that_is_not_whole_is_left_out_with_its_reason(run: Run, change: Change, why: str) -> None:
    """One trouble costs its own block alone, and the reason names what is wrong and the value seen."""
    blocks, left_out = find_blocks(run, change(find_moves(run)), design_of(run))
    assert [(left.number, left.why) for left in left_out if left.number == 1] == [(1, why)]
    assert 0 in [block.number for block in blocks]


def test_an_unfinished_move_spoils_what_follows(run: Run) -> None:
    """Where slots may still be moving no flank is idle: the blocks after it are left out too."""
    moves = of_block_1(finished_s=None, ended_s=None)(find_moves(run))
    blocks, left_out = find_blocks(run, moves, design_of(run))
    assert [block.number for block in blocks] == [0]
    assert [left.number for left in left_out] == [1, 2]
    assert left_out[1].why.startswith("another move lies in the flanks of its ")


def test_flanks_must_lie_in_the_record(run: Run) -> None:
    """A block whose last flank reaches past the last planned arrival is left out."""
    short = replace(run, meta={**run.meta, "duration_s": run.number("duration_s") - 1})
    blocks, left_out = find_blocks(short, find_moves(run), design_of(run))
    assert [block.number for block in blocks] == [0, 1]
    assert left_out[0].why.endswith("reach beyond the record")
