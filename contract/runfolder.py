"""The run folder's writer: docs/run-folder.md says what each file means, `contract.runread` reads it.

`contract.growing` reads single files of it while they grow.

Everything is appended as the run goes and flushed each second, so a crash loses seconds, not the run.
"""

import csv
import io
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from contract.damaged import json_lines, json_object
from contract.files import replace_json
from contract.histograms import HistogramCodec, Latencies, bucket_top

FORMAT = 2
READ_BY = {1: "27fad93"}
"""A commit of this project that reads an older format."""

RUN = "run.json"
SECONDS = "seconds.csv"
LATENCY = "latency.hlog"
ARRIVALS = "arrivals.csv"
EVENTS = "events.jsonl"
FAILURES = "failures.jsonl"
SESSIONS = "sessions.bin"
AUDIT = "audit.json"
SERVER = "server.jsonl"
FUNCTION = "function.jsonl"
METRICS = "metrics.jsonl"
EVIDENCE = "evidence.json"
GROWING = (SECONDS, LATENCY, ARRIVALS, EVENTS, FAILURES, SERVER, SESSIONS)
"""The files that a run on AWS only appends to; the others are small and written whole."""

COUNTS = ("offered", "sent", "ok", "failed", "missed", "unknown", "late", "redirects", "retries")
SECONDS_COLUMNS = ("t_s", "phase", *COUNTS, "cold", "causes")
ARRIVALS_COLUMNS = ("k", "planned_s", "sent_s", "done_s", "outcome", "scenario", "cold", "redirects", "retries")

TIMINGS = ("connection", "write", "read")
"""The timings that our function tells with each reply; run.json names those of the run, at most `MOST_TIMINGS`."""
MOST_TIMINGS = 8
SCENARIOS = ({"name": "session", "weight": 1},)
"""What our arrivals do: each writes one session and reads it back."""

FAILED_CAUSES = frozenset(
    {"refused", "reset", "unreachable", "connect_timeout", "timeout", "late_reply", "garbage", "oversized", "closed"}
)
"""Causes of arrivals that were sent without a good reply; beside them `http_<status>`."""
MISSED_CAUSES = frozenset(
    {"in_flight_cap", "no_ports", "no_descriptors", "unresolved", "overdue", "worker_lost", "no_worker"}
)
"""Causes of arrivals that were not sent."""

_OF_A_MOVE = (
    "requested", "declared", "nodes.joined", "slots.started", "slots.progress", "slots.retried", "slots.finished",
    "finished", "failed",
)  # fmt: skip
EVENT_NAMES = frozenset(
    {
        "run.started", "run.finished", "run.interrupted", "phase.started", "worker.joined", "worker.lost",
        "epoch.started", "limit.reached", "cache.event", "environments.warmed", "cycles.started",
        *(name if "." in name else f"reshard.{name}" for name in _OF_A_MOVE),
        *(f"sham.{name}" for name in _OF_A_MOVE),
    }
)  # fmt: skip
"""Every event that a run may have."""

FAILURES_PER_CAUSE = 20
DETAIL_CHARACTERS = 500


class RunFolderError(ValueError):
    """A folder that cannot be written into or read as a run: the message says what was found and what to do."""


def arrivals_columns(timings: Sequence[str]) -> tuple[str, ...]:
    """The header of arrivals.csv."""
    return (*ARRIVALS_COLUMNS, *(f"{timing}_us" for timing in timings))


def check_format(path: Path, version: object) -> None:
    """Refuse a run.json of another format version.

    Raises:
        RunFolderError: it names the format found, the format read here, and what reads the other one.
    """
    if version == FORMAT and not isinstance(version, bool):
        return
    older = READ_BY.get(version) if isinstance(version, int) and not isinstance(version, bool) else None
    reader = (
        f"commit {older} of it reads format {version} (git checkout {older})" if older else "use the one that wrote it"
    )
    raise RunFolderError(
        f"{path}: run folder format {version!r}, and this version of the project reads format {FORMAT}; {reader}"
    )


@dataclass
class Second:
    """One planned second's counts; `offered` is the sum of its four outcomes by construction."""

    t_s: int
    phase: int
    ok: int = 0
    failed: int = 0
    missed: int = 0
    unknown: int = 0
    late: int = 0
    redirects: int = 0
    retries: int = 0
    cold: int = 0  # replies that said: my environment was cold
    said_cold: int = 0  # replies that said whether it was
    causes: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def offered(self) -> int:
        """Every planned arrival has exactly one outcome."""
        return self.ok + self.failed + self.missed + self.unknown

    @property
    def sent(self) -> int:
        """Arrivals that surely went out."""
        return self.ok + self.failed

    def row(self) -> list[object]:
        """The row of seconds.csv."""
        causes = " ".join(f"{name}:{count}" for name, count in sorted(self.causes.items()))
        return [
            self.t_s, self.phase, self.offered, self.sent, self.ok, self.failed, self.missed, self.unknown, self.late,
            self.redirects, self.retries, self.cold if self.said_cold else "", causes,
        ]  # fmt: skip


class Arrival(NamedTuple):
    """One row of arrivals.csv; None where unknown. `timings_us` are in the order of run.json's `timings`."""

    k: int
    planned_s: float
    sent_s: float | None
    done_s: float | None
    outcome: str
    scenario: int = 0
    cold: bool | None = None
    redirects: int | None = None
    retries: int | None = None
    timings_us: Sequence[int | None] = ()


class RunFolder:
    """The open files of a run that is being written."""

    def __init__(self, path: Path, timings: int) -> None:
        self.path = path
        self._no_timings = (None,) * timings
        self._codec = HistogramCodec()
        self._seconds = _append(path / SECONDS)
        self._latency = _append(path / LATENCY)
        self._arrivals = _append(path / ARRIVALS)
        self._failures = _append(path / FAILURES)
        self._sessions = _append(path / SESSIONS)
        self._failures_kept: dict[str, int] = {}

    @classmethod
    def create(cls, path: Path, run: Mapping[str, object]) -> "RunFolder":
        """Make the folder and its run.json, which names the timings; a folder that holds a run is refused."""
        if holds_run(path):
            raise RunFolderError(f"run folder {str(path)!r} holds a run already; name another one or remove it")
        try:
            path.mkdir(parents=True, exist_ok=True)
            replace_json(path / RUN, {"format": FORMAT, "id": path.name, **run})
        except OSError as error:
            raise RunFolderError(
                f"run folder {str(path)!r} cannot be written: {error.strerror}; name another with --run-dir"
            ) from None
        timings = cast("Sequence[str]", run.get("timings", ()))
        folder = cls(path, len(timings))
        _write(folder._seconds, ",".join(SECONDS_COLUMNS) + "\n")
        _write(folder._arrivals, ",".join(arrivals_columns(timings)) + "\n")
        started = float(str(run.get("started_at_unix_s", 0)))
        _write(
            folder._latency,
            "#[Histogram log format version 1.3]\n"
            f"#[StartTime: {started:.3f} (seconds since epoch), {iso_utc(started)}]\n"
            f"#[BaseTime: {started:.3f} (seconds since epoch)]\n"
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n',
        )
        (path / EVENTS).touch()
        folder.flush()
        return folder

    def append_second(self, second: Second) -> None:
        """A closed planned second."""
        _write(self._seconds, _csv_lines([second.row()]))

    def append_latency(self, t_s: int, series: str, latencies: Latencies) -> None:
        """One second of one series; an empty one is not written. Interval_Max is in ms."""
        if latencies.total:
            highest_ms = bucket_top(max(latencies.counts)) / 1000
            _write(self._latency, f"Tag={series},{t_s:.3f},1.000,{highest_ms:.3f},{self._codec.encode(latencies)}\n")

    def append_arrivals(self, arrivals: Iterable[Arrival]) -> None:
        """Single arrivals kept around events."""
        _write(self._arrivals, _csv_lines([self._arrival_row(arrival) for arrival in arrivals]))

    def append_failure(self, t_s: float, cause: str, detail: str) -> None:
        """An example of a failed arrival; those over the limit per cause are only counted, in seconds.csv."""
        kept = self._failures_kept.get(cause, 0)
        if kept < FAILURES_PER_CAUSE:
            self._failures_kept[cause] = kept + 1
            _write(
                self._failures, _json_line({"t_s": round(t_s, 6), "cause": cause, "detail": detail[:DETAIL_CHARACTERS]})
            )

    def append_sessions(self, sessions: bytes) -> None:
        """Acknowledged sessions, 16 bytes each."""
        if len(sessions) % 16:
            raise ValueError(f"sessions come as 16 bytes each, got {len(sessions)} bytes")
        self._sessions.write(sessions)

    def event(self, t_s: float, event: str, **fields: object) -> None:
        """An event of this run."""
        append_event(self.path, t_s, event, **fields)

    def flush(self) -> None:
        """Hand everything written to the operating system."""
        for file in self._files():
            file.flush()

    def close(self, changes: Mapping[str, object]) -> None:
        """Write the last keys of run.json and close the files."""
        for file in self._files():
            file.flush()
            file.close()
        update_run(self.path, changes)

    def _arrival_row(self, arrival: Arrival) -> list[object]:
        times = [None if value is None else f"{value:.6f}" for value in arrival[1:4]]
        cold = None if arrival.cold is None else int(arrival.cold)
        counts = (arrival.redirects, arrival.retries)
        timings = arrival.timings_us or self._no_timings
        return [arrival.k, *times, arrival.outcome, arrival.scenario, cold, *counts, *timings]

    def _files(self) -> Sequence[BinaryIO]:
        return (self._seconds, self._latency, self._arrivals, self._failures, self._sessions)


def holds_run(path: Path) -> bool:
    """Whether a folder has any of a run's own files in it (an empty folder has not)."""
    return any((path / name).exists() for name in (RUN, SECONDS, LATENCY))


def folder_name(started_at_unix_s: float, stack: str) -> str:
    """`<UTC start>-<stack>`, as the contract names run folders."""
    return f"{datetime.fromtimestamp(started_at_unix_s, UTC):%Y%m%dT%H%M%SZ}-{stack}"


def free_folder(path: Path) -> Path:
    """The path itself, or the first of path-2, path-3, ... that holds no run."""
    candidate, number = path, 2
    while holds_run(candidate):
        candidate = path.with_name(f"{path.name}-{number}")
        number += 1
    return candidate


def append_event(path: Path, t_s: float, event: str, **fields: object) -> None:
    """Append one whole line to events.jsonl in one write, so that several processes may append."""
    _append_line(path / EVENTS, {"t_s": round(t_s, 6), "event": event, **fields})


def append_line(path: Path, name: str, line: Mapping[str, object]) -> None:
    """Append one whole line to a JSON-lines file of the folder (server.jsonl, function.jsonl)."""
    _append_line(path / name, line)


def read_lines(path: Path, name: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file of a folder; a cut or damaged line is left out, a missing file is empty."""
    for row in json_lines(path / name, [], missing=None):
        yield dict(row)


def read_run(path: Path) -> dict[str, object]:
    """run.json as it stands.

    Raises:
        RunFolderError: it cannot be read, or is of another format version.
    """
    damage: list[str] = []
    run = json_object(path / RUN, damage, missing=f"{RUN} is missing")
    if run is None:
        raise RunFolderError(f"{path}: {damage[0]}")
    check_format(path / RUN, run.get("format"))
    return dict(run)


def update_run(path: Path, changes: Mapping[str, object]) -> None:
    """Merge keys into run.json and replace it atomically; objects are merged one level deep."""
    run = read_run(path)
    for key, value in changes.items():
        old = run.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping):
            run[key] = {**old, **value}
        else:
            run[key] = value
    replace_json(path / RUN, run)


def iso_utc(unix_s: float) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def machine() -> dict[str, object]:
    """`machine` of run.json: what this process runs on."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # not every system names its memory this way
        memory = None
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line.partition(":")[2].strip()
            for line in info.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cores": cores,
        "memory_bytes": memory,
        "cpu": cpu or platform.machine(),
    }


def _append(path: Path) -> BinaryIO:
    return path.open("ab")


def _write(file: BinaryIO, text: str) -> None:
    file.write(text.encode())


def _append_line(path: Path, line: Mapping[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    try:
        os.write(descriptor, _json_line(line).encode())
    finally:
        os.close(descriptor)


def _json_line(line: Mapping[str, object]) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def _csv_lines(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
