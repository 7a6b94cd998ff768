"""Changes to a run folder that a mistake or a forger could make, each with the check that must tell it."""

import base64
import json
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Change = Callable[[Path], None]

DURING_S = 100
"""A second in which slots move."""
CONTROL_S = 25
"""Its control second."""
QUIET_S = 60
"""A second of the phase that is not compared."""


class Mutation(NamedTuple):
    """What is changed, how, and the name of the check that fails for it."""

    what: str
    change: Change
    check: str


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def _keep(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(lines), encoding="utf-8")


def seconds(second: int, **changes: object) -> Change:
    """Change columns of a second; a function gets the old number."""

    def change(run: Path) -> None:
        path = run / "seconds.csv"
        head, *rows = _lines(path)
        names = head.strip().split(",")
        fields = rows[second].rstrip("\n").split(",")
        for name, value in changes.items():
            old = fields[names.index(name)]
            fields[names.index(name)] = str(value(int(old)) if callable(value) else value)
        rows[second] = ",".join(fields) + "\n"
        _keep(path, [head, *rows])

    return change


def more(by: int) -> Callable[[int], int]:
    """An old number, and so many more."""
    return lambda old: old + by


def most(name: str, value: object) -> Change:
    """Change a column of the second that has the most in it."""

    def change(run: Path) -> None:
        head, *lines = _lines(run / "seconds.csv")
        column = head.strip().split(",").index(name)
        counts = [int(line.split(",")[column]) for line in lines]
        assert max(counts) > 0
        seconds(counts.index(max(counts)), **{name: value})(run)

    return change


def rows(name: str, change: Callable[[list[str]], list[str]]) -> Change:
    """Change the lines of a file."""
    return lambda run: _keep(run / name, change(_lines(run / name)))


def without(name: str, pattern: str, most: int = 10**9) -> Change:
    """Drop the lines that match, at most so many."""

    def drop(lines: list[str]) -> list[str]:
        matching = [place for place, line in enumerate(lines) if re.search(pattern, line)][:most]
        assert matching, f"nothing in {name} matches {pattern}"
        return [line for place, line in enumerate(lines) if place not in set(matching)]

    return rows(name, drop)


def replaced(name: str, pattern: str, by: str, most: int = 1) -> Change:
    """Replace text of a file."""

    def change(run: Path) -> None:
        text = (run / name).read_text(encoding="utf-8")
        new, count = re.subn(pattern, by, text, count=most, flags=re.MULTILINE)
        assert count, f"nothing in {name} matches {pattern}"
        assert new != text
        (run / name).write_text(new, encoding="utf-8")

    return change


def meta(change: Callable[[dict[str, Any]], object]) -> Change:
    """Change run.json."""
    return in_json("run.json", change)


def in_json(name: str, change: Callable[[dict[str, Any]], object]) -> Change:
    """Change a JSON file."""

    def rewrite(run: Path) -> None:
        content = json.loads((run / name).read_text(encoding="utf-8"))
        change(content)
        (run / name).write_text(json.dumps(content), encoding="utf-8")

    return rewrite


def put(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Set a key, at any depth."""

    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def remove(*path: str) -> Callable[[dict[str, Any]], None]:
    """Remove a key, at any depth."""

    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def arrival(second: int, **changes: object) -> Change:
    """Change columns of the first row of a second in arrivals.csv; a function gets the old text."""

    def change(lines: list[str]) -> list[str]:
        names = lines[0].strip().split(",")
        place = next(at for at, line in enumerate(lines) if line.split(",")[1].startswith(f"{second}."))
        fields = lines[place].rstrip("\n").split(",")
        for name, value in changes.items():
            old = fields[names.index(name)]
            fields[names.index(name)] = str(value(old)) if callable(value) else str(value)
        return [*lines[:place], ",".join(fields) + "\n", *lines[place + 1 :]]

    return rows("arrivals.csv", change)


def more_us(by: int) -> Callable[[str], int]:
    """A timing, so much longer."""
    return lambda old: int(old) + by


def later(by_s: float) -> Callable[[str], str]:
    """A time of arrivals.csv, so much later."""
    return lambda old: f"{float(old) + by_s:.6f}"


def event(name: str, occurrence: int = 0, **fields: object) -> Change:
    """Change fields of an event; None removes one."""

    def change(lines: list[str]) -> list[str]:
        places = [at for at, line in enumerate(lines) if json.loads(line)["event"] == name]
        content = {**json.loads(lines[places[occurrence]]), **fields}
        lines[places[occurrence]] = (
            json.dumps({key: value for key, value in content.items() if value is not None}) + "\n"
        )
        return lines

    return rows("events.jsonl", change)


def again(*prefixes: str, later_s: float) -> Change:
    """Let every event of these prefixes happen a second time, so much later."""

    def change(lines: list[str]) -> list[str]:
        events = [json.loads(line) for line in lines]
        repeated = [event for event in events if event["event"].startswith(prefixes)]
        return [*lines, *(json.dumps({**event, "t_s": event["t_s"] + later_s}) + "\n" for event in repeated)]

    return rows("events.jsonl", change)


def added(name: str, line: object) -> Change:
    """Append a line of JSON."""
    return rows(name, lambda lines: [*lines, json.dumps(line) + "\n"])


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(run: Path) -> None:
        for one in changes:
            one(run)

    return change


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of a file."""

    def rewrite(run: Path) -> None:
        (run / name).write_bytes(change((run / name).read_bytes()))

    return rewrite


def gone(name: str) -> Change:
    """Remove a file."""
    return lambda run: (run / name).unlink()


def swapped(pattern: str, other: str, name: str) -> Change:
    """Swap two lines of a file."""

    def swap(lines: list[str]) -> list[str]:
        one, two = (next(at for at, line in enumerate(lines) if re.search(wanted, line)) for wanted in (pattern, other))
        lines[one], lines[two] = lines[two], lines[one]
        return lines

    return rows(name, swap)


def contents_swapped(run: Path) -> None:
    """Two seconds keep their times and swap everything else."""
    path = run / "seconds.csv"
    lines = _lines(path)
    one, two = lines[1 + DURING_S].split(",", 1), lines[2 + DURING_S].split(",", 1)
    lines[1 + DURING_S], lines[2 + DURING_S] = f"{one[0]},{two[1]}", f"{two[0]},{one[1]}"
    _keep(path, lines)


def payload_of(series: str, second: int, other_second: int, *, whole: bool = False) -> Change:
    """Give a second of a series the payload of another second, or its whole line but for the time."""

    def change(lines: list[str]) -> list[str]:
        at, other = (
            next(place for place, line in enumerate(lines) if line.startswith(f"Tag={series},{wanted}.000,"))
            for wanted in (second, other_second)
        )
        mine, theirs = lines[at].split(",", 4), lines[other].split(",", 4)
        lines[at] = ",".join([*mine[:2], *theirs[2:]] if whole else [*mine[:4], theirs[4]])
        return lines

    return rows("latency.hlog", change)


def faster(series: str, second: int) -> Change:
    """Count all values of a second in the lowest counter that is in use, and name that as the maximum."""

    def change(lines: list[str]) -> list[str]:
        at = next(place for place, line in enumerate(lines) if line.startswith(f"Tag={series},{second}.000,"))
        tag, start, length, _, text = lines[at].rstrip("\n").split(",", 4)
        raw = base64.b64decode(text)
        body = zlib.decompress(raw[8:])
        numbers = _numbers(body[40:])
        place = next(index for index, number in enumerate(numbers) if number > 0)
        skipped = -numbers[0] if numbers[0] < 0 else 0
        total = sum(number for number in numbers if number > 0)
        counters = _encoded([-skipped, total] if place == 1 else [total])
        changed = zlib.compress(struct.pack(">II", *_header(body)[:1], len(counters)) + body[8:40] + counters)
        packed = base64.b64encode(raw[:4] + struct.pack(">I", len(changed)) + changed).decode()
        lines[at] = f"{tag},{start},{length},{skipped / 1000:.3f},{packed}\n"
        return lines

    return rows("latency.hlog", change)


def _header(body: bytes) -> tuple[int, int]:
    cookie, length = struct.unpack_from(">II", body)
    return cookie, length


def _numbers(data: bytes) -> list[int]:
    """ZigZag LEB128."""
    numbers: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append((value >> 1) ^ -(value & 1))
            value = shift = 0
    return numbers


def _encoded(numbers: Sequence[int]) -> bytes:
    out = bytearray()
    for number in numbers:
        value = (number << 1) ^ (number >> 63)
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out)
