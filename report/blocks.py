"""The blocks of a run of cycles: which of them are whole, and which stretches of the run are compared.

A block is a real and a sham move of one direction, in random order. A move's window begins with its first slot and
lasts `window_s`; its flanks last `flank_s`, the one before ends when the move is requested, the one after begins when
the window ends. All lengths were fixed before the run. A block that is not whole is left out, with the reason.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contract.runread import Run, number
from report.moves import PlayedMove
from report.windows import load_end_s

Stretch = tuple[float, float]
"""Begin and end, in seconds from the run's start."""
_OVERLAP = 0.01
"""Of a flank, the part that may lie in another move or beyond the record: events are stamped milliseconds late."""


@dataclass(frozen=True)
class Design:
    """What run.json declared before the run; `blocks` is 0 where it says nothing usable."""

    blocks: int
    window_s: float
    flank_s: float
    primary: str

    @property
    def is_usable(self) -> bool:
        """Whether it says which stretches are compared."""
        return self.window_s > 0 and self.flank_s > 0


@dataclass(frozen=True)
class Block:
    """A whole block; `number` counts from 0."""

    number: int
    direction: str
    real: PlayedMove
    sham: PlayedMove


@dataclass(frozen=True)
class LeftOut:
    """A block that is not compared, and why."""

    number: int
    why: str


def design_of(run: Run) -> Design:
    """`cycles` of run.json."""
    declared = run.table("cycles")
    return Design(
        blocks=int(number(declared.get("count"), 0.0)),
        window_s=number(declared.get("window_s")),
        flank_s=number(declared.get("flank_s")),
        primary=str(declared.get("primary") or ""),
    )


def stretches(move: PlayedMove, design: Design) -> tuple[Stretch, Stretch, Stretch]:
    """Window, flank before and flank after of a move."""
    end = move.started_s + design.window_s
    return (
        (move.started_s, end),
        (move.requested_s - design.flank_s, move.requested_s),
        (end, end + design.flank_s),
    )


def find_blocks(run: Run, moves: Sequence[PlayedMove], design: Design) -> tuple[list[Block], list[LeftOut]]:
    """The whole blocks and those left out, in order."""
    troubles = dict(zip(map(id, moves), _troubles(moves, design, load_end_s(run)), strict=True))
    by_number: dict[int, list[PlayedMove]] = {}
    for move in moves:
        if move.cycle is not None:
            by_number.setdefault(move.cycle, []).append(move)
    whole: list[Block] = []
    left_out: list[LeftOut] = []
    for place, pair in sorted(by_number.items()):
        failed = next((troubles[id(move)] for move in pair if move.error), "")
        why = failed or _not_a_pair(pair) or next((troubles[id(move)] for move in pair if troubles[id(move)]), "")
        if why:
            left_out.append(LeftOut(place, why))
        else:
            real, sham = sorted(pair, key=lambda move: move.kind)
            whole.append(Block(place, real.direction, real, sham))
    return whole, left_out


def _not_a_pair(moves: Sequence[PlayedMove]) -> str:
    kinds = [move.kind for move in moves]
    for kind in ("real", "sham"):
        if kinds.count(kind) != 1:
            return f"it has {kinds.count(kind) or 'no'} {kind} move{'' if kinds.count(kind) <= 1 else 's'}"
    directions = {move.direction for move in moves}
    if len(directions) > 1:
        return f"its moves differ in direction ({' and '.join(sorted(directions))})"
    return "" if directions != {""} else "its events do not say the direction"


def _troubles(moves: Sequence[PlayedMove], design: Design, load_end_s: float) -> Iterator[str]:
    """Of each move, in the order of their requests, what keeps it from being compared; empty for a sound one."""
    busy_until = -math.inf
    for place, move in enumerate(moves):
        next_request = moves[place + 1].requested_s if place + 1 < len(moves) else math.inf
        yield _trouble(move, design, busy_until, next_request, load_end_s)
        busy_until = max(busy_until, _idle_from(move))


def _trouble(move: PlayedMove, design: Design, busy_until: float, next_request: float, load_end_s: float) -> str:
    name = f"its {move.kind} move"
    if move.error:
        return f"{name} failed: {move.error}"
    if move.finished_s is None or move.duration_s is None:
        return f"{name} did not {'start' if math.isnan(move.started_s) else 'finish'}"
    (_, end), (first, _), (_, last) = stretches(move, design)
    if move.finished_s > end:
        return f"{name} took {move.duration_s:.3g} s, longer than its window of {design.window_s:g} s"
    if _idle_from(move) > end:
        return f"{name} ended {_idle_from(move) - end:.3g} s after its window"
    first, last = first + _OVERLAP * design.flank_s, last - _OVERLAP * design.flank_s
    if first < 0 or last > load_end_s:
        return f"the flanks of {name} reach beyond the record"
    return f"another move lies in the flanks of {name}" if busy_until > first or next_request < last else ""


def _idle_from(move: PlayedMove) -> float:
    """When the move is over, with the nodes that leave after its slots."""
    ends = [end for end in (move.finished_s, move.ended_s) if end is not None]
    return max(ends) if ends else math.inf
