"""Run folders that were made to harm whoever reads them: to exhaust memory or time, to hang, to be written through.

Each takes a small whole run and spoils one of its files with up to `size` bytes. The tests make them small and ask what
the report says; `python -m benchmarks.hostile` makes them as bad as 50 MB allow, and measures.
"""

import base64
import itertools
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract import runfolder
from contract.hdrread import COUNTERS, most_counters
from tools import synthetic

PLAIN = synthetic.Synthetic(
    phases=(("One", 60, 10, 30), ("Two", 20, 30, 30), ("Three", 60, 10, 30)),
    moves=(synthetic.Planted("sham", 12, 10, 40), synthetic.Planted("real", 92, 10, 140)),
)
Spoil = Callable[[Path, int], None]


def plain(folder: Path) -> Path:
    """A small whole run, to be spoiled."""
    return synthetic.write(folder, PLAIN)


def _append(path: Path, size: int, lines: Iterable[bytes]) -> None:
    """Append whole lines up to `size` bytes."""
    with path.open("ab") as stream:
        written = 0
        for line in lines:
            written += len(line)
            if written > size:
                return
            stream.write(line)


def _again(line: str) -> Iterable[bytes]:
    return itertools.repeat(line.encode())


def histogram(counters: bytes) -> bytes:
    """A payload with these encoded counters, whole as far as its headers go."""
    header = struct.pack(">IIIIQQd", 0x1C849303, len(counters), 0, 3, 1, 120_000_000, 1.0)
    packed = zlib.compress(header + counters, 9)
    return base64.b64encode(struct.pack(">II", 0x1C849304, len(packed)) + packed)


def _number(value: int) -> bytes:
    """ZigZag LEB128."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


SERIES = ("response", "service", "lag", "connection", "write", "read")


_ONES = histogram(b"\x02" * COUNTERS)


def _histograms(*payloads: bytes, second: str = "turn", series: tuple[str, ...] = SERIES) -> Spoil:
    """The payloads in turn as lines of latency.hlog: of each second in turn, or all of one."""

    def spoil(run: Path, size: int) -> None:
        lines = (
            b"Tag=%s,%d,1,1,%s\n"
            % (
                series[place % len(series)].encode(),
                place // len(series) % 140 if second == "turn" else 5,
                payloads[place % len(payloads)],
            )
            for place in itertools.count()
        )
        _append(run / runfolder.LATENCY, size, lines)

    return spoil


def _incompressible(run: Path, size: int) -> None:
    """Histograms with every counter in use, as dense as zlib allows."""
    random = np.random.default_rng(1)
    payloads = [histogram(bytes(random.integers(1, 64, COUNTERS, dtype=np.uint8) * 2)) for _ in range(20)]
    _histograms(*payloads)(run, size)


def _all_that_is_read(run: Path, size: int) -> None:
    """As many counters of one series as a file of this size may hold; comments fill the file."""
    _many_seconds(run, 100_000)
    path = run / runfolder.LATENCY
    count = (most_counters(path.stat().st_size + size) - 1_000_000) // COUNTERS
    _append(path, size, (b"Tag=response,%d,1,1,%s\n" % (second, _ONES) for second in range(140, 140 + count)))
    _append(path, size - count * (len(_ONES) + 30), _again("#" * 1023 + "\n"))


def _changed(**keys: Any) -> Spoil:
    """Other keys in run.json, whatever they are."""

    def spoil(run: Path, size: int) -> None:
        meta = json.loads((run / runfolder.RUN).read_text())
        meta |= {key: value(size) if callable(value) else value for key, value in keys.items()}
        (run / runfolder.RUN).write_text(json.dumps(meta))

    return spoil


def _raw(key: str, value: Callable[[int], str]) -> Spoil:
    """One more key of run.json, as this text."""

    def spoil(run: Path, size: int) -> None:
        text = (run / runfolder.RUN).read_text().rstrip().removesuffix("}")
        (run / runfolder.RUN).write_text(f'{text}, "{key}": {value(size)}}}')

    return spoil


def _lines(name: str, line: Callable[[int], Mapping[str, Any] | str]) -> Spoil:
    """Lines appended to a file: objects of JSON, or texts."""

    def spoil(run: Path, size: int) -> None:
        made = (line(place) for place in itertools.count())
        texts = (text if isinstance(text, str) else json.dumps(text, separators=(",", ":")) for text in made)
        _append(run / name, size, (text.encode() + b"\n" for text in texts))

    return spoil


def _moves(kind: str, *, cycle: bool, every_s: float) -> Spoil:
    """As many moves as fit into events.jsonl."""

    def spoil(run: Path, size: int) -> None:
        inner = "slots" if kind == "real" else "sham.slots"
        fields = f',"cycle":0,"kind":"{kind}","direction":"%d->%d"' if cycle else ""
        lines: list[bytes] = []
        for place in range(min(size // 100, 20_000)):
            more = fields % (place, place + 1) if cycle else ""
            for at, event in ((0.0, "started"), (every_s / 2, "finished")):
                lines.append(f'{{"t_s":{place * every_s + at},"event":"{inner}.{event}"{more}}}\n'.encode())
        _append(run / runfolder.EVENTS, size, lines)

    return spoil


def _many_seconds(run: Path, size: int) -> None:
    """A run of 30 days, as far as it fits."""
    _changed(duration_s=30 * 86_400)(run, size)
    _lines(runfolder.SECONDS, lambda place: f"{140 + place},0,9,9,9,0,0,0,0,0,0,0,")(run, size)


def _many_arrivals(run: Path, size: int) -> None:
    """Single arrivals of as few bytes as can be, all at one time, with 300 moves around it."""
    _moves("real", cycle=True, every_s=0.002)(run, 60_000)
    _lines(runfolder.ARRIVALS, lambda _: "1,.1,,9,ok,,,,,,,")(run, size)


def _many_phases(run: Path, size: int) -> None:
    phase = {"name": "p", "start_s": 0, "duration_s": 9, "rate_from": 1, "rate_to": 1, "arrivals": 9}
    _changed(profile={"phases": [phase] * min(20_000, size // 90)})(run, size)
    rows = (run / runfolder.SECONDS).read_text().splitlines()
    mixed = [",".join([row.split(",")[0], str(place % 500), *row.split(",")[2:]]) for place, row in enumerate(rows[1:])]
    (run / runfolder.SECONDS).write_text("\n".join([rows[0], *mixed]) + "\n")


def _instead(name: str, make: Callable[[Path], object]) -> Spoil:
    """Something else in a file's place."""

    def spoil(run: Path, _size: int) -> None:
        (run / name).unlink(missing_ok=True)
        make(run / name)

    return spoil


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(100 << 30)


def _everything(run: Path, size: int) -> None:
    """A part of each of the worst at once: half of the bytes for histograms, most of the rest for the nodes' lines."""
    for spoil, share in (
        (_all_that_is_read, 0.45), (FOLDERS["server.jsonl: wide lines"], 0.25), (_many_arrivals, 0.2),
        (FOLDERS["events.jsonl: many"], 0.05), (FOLDERS["metrics.jsonl: many things"], 0.05),
    ):  # fmt: skip
        spoil(run, int(size * share))


FOLDERS: dict[str, Spoil] = {
    "latency.hlog: payloads of 100 MB": _histograms(histogram(bytes(100_000_000))),
    "latency.hlog: every counter in use": _histograms(_ONES),
    "latency.hlog: every counter, incompressible": _incompressible,
    "latency.hlog: every counter of one series": _histograms(_ONES, series=("response",)),
    "latency.hlog: all the counters that are read": _all_that_is_read,
    "latency.hlog: counters that are zero": _histograms(histogram(b"\0" * COUNTERS)),
    "latency.hlog: one second again and again": _histograms(_ONES, second="one"),
    "latency.hlog: counts of 2^32": _histograms(histogram(_number(2**32 - 1) * 1000)),
    "latency.hlog: counts of 2^60": _histograms(histogram(_number(2**60) * 1000)),
    "latency.hlog: runs of zeros": _histograms(histogram(_number(-(2**33)) * 5000 + b"\x02")),
    "latency.hlog: one line": lambda run, size: _append(run / runfolder.LATENCY, size, [b"A" * (size - 1)]),
    "latency.hlog: blank lines": lambda run, size: _append(run / runfolder.LATENCY, size, _again("\n" * 4096)),
    "seconds.csv: 30 days": _many_seconds,
    "seconds.csv: one second again and again": _lines(runfolder.SECONDS, lambda _: "5,0,9,9,9,0,0,0,0,0,0,0,"),
    "seconds.csv: as many causes as fit": _lines(
        runfolder.SECONDS,
        lambda place: f"{place % 140},0,9,9,9,0,0,0,0,0,0,0," + " ".join(f"c{place}_{n}:1" for n in range(5000)),
    ),
    "seconds.csv: integers of 400 digits": _lines(runfolder.SECONDS, lambda _: "5," * 11 + "9" * 400 + ","),
    "seconds.csv: commas": _lines(runfolder.SECONDS, lambda _: "," * 100_000),
    "events.jsonl: 20,000 shams": _moves("sham", cycle=False, every_s=0.005),
    "events.jsonl: 20,000 moves": _moves("real", cycle=False, every_s=0.005),
    "events.jsonl: 20,000 cycles": _moves("real", cycle=True, every_s=0.005),
    "events.jsonl: many": _lines(runfolder.EVENTS, lambda _: {"t_s": 0, "event": "worker.lost"}),
    "events.jsonl: long texts": _lines(runfolder.EVENTS, lambda _: {"t_s": 0, "event": "x", "error": "e" * 100_000}),
    "events.jsonl: nested deeply": _lines(runfolder.EVENTS, lambda _: "[" * 60_000 + "]" * 60_000),
    "events.jsonl: nested widely": _lines(
        runfolder.EVENTS, lambda _: '{"t_s":0,"event":"x","a":[' + "[]," * 30_000 + "[]]}"
    ),
    "run.json: 20,000 phases": _many_phases,
    "run.json: an integer of 400 digits": _raw("time_limit_s", lambda _: "9" * 400),
    "run.json: an integer of 5,000 digits": _raw("time_limit_s", lambda _: "9" * 5000),
    "run.json: numbers that are none": _changed(
        time_limit_s=float("inf"), duration_s=float("nan"), late_threshold_ms=1e300, scale=1e308, machine=float("nan")
    ),
    "run.json: nested 400 deep": _raw("clock", lambda _: "[" * 400 + "]" * 400),
    "run.json: nested 100,000 deep": _raw("clock", lambda _: "[" * 100_000 + "]" * 100_000),
    "run.json: 4 MB of empty lists": _raw("settings", lambda size: "[" + "[]," * (min(size, 4_000_000) // 3) + "[]]"),
    "run.json: 50 MB": _changed(command=lambda size: "c" * size),
    "run.json: halves of characters": _changed(command="\ud800", id="\udfff", host={"\ud800": "\ud800"}),
    "run.json: names of workers": _changed(
        clock=lambda size: {f"w{n}": {"offset_ms": n} for n in range(min(size // 40, 90_000))}
    ),
    "run.json: timings": _changed(timings=lambda size: [f"t{n}" for n in range(min(size // 8, 400_000))]),
    "run.json: gates": _changed(gates=["failed+" * 60 + "failed == 0"] * 200),
    "server.jsonl: wide lines": _lines(
        runfolder.SERVER,
        lambda place: {"node": "machine", "t_s": place % 140} | {f"{n}": 1.5 for n in range(38)},
    ),
    "server.jsonl: many nodes": _lines(
        runfolder.SERVER,
        lambda n: {"node": f"{n}", "shard": n, "t_s": n % 140, "role": "primary", "group": "application", "keys": n},
    ),
    "server.jsonl: empty objects": _lines(runfolder.SERVER, lambda _: "{}"),
    "function.jsonl: environments": _lines(
        runfolder.FUNCTION, lambda place: {"type": "environments", "t_s": place % 140, "count": 1}
    ),
    "function.jsonl: blank lines": lambda run, size: _append(run / runfolder.FUNCTION, size, _again("\n" * 4096)),
    "failures.jsonl: as many causes as fit": _lines(runfolder.FAILURES, lambda n: {"t_s": 0, "cause": f"{n}"}),
    "arrivals.csv: many": _many_arrivals,
    "arrivals.csv: as many outcomes as fit": _lines(runfolder.ARRIVALS, lambda n: f"1,{n % 140},,9,{n},,,,,,,"),
    "arrivals.csv: times of 1e308": _lines(
        runfolder.ARRIVALS, lambda n: f"1,{n % 140},1e308,-1e308,ok,,,,,1e308,nan,inf"
    ),
    "metrics.jsonl: many things": _lines(
        runfolder.METRICS,
        lambda n: {
            "t_s": n % 140, "namespace": "AWS/ElastiCache", "metric": "CPUUtilization", "value": 1,
            "dimensions": {"CacheClusterId": f"{n}"},
        },
    ),
    "audit.json: counts of 1e308": _instead(
        runfolder.AUDIT,
        lambda path: path.write_text(
            '{"complete": true, "acknowledged": 1e308, "checked": 1e999, "missing": -1, "different": "x"}'
        ),
    ),
    "everything at once": _everything,
    "seconds.csv is a pipe": _instead(runfolder.SECONDS, os.mkfifo),
    "run.json is a pipe": _instead(runfolder.RUN, os.mkfifo),
    "function.jsonl is a pipe": _instead(runfolder.FUNCTION, os.mkfifo),
    "latency.hlog is /dev/zero": _instead(runfolder.LATENCY, lambda path: path.symlink_to("/dev/zero")),
    "audit.json is /dev/zero": _instead(runfolder.AUDIT, lambda path: path.symlink_to("/dev/zero")),
    "failures.jsonl is a link": _instead(runfolder.FAILURES, lambda path: path.symlink_to("/etc/passwd")),
    "events.jsonl is a folder": _instead(runfolder.EVENTS, Path.mkdir),
    "arrivals.csv is 100 GB of nothing": _instead(runfolder.ARRIVALS, _sparse),
    "server.jsonl cannot be read": lambda run, _: (run / runfolder.SERVER).chmod(0),
}  # fmt: skip
