"""Gates: conditions on a run that a pipeline can ask for; docs/report.md has the grammar.

A gate is read before anything starts, and judged when the report is there. Each value is a time, a count, a ratio or
a bare number, which is known when the gate is read: `failed < 1%` is refused, not compared with 0.01 arrivals.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from contract.runfolder import TIMINGS
from report.gate_metrics import Kind, PlannedLoad, Quantity, Reading, UnknownMetricError, metric

_UNITS = {"us": Decimal("0.001"), "ms": Decimal(1), "s": Decimal(1000), "%": Decimal("0.01"), "": Decimal(1)}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_CALCULATE: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
_LEVELS = (("+", "-"), ("*", "/"))
"""Signs from the weakest to the strongest."""

MOST_CHARACTERS, MOST_DIGITS, MOST_PARENTHESES, MOST_GATES = 500, 15, 20, 200

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"


class GateError(ValueError):
    """A gate that cannot be understood; the message is one line that shows where, and what is allowed."""


@dataclass(frozen=True)
class GateResult:
    """A gate judged: `left` is the measured value, `right` the limit; `why` it could not be judged, if so."""

    gate: str
    state: str
    left: float | None
    right: float | None
    unit: str
    why: str


@dataclass(frozen=True)
class Term:
    """A side of a gate or a part of one. It is `measured` if it holds a metric."""

    kind: Kind
    read: Reading
    measured: bool


@dataclass(frozen=True)
class Gate:
    """A gate, parsed; it knows its own text. The measured side is `left`, also where it was written on the right."""

    text: str
    left: Reading
    compare: str
    right: Reading
    unit: str

    def judge(self, report: Mapping[str, Any]) -> GateResult:
        """Against a report.json. A gate on something that the run does not have is unknown, and does not hold."""
        measured, limit = self.left(report), self.right(report)
        shown = [self._in_unit(side.value) for side in (measured, limit)]
        if measured.value is None or limit.value is None:
            return GateResult(self.text, UNKNOWN, shown[0], shown[1], self.unit, measured.why or limit.why)
        held = _COMPARE[self.compare](measured.value, limit.value)
        return GateResult(self.text, PASSED if held else FAILED, shown[0], shown[1], self.unit, "")

    def _in_unit(self, value: float | None) -> float | None:
        return value if value is None or self.unit != "%" else round(value * 100, 9)


def read_gates(path: Path) -> list[str]:
    """The gates of a file: one a line, `#` begins a comment.

    Raises:
        GateError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GateError(f"gates file {path}: cannot be read ({error}); name a text file with one gate a line") from None
    quoted_or_comment = re.compile(r'("[^"]*")|(?:^|\s)#.*')
    lines = (quoted_or_comment.sub(lambda match: match[1] or "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def kept_in(run_json: Mapping[str, Any], timings: Sequence[str]) -> list[Gate]:
    """The gates that run.json keeps: those that the run was started with; empty when it keeps none.

    `timings` are those that the run's application tells.

    Raises:
        GateError: they are no gates.
    """
    kept: object = run_json.get("gates")
    instead = "judge the run by --gates FILE or --no-gates"
    if kept is None:
        return []
    texts = cast("list[object]", kept) if isinstance(kept, list) else None
    if texts is None or len(texts) > MOST_GATES or not all(isinstance(text, str) for text in texts):
        raise GateError(f"run.json: `gates` must be a list of at most {MOST_GATES} texts; {instead}")
    try:
        return [parse(str(text), timings) for text in texts]
    except GateError as error:
        raise GateError(f"run.json: {error}; {instead}") from None


def parse(text: str, timings: Sequence[str] = TIMINGS, load: PlannedLoad | None = None) -> Gate:
    """Read one gate on a run whose application tells these timings; before the run, `load` is what is planned.

    Raises:
        GateError: it is not in the grammar, compares what cannot be compared, or names what the load will not have.
    """
    return _GateParser(text, timings, load).gate()


def _token(timings: Sequence[str]) -> re.Pattern[str]:
    """A number, a name or a sign. A hyphen is a minus, but for one in the name of a timing."""
    hyphened = "".join(rf"{timing}(?![\w-])|" for timing in timings if "-" in timing)
    return re.compile(
        rf"""[ ]*(?:(?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[ ]*(?:us|ms|s|%))?(?![\w.%]))
          |(?P<name>(?:{hyphened}[A-Za-z_]\w*)(?:\.(?:"[^"]*"|{hyphened}\w+))*)
          |(?P<sign><=|>=|==|!=|[-<>+*/()]))""",
        re.VERBOSE | re.ASCII,
    )


class _GateParser:
    """Recursive descent, a level a strength of sign; its depth and its input are bounded."""

    def __init__(self, text: str, timings: Sequence[str], load: PlannedLoad | None) -> None:
        self._text = text.replace("\t", " ")
        self._timings = timings
        self._load = load
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        self._open = 0
        if len(text) > MOST_CHARACTERS:
            raise self._error(0, f"it has {len(text):,} characters; at most {MOST_CHARACTERS} are read")
        if not self._text.isprintable():
            raise self._error(0, "it holds a character that cannot be printed; write it in one line of plain text")
        token, place = _token(timings), 0
        while self._text[place:].strip(" "):
            match = token.match(self._text, place)
            if match is None:
                begin = len(self._text) - len(self._text[place:].lstrip(" "))
                raise self._error(begin, "cannot be read; numbers look like 5, .2ms or 10%")
            kind = match.lastgroup or ""
            self._tokens.append((kind, match[kind], match.start(kind)))
            place = match.end()

    def gate(self) -> Gate:
        if not self._tokens:
            raise GateError("a gate is empty; write for example: read.p99 < 5ms")
        left = self._term()
        _, sign, place = self._next()
        if sign not in _COMPARE:
            raise self._error(place, f"a comparison is expected here, one of {' '.join(_COMPARE)}")
        right = self._term()
        if self._at < len(self._tokens):
            raise self._error(self._tokens[self._at][2], "nothing more is expected here")
        kind = self._common_kind(left, right, place)
        unit = "ms" if kind is Kind.TIME else "%" if kind is Kind.RATIO and "%" in self._text else ""
        if right.measured and not left.measured:
            left, sign, right = right, _MIRRORED[sign], left
        return Gate(self._text, left.read, sign, right.read, unit)

    def _error(self, place: int, problem: str) -> GateError:
        text = self._text if len(self._text) <= MOST_CHARACTERS else self._text[:60] + "..."
        word = self._text[place:].split(" ")[0][:60] or "the end"
        return GateError(f"gate {text!r}, at {word!r} (character {place + 1}): {problem}")

    def _next(self) -> tuple[str, str, int]:
        if self._at == len(self._tokens):
            return ("end", "", len(self._text))
        self._at += 1
        return self._tokens[self._at - 1]

    def _term(self, level: int = 0) -> Term:
        if level == len(_LEVELS):
            return self._value()
        left = self._term(level + 1)
        while self._at < len(self._tokens) and self._tokens[self._at][1] in _LEVELS[level]:
            _, sign, place = self._next()
            right = self._term(level + 1)
            kind = (self._common_kind if level == 0 else self._product_kind)(left, right, place)
            left = Term(kind, _calculated(sign, left.read, right.read), left.measured or right.measured)
        return left

    def _common_kind(self, left: Term, right: Term, place: int) -> Kind:
        """The kind of two values that are compared, added or subtracted."""
        kinds = {left.kind, right.kind}
        if len(kinds) == 1:
            return left.kind
        if Kind.TIME in kinds:
            plain = "right" if left.kind is Kind.TIME else "left"
            raise self._error(place, f"the {plain} side has no unit of time and the other has; write 5ms")
        if Kind.NUMBER in kinds:
            return (kinds - {Kind.NUMBER}).pop()
        raise self._error(
            place, "one side is a count and the other a percentage or ratio; write for example failed/offered < 1%"
        )

    def _product_kind(self, left: Term, right: Term, place: int) -> Kind:
        """The kind of two values multiplied or divided."""
        kinds = {left.kind, right.kind}
        if self._text[place] == "*":
            if left.kind is right.kind is Kind.TIME:
                raise self._error(place, "two times cannot be multiplied")
            return next(kind for kind in Kind if kind in kinds)
        if right.kind is Kind.TIME and left.kind is not Kind.TIME:
            raise self._error(place, "a number cannot be divided by a time")
        if Kind.TIME in kinds:
            return Kind.RATIO if right.kind is Kind.TIME else Kind.TIME
        return Kind.RATIO if right.kind is Kind.COUNT else left.kind

    def _value(self) -> Term:
        kind, text, place = self._next()
        if kind == "number":
            return self._number(text, place)
        if kind == "name":
            try:
                reading, of_kind = metric(text, self._timings)
            except UnknownMetricError as error:
                raise self._error(place, str(error)) from None
            if self._load and (lacking := self._load.lacks(text)):
                raise self._error(place, lacking)
            return Term(of_kind, reading, measured=True)
        if text != "(":
            raise self._error(place, "a number, a metric such as read.p99 or a parenthesis is expected here")
        self._open += 1
        if self._open > MOST_PARENTHESES:
            raise self._error(place, f"parentheses lie more than {MOST_PARENTHESES} deep")
        inside = self._term()
        self._open -= 1
        if self._next()[1] != ")":
            raise self._error(place, "this parenthesis is not closed")
        return inside

    def _number(self, text: str, place: int) -> Term:
        digits = text.rstrip("ums% ")
        if len(digits) > MOST_DIGITS:
            raise self._error(place, f"a number has at most {MOST_DIGITS} digits")
        unit = text.removeprefix(digits).strip(" ")
        kind = Kind.NUMBER if not unit else Kind.RATIO if unit == "%" else Kind.TIME
        quantity = Quantity(float(Decimal(digits) * _UNITS[unit]))
        return Term(kind, lambda _report: quantity, measured=False)


def _calculated(sign: str, left: Reading, right: Reading) -> Reading:
    def result(report: Mapping[str, Any]) -> Quantity:
        one, other = left(report), right(report)
        if one.value is None or other.value is None:
            return Quantity(None, one.why or other.why)
        if sign == "/" and other.value == 0:
            return Quantity(None, "it divides by zero")
        value = _CALCULATE[sign](one.value, other.value)
        return Quantity(value) if math.isfinite(value) else Quantity(None, "its value is too large")

    return result
