"""The stretches of a run whose figures are compared: integrity is judged within each of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract.runread import Run, number
from report.measures import Mask
from report.moves import PlayedMove
from report.windows import MoveWindows


@dataclass(frozen=True)
class Stretch:
    """Planned seconds that are compared, by rows of seconds.csv. `is_whole_run` if nothing is compared with another."""

    name: str
    rows: Mask
    is_whole_run: bool = False


def stretches(run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None) -> list[Stretch]:
    """Every stretch that is compared; the whole run where no move splits it."""
    if windows is not None:
        return _around_one_move(windows)
    found = _of_cycles(run, moves) if any(move.cycle is not None for move in moves) else []
    return found or [Stretch("the run", np.ones(len(run.seconds), dtype=np.bool_), is_whole_run=True)]


def _around_one_move(windows: MoveWindows) -> list[Stretch]:
    names = ("before", "during", "after")
    found = [Stretch(name, windows.rows(name)) for name in names]
    if windows.control is not None:
        found += [Stretch(f"the control of {name}", windows.control_rows(name)) for name in names]
    return [stretch for stretch in found if stretch.rows.any()]


def _of_cycles(run: Run, moves: Sequence[PlayedMove]) -> list[Stretch]:
    """The window of each move and its two flanks, as run.json declares their lengths."""
    declared = run.table("cycles")
    window_s, flank_s = number(declared.get("window_s")), number(declared.get("flank_s"))
    t_s = run.seconds.t_s
    found: list[Stretch] = []
    for move in moves:
        if math.isnan(move.started_s):
            continue
        end_s = move.started_s + window_s
        if math.isnan(end_s):
            end_s = move.started_s if move.finished_s is None else move.finished_s
        spans = [("the window", move.started_s, end_s)]
        if not math.isnan(flank_s):
            spans += [
                ("the flank before", move.requested_s - flank_s, move.requested_s),
                ("the flank after", end_s, end_s + flank_s),
            ]
        for name, first_s, last_s in spans:
            rows = (t_s + 1 > first_s) & (t_s < last_s)
            found.append(Stretch(f"{name} of the {move.kind} move of cycle {move.cycle}", rows))
    return [stretch for stretch in found if stretch.rows.any()]


def any_of(compared: Sequence[Stretch]) -> Mask:
    """The rows of all stretches together."""
    together = np.zeros_like(compared[0].rows)
    for stretch in compared:
        together |= stretch.rows
    return together


def told(seconds: Sequence[int] | np.ndarray, most: int = 4) -> str:
    """Planned seconds for a sentence: how many, and the first of them."""
    listed = [int(second) for second in seconds]
    if len(listed) == 1:
        return f"second {listed[0]}"
    shown = ", ".join(map(str, listed[:most])) + (", ..." if len(listed) > most else "")
    return f"{len(listed)} seconds ({shown})"
