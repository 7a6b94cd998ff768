"""The seconds in which nothing was changed, at rates that allow to compare them with each other.

A percentile of a second depends on its rate, so the seconds of a ramp are no series of equals. Where a control exists,
each quiet second less the second at the same offset of the control is one; otherwise the seconds of a constant rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.runread import Run
from report.blocks import design_of, stretches
from report.measures import Floats, Mask
from report.moves import PlayedMove, is_cycles
from report.stalls import SETTLE_S
from report.windows import MoveWindows, control_of

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quiet:
    """Rows of seconds.csv, with those of the control if they are compared with one.

    `state`: real moves that ended before, modulo 2. Seconds of another state have another number of shards, and a
    difference between the two is an effect.
    """

    rows: Ints
    control_rows: Ints | None
    state: Ints
    t_s: Ints
    how: str

    def first(self, most: int) -> "Quiet":
        """The first seconds of them."""
        control = None if self.control_rows is None else self.control_rows[:most]
        return Quiet(self.rows[:most], control, self.state[:most], self.t_s[:most], self.how)

    def values(self, per_second: Floats) -> Floats:
        """A figure of each quiet second, less that of its control second."""
        here = per_second[self.rows]
        return here if self.control_rows is None else here - per_second[self.control_rows]


def quiet_seconds(run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None) -> Quiet:
    """The run's quiet seconds; none if its rates never repeat."""
    if is_cycles(moves):
        return _of(run, moves, _in_flanks(run, moves), None, "seconds of the idle flanks, at a constant rate")
    idle = _idle(run, moves)
    if windows is not None:
        inside = (windows.before | windows.after) & idle
        if windows.control is not None:
            return _paired(run, moves, inside, windows.control_row, idle)
        steady = windows.phase.rate_from == windows.phase.rate_to
        return _of(run, moves, inside & steady, None, "seconds without a move, at a constant rate")
    for place, phase in reversed(list(enumerate(run.phases))):
        control = control_of(run.phases, phase)
        if control is not None:
            return _paired(run, moves, idle & (run.seconds.phase == place), _offsets(run, place, control.start_s), idle)
    constant = [place for place, phase in enumerate(run.phases) if phase.rate_from == phase.rate_to]
    longest = max(constant, key=lambda place: run.phases[place].duration_s, default=-1)
    return _of(run, moves, idle & (run.seconds.phase == longest), None, "seconds of the longest constant rate")


def _paired(run: Run, moves: Sequence[PlayedMove], chosen: Mask, control_row: Ints, idle: Mask) -> Quiet:
    both = chosen & (control_row >= 0) & idle[control_row]
    return _of(run, moves, both, control_row, "seconds without a move, less those of the control at the same rate")


def _of(run: Run, moves: Sequence[PlayedMove], chosen: Mask, control_row: Ints | None, how: str) -> Quiet:
    rows = np.flatnonzero(chosen & (run.seconds["offered"] > 0))
    ends = sorted(move.finished_s for move in moves if move.kind == "real" and move.finished_s is not None)
    t_s = run.seconds.t_s[rows]
    state = np.searchsorted(np.array(ends), t_s, "right") % 2
    return Quiet(rows, None if control_row is None else control_row[rows], state, t_s, how)


def _idle(run: Run, moves: Sequence[PlayedMove]) -> Mask:
    """Seconds that meet no move from its request to `SETTLE_S` after its end."""
    t_s = run.seconds.t_s
    idle = np.ones(len(t_s), dtype=np.bool_)
    for move in moves:
        ends = [end_s for end_s in (move.finished_s, move.ended_s) if end_s is not None]
        idle &= (t_s + 1 <= move.requested_s) | (t_s >= (max(ends) + SETTLE_S if ends else math.inf))
    return idle


def _in_flanks(run: Run, moves: Sequence[PlayedMove]) -> Mask:
    """Seconds that lie wholly in a flank; a flank that meets another move is cut."""
    t_s = run.seconds.t_s
    inside = np.zeros(len(t_s), dtype=np.bool_)
    design = design_of(run)
    if design.is_usable:
        for move in moves:
            for begin_s, end_s in stretches(move, design)[1:]:
                inside |= (t_s >= begin_s) & (t_s + 1 <= end_s)
    constant = np.array([phase.rate_from == phase.rate_to for phase in run.phases] or [False])
    return inside & _idle(run, moves) & constant[np.clip(run.seconds.phase, 0, len(constant) - 1)]


def _offsets(run: Run, place: int, control_start_s: float) -> Ints:
    """For each row of a phase the row at the same offset of its control, or -1."""
    t_s = run.seconds.t_s
    sought = np.rint(t_s - run.phases[place].start_s + control_start_s).astype(np.int64)
    found = np.minimum(np.searchsorted(t_s, sought), max(len(t_s) - 1, 0))
    return np.where(t_s[found] == sought, found, -1) if len(t_s) else found
