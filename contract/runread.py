"""Read a whole run folder (docs/run-folder.md); `contract.growing` reads single files of one that still grows.

A run may have been interrupted, its disk full, its files cut off or edited, or made to harm whoever reads them.
Whatever can be read is read, up to limits that no honest run reaches, and what could not is said in `Run.damage`, one
sentence each. Only a folder that is no run folder at all, or one of another format version, is refused.
"""

import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from contract import hdrread, runfolder
from contract.damaged import MOST_FILE_BYTES, MOST_NUMBER, Json, json_lines, json_object
from contract.files import UnusableFileError, open_regular
from contract.histograms import LATENCIES
from contract.runfolder import RunFolderError
from contract.runtables import Arrivals, Seconds, read_arrivals, read_latency, read_seconds

_TIMING = re.compile(r"[A-Za-z][\w-]{0,39}", re.ASCII)
_MOST_SCENARIOS = 100
_APPENDED_LATER = (runfolder.EVENTS, runfolder.SERVER)
_HEAD_BYTES = 1000
_START_WRITTEN_S = 0.001  # latency.hlog names its start with three decimals
_MOST_PHASES = 500
_MOST_EVENTS = 50_000
_MOST_NAMES = 500
_MOST_FAILURE_VALUES = 16_000  # examples of 200 causes
_MOST_MOVES = 500
_MOVE_EVENTS = ("slots.started", "reshard.failed", "sham.failed")
"""Ends of the names of events that begin a move, or stand for one that did not begin."""
_FARTHEST_S = 30 * 24 * 3600.0  # no run is longer than this; a later time is a clock that jumped
_DEFAULT_TIME_LIMIT_S = 15.0
_HIGHEST = {"duration_s": _FARTHEST_S, "time_limit_s": 3_600.0, "late_threshold_ms": 3.6e6, "slow_ms": 3.6e6}
"""By key of run.json the highest sane value; the lowest is above 0."""
_MOST_RATE = 1e7


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
class Scenario:
    """One kind of request; `weight` is its share among the others' weights."""

    name: str
    weight: float


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
    timings: Sequence[str]
    scenarios: Sequence[Scenario]
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
    repeated_sessions: int
    audit: Json | None
    evidence: Json | None
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
    def series(self) -> tuple[str, ...]:
        """The series of latencies over all scenarios, the application's timings last."""
        return (*LATENCIES, *self.timings)

    @property
    def time_limit_us(self) -> int:
        """What an arrival without a good reply counts as."""
        return int(self.number("time_limit_s", _DEFAULT_TIME_LIMIT_S) * 1e6)


def number(value: object, default: float = math.nan) -> float:
    """`value` if it is a finite number, else `default`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_NUMBER:
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
    timings, scenarios = _read_timings(meta, damage), _read_scenarios(meta, damage)
    phases = _read_phases(meta, damage)
    seconds = read_seconds(folder / runfolder.SECONDS, _last_second(meta), damage)
    audit = json_object(folder / runfolder.AUDIT, damage, missing=None)
    evidence = json_object(folder / runfolder.EVIDENCE, damage, missing=None)
    _compare_sizes(folder, evidence, damage)
    _compare_starts(folder / runfolder.LATENCY, meta, damage)
    by_scenario = [f"response/{place}" for place in range(len(scenarios))] if len(scenarios) > 1 else []
    return Run(
        path=folder,
        meta=meta,
        timings=timings,
        scenarios=scenarios,
        phases=phases,
        seconds=seconds,
        latency=read_latency(folder / runfolder.LATENCY, [*LATENCIES, *timings, *by_scenario], seconds.t_s, damage),
        arrivals=read_arrivals(folder / runfolder.ARRIVALS, timings, damage),
        events=_read_events(folder / runfolder.EVENTS, damage),
        failures=list(json_lines(folder / runfolder.FAILURES, damage, missing=None, most_values=_MOST_FAILURE_VALUES)),
        servers=_of_known_nodes(folder / runfolder.SERVER, damage),
        environments=_read_environments(folder / runfolder.FUNCTION, damage),
        metrics=_read_metrics(folder / runfolder.METRICS, damage),
        sessions=_count_sessions(folder / runfolder.SESSIONS, damage),
        repeated_sessions=_count_repeated(folder / runfolder.SESSIONS),
        audit=audit,
        evidence=evidence,
        damage=tuple(damage),
    )


def _compare_sizes(folder: Path, evidence: Json | None, damage: list[str]) -> None:
    """Whether the files of a run on AWS have the bytes that its master sent; lines are appended to some afterwards."""
    for name, size in mapping((evidence or {}).get("files")).items():
        if name not in runfolder.GROWING:
            continue
        path = folder / name
        found = path.lstat().st_size if os.path.lexists(path) else 0
        if found != size and not (name in _APPENDED_LATER and found > number(size, math.inf)):
            damage.append(f"{name}: {found} bytes are here, and the master sent {size}")


def _compare_starts(path: Path, meta: Json, damage: list[str]) -> None:
    """Whether latency.hlog begins when run.json says that the run began."""
    started = number(meta.get("started_at_unix_s"))
    try:
        with open_regular(path, MOST_FILE_BYTES) as stream:
            head = stream.read(_HEAD_BYTES)
    except (FileNotFoundError, UnusableFileError):
        return  # `read_latency` says it
    if math.isnan(started):
        return
    named = re.search(rb"^#\[StartTime: (\d{1,12}\.\d{1,6}) ", head, re.MULTILINE)
    if named is None:
        damage.append(f"{path.name}: no line says when it begins")
    elif abs(float(named[1]) - started) > _START_WRITTEN_S:
        damage.append(f"{path.name} begins at {float(named[1]):.3f}, run.json at {started:.3f} (started_at_unix_s)")


def _last_second(meta: Json) -> float:
    """The latest time a row may have; beyond it a clock must have jumped."""
    duration = number(meta.get("duration_s"))
    return _FARTHEST_S if math.isnan(duration) else min(duration + 1.0, _FARTHEST_S)


def _read_meta(folder: Path, damage: list[str]) -> Json:
    path = folder / runfolder.RUN
    if not any(os.path.lexists(folder / name) for name in (runfolder.RUN, runfolder.SECONDS)):
        raise RunFolderError(f"{folder} is not a run folder: it holds neither run.json nor seconds.csv")
    meta = json_object(
        path, damage, missing="run.json is missing: phases, limits, timings and what was run are unknown"
    )
    if meta is None:
        return {}
    runfolder.check_format(path, meta.get("format"))
    insane = [
        key for key, highest in _HIGHEST.items() if key in meta and not 0 < number(meta[key], math.inf) <= highest
    ]
    if insane:
        damage.append(f"run.json: {', '.join(insane)} must be above 0, and of a possible size")
    return {key: value for key, value in meta.items() if key not in insane}


def _read_timings(meta: Json, damage: list[str]) -> tuple[str, ...]:
    listed = meta.get("timings")
    names = cast("list[object]", listed) if isinstance(listed, list) else []
    usable = [name for name in names if isinstance(name, str) and _TIMING.fullmatch(name) and name not in LATENCIES]
    timings = tuple(dict.fromkeys(usable))[: runfolder.MOST_TIMINGS]
    if meta and (not isinstance(listed, list) or len(timings) != len(names)):
        damage.append(f"run.json: timings must be a list of at most {runfolder.MOST_TIMINGS} names, each once")
    return timings


def _read_scenarios(meta: Json, damage: list[str]) -> tuple[Scenario, ...]:
    listed = meta.get("scenarios")
    rows = [mapping(row) for row in cast("list[object]", listed)] if isinstance(listed, list) else []
    scenarios = tuple(Scenario(str(row.get("name")), number(row.get("weight"))) for row in rows[:_MOST_SCENARIOS])
    if meta and (not rows or len(rows) > _MOST_SCENARIOS or any(not scenario.weight > 0 for scenario in scenarios)):
        damage.append(f"run.json: scenarios must be a list of 1 to {_MOST_SCENARIOS} names with a weight above 0")
    return scenarios


def _read_phases(meta: Json, damage: list[str]) -> list[Phase]:
    listed = mapping(meta.get("profile")).get("phases")
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    if len(entries) > _MOST_PHASES:
        damage.append(f"run.json names {len(entries):,} phases; the first {_MOST_PHASES} are read")
    phases: list[Phase] = []
    unusable: list[int] = []
    for place, entry in enumerate(entries[:_MOST_PHASES]):
        row = mapping(entry)
        start, duration = number(row.get("start_s")), number(row.get("duration_s"))
        rates = number(row.get("rate_from"), 0.0), number(row.get("rate_to"), 0.0)
        if not (abs(start) <= _FARTHEST_S and 0 <= duration <= _FARTHEST_S and max(map(abs, rates)) <= _MOST_RATE):
            unusable.append(place)
            continue
        rate = rates[0]
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
    if unusable:
        named = ", ".join(map(str, unusable[:5])) + (", ..." if len(unusable) > 5 else "")
        damage.append(f"run.json: phase {named} has no usable start_s, duration_s and rates")
    if meta and not phases:
        damage.append("run.json names no phases")
    return phases


def _read_events(path: Path, damage: list[str]) -> list[Event]:
    events: list[Event] = []
    timeless = moves = 0
    lines = json_lines(path, damage, missing="events.jsonl is missing: when slots moved is unknown")
    for row in itertools.islice(lines, _MOST_EVENTS):
        t_s, name = number(row.get("t_s")), row.get("event")
        if math.isnan(t_s) or abs(t_s) > _FARTHEST_S or not isinstance(name, str):
            timeless += 1
        elif (moves := moves + name.endswith(_MOVE_EVENTS)) <= _MOST_MOVES or not name.endswith(_MOVE_EVENTS):
            events.append(Event(t_s, name, row))
    if next(lines, None) is not None:
        damage.append(f"{path.name} holds more than {_MOST_EVENTS:,} events; the others are left out")
    if moves > _MOST_MOVES:
        damage.append(f"{path.name}: {moves:,} moves; the first {_MOST_MOVES} are read")
    if timeless:
        damage.append(f"{path.name}: {timeless} event(s) without a usable t_s and name are left out")
    return sorted(events, key=lambda event: event.t_s)


def _of_known_nodes(path: Path, damage: list[str]) -> list[Json]:
    """The lines about nodes and the machine; of nodes beyond any cluster's size none."""
    named: set[object] = set()
    rows: list[Json] = []
    left_out = 0
    for row in json_lines(path, damage, missing=None):
        node = row.get("node")
        if isinstance(node, str) and (node in named or len(named) < _MOST_NAMES):
            named.add(node)
            rows.append(row)
        else:
            left_out += 1
    if left_out:
        damage.append(
            f"{path.name}: {left_out} line(s) without a node, or of more than {_MOST_NAMES} nodes, are left out"
        )
    return rows


def _read_environments(path: Path, damage: list[str]) -> list[Json]:
    """The lines about the function's environments; the hundreds of thousands of others are not parsed."""
    lines = json_lines(path, damage, missing=None, containing=b'"environments"')
    return [line for line in lines if line.get("type") == "environments"]


def _read_metrics(path: Path, damage: list[str]) -> list[MetricValue]:
    """What CloudWatch counted in a run on AWS; no other run has the file."""
    values: list[MetricValue] = []
    things: set[tuple[str, str]] = set()
    unusable = 0
    for row in json_lines(path, damage, missing=None):
        t_s, value, thing = number(row.get("t_s")), number(row.get("value")), _thing(mapping(row.get("dimensions")))
        namespace, metric = row.get("namespace"), row.get("metric")
        things.add((str(namespace), thing))
        if math.isnan(value) or not abs(t_s) <= _FARTHEST_S or not isinstance(metric, str) or not thing:
            unusable += 1
        elif len(things) > _MOST_NAMES:
            damage.append(f"{path.name} tells of more than {_MOST_NAMES} things; what follows is left out")
            break
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
    try:
        with open_regular(path, MOST_FILE_BYTES) as stream:
            size = os.fstat(stream.fileno()).st_size
    except FileNotFoundError:
        return 0
    except UnusableFileError as error:
        damage.append(f"{path.name} {error}")
        return 0
    if size % 16:
        damage.append(f"{path.name}: its last session was cut off and is left out")
    return size // 16


def _count_repeated(path: Path) -> int:
    """How many sessions are listed again. Halves of a UUID are compared: two whole ones rarely share either."""
    try:
        with open_regular(path, MOST_FILE_BYTES) as stream:
            content = stream.read()
    except (FileNotFoundError, UnusableFileError):
        return 0  # `_count_sessions` says it
    halves = np.frombuffer(content, dtype=np.uint64, count=len(content) // 16 * 2).reshape(-1, 2)
    return min(len(halves) - len(np.unique(halves[:, place])) for place in (0, 1))
