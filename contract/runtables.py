"""The large files of a run folder as columns: seconds.csv, latency.hlog, arrivals.csv; `runread` reads the rest.

Every function takes the list of sentences in which damage is told, and appends to it. A file that was made to harm is
read up to limits that no honest run reaches.
"""

import itertools
import math
import operator
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, overload

import numpy as np
import numpy.typing as npt

from contract import hdrread, runfolder
from contract.damaged import Wrong, csv_fields, floats, whole_lines
from contract.files import UnusableFileError
from contract.runfolder import COUNTS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_SECONDS = 3 * 24 * 3600
"""Rows of seconds.csv."""
MOST_ARRIVALS = 1_500_000
"""Rows of arrivals.csv; the original's whole load is 927,000."""
MOST_CAUSES = 200
"""Different causes of failure in a run, and different outcomes of its single arrivals."""
MOST_TIME = 1e9
"""A time in arrivals.csv: seconds from the start, or microseconds of one timing; a larger one is unknown."""
_MOST_COUNT = 1 << 40
_LONGEST_CAUSE = 100
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


class _SecondsRows:
    """The rows of seconds.csv as they are read, and what is wrong with them."""

    def __init__(self, last_s: float) -> None:
        self._last_s = last_s
        self.numbers = array("q")  # the columns of one row after the other, without `cold`
        self.cold = array("d")
        self.causes: dict[int, dict[str, int]] = {}
        self.wrong = Wrong()
        self.jumped = Wrong()
        self._named: set[str] = set()
        self._without_causes: dict[str, int] = {}

    def add(self, place: int, fields: Sequence[str]) -> None:
        """One line: t_s, phase, the counts, cold, causes."""
        *texts, cold_text, causes_text = fields
        try:
            numbers = [int(text) for text in texts]
            cold = float(int(cold_text)) if cold_text else math.nan
            causes = self._parse_causes(causes_text) if causes_text else self._without_causes
        except (ValueError, OverflowError):
            self.wrong.add(place)
            return
        if not 0 <= numbers[0] <= self._last_s or min(numbers) < 0 or cold < 0 or max(numbers) > _MOST_COUNT:
            self.jumped.add(place)
            return
        if causes:
            self.causes[len(self.cold)] = causes
        self.numbers.extend(numbers)
        self.cold.append(cold)

    def _parse_causes(self, text: str) -> dict[str, int]:
        causes: dict[str, int] = {}
        for part in text.split(maxsplit=MOST_CAUSES):
            name, _, count = part.rpartition(":")
            if not name or len(name) > _LONGEST_CAUSE:
                raise ValueError(f"no cause in {part[:50]!r}")
            causes[name] = causes.get(name, 0) + int(count)
        if len(self._named | causes.keys()) > MOST_CAUSES or max(causes.values(), default=0) > _MOST_COUNT:
            raise ValueError(f"more than {MOST_CAUSES} causes")
        self._named |= causes.keys()
        return causes


def read_seconds(path: Path, last_s: float, damage: list[str]) -> Seconds:
    """seconds.csv; no row may be later than `last_s`."""
    rows = _SecondsRows(last_s)
    try:
        lines = csv_fields(path, runfolder.SECONDS_COLUMNS, damage)
        _, names = next(lines, (1, list(runfolder.SECONDS_COLUMNS)))
        pick = operator.itemgetter(*(names.index(name) for name in runfolder.SECONDS_COLUMNS))
        for place, fields in lines:
            if len(rows.cold) >= MOST_SECONDS:
                damage.append(f"{path.name}: reading ended at line {place}: a run has at most {MOST_SECONDS:,} seconds")
                break
            rows.add(place, pick(fields))
    except FileNotFoundError:
        damage.append("seconds.csv is missing: nothing is known of what was offered and delivered")
    except UnusableFileError as error:
        damage.append(f"{path.name} {error}")
    rows.wrong.say(path.name, damage)
    table = np.array(rows.numbers, dtype=np.int64).reshape(-1, 2 + len(COUNTS))
    t_s, first = np.unique(table[:, 0], return_index=True)
    repeated = len(table) - len(t_s)
    if repeated:
        damage.append(f"{path.name}: {repeated} second(s) come twice, the first of each is read")
    if rows.jumped.count:
        damage.append(
            f"{path.name}: {rows.jumped.count} line(s) lie outside the run or hold impossible numbers "
            f"(the first is line {rows.jumped.first[0]}): a clock jumped, or the file was changed"
        )
    if backwards := int((np.diff(table[:, 0]) < 0).sum()):
        damage.append(f"{path.name}: time runs backwards {backwards} time(s): a clock jumped")
    table = table[first]
    none: dict[str, int] = {}
    return Seconds(
        t_s=t_s,
        phase=table[:, 1].copy(),
        counts={name: table[:, 2 + place].copy() for place, name in enumerate(COUNTS)},
        cold=np.array(rows.cold, dtype=np.float64)[first],
        causes=[rows.causes.get(place, none) for place in first.tolist()],
    )


def histogram_lines(path: Path, damage: list[str]) -> Iterator[tuple[int, str, int, float, bytes]]:
    """The lines of latency.hlog: line number, series, second, maximum in ms, and the histogram as it stands there.

    Raises:
        FileNotFoundError: there is no file.
        UnusableFileError: it cannot be read.
    """
    wrong = Wrong()
    for place, line in enumerate(whole_lines(path, damage), start=1):
        if line.startswith((b"#", b'"')) or not line:
            continue
        try:
            tag, start_s, length_s, highest_ms, payload = line.rstrip(b"\r").split(b",", 4)
            start, length, highest = float(start_s), float(length_s), float(highest_ms)
            series = tag.decode("ascii").removeprefix("Tag=")
        except ValueError:
            wrong.add(place)
            continue
        if start.is_integer() and length == 1:
            yield place, series, int(start), highest, payload
        else:
            wrong.add(place)
    wrong.say(path.name, damage)


def read_latency(path: Path, series: Sequence[str], t_s: Ints, damage: list[str]) -> dict[str, hdrread.Histograms]:
    """latency.hlog: the histograms of each series, a row for each of the seconds `t_s`."""
    row_of = {int(second): place for place, second in enumerate(t_s)}
    budget = hdrread.Allowance(path.lstat().st_size if path.exists() else 0)
    decoders = {name: hdrread.Decoder(budget) for name in series}
    maxima = {name: (array("q"), array("d")) for name in series}
    wrong = Wrong()
    strays = unnamed = 0
    try:
        for place, name, second, highest_ms, payload in histogram_lines(path, damage):
            if name not in decoders:
                unnamed += 1
                continue
            try:
                counters = hdrread.unwrap(payload)
            except hdrread.PayloadError:
                wrong.add(place)
                continue
            if second in row_of:
                decoders[name].add(place, row_of[second], counters)
                maxima[name][0].append(row_of[second])
                maxima[name][1].append(highest_ms)
            else:
                strays += 1
        histograms = {name: decoder.finish(len(t_s)) for name, decoder in decoders.items()}
    except FileNotFoundError:
        damage.append("latency.hlog is missing: no latencies are known")
        return _no_latencies(series, len(t_s))
    except (UnusableFileError, hdrread.TooMuchError) as error:
        damage.append(f"{path.name} {error}; no latencies are known")
        return _no_latencies(series, len(t_s))
    for place in sorted(place for decoder in decoders.values() for place in decoder.wrong):
        wrong.add(place)
    wrong.say(path.name, damage)
    other = sum(_other_maxima(histograms[name], *maxima[name]) for name in series)
    damage += [
        f"{path.name}: {count} histogram(s) {what}"
        for count, what in (
            (strays, "of seconds that seconds.csv does not hold are left out"),
            (unnamed, "of series that run.json does not name are left out"),
            (other, "have another highest value than their line names"),
        )
        if count
    ]
    return histograms


def _other_maxima(histograms: hdrread.Histograms, rows: Sequence[int], highest_ms: Sequence[float]) -> int:
    """How many lines name another maximum than their histogram holds: one of the two was changed."""
    held_ms = histograms.per_row(1.0)[np.array(rows, dtype=np.int64)] / 1000
    return int((~(np.abs(held_ms - np.array(highest_ms)) < _MS_WRITTEN)).sum())


def _no_latencies(series: Sequence[str], row_count: int) -> dict[str, hdrread.Histograms]:
    return {name: hdrread.build([], [], row_count) for name in series}


class _ArrivalRows:
    """The rows of arrivals.csv as they are read, column by column."""

    def __init__(self, numeric: Sequence[str]) -> None:
        self._numeric = numeric
        self.columns = {name: array("d") for name in numeric}
        self.outcome = array("H")
        self.outcomes: dict[str, int] = {}
        self.wrong = Wrong()

    def add(self, names: Sequence[str], chunk: Sequence[tuple[int, list[str]]]) -> None:
        """Some lines, whose fields are in the order of `names`."""
        by_name = dict(zip(names, zip(*(fields for _, fields in chunk), strict=True), strict=True))
        columns = np.array([floats(by_name[name]) for name in self._numeric])
        columns[np.abs(columns) > MOST_TIME] = np.nan
        outcome = [self._outcome(name) for name in by_name["outcome"]]
        known = np.isfinite(columns[0]) & (np.array(outcome) < MOST_CAUSES)
        for place in np.flatnonzero(~known).tolist():
            self.wrong.add(chunk[place][0])
        for name, column in zip(self._numeric, columns, strict=True):
            self.columns[name].frombytes(column[known].tobytes())
        self.outcome.frombytes(np.array(outcome, dtype=np.uint16)[known].tobytes())

    def _outcome(self, name: str) -> int:
        """The outcome's number; those after the first `MOST_CAUSES` share one, and are no outcomes."""
        if len(self.outcomes) < MOST_CAUSES and len(name) <= _LONGEST_CAUSE:
            return self.outcomes.setdefault(name, len(self.outcomes))
        return self.outcomes.get(name, MOST_CAUSES)


def read_arrivals(path: Path, timings: Sequence[str], damage: list[str]) -> Arrivals:
    """arrivals.csv, read in chunks: around a long reshard there may be most of a million lines."""
    header = runfolder.arrivals_columns(timings)
    figures = header[len(runfolder.ARRIVALS_COLUMNS) :]
    rows = _ArrivalRows(("planned_s", *(name for name in header if name not in ("planned_s", "outcome"))))
    try:
        lines = csv_fields(path, header, damage)
        _, names = next(lines, (1, []))
        while chunk := list(itertools.islice(lines, _CHUNK)):
            rows.add(names, chunk)
            if len(rows.outcome) > MOST_ARRIVALS:
                damage.append(f"{path.name}: reading ended at line {chunk[-1][0]}: at most {MOST_ARRIVALS:,} are read")
                break
    except FileNotFoundError:
        pass  # a run without events keeps no single arrivals
    except UnusableFileError as error:
        damage.append(f"{path.name} {error}")
    rows.wrong.say(path.name, damage)
    planned = np.array(rows.columns["planned_s"], dtype=np.float64)
    backwards = int((np.diff(planned) < 0).sum())
    if backwards:
        damage.append(f"{path.name}: time runs backwards {backwards} time(s)")
    order = np.argsort(planned, kind="stable") if backwards else np.arange(len(planned))
    column = {name: np.array(rows.columns.pop(name), dtype=np.float64)[order] for name in list(rows.columns)}
    outcome = np.array(rows.outcome, dtype=np.uint16)[order]
    return Arrivals(
        k=column["k"],
        planned_s=column["planned_s"],
        sent_s=column["sent_s"],
        done_s=column["done_s"],
        ok=outcome == rows.outcomes.get("ok", MOST_CAUSES),
        outcome=_Outcomes(list(rows.outcomes), outcome),
        scenario=column["scenario"],
        cold=column["cold"],
        redirects=column["redirects"],
        retries=column["retries"],
        timings_us={timing: column[name] for timing, name in zip(timings, figures, strict=True)},
    )


class _Outcomes(Sequence[str]):
    """The outcome of each arrival, held as a number of two bytes."""

    def __init__(self, names: Sequence[str], numbers: npt.NDArray[np.uint16]) -> None:
        self._names = names
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return _Outcomes(self._names, self._numbers[place])
        return self._names[cast("int", self._numbers[place])]
