"""Makes run folders with known results, with the generator's own writer (docs/run-folder.md)."""

import json
import math
import random as rng
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from uuid import UUID

import numpy as np
import numpy.typing as npt

from contract.files import replace_json
from contract.histograms import Latencies
from contract.profiles import parse
from contract.runfolder import (
    COUNTS,
    EVIDENCE,
    GROWING,
    MISSED_CAUSES,
    SCENARIOS,
    TIMINGS,
    Arrival,
    RunFolder,
    Second,
    append_event,
    append_line,
    iso_utc,
)
from contract.schedule import Schedule

Floats = npt.NDArray[np.float64]
STARTED_AT = 1_795_360_260.0
WORKERS = ("w1", "w2", "w3")
KEY_BYTES = 300
"""Of one session in a primary's memory, about."""


@dataclass(frozen=True)
class Planted:
    """Slots move from `start_s` for `length_s`; each arrival meanwhile is slower by `added_us`.

    `fields` are further ones of its events: `cycle`, `kind`, `direction`.
    """

    kind: str
    start_s: float
    length_s: float
    added_us: float = 0.0
    keys: int = 2400
    fields: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class Synthetic:
    """The run to make. Rates are arrivals per second at a phase's two ends.

    `level_us` is what the response takes longer in each second, whatever moves.
    """

    phases: Sequence[tuple[str, float, float, float]] = (
        ("Warm up", 60, 20, 80),
        ("Higher load", 30, 50, 150),
        ("Cool down", 60, 20, 80),
    )
    moves: Sequence[Planted] = (Planted("sham", 12, 10, 40), Planted("real", 102, 10, 140))
    stalls: Sequence[tuple[float, float]] = ()
    level_us: Sequence[float] = ()
    failures: Sequence[tuple[float, str, str]] = ()
    lead_s: float = 2.0
    ended: str = "finished"
    seed: int = 7
    poisson_seed: int | None = None
    timings: Sequence[str] = TIMINGS
    profile: str = "synthetic"
    run: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def duration_s(self) -> float:
        """The planned length."""
        return sum(phase[1] for phase in self.phases)


def schedule_of(spec: Synthetic) -> Schedule:
    """The phases as a load profile, which has these rates and lengths after the run's scale and compression."""
    scale, compress = (float(str(spec.run.get(key, 1))) for key in ("scale", "compress"))
    lines = [
        f"  - {{name: {json.dumps(name)}, duration: {length * compress:.6f}, arrivalRate: {low / scale:.6f}, "
        f"rampTo: {high / scale:.6f}}}\n"
        for name, length, low, high in spec.phases
    ]
    drawn = "" if spec.poisson_seed is None else f"arrivals: poisson\nseed: {spec.poisson_seed}\n"
    text = drawn + "phases:\n" + "".join(lines)
    return Schedule(parse(text, name=spec.profile, scale=scale, compress=compress))


def planned_times_of(spec: Synthetic) -> Floats:
    """When each arrival is planned."""
    schedule = schedule_of(spec)
    return np.array([at_s for _, at_s in schedule.times(0, schedule.total)])


def cycles(
    count: int = 8,
    *,
    seed: int = 3,
    length_s: float = 8.0,
    window_s: float = 9.0,
    flank_s: float = 8.0,
    rate: float = 120.0,
    real_us: float = 200.0,
    sham_us: float = 50.0,
    migration: str = "batches",
) -> Synthetic:
    """A run of `count` blocks, laid out as `experiment.plan` does: filling, flank, move, flank, move, flank.

    Slots move for `length_s` of each window of `window_s`. The flank between a block's two moves serves both.
    """
    filling_s, lead_s = 2.0, 1.0
    draw = rng.Random(seed)  # noqa: S311 - made-up data
    moves: list[Planted] = []
    at_s = 0.0
    for block in range(count):
        at_s += filling_s + flank_s + lead_s
        direction = "1->2" if block % 2 == 0 else "2->1"
        keys = round(rate * at_s / 2)
        for kind in draw.sample(["real", "sham"], 2):
            fields = {"cycle": block, "kind": kind, "direction": direction, "migration": migration}
            moves.append(Planted(kind, at_s, length_s, real_us if kind == "real" else sham_us, keys, fields))
            at_s += window_s + flank_s + lead_s
        at_s -= lead_s
    primary = "response.p99" if rate * window_s >= 1000 else "response.slow"
    played = {"count": count, "seed": seed, "window_s": window_s, "flank_s": flank_s, "primary": primary}
    reshard = {"from": 1, "to": 2, "at_s": moves[0].start_s - lead_s, "migration": migration}
    return Synthetic(
        phases=(("Steady", math.ceil(at_s), rate, rate),),
        moves=moves,
        lead_s=lead_s,
        run={"cycles": played, "reshard": reshard, "slow_ms": 20.0},
    )


def write(folder: Path, spec: Synthetic) -> Path:
    """Make the run folder and return its path."""
    random = np.random.default_rng(spec.seed)
    schedule, planned = schedule_of(spec), planned_times_of(spec)
    latency = _latencies(spec, planned, random)
    causes = _failed(spec, planned)
    with_files = RunFolder.create(folder, _run_json(spec, schedule))
    totals = _write_seconds(with_files, schedule, latency, causes)
    _write_arrivals(with_files, spec, planned, latency, causes)
    for at, cause, detail in spec.failures:
        with_files.append_failure(at, cause, detail)
    good = [UUID(int=k, version=4).bytes for k in range(len(planned)) if k not in causes]
    with_files.append_sessions(b"".join(good))
    with_files.close({"ended_at": iso_utc(STARTED_AT + spec.duration_s + 1), "ended": spec.ended, "totals": totals})
    _write_events(folder, spec)
    _write_servers(folder, spec)
    (folder / "audit.json").write_text(
        f'{{"complete": true, "acknowledged": {len(good)}, "checked": {len(good)}, "missing": 0, "different": 0, '
        f'"examples": [], "seconds": 1.5, "nodes": {{"keys": {len(good)}, "problems": []}}}}\n',
        encoding="utf-8",
    )
    if spec.run.get("where") == "aws":
        sent = {name: (folder / name).stat().st_size for name in GROWING if (folder / name).exists()}
        replace_json(folder / EVIDENCE, {"files": sent, "whole": True, "problems": []})
    return folder


def _latencies(spec: Synthetic, planned: Floats, random: np.random.Generator) -> dict[str, Floats]:
    count = len(planned)
    timings = {timing: random.gamma(20, 8.0 if timing == "connection" else 5.0, count) for timing in spec.timings}
    for move in spec.moves:
        inside = (planned >= move.start_s) & (planned < move.start_s + move.length_s)
        for values in timings.values():
            values[inside] += move.added_us
    lag = random.gamma(4, 40.0, count)
    service = sum(timings.values(), np.zeros(count)) + random.gamma(9, 60.0, count)
    if spec.level_us:
        service += np.asarray(spec.level_us)[planned.astype(np.int64)]
    response = lag + service
    for start, length in spec.stalls:
        waits = (planned >= start) & (planned < start + length)
        rest = (start + length - planned[waits]) * 1e6
        service[waits] += rest
        response[waits] += rest
    return {"response": response, "service": service, "lag": lag, **timings}


def _failed(spec: Synthetic, planned: Floats) -> dict[int, str]:
    return {min(int(np.searchsorted(planned, at)), len(planned) - 1): cause for at, cause, _ in spec.failures}


def _run_json(spec: Synthetic, schedule: Schedule) -> dict[str, object]:
    keys = ("name", "start_s", "duration_s", "rate_from", "rate_to", "arrivals")
    phases = [{key: getattr(phase, key) for key in keys} for phase in schedule.phases]
    text = schedule.profile.text
    requested = [move.start_s - spec.lead_s for move in spec.moves if move.kind == "real"]
    return {
        "stack": "dev",
        "where": "rehearsal",
        "started_at": "2026-11-22T15:11:00.000Z",
        "started_at_unix_s": STARTED_AT,
        "duration_s": spec.duration_s,
        "time_limit_s": 15,
        "late_threshold_ms": 10,
        "max_in_flight": 2000,
        "host": "http://127.0.0.1:8080",
        "connection": "new",
        "timings": spec.timings,
        "scenarios": SCENARIOS,
        "profile": {
            "name": spec.profile,
            "text": text,
            "arrivals": schedule.profile.arrivals,
            "seed": schedule.profile.seed,
            "phases": phases,
        },
        "scale": 1.0,
        "compress": 1.0,
        "workers": 3,
        "versions": {"python": "3.11.7", "locust": "2.47.0"},
        "machine": {"system": "Linux 6", "cores": 2, "memory_bytes": 25_000_000_000, "cpu": "a CPU"},
        "clock": {name: {"offset_ms": 0.02, "round_trip_ms": 0.3} for name in WORKERS},
        "generator_cpu": {**dict.fromkeys(WORKERS, 9.0), "master": 3.0},
        "above_range": {},
        "settings": {"shardCount": "1", "cacheEngine": "valkey"},
        "engine": {"name": "valkey", "version": "9.1.2"},
        "reshard": {"from": 1, "to": 2, "at_s": requested[0] if requested else 0.0, "migration": "slots"},
        "command": "python -m rehearsal --shards 1:2",
        "substitutions": ["a Valkey cluster on loopback for ElastiCache", "processes for Lambda environments"],
        "cluster_medium": "tmpfs",
        "function": {"limit": 100, "memory_mb": 1024, "timeout_s": 15},
        **spec.run,
    }


def _write_seconds(
    folder: RunFolder, schedule: Schedule, latency: Mapping[str, Floats], causes: Mapping[int, str]
) -> dict[str, int]:
    """The seconds and their histograms; returns the totals."""
    totals: dict[str, int] = dict.fromkeys((*COUNTS, "cold"), 0)
    for t_s in range(math.ceil(schedule.duration_s)):
        ks = range(schedule.count_before(t_s), schedule.count_before(t_s + 1))
        others = [causes[k] for k in ks if k in causes]
        good = [k for k in ks if k not in causes]
        sent = [k for k in ks if causes.get(k) not in MISSED_CAUSES]
        second = Second(
            t_s=t_s,
            phase=schedule.phase_at(t_s).index,
            ok=len(good),
            failed=len(sent) - len(good),
            missed=len(ks) - len(sent),
            said_cold=len(good),
            causes=dict(Counter(others)),
        )
        folder.append_second(second)
        for name in totals:
            totals[name] += getattr(second, name)
        for series, times in latency.items():
            values = Latencies()
            values.record(times[sent if series == "lag" else good].astype(np.int64).tolist())
            folder.append_latency(t_s, series, values)
    return totals


def _write_arrivals(
    folder: RunFolder, spec: Synthetic, planned: Floats, latency: Mapping[str, Floats], causes: Mapping[int, str]
) -> None:
    kept = np.full(len(planned), "cycles" in spec.run)  # such a run keeps them all
    for move in spec.moves:
        first_s, last_s = move.start_s - spec.lead_s - 10, move.start_s + move.length_s + 10
        kept |= (planned >= math.floor(first_s)) & (planned < math.ceil(last_s))
    folder.append_arrivals(
        Arrival(
            k,
            planned[k],
            None if causes.get(k) in MISSED_CAUSES else planned[k] + latency["lag"][k] / 1e6,
            None if causes.get(k) in MISSED_CAUSES else planned[k] + latency["response"][k] / 1e6,
            causes.get(k, "ok"),
            cold=None if k in causes else False,
            redirects=None if k in causes else 0,
            retries=None if k in causes else 0,
            timings_us=[None if k in causes else int(latency[timing][k]) for timing in spec.timings],
        )
        for k in np.flatnonzero(kept).tolist()
    )


def _write_events(folder: Path, spec: Synthetic) -> None:
    reshard = cast("Mapping[str, object]", spec.run.get("reshard") or {"from": 1, "to": 2})
    lines: list[tuple[float, str, Mapping[str, object]]] = [
        *((-2.0, "worker.joined", {"worker": name}) for name in WORKERS),
        (-1.9, "epoch.started", {"epoch": 1, "workers": len(WORKERS)}),
        (0.0, "run.started", {}),
    ]
    if "warmed" in spec.run:
        lines.append((-1.0, "environments.warmed", cast("Mapping[str, object]", spec.run["warmed"])))
    for move in spec.moves:
        outer, inner = ("reshard.", "") if move.kind == "real" else ("sham.", "sham.")
        end = move.start_s + move.length_s
        direction = str(move.fields.get("direction") or "{from}->{to}".format_map(reshard))
        before, _, after = direction.partition("->")
        more: dict[str, object] = {"from": int(before), "to": int(after), **move.fields}
        joined = [(move.start_s - 0.1, inner + "nodes.joined", {"nodes": ["0002-001", "0002-002"], **more})]
        lines += [
            (move.start_s - spec.lead_s, outer + "requested", more),
            (move.start_s - 0.9 * spec.lead_s, outer + "declared", {"changed": ["session-cache"], **more}),
            *(joined if int(after) > int(before) else []),
            (move.start_s, inner + "slots.started", {"slots": 8192, **more}),
            (end, inner + "slots.finished", {"slots": 8192, "keys": move.keys, "bytes": move.keys * KEY_BYTES, **more}),
            (end + 0.3, outer + "finished", more),
        ]
    if spec.ended == "finished":
        lines.append((spec.duration_s + 1, "run.finished", {"ended": "finished"}))
    for t_s, name, fields in sorted(lines, key=lambda line: line[0]):
        append_event(folder, t_s, name, **fields)


def _write_servers(folder: Path, spec: Synthetic) -> None:
    for t_s in range(math.ceil(spec.duration_s)):
        for shard in (1, 2):
            append_line(
                folder,
                "server.jsonl",
                {
                    "t_s": t_s, "node": f"000{shard}-001", "shard": shard, "role": "primary", "group": "application",
                    "keys": 40 * t_s // shard, "commands": 120 * t_s, "cpu_s": 0.02 * t_s, "memory_bytes": 2_000_000,
                    "connections": 5, "slots": 16384 // shard,
                },
            )  # fmt: skip
        append_line(
            folder,
            "server.jsonl",
            {"t_s": t_s, "node": "machine", "cpu_busy": 0.4, "cpu_own": 0.35, "memory_available_bytes": 9_000_000_000},
        )
        append_line(
            folder,
            "function.jsonl",
            {
                "type": "environments", "t_s": t_s, "count": 4, "busy_max": 3, "waited": 0, "wait_ms_max": 0.0,
                "limit": 100, "timed_out": 0, "malformed": 0,
            },
        )  # fmt: skip
