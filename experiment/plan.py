"""The plan of an experiment: what is changed, when, and against what.

A sham is the same commands on as many keys between nodes that the application does not use: it measures what moving
slots costs this machine.
"""

import random
from dataclasses import dataclass
from typing import Literal

from contract.schedule import PlannedPhase, Schedule
from experiment.errors import OptionsError

MoveKind = Literal["real", "sham"]
# The share of the phase that a comparison needs before and after the reshard.
FLANK = 0.1


@dataclass(frozen=True)
class Move:
    """One change of the number of shards, `at_s` seconds after the run's start."""

    kind: MoveKind
    at_s: float
    to: int
    cycle: int | None = None

    @property
    def prefix(self) -> str:
        """What the names of its events begin with."""
        return "reshard" if self.kind == "real" else "sham"


@dataclass(frozen=True)
class Plan:
    """The moves of one run, in order."""

    moves: tuple[Move, ...]
    shards: tuple[int, int]
    """Before and after."""
    migration: str
    """How slots move: `batches`, `slots`, `atomic` or `ElastiCache` (docs/run-folder.md)."""
    slots_per_s: float | None = None
    cycles: int | None = None
    seed: int | None = None

    def as_json(self) -> dict[str, object]:
        """`reshard` and `cycles` of run.json."""
        real = next((move for move in self.moves if move.kind == "real"), None)
        reshard: dict[str, object] = {"from": self.shards[0], "to": self.shards[1], "migration": self.migration}
        if real is not None:
            reshard["at_s"] = round(real.at_s, 3)
        if self.slots_per_s is not None:
            reshard["slots_per_s"] = self.slots_per_s
        cycles = {} if self.cycles is None else {"cycles": {"count": self.cycles, "seed": self.seed}}
        return {"reshard": reshard, **cycles}


def plan_reshard(schedule: Schedule, at: float, to: int, *, sham: bool) -> list[Move]:
    """The reshard at the fraction `at` of the run; with `sham`, one at the same offset of the phase's control too.

    Raises:
        OptionsError: less than 10 % of the phase lies before or after the moment.
    """
    moment_s = at * schedule.duration_s
    phase = schedule.phase_at(moment_s)
    offset_s = moment_s - phase.start_s
    if not FLANK * phase.duration_s <= offset_s <= (1 - FLANK) * phase.duration_s:
        first = (phase.start_s + FLANK * phase.duration_s) / schedule.duration_s
        last = (phase.start_s + (1 - FLANK) * phase.duration_s) / schedule.duration_s
        raise OptionsError(
            f"--reshard-at {at:.1%} is {offset_s:.1f} s into the {phase.duration_s:.1f} s of phase {phase.name!r}; "
            f"10 % of the phase must lie before it and after it: from {first:.1%} to {last:.1%}"
        )
    moves = [Move("real", moment_s, to)]
    control = _control_of(schedule, phase) if sham else None
    if control is not None:
        moves.insert(0, Move("sham", control.start_s + offset_s, to))
    return moves


def plan_cycles(cycles: int, count: int, to: int, *, flank_s: float, room_s: float, seed: int) -> list[Move]:
    """`cycles` real and `cycles` sham moves in random order, each with idle flanks of `flank_s` before and after.

    Both clusters alternate between `count` and `to` shards, so directions alternate within each kind. `room_s` is the
    time reserved for a move; the run must last `cycles_duration_s(...)`.
    """
    kinds: list[MoveKind] = ["real", "sham"] * cycles
    random.Random(seed).shuffle(kinds)  # noqa: S311 - a repeatable order, no secret
    played: dict[MoveKind, int] = {"real": 0, "sham": 0}
    moves: list[Move] = []
    for position, kind in enumerate(kinds):
        at_s = flank_s + position * (room_s + flank_s)
        moves.append(Move(kind, at_s, to if played[kind] % 2 == 0 else count, played[kind]))
        played[kind] += 1
    return moves


def cycles_duration_s(cycles: int, *, flank_s: float, room_s: float) -> float:
    """How long a run of `plan_cycles` lasts."""
    return flank_s + 2 * cycles * (room_s + flank_s)


def _control_of(schedule: Schedule, phase: PlannedPhase) -> PlannedPhase | None:
    """The first earlier phase with the same ramp."""
    for earlier in schedule.phases[: phase.index]:
        if (earlier.duration_s, earlier.rate_from, earlier.rate_to) == (
            phase.duration_s,
            phase.rate_from,
            phase.rate_to,
        ):
            return earlier
    return None
