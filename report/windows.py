"""Where in a run slots moved, and which seconds are compared with which.

The load's last phase repeats its first at the same rates, so a reshard inside the last has a control: the same
offsets of the first. A sham (the same commands between two nodes that the application does not use) may run there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from contract.runread import Event, Phase, Run, number

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Move:
    """Slots moving once, for real or as a sham. Times in seconds from the run's start."""

    kind: str
    requested_s: float
    started_s: float
    finished_s: float | None
    ended_s: float | None
    cycle: int | None = None
    direction: str = ""
    migration: str = ""
    slots: int | None = None
    keys: int | None = None
    error: str = ""

    @property
    def duration_s(self) -> float | None:
        """How long slots moved; None when the run does not say when they stopped."""
        return None if self.finished_s is None else self.finished_s - self.started_s


@dataclass(frozen=True)
class Comparison:
    """The seconds around one move, and their pairs in the control phase.

    `before`, `during`, `after` are rows of seconds.csv inside `phase`; `control_row[r]` is the row at the same offset
    of the control phase, or -1.
    """

    move: Move
    phase: Phase
    control: Phase | None
    sham: Move | None
    before: Mask
    during: Mask
    after: Mask
    control_row: npt.NDArray[np.int64]

    def window(self, name: str) -> Mask:
        """The rows of `before`, `during` or `after`."""
        return {"before": self.before, "during": self.during, "after": self.after}[name]

    def control_window(self, name: str) -> Mask:
        """The paired rows of the control phase."""
        rows = self.control_row[self.window(name)]
        mask = np.zeros(len(self.control_row), dtype=np.bool_)
        mask[rows[rows >= 0]] = True
        return mask


def find_moves(run: Run) -> list[Move]:
    """Every real and sham move of the run, in order of their start."""
    real = _moves_of(run, "real", "reshard.", "slots.")
    sham = _moves_of(run, "sham", "sham.", "sham.slots.")
    return sorted(real + sham, key=lambda move: move.requested_s)


def _moves_of(run: Run, kind: str, outer: str, inner: str) -> list[Move]:
    """Moves of one kind. `outer` and `inner` are the prefixes of the request's and of the slots' events."""
    moves: list[Move] = []
    requested: float | None = None
    open_move: Move | None = None
    migration = str(run.table("reshard").get("migration") or "")
    for event in run.events:
        if event.name == outer + "requested":
            requested = event.t_s
        elif event.name == inner + "started":
            moves += [open_move] if open_move else []
            open_move = _started(kind, requested, event, migration)
        elif event.name == inner + "finished" and open_move:
            moves.append(_finished(open_move, event))
            open_move = requested = None
        elif event.name == outer + "failed":
            unfinished = open_move or replace(_started(kind, requested, event, migration), started_s=math.nan)
            moves.append(replace(unfinished, ended_s=event.t_s, error=str(event.fields.get("error") or "unknown")))
            open_move = requested = None
        elif event.name == outer + "finished" and moves:
            moves[-1] = replace(moves[-1], ended_s=event.t_s)
    if open_move:
        moves.append(open_move)
    elif requested is not None:
        moves.append(Move(kind, requested, math.nan, None, None, migration=migration))
    return moves


def _started(kind: str, requested: float | None, event: Event, migration: str) -> Move:
    return Move(
        kind=kind,
        requested_s=event.t_s if requested is None else requested,
        started_s=event.t_s,
        finished_s=None,
        ended_s=None,
        cycle=_whole(event.fields.get("cycle")),
        direction=str(event.fields.get("direction") or ""),
        migration=str(event.fields.get("migration") or migration),
        slots=_whole(event.fields.get("slots")),
    )


def _finished(move: Move, event: Event) -> Move:
    slots, keys = _whole(event.fields.get("slots")), _whole(event.fields.get("keys"))
    return replace(move, finished_s=event.t_s, slots=move.slots if slots is None else slots, keys=keys)


def _whole(value: object) -> int | None:
    as_number = number(value)
    return None if math.isnan(as_number) else int(as_number)


def is_cycles(moves: Sequence[Move]) -> bool:
    """Whether the run played moves and shams in cycles rather than one reshard."""
    return any(move.cycle is not None for move in moves)


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


def compare(run: Run, moves: Sequence[Move]) -> Comparison | None:
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
    return Comparison(
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
    """For each row its pair's row: the second at the same offset of the control phase (to half a second)."""
    rows = np.full(len(t_s), -1, dtype=np.int64)
    if control is None:
        return rows
    wanted = np.rint(t_s - phase.start_s + control.start_s).astype(np.int64)
    place = np.minimum(np.searchsorted(t_s, wanted), len(t_s) - 1)
    inside = (wanted >= control.start_s - 1e-6) & (wanted + 1 <= control.end_s + 1e-6)
    found = in_phase & inside & (t_s[place] == wanted)
    rows[found] = place[found]
    return rows
