"""The gates' grammar as tables: what is read and its value, what is refused and in which words."""

import math
from pathlib import Path
from typing import Any

import pytest

from contract.histograms import LATENCIES
from contract.runfolder import COUNTS, TIMINGS
from report import gates
from report.gate_metrics import PlannedLoad


def window(scale: float) -> dict[str, Any]:
    """A window of report.json whose latencies are multiples of `scale` ms."""
    latency = {
        series: {"p50": scale, "p90": 2 * scale, "p95": 3 * scale, "p99": 4 * scale, "max": 9 * scale, "count": 500}
        for series in (*LATENCIES, *TIMINGS)
    }
    return {**dict.fromkeys(COUNTS, 0), "offered": 500, "ok": 500, "cold": None, "latency": latency}


REPORT: dict[str, Any] = {
    **window(1.0),
    "failed": 3,
    "ok": 495,
    "missed": 2,
    "phases": [
        {"name": "2", **window(2.0)},
        {"name": "Cool. down", **window(5.0)},
        {"name": "Twice", **window(7.0)},
        {"name": "Twice", **window(8.0)},
        {"name": "Wärme #5", **window(9.0)},
    ],
    "audit": {"missing": 0, "different": 0, "checked": 497},
    "reshard": {
        "before": window(1.0), "during": window(3.0), "after": window(1.0), "duration_ms": 12_500.0,
        "control": {"before": window(1.0), "during": window(1.5), "after": window(1.0)},
        "stall": {"stall_ms": 180.0},
        "effect": {"read": {"p50": {"effect_ms": 0.2, "aftermath_ms": -0.01}}},
    },
}  # fmt: skip

# The gate, its state, and what is shown as measured and as limit with their unit.
READ: list[tuple[str, str, float, float, str]] = [
    # Units, with and without a space.
    ("read.p99 < 5ms", "passed", 4, 5, "ms"),
    ("read.p99 < 4ms", "failed", 4, 4, "ms"),
    ("read.p99 <= 4000us", "passed", 4, 4, "ms"),
    ("read.p99 < 0.005s", "passed", 4, 5, "ms"),
    ("read.p99 < 5 ms", "passed", 4, 5, "ms"),
    ("read.p99 < 5   ms", "passed", 4, 5, "ms"),
    ("read.p99 > .5ms", "passed", 4, 0.5, "ms"),
    ("read.p99 > .5 ms", "passed", 4, 0.5, "ms"),
    ("read.p99<5ms", "passed", 4, 5, "ms"),
    ("  read.p99\t<\t5ms  ", "passed", 4, 5, "ms"),
    ("read.p99 < 0.3s", "passed", 4, 300, "ms"),
    ("failed < 999999999999999", "passed", 3, 999_999_999_999_999, ""),
    # Every comparison.
    ("failed == 0", "failed", 3, 0, ""),
    ("failed != 3", "failed", 3, 3, ""),
    ("failed >= 3", "passed", 3, 3, ""),
    ("failed > 3", "failed", 3, 3, ""),
    ("failed <= 3", "passed", 3, 3, ""),
    ("failed < 3", "failed", 3, 3, ""),
    # What is measured is shown as that, wherever it was written.
    ("0 < failed", "passed", 3, 0, ""),
    ("5ms > read.p99", "passed", 4, 5, "ms"),
    ("3 <= failed", "passed", 3, 3, ""),
    ("1% >= failed/offered", "passed", 0.6, 1, "%"),
    # Shares.
    ("failed/offered < 1%", "passed", 0.6, 1, "%"),
    ("failed / offered < 1 %", "passed", 0.6, 1, "%"),
    ("failed/offered == 0.6%", "passed", 0.6, 0.6, "%"),
    ("failed/offered < .5%", "failed", 0.6, 0.5, "%"),
    ("failed/offered < 0.01", "passed", 0.006, 0.01, ""),
    ("(failed+missed)/offered == 1%", "passed", 1, 1, "%"),
    ("ok/offered >= 99%", "passed", 99, 99, "%"),
    ("ok/offered + missed/offered > 99.3%", "passed", 99.4, 99.3, "%"),
    ("failed <= 1% * offered", "passed", 3, 5, ""),
    ("failed <= offered*1%", "passed", 3, 5, ""),
    ("during.read.p99/before.read.p99 < 120%", "failed", 300, 120, "%"),
    ("during.response.p99 / control.during.response.p99 == 2", "passed", 2, 2, ""),
    ("read.p99 * 50% == 2ms", "passed", 2, 2, "ms"),
    # A hyphen is a minus.
    ("offered-ok == 5", "passed", 5, 5, ""),
    ("offered-ok == 0", "failed", 5, 0, ""),
    ("offered - ok - failed - missed == 0", "passed", 0, 0, ""),
    ("read.p99-read.p50 < 1ms", "failed", 3, 1, "ms"),
    ("read.p99-1ms == 3ms", "passed", 3, 3, "ms"),
    # Arithmetic.
    ("5 - 2 - 1 == 2", "passed", 2, 2, ""),
    ("2 + 3 * 2 == 8", "passed", 8, 8, ""),
    ("8 / 2 / 2 == 2", "passed", 2, 2, ""),
    ("(read.p50 + read.p99) * 2 == 10ms", "passed", 10, 10, "ms"),
    ("during.response.p99 < before.response.p99 * 2", "failed", 12, 8, "ms"),
    ("during.response.p99 < before.response.p99 * 3 + 1ms", "passed", 12, 13, "ms"),
    ("read.p99 / 2 == 2ms", "passed", 2, 2, "ms"),
    ("read.p99 / failed < 2ms", "passed", 4 / 3, 2, "ms"),
    ("audit.missing + audit.different == 0", "passed", 0, 0, ""),
    ("(" * 20 + "failed" + ")" * 20 + " == 3", "passed", 3, 3, ""),
    # Scopes.
    ("run.read.p99 < 5ms", "passed", 4, 5, "ms"),
    ("run.failed == 3", "passed", 3, 3, ""),
    ("during.lag.max < 30ms", "passed", 27, 30, "ms"),
    ("during.failed == 0", "passed", 0, 0, ""),
    ("during.read.count >= 500", "passed", 500, 500, ""),
    ("control.after.write.p95 == 3ms", "passed", 3, 3, "ms"),
    ("phase.1.write.p50 == 2ms", "passed", 2, 2, "ms"),
    ("phase.2.write.p50 == 5ms", "passed", 5, 5, "ms"),
    ('phase."2".write.p50 == 2ms', "passed", 2, 2, "ms"),
    ('phase."Cool. down".write.p50 == 5ms', "passed", 5, 5, "ms"),
    ('phase."Wärme #5".write.p50-1ms == 8ms', "passed", 8, 8, "ms"),
    # Of the whole run.
    ("reshard.duration < 15s", "passed", 12_500, 15_000, "ms"),
    ("stall < 200ms", "passed", 180, 200, "ms"),
    ("effect.read.p50 < 0.5ms", "passed", 0.2, 0.5, "ms"),
    ("aftermath.read.p50 < 0ms", "passed", -0.01, 0, "ms"),
]


@pytest.mark.parametrize(("text", "state", "measured", "limit", "unit"), READ)
def test_a_gate_is_judged(text: str, state: str, measured: float, limit: float, unit: str) -> None:
    """Scopes, units, arithmetic and comparisons mean what docs/report.md says, and both values are shown."""
    result = gates.parse(text).judge(REPORT)
    assert (result.state, result.left, result.right, result.unit, result.why) == (
        state, pytest.approx(measured), pytest.approx(limit), unit, "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("read.p99.9 < 1s", "this run has no read.p99.9"),
        ("cold == 0", "this run has no cold"),
        ("phase.6.write.p50 < 1s", "this run has no phase.6"),
        ('phase."Cool".failed == 0', 'this run has no phase."Cool"'),
        ('phase."1".failed == 0', 'this run has no phase."1"'),
        ('phase."Twice".failed == 0', '2 phases are called "Twice"; name one by its place, such as phase.1'),
        ("effect.write.p50 < 1ms", "this run has no effect.write.p50"),
        ("offered / unknown > 1", "it divides by zero"),
        ("failed < " + "*".join(["999999999999999"] * 25), "its value is too large"),
    ],
)
def test_a_gate_that_cannot_be_judged_does_not_hold(text: str, why: str) -> None:
    """What a run does not have, or has twice, is said, and is no pass."""
    result = gates.parse(text).judge(REPORT)
    assert (result.state, result.why) == ("unknown", why)


NO_UNIT = "side has no unit of time"
ASKS_FOR_A_RATIO = "write for example failed/offered < 1%"
REFUSED: list[tuple[str, str]] = [
    # A percentage of nothing.
    ("failed < 1%", ASKS_FOR_A_RATIO),
    ("1% > failed", ASKS_FOR_A_RATIO),
    ("failed + missed < 1 %", ASKS_FOR_A_RATIO),
    ("audit.missing == 0%", ASKS_FOR_A_RATIO),
    ("read.count > 5%", ASKS_FOR_A_RATIO),
    ("failed + 1% < 5", ASKS_FOR_A_RATIO),
    ("failed < failed/offered", ASKS_FOR_A_RATIO),
    ("failed < 1% * 100", ASKS_FOR_A_RATIO),
    # Kinds that do not go together.
    ("read.p99 < 5", "the right " + NO_UNIT),
    ("5 > read.p99", "the left " + NO_UNIT),
    ("failed == 5ms", "the left " + NO_UNIT),
    ("read.p99 < 5%", "the right " + NO_UNIT),
    ("read.p99 + 5 < 5ms", "the right " + NO_UNIT),
    ("read.p99 - failed < 5ms", "the right " + NO_UNIT),
    ("read.p99 / write.p99 < 5ms", "the left " + NO_UNIT),
    ("read.p99 * write.p99 < 5ms", "two times cannot be multiplied"),
    ("5 / read.p99 < 5", "cannot be divided by a time"),
    ("failed / read.p99 < 5", "cannot be divided by a time"),
    # Names and scopes that do not exist.
    ("read.p98 < 5ms", "no such metric; known are SERIES.STAT (response, service, lag"),
    ("reed.p99 < 5ms", "audit.missing, audit.different, audit.checked, reshard.duration, stall"),
    ("read < 5ms", "no such metric"),
    ("read.5ms < 5ms", "no such metric"),
    ('read."p99" < 5ms', "no such metric"),
    ("READ.P99 < 5ms", "no such metric"),
    ("run < 5", "no such metric"),
    ("__class__ < 5", "no such metric"),
    ("run.stall < 5ms", "stall takes no scope, write stall alone"),
    ("during.stall < 5ms", "stall takes no scope, write stall alone"),
    ("run.reshard.duration < 5s", "reshard.duration takes no scope"),
    ("during.audit.missing == 0", "audit.missing takes no scope"),
    ("run.effect.read.p99 < 5ms", "effect.read.p99 takes no scope"),
    ("phase.1.stall < 5ms", "stall takes no scope"),
    ("effect.lag < 5ms", "effect.SERIES.STAT and aftermath.SERIES.STAT (connection, write, read, response, service;"),
    ("effect.lag.p99 < 5ms", "no such metric"),
    ("effect.response.p99.p < 1", "no such metric"),
    ("effect.service.p99.high < 5ms", "no such metric"),
    ("run.effect.response.slow.low < 1%", "effect.response.slow.low takes no scope"),
    ("effect.response.slow.low < 5ms", "the left side has no unit of time"),
    ("effect.response.p99.high < 5", "the right side has no unit of time"),
    ("effect.read.p95 < 5ms", "no such metric"),
    ("run.run.read.p99 < 5ms", "no such metric"),
    ("run.during.read.p99 < 5ms", "no such metric"),
    ("control.read.p99 < 5ms", "control.before., control.during., control.after."),
    ("control.whole.read.p99 < 5ms", "no such metric"),
    ("during.control.read.p99 < 5ms", "no such metric"),
    ("phase.read < 5ms", 'phase.1. or phase."NAME". in front'),
    ("phase.0.failed == 0", "no such metric"),
    ("phase.01.failed == 0", "no such metric"),
    ("phase.Cool.failed == 0", 'phase."NAME"'),
    ("phase.2 == 0", "no such metric"),
    ("phase." + "9" * 400 + ".failed == 0", "no such metric"),
    # Not in the grammar.
    ("", "a gate is empty"),
    ("   ", "a gate is empty"),
    ("read.p99", "a comparison is expected here"),
    ("read.p99 <", "a number, a metric such as read.p99"),
    ("< 5ms", "a number, a metric such as read.p99"),
    ("read.p99 < < 5ms", "a number, a metric such as read.p99"),
    ("read.p99 < 5ms 6", "nothing more is expected"),
    ("0ms < read.p99 < 5ms", "nothing more is expected"),
    ("read.p99 < 5ms)", "nothing more is expected"),
    ("(read.p99 < 5ms", "this parenthesis is not closed"),
    ("read.p99 < 5m", "at '5m' (character 12): cannot be read"),
    ("read.p99 < 5 MS", "nothing more is expected"),
    ("read.p99 < 5.ms", "cannot be read"),
    ("read.p99 < 5.5.5ms", "cannot be read"),
    ("failed < 1e3", "cannot be read"),
    ("failed < 5%%", "cannot be read"),
    ("read.p99 = 5ms", "cannot be read"),
    ("read..p99 < 5ms", "cannot be read"),
    ('phase."Cool.failed == 0', "cannot be read"),
    ("read.p99 < 5ms; rm -rf", "cannot be read"),
    ("failed < 2 ** 9", "a number, a metric such as read.p99"),
    # Other digits, and what must not reach a terminal.
    ("read.p99 < \u0665ms", "cannot be read"),
    ("failed < \uff15", "cannot be read"),
    ("failed < 5\u00b2", "cannot be read"),
    ("phase.\u0661.failed == 0", "cannot be read"),
    ("failed ==\u00a00", "cannot be printed"),
    ("failed == 0\n::error::", "cannot be printed"),
    ('phase."\x1b[31m".failed == 0', "cannot be printed"),
    ('phase."\u202e".failed == 0', "cannot be printed"),
    # Depth and length.
    ("(" * 3000 + "failed" + ")" * 3000 + " == 0", "it has 6,011 characters; at most 500 are read"),
    ("(" * 21 + "failed" + ")" * 21 + " == 0", "parentheses lie more than 20 deep"),
    ("(" * 400, "parentheses lie more than 20 deep"),
    ("failed < " + "9" * 400, "a number has at most 15 digits"),
    ("failed < 0." + "9" * 400, "a number has at most 15 digits"),
    ("failed < " + "9" * 4000, "at most 500 are read"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[text[:40] for text, _ in REFUSED])
def test_a_gate_outside_the_grammar_is_refused_by_name(text: str, said: str) -> None:
    """The error is one line that shows the gate and what was expected where."""
    with pytest.raises(gates.GateError) as raised:
        gates.parse(text)
    message = str(raised.value)
    assert said in message
    assert message.isprintable()
    assert not text.strip() or repr(text)[1:40] in message


def test_the_longest_sum_that_is_read_is_judged() -> None:
    """A gate within the limits of length cannot exhaust the stack."""
    text = "failed" + "+1" * 244 + " > 0"
    assert len(text) > gates.MOST_CHARACTERS - 5
    assert gates.parse(text).judge(REPORT).left == 247


def test_a_gate_on_a_run_without_a_reshard_does_not_hold() -> None:
    """A run without a reshard cannot pass a gate on one: unknown, with the reason, and not a pass."""
    result = gates.parse("during.read.p99 < 5ms").judge({**REPORT, "reshard": None})
    assert (result.state, result.why) == ("unknown", "this run has no during.read.p99")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("phase.4.failed == 0", 'the load has no such phase; it has 1 "2", 2 "Twice", 3 "Twice"'),
        ('phase."Cool".failed == 0', 'the load has no such phase; it has 1 "2"'),
        ('phase."Twice".failed == 0', '2 phases are called "Twice"'),
        ("offered - during.failed == 0", "planned without a reshard"),
        ("control.after.read.p99 < 5ms", "planned without a reshard"),
        ("stall < 5ms", "planned without a reshard"),
        ("reshard.duration < 5s", "planned without a reshard"),
    ],
)
def test_a_gate_on_what_the_load_will_not_have_is_refused_before_it(text: str, said: str) -> None:
    """Phases and a reshard are known before the run, so a gate on others need not wait for its end."""
    phases = ["2", "Twice", "Twice"]
    with pytest.raises(gates.GateError) as raised:
        gates.parse(text, load=PlannedLoad(phases, reshard=False))
    assert said in str(raised.value)
    for held in ("during.failed == 0", "phase.3.failed == 0", 'phase."2".failed == 0', "stall < 5ms", "failed == 0"):
        gates.parse(held, load=PlannedLoad(phases, reshard=True))


def test_a_gates_file_is_one_gate_a_line(tmp_path: Path) -> None:
    """Comments and blank lines are left out, a phase's name is not; a file that is missing is said by name."""
    path = tmp_path / "gates.txt"
    path.write_text('# all of it\n\nfailed == 0   # none of "them\n  phase."A #1".failed == 0 # "x"\n')
    assert gates.read_gates(path) == ["failed == 0", 'phase."A #1".failed == 0']
    with pytest.raises(gates.GateError, match=r"nowhere\.txt"):
        gates.read_gates(tmp_path / "nowhere.txt")


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("failed == 0", "must be a list"),
        (5, "must be a list"),
        ({"failed": 0}, "must be a list"),
        ([5], "must be a list"),
        ([math.nan], "must be a list"),
        (["failed == 0"] * 201, "at most 200 texts"),
        (["failed == 0", "failed < 1%"], ASKS_FOR_A_RATIO),
        (["failed == 0\n"], "cannot be printed"),
    ],
)
def test_gates_of_a_run_that_are_none_are_refused(kept: object, said: str) -> None:
    """A run.json that was edited, or written before a gate was refused, is named, with what to do instead."""
    with pytest.raises(
        gates.GateError, match=r"^run\.json: .*; judge the run by --gates FILE or --no-gates$"
    ) as raised:
        gates.kept_in({"gates": kept}, TIMINGS)
    assert said in str(raised.value)


@pytest.mark.parametrize("run_json", [{}, {"gates": None}, {"gates": []}])
def test_a_run_may_keep_no_gates(run_json: dict[str, Any]) -> None:
    """A run of the load generator alone was started with none."""
    assert gates.kept_in(run_json, TIMINGS) == []


def test_the_timings_of_another_application_can_be_named() -> None:
    """A gate knows the run's own timings, hyphens included, and no others."""
    report = {**REPORT, "latency": {"db-read": {"p50": 1, "p99": 4}}, "cold": 7}
    timings = ["db-read", "db"]
    assert gates.parse("run.db-read.p99-db-read.p50 == 3ms", timings).judge(report).state == gates.PASSED
    assert gates.parse("offered-ok < cold", timings).judge(report).state == gates.PASSED
    assert gates.parse("effect.db-read.p50 < 1ms", timings).judge(report).state == gates.UNKNOWN
    with pytest.raises(gates.GateError, match=r"response, service, lag, db-read, db;"):
        gates.parse("read.p99 < 5ms", timings)
