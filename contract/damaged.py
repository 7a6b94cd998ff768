"""Lines of CSV, and JSON, from files that may be cut off or edited: what is whole is read, and the rest is named.

Every function takes the list of sentences in which damage is told, and appends to it.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

Json = Mapping[str, Any]


def json_object(path: Path, damage: list[str], missing: str | None) -> Json | None:
    """A file's one JSON object; None if there is none, told by `missing` if the file itself is."""
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        if missing:
            damage.append(missing)
        return None
    except (json.JSONDecodeError, RecursionError) as error:
        damage.append(f"{path.name} is not readable as JSON ({error})")
        return None
    if not isinstance(value, dict):
        damage.append(f"{path.name} holds {type(value).__name__}, not an object")
        return None
    return cast("Json", value)


def json_lines(path: Path, damage: list[str], missing: str | None, containing: bytes = b"") -> Iterator[Json]:
    """The objects of a JSON-lines file, only of lines with `containing` in them."""
    if not path.exists():
        if missing:
            damage.append(missing)
        return
    wrong: list[int] = []
    with path.open("rb") as stream:
        for place, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                damage.append(f"{path.name}: the last line was cut off and is left out")
                continue
            if containing not in line or line.isspace():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                yield cast("Json", value)
            else:
                wrong.append(place)
    say_wrong(path.name, wrong, damage)


def whole_lines(stream: BinaryIO, name: str, damage: list[str]) -> Iterator[bytes]:
    """The whole lines of a file that is appended to; a last line without its end was cut off."""
    for line in stream:
        if line.endswith(b"\n"):
            yield line.rstrip(b"\r\n")
        else:
            damage.append(f"{name}: the last line was cut off and is left out")


def csv_fields(path: Path, expected: Sequence[str], damage: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The column names first (line 1), then the fields of each line that has as many; the others are counted."""
    wrong: list[int] = []
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        lines = (
            csv.reader(_decoded_lines(path, damage), quoting=csv.QUOTE_NONE)
            if _is_cut_off(path)
            else csv.reader(stream, quoting=csv.QUOTE_NONE)
        )
        names = [name.strip() for name in next(lines, [])]
        lacking = [name for name in expected if name not in names]
        if lacking:
            said = f"no column {', '.join(lacking)}; the file is left out" if names else "is empty"
            damage.append(f"{path.name}: {said}" if names else f"{path.name} {said}")
            return
        yield 1, names
        width = len(names)
        try:
            for place, fields in enumerate(lines, start=2):
                if len(fields) == width:
                    yield place, fields
                else:
                    wrong.append(place)
        except csv.Error as error:
            damage.append(f"{path.name}: reading ended at line {lines.line_num} ({error})")
    say_wrong(path.name, wrong, damage)


def _is_cut_off(path: Path) -> bool:
    """Whether the last line of a file that is appended to has no end."""
    with path.open("rb") as stream:
        if not stream.seek(0, 2):
            return False
        stream.seek(-1, 2)
        return stream.read(1) != b"\n"


def _decoded_lines(path: Path, damage: list[str]) -> Iterator[str]:
    with path.open("rb") as stream:
        for line in whole_lines(stream, path.name, damage):
            yield line.decode("utf-8", "replace")


def csv_rows(path: Path, expected: Sequence[str], damage: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and fields by column name of each usable line."""
    lines = csv_fields(path, expected, damage)
    _, names = next(lines, (1, []))
    for place, fields in lines:
        yield place, dict(zip(names, fields, strict=True))


def say_wrong(name: str, wrong: Sequence[int], damage: list[str]) -> None:
    """Tell the numbers of lines that could not be read."""
    if wrong:
        shown = ", ".join(str(place) for place in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        damage.append(f"{name}: {len(wrong)} unreadable line(s) left out (line {shown})")


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
