"""Is run.json whole, are its limits sane, and does it agree with itself?"""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePath
from urllib.parse import urlsplit

from contract.runread import Run, mapping, number
from report.checks.check import RunCheck, judged
from report.checks.counts import is_count
from report.checks.promises import REHEARSAL, limit_of, place_of

LATE_MS_MOST = 10.0
"""A larger `late_threshold_ms` would hide a generator that sends late."""
_TIME_LIMIT_S_MOST = 120.0  # the range of a histogram
_REPLY_MARGIN_S = 5.0  # the stack gives the generator so much longer than functionTimeout
_ISO_WRITTEN_S = 0.0015  # run.json's ISO times have milliseconds
_ENDED_APART_S = 0.1  # between two readings of the master's clock
_END_S_MOST = 3600.0


def described(run: Run) -> Iterator[RunCheck]:
    """run.json says what was run, and says the same everywhere."""
    gaps = [*_times(run), *_limits(run), *_what_ran(run), *_same(run)] if run.meta else ["run.json is missing"]
    yield judged(
        "Run described",
        not gaps,
        "; ".join(gaps[:5]) + ("" if len(gaps) < 6 else f"; and {len(gaps) - 5} more")
        or f"{run.text('host')}, {run.text('connection')} connections",
        "run.json whole, its limits sane, and nothing in it contradicts the rest",
        "A record that contradicts itself was changed, or is of two runs.",
    )


def _times(run: Run) -> Iterator[str]:
    started, listed = run.number("started_at_unix_s"), _unix_s(run.meta.get("started_at"))
    if not started > 0 or abs(started - listed) > _ISO_WRITTEN_S or math.isnan(listed):
        yield f"started_at is {run.meta.get('started_at')!r}, started_at_unix_s {run.meta.get('started_at_unix_s')!r}"
    duration = run.number("duration_s")
    if not duration > 0:
        yield f"duration_s is {run.meta.get('duration_s')!r}"
    at = 0.0
    for phase in run.phases:
        if abs(phase.start_s - at) > 1e-6 or phase.duration_s <= 0:
            yield f"phase {phase.name[:60]!r} starts at {phase.start_s:g} s, the one before it ends at {at:g} s"
        at = phase.end_s
    if run.text("ended") != "finished":
        return
    took = _unix_s(run.meta.get("ended_at")) - started
    if not duration - _ISO_WRITTEN_S <= took <= duration + _END_S_MOST:
        yield f"ended_at is {run.meta.get('ended_at')!r}: the run would have taken {took:g} s of {duration:g}"
    at_s = [event.t_s for event in run.events if event.name == "run.finished"]
    if at_s and abs(took - at_s[0]) > _ENDED_APART_S:
        yield f"ended_at is {took:.3f} s after the start, the event run.finished {at_s[0]:.3f} s"


def _unix_s(text: object) -> float:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return math.nan
    return moment.timestamp() if moment.tzinfo else math.nan


def _limits(run: Run) -> Iterator[str]:
    ranges = {
        "time_limit_s": (1e-3, _TIME_LIMIT_S_MOST), "late_threshold_ms": (1e-3, LATE_MS_MOST),
        "max_in_flight": (1, 1e6), "workers": (1, 10_000), "scale": (1e-9, 1e6), "compress": (1e-9, 1e6),
    }  # fmt: skip
    for key, (least, most) in ranges.items():
        if not least <= run.number(key) <= most:
            yield f"{key} is {run.meta.get(key)!r}, expected {least:g} to {most:g}"
    for key in ("max_in_flight", "workers"):
        if not is_count(run.meta.get(key)):
            yield f"{key} is {run.meta.get(key)!r}, not a whole number"
    slow_ms = run.meta.get("slow_ms")
    if slow_ms is not None and not 0 < number(slow_ms) <= run.number("time_limit_s") * 1000:
        yield f"slow_ms is {slow_ms!r}"
    if run.text("connection") not in ("new", "keep-alive"):
        yield f"connection is {run.meta.get('connection')!r}"
    if not _netloc(run):
        yield f"host is {run.meta.get('host')!r}, not a URL"
    for key in ("problems", "missing", "gates"):
        listed = run.meta.get(key, [])
        if not isinstance(listed, list) or any(not isinstance(entry, str) for entry in listed):
            yield f"{key} is no list of sentences"


def _netloc(run: Run) -> str:
    try:
        parts = urlsplit(run.text("host"))
    except ValueError:
        return ""
    return parts.netloc if parts.scheme in ("http", "https") and parts.hostname else ""


def _what_ran(run: Run) -> Iterator[str]:
    """Settings, engine, and what stood in for AWS. A run that was collected after its stack was gone says so."""
    if limit_of(run, "described") or any("settings" in str(told) for told in _listed(run, "missing")):
        return
    engine = run.table("engine")
    if any(not isinstance(engine.get(key), str) or not engine.get(key) for key in ("name", "version")):
        yield f"engine is {run.meta.get('engine')!r}"
    if not run.table("settings"):
        yield "settings are missing"
    yield from _warmed(run)
    if place_of(run) == REHEARSAL:
        if not run.meta.get("substitutions"):
            yield "substitutions are missing: what stood in for AWS is unknown"
        for name in ("cluster_medium", "command"):
            if not run.text(name):
                yield f"{name} is missing"
        balancer = str(mapping(run.meta.get("substitutions")).get("the load balancer") or "")
        if balancer and not balancer.endswith(f" -> {_netloc(run)}"):
            yield f"host is {run.text('host')!r}, the load balancer was {balancer!r}"


def _warmed(run: Run) -> Iterator[str]:
    """What was warmed before second 0, if the settings ask for it, and the event that says the same."""
    warmed, asked = run.table("warmed"), run.table("settings").get("loadWarm")
    events = [event for event in run.events if event.name == "environments.warmed"]
    if not warmed:
        if asked is not None and str(asked) != "0":
            yield f"warmed is missing, setting loadWarm is {asked!r}"
        if events:
            yield "an event says that environments were warmed, run.json does not"
        return
    for key in ("wanted", "environments", "requests", "sessions"):
        value = warmed.get(key)
        if not is_count(value) and not (key == "environments" and value is None):
            yield f"warmed says {key} {value!r}"
    if len(events) != 1 or events[0].t_s > 0 or any(events[0].fields.get(key) != warmed[key] for key in warmed):
        yield "what was warmed is not what the event environments.warmed says"


def _listed(run: Run, key: str) -> list[object]:
    value = run.meta.get(key)
    return list(value) if isinstance(value, list) else []


def _same(run: Run) -> Iterator[str]:
    """Settings against what run.json says they came to."""
    settings, function, reshard = run.table("settings"), run.table("function"), run.table("reshard")
    first = {} if run.table("cycles") else {"shardCount": ("reshard.from", reshard.get("from"))}
    timeout_s = number(function.get("timeout_s"))
    pairs: Mapping[str, tuple[str, object]] = {
        **first,
        "loadScale": ("scale", run.meta.get("scale")),
        "loadCompress": ("compress", run.meta.get("compress")),
        "loadTasks": ("workers", run.meta.get("workers")),
        "loadConnection": ("connection", run.meta.get("connection")),
        "functionTimeout": ("function.timeout_s", function.get("timeout_s")),
        "functionMemory": ("function.memory_mb", function.get("memory_mb")),
    }
    for setting, (key, value) in pairs.items():
        if setting in settings and value is not None and not _equal(settings[setting], value):
            yield f"setting {setting} is {settings[setting]!r}, {key} {value!r}"
    name = mapping(run.meta.get("profile")).get("name")
    if "loadProfile" in settings and PurePath(str(settings["loadProfile"])).stem != name:
        yield f"setting loadProfile is {settings['loadProfile']!r}, the profile that ran {name!r}"
    limit_s = run.number("time_limit_s")
    if "functionTimeout" in settings and not math.isnan(timeout_s) and limit_s != timeout_s + _REPLY_MARGIN_S:
        yield f"time_limit_s is {limit_s:g}, the function's {timeout_s:g} + {_REPLY_MARGIN_S:g}"
    if reshard and number(reshard.get("from")) == number(reshard.get("to")):
        yield f"reshard goes from {reshard.get('from')!r} to {reshard.get('to')!r}"


def _equal(setting: object, value: object) -> bool:
    """Whether a setting, which may be a text, is a value."""
    if setting == value:
        return True
    try:
        alike = float(str(setting)) == float(str(value))
    except ValueError:
        return False
    return alike
