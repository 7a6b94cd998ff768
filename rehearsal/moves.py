"""The moves of a rehearsal: the real reshard, its sham, and when each is played.

A sham is the same commands on as many keys between nodes that the application does not use: what it does to latency is
the work of moving slots on this machine, not the move of the application's own slots.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from contract.schedule import PlannedPhase, Schedule
from rehearsal import program
from rehearsal.cluster import Cluster, ClusterError
from rehearsal.program import ProgramError, Resource
from rehearsal.reshard import Emit, Migration, ReshardError, reshard

Kind = Literal["real", "sham"]
# At least so much of the phase must lie before and after the reshard for a comparison.
FLANK = 0.1


class PlanError(ValueError):
    """A move cannot be placed where it was asked for; the message says what is allowed."""


@dataclass(frozen=True)
class PlannedMove:
    """A move, when it is requested (seconds from the run's start) and where it leads."""

    kind: Kind
    at_s: float
    to: int
    cycle: int | None = None


def plan_reshard(schedule: Schedule, at: float, to: int) -> list[PlannedMove]:
    """The reshard at the fraction `at` of the run, and its sham at the same offset of the phase's twin, if it has one.

    Raises:
        PlanError: less than 10 % of the phase lies before or after the moment.
    """
    moment_s = at * schedule.duration_s
    phase = schedule.phase_at(moment_s)
    offset_s = moment_s - phase.start_s
    if not FLANK * phase.duration_s <= offset_s <= (1 - FLANK) * phase.duration_s:
        first = (phase.start_s + FLANK * phase.duration_s) / schedule.duration_s
        last = (phase.start_s + (1 - FLANK) * phase.duration_s) / schedule.duration_s
        raise PlanError(
            f"--reshard-at {at:.1%} is {offset_s:.1f} s into the {phase.duration_s:.1f} s of phase {phase.name!r}; "
            f"10 % of the phase must lie before it and after it: from {first:.1%} to {last:.1%}"
        )
    moves = [PlannedMove("real", moment_s, to)]
    twin = _twin(schedule, phase)
    if twin is not None:
        moves.insert(0, PlannedMove("sham", twin.start_s + offset_s, to))
    return moves


def plan_cycles(cycles: int, count: int, to: int, *, flank_s: float, room_s: float, seed: int) -> list[PlannedMove]:
    """`cycles` real and `cycles` sham moves in random order, each with idle flanks of `flank_s` before and after.

    Both clusters go to and fro between `count` and `to` shards, so that directions alternate within each kind.
    `room_s` is what a move may take; the run must last `cycles_duration_s(...)`.
    """
    kinds: list[Kind] = ["real", "sham"] * cycles
    random.Random(seed).shuffle(kinds)  # noqa: S311 - an order that can be repeated, not a secret
    played: dict[Kind, int] = {"real": 0, "sham": 0}
    moves: list[PlannedMove] = []
    for position, kind in enumerate(kinds):
        at_s = flank_s + position * (room_s + flank_s)
        moves.append(PlannedMove(kind, at_s, to if played[kind] % 2 == 0 else count, played[kind]))
        played[kind] += 1
    return moves


def cycles_duration_s(cycles: int, *, flank_s: float, room_s: float) -> float:
    """How long a run of `plan_cycles` lasts."""
    return flank_s + 2 * cycles * (room_s + flank_s)


def expected_keys(schedule: Schedule, at_s: float) -> int:
    """How many sessions the cluster will hold at a moment if every arrival is served."""
    return schedule.count_before(at_s)


def play(
    move: PlannedMove,
    cluster: Cluster,
    *,
    before: list[Resource],
    values: Mapping[str, object],
    stack: str,
    migration: Migration,
    slots_per_s: float,
    record: Emit,
) -> None:
    """Play one move to its end; what goes wrong is recorded as `reshard.failed` (`sham.failed`) and raised.

    The program is run again with the new shardCount, as `pulumi up` would; only what may change may change. A sham does
    the same work, so that it costs this machine the same.

    Raises:
        ProgramError: the program alters more than the replication group and the dashboard.
        ReshardError, ClusterError: the cluster could not be changed.
    """
    count = len(cluster.shards)
    prefix = "reshard" if move.kind == "real" else "sham"
    labels: dict[str, Any] = {"from": count, "to": move.to, "migration": migration}
    if move.cycle is not None:
        labels |= {"cycle": move.cycle, "kind": move.kind, "direction": f"{count}->{move.to}"}

    def emit(event: str, /, **fields: Any) -> None:
        name = event if move.kind == "real" else f"sham.{event}"
        record(
            name,
            **({} if event == "slots.progress" else labels),
            **{k: v for k, v in fields.items() if k not in labels},
        )

    record(f"{prefix}.requested", **labels)
    try:
        changed = program.changes(before, program.declare({**values, "shardCount": move.to}, stack))
        program.refuse_other_changes(changed)
        record(f"{prefix}.declared", changed=sorted(changed))
        reshard(cluster, move.to, migration, emit, slots_per_s=slots_per_s)
    except (ProgramError, ReshardError, ClusterError, OSError) as error:
        record(f"{prefix}.failed", error=str(error), **labels)
        raise
    record(f"{prefix}.finished", **labels)


def fill(cluster: Cluster, keys: int, batch: Callable[[int], list[tuple[str, dict[str, str]]]]) -> None:
    """Write `keys` sessions into a cluster directly, each to its slot's owner."""
    owners = cluster.owners()
    primaries = {shard.number: shard.primary for shard in cluster.shards}
    from redis.crc import key_slot  # noqa: PLC0415 - redis is needed here alone

    written = 0
    while written < keys:
        sessions = batch(min(1000, keys - written))
        pipes = {number: node.admin.pipeline(transaction=False) for number, node in primaries.items()}
        for key, fields in sessions:
            words = [word for pair in fields.items() for word in pair]
            pipes[owners[key_slot(key.encode())]].execute_command("HSET", key, *words)
        for pipe in pipes.values():
            pipe.execute()
        written += len(sessions)


def _twin(schedule: Schedule, phase: PlannedPhase) -> PlannedPhase | None:
    """The first earlier phase with the same ramp: the control of `phase`."""
    for other in schedule.phases[: phase.index]:
        if (other.duration_s, other.rate_from, other.rate_to) == (phase.duration_s, phase.rate_from, phase.rate_to):
            return other
    return None
