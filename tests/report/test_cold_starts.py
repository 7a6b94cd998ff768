"""Cold starts: in what a move is compared with they spoil the run, during and after it they are an effect."""

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contract.runread import Run, read_run
from report.assemble import build
from report.checks import machines
from report.checks.check import FAIL, PASS, RunCheck
from report.moves import find_moves, is_cycles
from report.windows import windows_of
from tools import synthetic
from tools.synthetic import Planted, Synthetic

# Real move requested at 100, slots from 102 to 112; control and sham 90 s earlier. 20 to 80 arrivals a second, so a
# control of 10 s has 350 to 450.
ONE_MOVE = Synthetic(moves=(Planted("sham", 12, 10), Planted("real", 102, 10)))


def cycle(kind: str, at_s: float, number: int, direction: str) -> Planted:
    """A move of 1 s in a run of cycles; requested 2 s before."""
    return Planted(kind, at_s, 1, fields={"cycle": number, "kind": kind, "direction": direction})


# 300 a second: a flank of 10 s has 3,000 arrivals, of which 6 are 0.2 %; a window of 5 s has 1,500 and 3.
CYCLES = Synthetic(
    phases=(("Steady", 100, 300, 300),),
    moves=(cycle("real", 22, 0, "1->2"), cycle("sham", 42, 0, "1->2"), cycle("sham", 62, 1, "2->1")),
    run={"cycles": {"count": 2, "seed": 1, "window_s": 5, "flank_s": 10}},
)


def made(tmp_path: Path, what: Synthetic, cold: Mapping[int, int], *, told: bool = True) -> Path:
    """A run with so many cold starts in some seconds, 0 in the others; or one whose replies do not say."""
    folder = synthetic.write(tmp_path / "20261122T151100Z-dev", what)
    path = folder / "seconds.csv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["cold"] = str(cold.get(int(row["t_s"]), 0)) if told else ""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def checked(run: Run) -> RunCheck | None:
    """The check, if the run is judged at all."""
    moves = find_moves(run)
    windows = None if is_cycles(moves) else windows_of(run, moves)
    return next(machines.cold_starts(run, moves, windows), None)


@pytest.mark.parametrize(
    ("what", "cold", "state", "said"),
    [
        (ONE_MOVE, {}, PASS, "0 in before, control of before, control of during, control of after"),
        # in the control
        (ONE_MOVE, {15: 4}, FAIL, "control of during 4 in 370 arrivals, at most 4 a second"),
        (ONE_MOVE, {3: 1, 5: 1}, FAIL, "control of before 2 in 250 arrivals, at most 1 a second"),
        (ONE_MOVE, {30: 1, 40: 1, 50: 2}, PASS, "4 in before"),  # 0.15 % of 2,623
        (ONE_MOVE, {30: 3, 40: 3}, FAIL, "control of after 6 in"),
        # while nodes join, in the second phase, in the peak between: nothing is compared with it
        (ONE_MOVE, {101: 9, 70: 9, 11: 9}, PASS, "0 in before"),
        # before the move
        (ONE_MOVE, {95: 1}, FAIL, "before 1 in 250 arrivals, at most 1 a second"),
        # during and after it
        (ONE_MOVE, {104: 20, 120: 9}, PASS, "during 20, an effect; after 9, an effect"),
        # cycles: the idle time before a move of either kind, and the sham's window
        (CYCLES, {}, PASS, "0 in 5 windows; in the real moves 0"),
        (CYCLES, dict.fromkeys((11, 12, 13, 14, 15, 16, 17), 1), FAIL, "before real move 0 1->2 7 in 3,000 arrivals"),
        (CYCLES, dict.fromkeys((11, 12, 13, 14, 15, 16), 1), PASS, "6 in 5 windows"),
        (CYCLES, {35: 4}, FAIL, "before sham move 0 1->2 4 in 3,000 arrivals, at most 4 a second"),
        (CYCLES, {66: 4}, FAIL, "sham move 1 2->1 4 in 1,500 arrivals, at most 4 a second"),
        (CYCLES, {22: 50, 26: 1}, PASS, "in the real moves 51, an effect"),
        (CYCLES, {29: 9, 75: 9, 99: 9}, PASS, "0 in 5 windows"),
    ],
)  # fmt: skip
def test_where_a_cold_start_counts(
    what: Synthetic, cold: Mapping[int, int], state: str, said: str, tmp_path: Path
) -> None:
    """Over 0.2 % of a window or over 3 in a second is too many, but only where a move is compared with it."""
    check = checked(read_run(made(tmp_path, what, cold)))
    assert check is not None
    assert (check.name, check.state) == ("Cold starts", state), check.value
    assert said in check.value


@pytest.mark.parametrize(
    ("what", "told"), [(ONE_MOVE, False), (replace(ONE_MOVE, moves=()), True), (replace(CYCLES, moves=()), True)]
)
def test_nothing_is_judged_where_nothing_is_told_or_compared(what: Synthetic, told: bool, tmp_path: Path) -> None:
    """An application of one's own does not say whether it was cold; a load without a move has no control."""
    assert checked(read_run(made(tmp_path, what, {5: 9}, told=told))) is None


def test_on_aws_the_control_has_no_sham_and_is_judged_the_same(tmp_path: Path) -> None:
    """The first phase is the control by itself."""
    run = replace(ONE_MOVE, moves=ONE_MOVE.moves[1:], run={"where": "aws"})
    result = build(made(tmp_path, run, {15: 4}))
    assert result.exit_code == 2
    assert any(reason.startswith("Cold starts: control of during 4") for reason in result.reasons)


def test_the_reshards_table_shows_them(tmp_path: Path) -> None:
    """Cold starts of the move stand beside those of its control."""
    result = build(made(tmp_path, ONE_MOVE, {14: 1, 104: 20}))
    reshard: dict[str, Any] = result.report["reshard"]
    assert (reshard["during"]["cold"], reshard["control"]["during"]["cold"]) == (20, 1)
    page = result.html.read_text(encoding="utf-8")
    assert "Cold starts</th>" in page
    cells = re.search(r"<strong>during</strong></td>((?:<td class=.number.>[^<]*</td>){4})", page)
    assert cells is not None
    assert cells[1].endswith('<td class="number">0</td><td class="number">20</td>')


@pytest.mark.parametrize(("t_s", "reasons"), [(-0.3, 0), (9.7, 1)])
def test_environments_are_not_judged_before_second_0(t_s: float, reasons: int, tmp_path: Path) -> None:
    """The warming may use all of them; in the run that would mean that requests waited for one."""
    folder = made(tmp_path, ONE_MOVE, {})
    line = f'{{"type": "environments", "t_s": {t_s}, "count": 100, "busy_max": 100, "waited": 1, "limit": 100}}\n'
    with (folder / "function.jsonl").open("a") as stream:
        stream.write(line)
    assert len(build(folder).reasons) == reasons
