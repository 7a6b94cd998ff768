"""Gates: conditions on a run that a pipeline can ask for.

    gate       = sum ("<" | "<=" | ">" | ">=" | "==" | "!=") sum
    sum        = product {("+" | "-") product}
    product    = value {("*" | "/") value}
    value      = number [unit] | reference | "(" sum ")"
    unit       = "us" | "ms" | "s" | "%"
    reference  = [scope "."] metric
    scope      = "run" | ["control" "."] ("before" | "during" | "after") | "phase" "." (number from 1 | name in quotes)
    metric     = series "." ("p50" | "p90" | "p95" | "p99" | "p99.9" | "max" | "count")
               | count | ("effect" | "aftermath") "." series "." ("p50" | "p99")
               | ("audit" "." ("missing" | "different" | "checked")) | "reshard" "." "duration" | "stall"
    series     = "response" | "service" | "lag" | a timing of the application's ("connection" | "write" | "read")
    count      = "offered" | "sent" | "ok" | "failed" | "missed" | "unknown" | "late" | "redirects" | "retries"
               | "cold"

Latencies and durations are times and are compared with times (`5ms`), counts with plain numbers.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.runfolder import TIMINGS
from report import gate_metrics
from report.gate_metrics import Quantity, Reading

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?)(?P<unit>us|ms|s|%)?(?![\w.])
      |(?P<name>[A-Za-z_][\w-]*(?:\.(?:"[^"]*"|[A-Za-z_][\w-]*(?:\.9)?|\d+))*)
      |(?P<op><=|>=|==|!=|<|>|[-+*/()]))""",
    re.VERBOSE | re.ASCII,
)
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"


class GateError(ValueError):
    """A gate that cannot be understood; the message shows where and what is allowed."""


@dataclass(frozen=True)
class GateResult:
    """A gate judged: the values of its two sides, and why it could not be judged if so."""

    gate: str
    state: str
    left: float | None
    right: float | None
    unit: str
    why: str


@dataclass(frozen=True)
class Gate:
    """A gate, parsed; it knows its own text."""

    text: str
    left: Reading
    compare: str
    right: Reading

    def judge(self, report: Mapping[str, Any]) -> GateResult:
        """Against a report.json. A gate on something that the run does not have is unknown, and does not hold."""
        left, right = self.left(report), self.right(report)
        unit = "ms" if left.is_time else ""
        why = left.why or right.why
        if left.value is None or right.value is None:
            return GateResult(self.text, UNKNOWN, left.value, right.value, unit, why)
        held = _COMPARE[self.compare](left.value, right.value)
        return GateResult(self.text, PASSED if held else FAILED, left.value, right.value, unit, "")


def read_gates(path: Path) -> list[str]:
    """The gates of a file: one a line, `#` begins a comment.

    Raises:
        GateError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GateError(f"gates file {path}: cannot be read ({error}); name a text file with one gate a line") from None
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def parse(text: str, timings: Sequence[str] = TIMINGS) -> Gate:
    """Read one gate on a run whose application tells these timings.

    Raises:
        GateError: it is not in the grammar, or compares a time with a plain number.
    """
    return _GateParser(text, timings).gate()


class _GateParser:
    def __init__(self, text: str, timings: Sequence[str]) -> None:
        self._text = text
        self._timings = timings
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None:
                begin = place + len(text[place:]) - len(text[place:].lstrip())
                raise self._error(begin, "cannot be read; numbers look like 5, 0.2ms or 10%")
            kind = match.lastgroup or ""
            begin = match.start("number") if kind in ("number", "unit") else match.start(kind)
            self._tokens.append(("number" if kind == "unit" else kind, text[begin : match.end()], begin))
            place = match.end()

    def gate(self) -> Gate:
        if not self._tokens:
            raise GateError("a gate is empty; write for example: read.p99 < 5ms")
        left, left_time = self._sum()
        kind, sign, place = self._next()
        if kind != "op" or sign not in _COMPARE:
            raise self._error(place, f"a comparison is expected here, one of {' '.join(_COMPARE)}")
        right, right_time = self._sum()
        if self._at < len(self._tokens):
            raise self._error(self._tokens[self._at][2], "nothing more is expected here")
        if left_time != right_time:
            plain = "right" if left_time else "left"
            raise GateError(f"gate {self._text!r}: the {plain} side has no unit of time and the other has; write 5ms")
        return Gate(self._text, left, sign, right)

    def _error(self, place: int, problem: str) -> GateError:
        word = self._text[place:].split(" ")[0] or "the end"
        return GateError(f"gate {self._text!r}, at {word!r} (character {place + 1}): {problem}")

    def _next(self) -> tuple[str, str, int]:
        if self._at == len(self._tokens):
            return ("end", "", len(self._text))
        self._at += 1
        return self._tokens[self._at - 1]

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _sum(self) -> tuple[Reading, bool]:
        left, is_time = self._product()
        while self._peek() in ("+", "-"):
            _, sign, place = self._next()
            right, right_time = self._product()
            if right_time != is_time:
                raise self._error(place, "a time and a number without a unit cannot be added; write 5ms")
            left = _combine(operator.add if sign == "+" else operator.sub, left, right, is_time=is_time)
        return left, is_time

    def _product(self) -> tuple[Reading, bool]:
        left, is_time = self._value()
        while self._peek() in ("*", "/"):
            _, sign, place = self._next()
            right, right_time = self._value()
            if sign == "*" and is_time and right_time:
                raise self._error(place, "two times cannot be multiplied")
            if sign == "/" and right_time and not is_time:
                raise self._error(place, "a number cannot be divided by a time")
            is_time = (is_time or right_time) if sign == "*" else is_time and not right_time
            left = _combine(operator.mul if sign == "*" else operator.truediv, left, right, is_time=is_time)
        return left, is_time

    def _value(self) -> tuple[Reading, bool]:
        kind, text, place = self._next()
        if kind == "number":
            unit = text.lstrip("0123456789.")
            number = float(text.removesuffix(unit)) * (0.01 if unit == "%" else _UNITS.get(unit, 1.0))
            quantity = Quantity(number, unit in _UNITS)
            return (lambda _report: quantity), quantity.is_time
        if kind == "name":
            return self._reference(text, place)
        if text == "(":
            inside = self._sum()
            if self._next()[1] != ")":
                raise self._error(place, "this parenthesis is not closed")
            return inside
        raise self._error(place, "a number, a metric such as read.p99 or a parenthesis is expected here")

    def _reference(self, text: str, place: int) -> tuple[Reading, bool]:
        names = [part.strip('"') for part in re.findall(r'"[^"]*"|p99\.9|[^.]+', text)]
        reading = gate_metrics.reading_of(names, self._timings)
        if reading is None:
            raise self._error(place, f"no such metric; allowed are {gate_metrics.known(self._timings)}")
        return reading


def _combine(action: Callable[[float, float], float], left: Reading, right: Reading, *, is_time: bool) -> Reading:
    def result(report: Mapping[str, Any]) -> Quantity:
        one, other = left(report), right(report)
        if one.value is None or other.value is None:
            return Quantity(None, is_time, one.why or other.why)
        try:
            return Quantity(action(one.value, other.value), is_time)
        except ZeroDivisionError:
            return Quantity(None, is_time, "it divides by zero")

    return result
