"""Lines of CSV, and JSON, from files that may be cut off, edited or made to harm.

What is whole is read, and the rest is named: every function takes the list of sentences in which damage is told, and
appends to it. What is read is bounded: a file's bytes, its lines, a line's length, the depth of JSON, its numbers and
texts.
"""

import csv
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from contract.files import UnusableFileError, open_regular

Json = Mapping[str, Any]
Scalar = str | int | float | bool | None

MOST_FILE_BYTES = 4 << 30
"""Of a file that grows with the run; each of its lines is read by itself."""
MOST_JSON_BYTES = 4 << 20
"""Of a file that is one JSON object: some 20 times as much in memory."""
MOST_LINE_BYTES = 128 << 10
"""The longest line is a histogram (`hdrread.MOST_TEXT_BYTES`)."""
MOST_LINES = 5_000_000
MOST_DEPTH = 20
MOST_NUMBER = 1e15
"""No time, count or size of a run is larger; a larger number is unknown."""
MOST_FIELDS, MOST_TEXT = 40, 2_000
"""Fields of one line of a JSON-lines file, and characters of a text in it."""

MOST_VALUES = 2_000_000
"""Of a JSON-lines file: in server.jsonl those of nine nodes over six hours. 160 MB in memory."""

_BLOCK = 1 << 20
_OVERLONG = b"\0"
"""Stands for a line that is too long: nobody can read it either."""


@dataclass
class Wrong:
    """Numbers of lines that could not be read: how many, and the first of them."""

    count: int = 0
    first: list[int] = field(default_factory=list[int])

    def add(self, place: int) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < 6:
            self.first.append(place)

    def say(self, name: str, damage: list[str]) -> None:
        """Tell them."""
        if self.count:
            shown = ", ".join(map(str, self.first[:5])) + (", ..." if self.count > 5 else "")
            damage.append(f"{name}: {self.count} unreadable line(s) left out (line {shown})")


def json_object(path: Path, damage: list[str], missing: str | None) -> Json | None:
    """A file's one JSON object; None if there is none, told by `missing` if the file itself is."""
    try:
        with open_regular(path, MOST_JSON_BYTES) as stream:
            value = clean(json.loads(stream.read(MOST_JSON_BYTES).decode("utf-8", "replace")))
    except FileNotFoundError:
        if missing:
            damage.append(missing)
        return None
    except UnusableFileError as error:
        damage.append(f"{path.name} {error}")
        return None
    except (ValueError, RecursionError) as error:
        damage.append(f"{path.name} is not readable as JSON ({str(error)[:200]})")
        return None
    if not isinstance(value, dict):
        damage.append(f"{path.name} holds {type(value).__name__}, not an object")
        return None
    return cast("Json", value)


def clean(value: Any, depth: int = 0) -> Any:
    """JSON without what cannot be worked with: numbers that are none or too large, halves of characters.

    Raises:
        ValueError: it is nested too deeply.
    """
    if depth > MOST_DEPTH:
        raise ValueError(f"nested more than {MOST_DEPTH} deep")
    if isinstance(value, dict):
        return {_text(key): clean(inner, depth + 1) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [clean(inner, depth + 1) for inner in cast("list[Any]", value)]
    return _scalar(value)


def _scalar(value: Scalar) -> Scalar:
    if isinstance(value, str):
        return _text(value)
    return None if isinstance(value, (int, float)) and not -MOST_NUMBER <= value <= MOST_NUMBER else value


def _text(text: str) -> str:
    """Without halves of characters, which JSON can write and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _row(line: bytes) -> dict[str, Any] | None:
    """The fields of one line: texts, numbers, short lists and objects of them."""
    try:
        row: Any = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    pairs = list(cast("dict[str, Any]", row).items())[:MOST_FIELDS]
    return {sys.intern(_text(key[:MOST_TEXT])): _short(value) for key, value in pairs}


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value[:MOST_TEXT])
    if isinstance(value, list):
        return [_short(inner) for inner in cast("list[Any]", value)[:MOST_FIELDS] if not _is_nested(inner)]
    if isinstance(value, dict):
        pairs = list(cast("dict[str, Any]", value).items())[:MOST_FIELDS]
        return {_text(key[:MOST_TEXT]): _short(inner) for key, inner in pairs if not _is_nested(inner)}
    return _scalar(value)


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, dict))


def _values(value: Any) -> int:
    """How many values a row holds; a long text counts as several."""
    if isinstance(value, dict):
        return 1 + sum(map(_values, cast("dict[str, Any]", value).values()))
    if isinstance(value, list):
        return 1 + sum(map(_values, cast("list[Any]", value)))
    return 1 + len(value) // 100 if isinstance(value, str) else 1


def json_lines(
    path: Path, damage: list[str], missing: str | None, *, containing: bytes = b"", most_values: int = MOST_VALUES
) -> Iterator[Json]:
    """The objects of a JSON-lines file, only of lines with `containing` in them, until they hold `most_values`."""
    wrong = Wrong()
    values = 0
    try:
        for place, line in enumerate(whole_lines(path, damage), start=1):
            if containing not in line or line.isspace() or not line:
                continue
            row = _row(line)
            if row is None:
                wrong.add(place)
                continue
            values += _values(row)
            if values > most_values:
                damage.append(f"{path.name}: reading ended at line {place}: it holds more than a report can")
                break
            yield row
    except FileNotFoundError:
        if missing:
            damage.append(missing)
    except UnusableFileError as error:
        damage.append(f"{path.name} {error}")
    wrong.say(path.name, damage)


def whole_lines(path: Path, damage: list[str]) -> Iterator[bytes]:
    r"""The whole lines of a file that is appended to, without `\n`; a last line without its end was cut off.

    Raises:
        FileNotFoundError: there is no file.
        UnusableFileError: it cannot be read.
    """
    with open_regular(path, MOST_FILE_BYTES) as stream:
        left = os.fstat(stream.fileno()).st_size  # what is appended meanwhile is not read
        rest, place = b"", 0
        while left > 0 and (block := stream.read(min(_BLOCK, left))):
            left -= len(block)
            lines = (rest + block).split(b"\n")
            rest = lines.pop()[: MOST_LINE_BYTES + 1]
            for line in lines:
                yield line if len(line) <= MOST_LINE_BYTES else _OVERLONG
            place += len(lines)
            if place > MOST_LINES:
                damage.append(f"{path.name}: reading ended at line {place:,}: at most {MOST_LINES:,} are read")
                return
        if rest:
            damage.append(f"{path.name}: the last line was cut off and is left out")


def csv_fields(path: Path, expected: Sequence[str], damage: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The column names first (line 1), then the fields of each line that has as many; the others are counted.

    Raises:
        FileNotFoundError: there is no file.
        UnusableFileError: it cannot be read.
    """
    wrong = Wrong()
    text = (line.decode("utf-8", "replace") for line in whole_lines(path, damage))
    lines = csv.reader(text, quoting=csv.QUOTE_NONE)
    try:
        names = [name.strip() for name in next(lines, [])]
        lacking = [name for name in expected if names.count(name) != 1]
        if lacking:
            said = f": no column {', '.join(lacking)}; the file is left out" if names else " is empty"
            damage.append(f"{path.name}{said}")
            return
        yield 1, names
        width = len(names)
        for place, fields in enumerate(lines, start=2):
            if len(fields) == width:
                yield place, fields
            else:
                wrong.add(place)
    except csv.Error as error:
        damage.append(f"{path.name}: reading ended at line {lines.line_num} ({error})")
    wrong.say(path.name, damage)


def floats(texts: Sequence[str]) -> list[float]:
    """NaN for what is empty or no number."""
    try:
        return [float(text) if text else math.nan for text in texts]
    except ValueError:
        return [_float(text) for text in texts]


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
