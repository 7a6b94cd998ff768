"""Read a run folder (docs/run-folder.md): the only reader of these files.

A run may have been interrupted, its disk full, its files cut off or edited. Whatever can be read is read, and what
could not is said in `Run.damage`, one sentence each. Only a folder that is no run folder at all, or one of another
format version, is refused.
"""

import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from contract import hdrread
from contract.damaged import Json, csv_fields, csv_rows, floats, json_lines, json_object, say_wrong, whole_lines

FORMAT = 1
SERIES = ("response", "service", "lag", "connection", "write", "read")
COUNTS = ("offered", "sent", "ok", "failed", "missed", "unknown", "late", "redirects", "retries")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_SECONDS_HEADER = ("t_s", "phase", *COUNTS, "causes")
_ARRIVALS_HEADER = (
    "k", "planned_s", "sent_s", "done_s", "outcome", "connection_us", "write_us", "read_us", "redirects", "retries",
)  # fmt: skip
_CHUNK = 50_000
_FARTHEST_S = 30 * 24 * 3600.0  # no run is longer than this; a later time is a clock that jumped


class RunFolderError(ValueError):
    """The folder cannot be read as a run; the message says what was found and what to do."""


@dataclass(frozen=True)
class Phase:
    """One phase of the load, after scale and compression."""

    name: str
    start_s: float
    duration_s: float
    rate_from: float
    rate_to: float
    arrivals: int

    @property
    def end_s(self) -> float:
        """When its last arrival is planned at the latest."""
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class Seconds:
    """seconds.csv by column, ascending in time, each second once."""

    t_s: Ints
    phase: Ints
    counts: Mapping[str, Ints]
    causes: Sequence[Mapping[str, int]]

    def __len__(self) -> int:
        return len(self.t_s)

    def __getitem__(self, name: str) -> Ints:
        return self.counts[name]


@dataclass(frozen=True)
class Arrivals:
    """arrivals.csv by column, ascending in planned time; NaN where a field is unknown."""

    planned_s: Floats
    sent_s: Floats
    done_s: Floats
    ok: npt.NDArray[np.bool_]
    outcome: Sequence[str]
    connection_us: Floats
    write_us: Floats
    read_us: Floats

    def __len__(self) -> int:
        return len(self.planned_s)


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl."""

    t_s: float
    name: str
    fields: Json


@dataclass(frozen=True)
class MetricValue:
    """One line of metrics.jsonl: a CloudWatch metric of one thing, in the minute that begins at `t_s`."""

    t_s: float
    namespace: str
    metric: str
    thing: str
    value: float


@dataclass(frozen=True)
class Run:
    """A run folder, read."""

    path: Path
    meta: Json
    phases: Sequence[Phase]
    seconds: Seconds
    latency: Mapping[str, hdrread.Histograms]
    arrivals: Arrivals
    events: Sequence[Event]
    failures: Sequence[Json]
    servers: Sequence[Json]
    environments: Sequence[Json]
    metrics: Sequence[MetricValue]
    sessions: int
    audit: Json | None
    damage: Sequence[str] = field(default_factory=tuple[str, ...])

    def number(self, key: str, default: float = math.nan) -> float:
        """A number of run.json, or `default` where there is none."""
        return number(self.meta.get(key), default)

    def text(self, key: str, default: str = "") -> str:
        """A text of run.json, or `default` where there is none."""
        value = self.meta.get(key)
        return value if isinstance(value, str) else default

    def table(self, key: str) -> Json:
        """A mapping of run.json, empty where there is none."""
        return mapping(self.meta.get(key))

    @property
    def time_limit_us(self) -> int:
        """What an arrival without a good reply counts as."""
        return int(self.number("time_limit_s", 15.0) * 1e6)


def number(value: object, default: float = math.nan) -> float:
    """`value` if it is a finite number, else `default`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return default
    return float(value)


def mapping(value: object) -> Json:
    """`value` if it is a mapping, else an empty one."""
    return cast("Json", value) if isinstance(value, dict) else {}


def read_run(folder: Path) -> Run:
    """Read a run folder, as much of it as there is.

    Raises:
        RunFolderError: it is no run folder, or one of another format version.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a folder; name a run folder such as runs/20261122T151100Z-dev")
    damage: list[str] = []
    meta = _read_meta(folder, damage)
    phases = _read_phases(meta, damage)
    seconds = _read_seconds(folder / "seconds.csv", _last_second(meta), damage)
    audit = json_object(folder / "audit.json", damage, missing=None)
    return Run(
        path=folder,
        meta=meta,
        phases=phases,
        seconds=seconds,
        latency=_read_latency(folder / "latency.hlog", seconds.t_s, damage),
        arrivals=_read_arrivals(folder / "arrivals.csv", damage),
        events=_read_events(folder / "events.jsonl", damage),
        failures=list(json_lines(folder / "failures.jsonl", damage, missing=None)),
        servers=list(json_lines(folder / "server.jsonl", damage, missing=None)),
        environments=_read_environments(folder / "function.jsonl", damage),
        metrics=_read_metrics(folder / "metrics.jsonl", damage),
        sessions=_count_sessions(folder / "sessions.bin", damage),
        audit=audit,
        damage=tuple(damage),
    )


def _last_second(meta: Json) -> float:
    """The latest time a row may have; beyond it a clock must have jumped."""
    duration = number(meta.get("duration_s"))
    return _FARTHEST_S if math.isnan(duration) else min(duration + 1.0, _FARTHEST_S)


def _read_meta(folder: Path, damage: list[str]) -> Json:
    path = folder / "run.json"
    if not path.exists() and not (folder / "seconds.csv").exists():
        raise RunFolderError(f"{folder} is not a run folder: it holds neither run.json nor seconds.csv")
    meta = json_object(path, damage, missing="run.json is missing: phases, limits and what was run are unknown")
    if meta is None:
        return {}
    version = meta.get("format")
    if version != FORMAT:
        raise RunFolderError(
            f"{path}: format version {version!r}, and this report reads version {FORMAT}; "
            "use the report of the checkout that wrote the run"
        )
    return meta


def _read_phases(meta: Json, damage: list[str]) -> list[Phase]:
    listed = mapping(meta.get("profile")).get("phases")
    phases: list[Phase] = []
    for place, entry in enumerate(cast("list[object]", listed) if isinstance(listed, list) else []):
        row = mapping(entry)
        start, duration = number(row.get("start_s")), number(row.get("duration_s"))
        if math.isnan(start) or math.isnan(duration) or duration < 0:
            damage.append(f"run.json: phase {place} has no usable start_s and duration_s")
            continue
        rate = number(row.get("rate_from"), 0.0)
        phases.append(
            Phase(
                name=str(row.get("name") or f"phase {place + 1}"),
                start_s=start,
                duration_s=duration,
                rate_from=rate,
                rate_to=number(row.get("rate_to"), rate),
                arrivals=int(number(row.get("arrivals"), 0.0)),
            )
        )
    if meta and not phases:
        damage.append("run.json names no phases")
    return phases


def _read_seconds(path: Path, last_s: float, damage: list[str]) -> Seconds:
    rows: dict[int, tuple[list[int], Mapping[str, int]]] = {}
    wrong: list[int] = []
    repeated: list[int] = []
    jumped: list[int] = []
    previous = -1
    backwards = 0
    for place, row in csv_rows(path, _SECONDS_HEADER, damage) if path.exists() else ():
        try:
            numbers = [int(row["t_s"]), int(row["phase"]), *(int(row[name]) for name in COUNTS)]
            causes = _parse_causes(row["causes"])
        except ValueError:
            wrong.append(place)
            continue
        second = numbers[0]
        backwards += second < previous
        previous = second
        if not 0 <= second <= last_s or min(numbers) < 0 or max(numbers) > 1 << 40:
            jumped.append(place)
        elif second in rows:
            repeated.append(place)
        else:
            rows[second] = (numbers, causes)
    say_wrong(path.name, wrong, damage)
    if not path.exists():
        damage.append("seconds.csv is missing: nothing is known of what was offered and delivered")
    if repeated:
        damage.append(f"{path.name}: {len(repeated)} second(s) come twice, the first of them in line {repeated[0]}")
    if jumped:
        damage.append(
            f"{path.name}: {len(jumped)} line(s) lie outside the run or hold impossible numbers "
            f"(the first is line {jumped[0]}): a clock jumped, or the file was changed"
        )
    if backwards:
        damage.append(f"{path.name}: time runs backwards {backwards} time(s): a clock jumped")
    order = sorted(rows)
    table = np.array([rows[second][0] for second in order], dtype=np.int64).reshape(len(order), 2 + len(COUNTS))
    return Seconds(
        t_s=table[:, 0],
        phase=table[:, 1],
        counts={name: table[:, 2 + place] for place, name in enumerate(COUNTS)},
        causes=[rows[second][1] for second in order],
    )


def _parse_causes(text: str) -> dict[str, int]:
    causes: dict[str, int] = {}
    for part in text.split():
        name, _, count = part.rpartition(":")
        if not name:
            raise ValueError(f"no cause in {part!r}")
        causes[name] = causes.get(name, 0) + int(count)
    return causes


def _read_latency(path: Path, t_s: Ints, damage: list[str]) -> dict[str, hdrread.Histograms]:
    rows: dict[str, list[int]] = {name: [] for name in SERIES}
    payloads: dict[str, list[bytes]] = {name: [] for name in SERIES}
    row_of = {int(second): place for place, second in enumerate(t_s)}
    wrong: list[int] = []
    strays = 0
    if not path.exists():
        damage.append("latency.hlog is missing: no latencies are known")
    else:
        with path.open("rb") as stream:
            for place, line in enumerate(whole_lines(stream, path.name, damage), start=1):
                if line.startswith((b"#", b'"')) or not line:
                    continue
                try:
                    tag, start, _length, _max, payload = line.split(b",", 4)
                    name = tag.decode("ascii").removeprefix("Tag=")
                    second = round(float(start))
                    if name not in rows:
                        continue  # a series that a later version added
                    counters = hdrread.unwrap(payload)
                except (ValueError, OverflowError):
                    wrong.append(place)
                    continue
                if second in row_of:
                    rows[name].append(row_of[second])
                    payloads[name].append(counters)
                else:
                    strays += 1
    say_wrong(path.name, wrong, damage)
    if strays:
        damage.append(f"{path.name}: {strays} histogram(s) of seconds that seconds.csv does not hold are left out")
    return {name: hdrread.build(rows[name], payloads[name], len(t_s)) for name in SERIES}


def _read_arrivals(path: Path, damage: list[str]) -> Arrivals:
    """Read in chunks: around a long reshard there may be most of a million lines."""
    numeric = ("planned_s", "sent_s", "done_s", "connection_us", "write_us", "read_us")
    chunks: list[Floats] = [np.zeros((0, len(numeric)))]
    outcomes: list[str] = []
    wrong: list[int] = []
    if path.exists():
        lines = csv_fields(path, _ARRIVALS_HEADER, damage)
        _, names = next(lines, (1, []))
        while chunk := list(itertools.islice(lines, _CHUNK)):
            by_name = dict(zip(names, zip(*(fields for _, fields in chunk), strict=True), strict=True))
            columns = np.array([floats(by_name[name]) for name in numeric]).T
            known = np.isfinite(columns[:, 0])
            wrong += [chunk[place][0] for place in np.flatnonzero(~known)]
            chunks.append(columns[known])
            outcomes += [sys.intern(by_name["outcome"][place]) for place in np.flatnonzero(known)]
    say_wrong(path.name, wrong, damage)
    table = np.concatenate(chunks)
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]
    sorted_outcomes = [outcomes[place] for place in order]
    ok = np.array([outcome == "ok" for outcome in sorted_outcomes], dtype=np.bool_)
    return Arrivals(table[:, 0], table[:, 1], table[:, 2], ok, sorted_outcomes, table[:, 3], table[:, 4], table[:, 5])


def _read_events(path: Path, damage: list[str]) -> list[Event]:
    events: list[Event] = []
    timeless = 0
    for row in json_lines(path, damage, missing="events.jsonl is missing: when slots moved is unknown"):
        t_s, name = number(row.get("t_s")), row.get("event")
        if math.isnan(t_s) or abs(t_s) > _FARTHEST_S or not isinstance(name, str):
            timeless += 1
        else:
            events.append(Event(t_s, name, row))
    if timeless:
        damage.append(f"{path.name}: {timeless} event(s) without a usable t_s and name are left out")
    return sorted(events, key=lambda event: event.t_s)


def _read_environments(path: Path, damage: list[str]) -> list[Json]:
    """The lines about the function's environments; the hundreds of thousands of others are not parsed."""
    lines = json_lines(path, damage, missing=None, containing=b'"environments"')
    return [line for line in lines if line.get("type") == "environments"]


def _read_metrics(path: Path, damage: list[str]) -> list[MetricValue]:
    """What CloudWatch counted in a run on AWS; no other run has the file."""
    values: list[MetricValue] = []
    unusable = 0
    for row in json_lines(path, damage, missing=None):
        t_s, value, thing = number(row.get("t_s")), number(row.get("value")), _thing(mapping(row.get("dimensions")))
        namespace, metric = row.get("namespace"), row.get("metric")
        if math.isnan(value) or not abs(t_s) <= _FARTHEST_S or not isinstance(metric, str) or not thing:
            unusable += 1
        else:
            values.append(MetricValue(t_s, str(namespace), metric, thing, value))
    if unusable:
        damage.append(f"{path.name}: {unusable} line(s) without a usable t_s, metric, dimension and value are left out")
    return sorted(values, key=lambda value: value.t_s)


def _thing(dimensions: Json) -> str:
    """The name of the function, balancer or node that a metric is about."""
    names = (dimensions.get(key) for key in ("FunctionName", "LoadBalancer", "CacheClusterId"))
    return next((name for name in names if isinstance(name, str)), "")


def _count_sessions(path: Path, damage: list[str]) -> int:
    if not path.exists():
        return 0
    size = path.stat().st_size
    if size % 16:
        damage.append(f"{path.name}: its last session was cut off and is left out")
    return size // 16
