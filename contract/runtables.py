"""The large files of a run folder as columns: seconds.csv, latency.hlog, arrivals.csv; `runread` reads the rest.

Every function takes the list of sentences in which damage is told, and appends to it.
"""

import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contract import hdrread, runfolder
from contract.damaged import csv_fields, csv_rows, floats, say_wrong, whole_lines
from contract.runfolder import COUNTS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CHUNK = 50_000
_MS_WRITTEN = 0.00051  # a line of latency.hlog names its maximum in ms with three decimals


@dataclass(frozen=True)
class Seconds:
    """seconds.csv by column, ascending in time, each second once.

    `cold` is NaN in a second whose replies did not say whether their environment was cold.
    """

    t_s: Ints
    phase: Ints
    counts: Mapping[str, Ints]
    cold: Floats
    causes: Sequence[Mapping[str, int]]

    def __len__(self) -> int:
        return len(self.t_s)

    def __getitem__(self, name: str) -> Ints:
        return self.counts[name]


@dataclass(frozen=True)
class Arrivals:
    """arrivals.csv by column, ascending in planned time; NaN where a field is unknown. `timings_us` by name."""

    k: Floats
    planned_s: Floats
    sent_s: Floats
    done_s: Floats
    ok: npt.NDArray[np.bool_]
    outcome: Sequence[str]
    scenario: Floats
    cold: Floats
    redirects: Floats
    retries: Floats
    timings_us: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.planned_s)


def read_seconds(path: Path, last_s: float, damage: list[str]) -> Seconds:
    """seconds.csv; no row may be later than `last_s`."""
    rows: dict[int, tuple[list[int], float, Mapping[str, int]]] = {}
    wrong: list[int] = []
    repeated: list[int] = []
    jumped: list[int] = []
    previous = -1
    backwards = 0
    for place, row in csv_rows(path, runfolder.SECONDS_COLUMNS, damage) if path.exists() else ():
        try:
            numbers = [int(row["t_s"]), int(row["phase"]), *(int(row[name]) for name in COUNTS)]
            cold = float(int(row["cold"])) if row["cold"] else math.nan
            causes = _parse_causes(row["causes"])
        except ValueError:
            wrong.append(place)
            continue
        second = numbers[0]
        backwards += second < previous
        previous = second
        if not 0 <= second <= last_s or min(numbers) < 0 or cold < 0 or max(numbers) > 1 << 40:
            jumped.append(place)
        elif second in rows:
            repeated.append(place)
        else:
            rows[second] = (numbers, cold, causes)
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
        cold=np.array([rows[second][1] for second in order], dtype=np.float64),
        causes=[rows[second][2] for second in order],
    )


def _parse_causes(text: str) -> dict[str, int]:
    causes: dict[str, int] = {}
    for part in text.split():
        name, _, count = part.rpartition(":")
        if not name:
            raise ValueError(f"no cause in {part!r}")
        causes[name] = causes.get(name, 0) + int(count)
    return causes


def histogram_lines(path: Path, damage: list[str]) -> Iterator[tuple[int, str, int, float, bytes]]:
    """The lines of latency.hlog: line number, series, second, maximum in ms, and the histogram as it stands there."""
    wrong: list[int] = []
    with path.open("rb") as stream:
        for place, line in enumerate(whole_lines(stream, path.name, damage), start=1):
            if line.startswith((b"#", b'"')) or not line:
                continue
            try:
                tag, start_s, length_s, highest_ms, payload = line.split(b",", 4)
                start, length, highest = float(start_s), float(length_s), float(highest_ms)
                series = tag.decode("ascii").removeprefix("Tag=")
            except ValueError:
                wrong.append(place)
                continue
            if start.is_integer() and length == 1:
                yield place, series, int(start), highest, payload
            else:
                wrong.append(place)
    say_wrong(path.name, wrong, damage)


def read_latency(path: Path, series: Sequence[str], t_s: Ints, damage: list[str]) -> dict[str, hdrread.Histograms]:
    """latency.hlog: the histograms of each series, a row for each of the seconds `t_s`."""
    rows: dict[str, list[int]] = {name: [] for name in series}
    payloads: dict[str, list[bytes]] = {name: [] for name in series}
    highest_ms: dict[str, list[float]] = {name: [] for name in series}
    row_of = {int(second): place for place, second in enumerate(t_s)}
    wrong: list[int] = []
    strays = unnamed = 0
    if not path.exists():
        damage.append("latency.hlog is missing: no latencies are known")
    else:
        for place, name, second, highest, payload in histogram_lines(path, damage):
            if name not in rows:
                unnamed += 1
                continue
            try:
                counters = hdrread.unwrap(payload)
            except ValueError:
                wrong.append(place)
                continue
            if second in row_of:
                rows[name].append(row_of[second])
                payloads[name].append(counters)
                highest_ms[name].append(highest)
            else:
                strays += 1
    say_wrong(path.name, wrong, damage)
    if strays:
        damage.append(f"{path.name}: {strays} histogram(s) of seconds that seconds.csv does not hold are left out")
    if unnamed:
        damage.append(f"{path.name}: {unnamed} histogram(s) of series that run.json does not name are left out")
    latency = {name: hdrread.build(rows[name], payloads[name], len(t_s)) for name in series}
    other = sum(_other_maxima(latency[name], rows[name], highest_ms[name]) for name in series)
    if other:
        damage.append(f"{path.name}: {other} histogram(s) whose highest value is not the one that their line names")
    return latency


def _other_maxima(histograms: hdrread.Histograms, rows: Sequence[int], highest_ms: Sequence[float]) -> int:
    """How many lines name another maximum than their histogram holds: one of the two was changed."""
    found_ms = histograms.per_row(1.0)[np.array(rows, dtype=np.int64)] / 1000
    return int((~(np.abs(found_ms - np.array(highest_ms)) < _MS_WRITTEN)).sum())


def read_arrivals(path: Path, timings: Sequence[str], damage: list[str]) -> Arrivals:
    """arrivals.csv, read in chunks: around a long reshard there may be most of a million lines."""
    header = runfolder.arrivals_columns(timings)
    numeric = tuple(name for name in header if name != "outcome")
    chunks: list[Floats] = [np.zeros((0, len(numeric)))]
    outcomes: list[str] = []
    wrong: list[int] = []
    if path.exists():
        lines = csv_fields(path, header, damage)
        _, names = next(lines, (1, []))
        while chunk := list(itertools.islice(lines, _CHUNK)):
            by_name = dict(zip(names, zip(*(fields for _, fields in chunk), strict=True), strict=True))
            columns = np.array([floats(by_name[name]) for name in numeric]).T
            known = np.isfinite(columns[:, 1])
            wrong += [chunk[place][0] for place in np.flatnonzero(~known)]
            chunks.append(columns[known])
            outcomes += [sys.intern(by_name["outcome"][place]) for place in np.flatnonzero(known)]
    say_wrong(path.name, wrong, damage)
    table = np.concatenate(chunks)
    if backwards := int((np.diff(table[:, 1]) < 0).sum()):
        damage.append(f"{path.name}: time runs backwards {backwards} time(s)")
    order = np.argsort(table[:, 1], kind="stable")
    k, planned, sent, done, scenario, cold, redirects, retries, *figures = table[order].T
    sorted_outcomes = [outcomes[place] for place in order]
    ok = np.array([outcome == "ok" for outcome in sorted_outcomes], dtype=np.bool_)
    timings_us = dict(zip(timings, figures, strict=True))
    return Arrivals(k, planned, sent, done, ok, sorted_outcomes, scenario, cold, redirects, retries, timings_us)
