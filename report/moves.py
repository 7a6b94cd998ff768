"""Every move of slots that a run played, real ones and shams, read from its events."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from contract.runread import Event, Run, number


@dataclass(frozen=True)
class PlayedMove:
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
    bytes: int | None = None
    retried: int = 0
    """Jobs of atomic migration that failed or were cancelled, and were tried again."""
    error: str = ""

    @property
    def duration_s(self) -> float | None:
        """How long slots moved; None when the run does not say when they stopped."""
        return None if self.finished_s is None else self.finished_s - self.started_s


def find_moves(run: Run) -> list[PlayedMove]:
    """Every real and sham move of the run, in order of their start."""
    real = _moves_of(run, "real", "reshard.", "slots.")
    sham = _moves_of(run, "sham", "sham.", "sham.slots.")
    return sorted(real + sham, key=lambda move: move.requested_s)


def _moves_of(run: Run, kind: str, outer: str, inner: str) -> list[PlayedMove]:
    """Moves of one kind. `outer` and `inner` are the prefixes of the request's and of the slots' events."""
    moves: list[PlayedMove] = []
    requested: float | None = None
    open_move: PlayedMove | None = None
    migration = str(run.table("reshard").get("migration") or "")
    for event in run.events:
        if event.name == outer + "requested":
            requested = event.t_s
        elif event.name == inner + "started":
            moves += [open_move] if open_move else []
            open_move = _started(kind, requested, event, migration)
        elif event.name == inner + "retried" and open_move:
            open_move = replace(open_move, retried=open_move.retried + 1)
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
        moves.append(PlayedMove(kind, requested, math.nan, None, None, migration=migration))
    return moves


def _started(kind: str, requested: float | None, event: Event, migration: str) -> PlayedMove:
    return PlayedMove(
        kind=kind,
        requested_s=event.t_s if requested is None else requested,
        started_s=event.t_s,
        finished_s=None,
        ended_s=None,
        cycle=_whole(event.fields.get("cycle")),
        direction=_direction(event),
        migration=str(event.fields.get("migration") or migration),
        slots=_whole(event.fields.get("slots")),
    )


def _direction(event: Event) -> str:
    """Numbers of shards, such as `1->2`; empty when the run does not tell them."""
    before, after = _whole(event.fields.get("from")), _whole(event.fields.get("to"))
    told = "" if before is None or after is None else f"{before}->{after}"
    return str(event.fields.get("direction") or told)


def _finished(move: PlayedMove, event: Event) -> PlayedMove:
    slots, keys, size = (_whole(event.fields.get(name)) for name in ("slots", "keys", "bytes"))
    return replace(move, finished_s=event.t_s, slots=move.slots if slots is None else slots, keys=keys, bytes=size)


def _whole(value: object) -> int | None:
    as_number = number(value)
    return None if math.isnan(as_number) else int(as_number)


def is_cycles(moves: Sequence[PlayedMove]) -> bool:
    """Whether the run played moves and shams in cycles rather than one reshard."""
    return any(move.cycle is not None for move in moves)
