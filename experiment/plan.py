"""The plan of an experiment: what is changed, when, and against what.

A sham is the same commands on as many keys between nodes that the application does not use: it measures what moving
slots costs this machine.
"""

import random
from dataclasses import dataclass
from typing import Any, Literal

from contract.schedule import PlannedPhase, Schedule
from experiment.errors import OptionsError

MoveKind = Literal["real", "sham"]
# The share of the phase that a comparison needs before and after the reshard.
FLANK = 0.1
# A window with fewer arrivals has no p99 worth the name.
ARRIVALS_FOR_P99 = 1000
# What the driver may be late by, before it refuses to go on: reserved after each window.
LATE_S = 1.0


@dataclass(frozen=True)
class Filling:
    """The sham's cluster gets as many keys as the application's will hold at `as_at_s`, the middle of the real move.

    `during`: from when until when there is time for it; None: before the load.
    """

    as_at_s: float
    during: tuple[float, float] | None = None


@dataclass(frozen=True)
class Move:
    """One change of the number of shards, `at_s` seconds after the run's start."""

    kind: MoveKind
    at_s: float
    to: int
    cycle: int | None = None
    """The number of its block."""
    window: tuple[float, float] | None = None
    """In a run of cycles: slots begin to move at its first moment, and the move must be over before its last."""
    filling: Filling | None = None
    """What comes before it."""

    @property
    def prefix(self) -> str:
        """What the names of its events begin with."""
        return "reshard" if self.kind == "real" else "sham"

    def labels(self, before: int) -> dict[str, object]:
        """Fields of each of its events; `before`: how many shards there were."""
        cycle = {} if self.cycle is None else {"cycle": self.cycle, "kind": self.kind}
        return {"from": before, "to": self.to, **cycle, **({"direction": f"{before}->{self.to}"} if cycle else {})}


@dataclass(frozen=True)
class Blocks:
    """`count` blocks, each a real and a sham move of the same direction.

        filling | flank | preparing, window | flank | preparing, window | flank

    The flank between the two moves serves both: in the block's difference, real less sham, it cancels. Nothing else
    is shared, and no block shares anything with another.
    """

    count: int
    seed: int
    """Of the coins that decide which move of a block comes first."""
    rate: float
    """Arrivals a second, all the time."""
    filling_s: float
    flank_s: float
    preparing_s: float
    """From a move's request until slots begin to move."""
    window_s: float
    moving_s: float
    """How long slots move within the window."""
    lead_s: float = 0.0
    """Before the first block: until the application's cluster holds enough keys."""

    @property
    def primary(self) -> str:
        """The primary outcome, which the number of arrivals in a window decides."""
        return "response.p99" if self.rate * self.window_s >= ARRIVALS_FOR_P99 else "response.slow"

    @property
    def move_s(self) -> float:
        """From a move's request to the flank after it."""
        return self.preparing_s + self.window_s + LATE_S

    @property
    def block_s(self) -> float:
        """How long a block lasts."""
        return self.filling_s + 3 * self.flank_s + 2 * self.move_s

    @property
    def duration_s(self) -> float:
        """How long the load must last."""
        return self.lead_s + self.count * self.block_s

    def as_json(self) -> dict[str, object]:
        """`cycles` of run.json."""
        names = ("count", "seed", "window_s", "flank_s", "primary")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Plan:
    """The moves of one run, in order."""

    moves: tuple[Move, ...]
    shards: tuple[int, int]
    """Before and after."""
    migration: str
    """How slots move: `batches`, `slots`, `atomic` or `ElastiCache` (docs/run-folder.md)."""
    slots_per_s: float | None = None
    blocks: Blocks | None = None

    def as_json(self) -> dict[str, Any]:
        """`reshard` and `cycles` of run.json."""
        real = next((move for move in self.moves if move.kind == "real"), None)
        reshard: dict[str, object] = {"from": self.shards[0], "to": self.shards[1], "migration": self.migration}
        if real is not None:
            reshard["at_s"] = round(real.at_s, 3)
        if self.slots_per_s is not None:
            reshard["slots_per_s"] = self.slots_per_s
        cycles = {} if self.blocks is None else {"cycles": self.blocks.as_json()}
        return {"reshard": reshard, **cycles}


def plan_reshard(schedule: Schedule, at: float, to: int, *, sham: bool, middle_after_s: float = 0.0) -> list[Move]:
    """The reshard at the fraction `at` of the run; with `sham`, one at the same offset of the phase's control too.

    `middle_after_s`: from the request of the real move until half of its slots have moved; the sham gets the keys of
    that moment.

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
        filling = Filling(as_at_s=moment_s + middle_after_s)
        moves.insert(0, Move("sham", control.start_s + offset_s, to, filling=filling))
    return moves


def plan_cycles(blocks: Blocks, shards: tuple[int, int]) -> list[Move]:
    """The moves of all blocks.

    Directions alternate from block to block for both clusters, and a coin decides which move of a block comes first.
    Before the first the sham's cluster gets as many keys as the application's will hold in the middle of the real one.
    """
    coins = random.Random(blocks.seed)  # noqa: S311 - a repeatable order, no secret
    moves: list[Move] = []
    for number in range(blocks.count):
        kinds: list[MoveKind] = ["real", "sham"] if coins.random() < 0.5 else ["sham", "real"]
        to = shards[(number + 1) % 2]
        start_s = blocks.lead_s + number * blocks.block_s
        first_s = start_s + blocks.filling_s + blocks.flank_s
        at_s = (first_s, first_s + blocks.move_s + blocks.flank_s)
        middle_s = at_s[kinds.index("real")] + blocks.preparing_s + blocks.moving_s / 2
        fillings = (Filling(middle_s, (start_s, start_s + blocks.filling_s)), None)
        for kind, requested_s, filling in zip(kinds, at_s, fillings, strict=True):
            opens_s = requested_s + blocks.preparing_s
            moves.append(Move(kind, requested_s, to, number, (opens_s, opens_s + blocks.window_s), filling))
    return moves


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
