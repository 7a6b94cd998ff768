"""Where in a run slots moved, and which seconds are compared with which.

The load's last phase repeats its first at the same rates, so a reshard inside the last has a control: the same
offsets of the first. A sham (the same commands between two nodes that the application does not use) may run there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.runread import Phase, Run
from report.measures import Mask
from report.moves import PlayedMove


@dataclass(frozen=True)
class MoveWindows:
    """The seconds around one move, and the same seconds of the control phase.

    `before`, `during`, `after` are rows of seconds.csv inside `phase`; `control_row[r]` is the row at the same offset
    of the control phase, or -1.
    """

    move: PlayedMove
    phase: Phase
    control: Phase | None
    sham: PlayedMove | None
    before: Mask
    during: Mask
    after: Mask
    control_row: npt.NDArray[np.int64]

    def rows(self, name: str) -> Mask:
        """The rows of `before`, `during` or `after`."""
        return {"before": self.before, "during": self.during, "after": self.after}[name]

    def control_rows(self, name: str) -> Mask:
        """The control's rows at the same offsets."""
        rows = self.control_row[self.rows(name)]
        mask = np.zeros(len(self.control_row), dtype=np.bool_)
        mask[rows[rows >= 0]] = True
        return mask


def load_end_s(run: Run) -> float:
    """When the last arrival was planned: the planned length, or the last second of a run that ended before."""
    last = float(run.seconds.t_s[-1] + 1) if len(run.seconds) else 0.0
    return min(run.number("duration_s", last), last)


def phase_at(phases: Sequence[Phase], t_s: float) -> Phase | None:
    """The phase that plans arrivals at `t_s`."""
    return next((phase for phase in phases if phase.start_s <= t_s < phase.end_s), None)


def control_of(phases: Sequence[Phase], phase: Phase) -> Phase | None:
    """The first earlier phase with the same length and rates."""

    def alike(one: float, other: float) -> bool:
        return math.isclose(one, other, rel_tol=0.001, abs_tol=1e-6)

    for other in phases:
        if (
            other.end_s <= phase.start_s + 1e-6
            and alike(other.duration_s, phase.duration_s)
            and alike(other.rate_from, phase.rate_from)
            and alike(other.rate_to, phase.rate_to)
        ):
            return other
    return None


def windows_of(run: Run, moves: Sequence[PlayedMove]) -> MoveWindows | None:
    """The comparison that the run allows: around its first real move that started under load; None without one."""
    real = [move for move in moves if move.kind == "real" and not math.isnan(move.started_s)]
    if not real or not len(run.seconds):
        return None
    move = next((move for move in real if phase_at(run.phases, move.started_s)), None)
    phase = phase_at(run.phases, move.started_s) if move else None
    if move is None or phase is None:
        return None
    t_s = run.seconds.t_s
    control = control_of(run.phases, phase)
    shams = [other for other in moves if other.kind == "sham" and control and phase_at([control], other.started_s)]
    in_phase = (t_s >= phase.start_s - 1e-6) & (t_s + 1 <= phase.end_s + 1e-6)
    end = move.finished_s if move.finished_s is not None else math.inf
    return MoveWindows(
        move=move,
        phase=phase,
        control=control,
        sham=shams[0] if shams else None,
        before=in_phase & (t_s + 1 <= move.requested_s),
        during=in_phase & (t_s + 1 > move.started_s) & (t_s < end),
        after=in_phase & (t_s >= end),
        control_row=_paired_rows(t_s, in_phase, phase, control),
    )


def _paired_rows(
    t_s: npt.NDArray[np.int64], in_phase: Mask, phase: Phase, control: Phase | None
) -> npt.NDArray[np.int64]:
    """For each row the row at the same offset of the control phase (to half a second), or -1."""
    rows = np.full(len(t_s), -1, dtype=np.int64)
    if control is None:
        return rows
    control_t_s = np.rint(t_s - phase.start_s + control.start_s).astype(np.int64)
    place = np.minimum(np.searchsorted(t_s, control_t_s), len(t_s) - 1)
    inside = (control_t_s >= control.start_s - 1e-6) & (control_t_s + 1 <= control.end_s + 1e-6)
    paired = in_phase & inside & (t_s[place] == control_t_s)
    rows[paired] = place[paired]
    return rows
