"""The stretches of a run whose figures are compared: integrity is judged within each of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract.runread import Run, number
from report.moves import PlayedMove
from report.windows import MoveWindows

_MOST_SHARED = 3  # a flank may serve two moves; windows that share more are no windows


@dataclass(frozen=True)
class Stretch:
    """Planned seconds that are compared: rows of seconds.csv. `is_whole_run` if nothing is compared with another."""

    name: str
    rows: slice
    is_whole_run: bool = False


def stretches(run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None) -> list[Stretch]:
    """Every stretch that is compared; the whole run where no move splits it, or where its windows overlap."""
    whole = [Stretch("the run", slice(0, len(run.seconds)), is_whole_run=True)]
    if windows is not None:
        return _around_one_move(windows) or whole
    found = _of_cycles(run, moves) if any(move.cycle is not None for move in moves) else []
    overlap = sum(stretch.rows.stop - stretch.rows.start for stretch in found) > _MOST_SHARED * len(run.seconds)
    return whole if overlap or not found else found


def _around_one_move(windows: MoveWindows) -> list[Stretch]:
    names = ("before", "during", "after")
    masks = {name: windows.rows(name) for name in names}
    if windows.control is not None:
        masks |= {f"the control of {name}": windows.control_rows(name) for name in names}
    return [
        Stretch(name, slice(int(at[0]), int(at[-1]) + 1))
        for name, mask in masks.items()
        if len(at := np.flatnonzero(mask))
    ]


def _of_cycles(run: Run, moves: Sequence[PlayedMove]) -> list[Stretch]:
    """The window of each move and its two flanks, as run.json declares their lengths."""
    declared = run.table("cycles")
    window_s, flank_s = number(declared.get("window_s")), number(declared.get("flank_s"))
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
            rows = rows_between(run, first_s, last_s)
            if rows.stop > rows.start:
                found.append(Stretch(f"{name} of the {move.kind} move of cycle {move.cycle}", rows))
    return found


def rows_between(run: Run, first_s: float, last_s: float) -> slice:
    """The planned seconds that have a part between two times."""
    t_s = run.seconds.t_s
    first, last = np.searchsorted(t_s, first_s - 1, "right"), np.searchsorted(t_s, last_s, "left")
    return slice(int(first), int(max(first, last)))


class Touched:
    """Answers for many times which stretches they lie in."""

    def __init__(self, run: Run, compared: Sequence[Stretch]) -> None:
        self._run = run
        self._compared = compared
        inside = np.zeros(len(run.seconds) + 1, dtype=np.int64)
        for stretch in compared:
            inside[stretch.rows.start + 1 : stretch.rows.stop + 1] = 1
        self._before = np.cumsum(inside)

    def names(self, first_s: float, last_s: float) -> list[str]:
        """The stretches with a second that has a part between two times."""
        rows = rows_between(self._run, first_s, last_s)
        if self._before[rows.stop] == self._before[rows.start]:
            return []
        return [
            stretch.name
            for stretch in self._compared
            if stretch.rows.start < rows.stop and rows.start < stretch.rows.stop
        ]


def told(seconds: Sequence[int] | np.ndarray, most: int = 4) -> str:
    """Planned seconds for a sentence: how many, and the first of them."""
    listed = [int(second) for second in seconds]
    if len(listed) == 1:
        return f"second {listed[0]}"
    shown = ", ".join(map(str, listed[:most])) + (", ..." if len(listed) > most else "")
    return f"{len(listed)} seconds ({shown})"
