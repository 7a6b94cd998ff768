"""The gates' grammar: what is understood, what is refused and how, and what a gate decides."""

from pathlib import Path
from typing import Any

import pytest

from contract.histograms import LATENCIES
from contract.runfolder import COUNTS, TIMINGS
from report import gates


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
    "phases": [{"name": "Warm up", **window(2.0)}, {"name": "Cool. down", **window(5.0)}],
    "audit": {"missing": 0, "different": 0, "checked": 497},
    "reshard": {
        "before": window(1.0), "during": window(3.0), "after": window(1.0), "duration_ms": 12_500.0,
        "control": {"before": window(1.0), "during": window(1.5), "after": window(1.0)},
        "stall": {"stall_ms": 180.0},
        "effect": {"read": {"p50": {"effect_ms": 0.2, "aftermath_ms": -0.01}}},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("read.p99 < 5ms", "passed"),
        ("read.p99 < 4ms", "failed"),
        ("read.p99 <= 4000us", "passed"),
        ("read.p99 < 0.005s", "passed"),
        ("run.read.p99 < 5ms", "passed"),
        ("during.response.p99 < before.response.p99 * 2", "failed"),
        ("during.response.p99 < before.response.p99 * 3 + 1ms", "passed"),
        ("during.response.p99 / control.during.response.p99 == 2", "passed"),
        ("failed == 0", "failed"),
        ("failed <= 1% * offered", "passed"),
        ("failed != 3", "failed"),
        ("0 < failed", "passed"),
        ("phase.1.write.p50 == 2ms", "passed"),
        ('phase."Cool. down".write.p50 == 5ms', "passed"),
        ("phase.3.write.p50 < 1s", "unknown"),
        ("during.read.count >= 500", "passed"),
        ("during.failed == 0", "passed"),
        ("audit.missing + audit.different == 0", "passed"),
        ("reshard.duration < 15s", "passed"),
        ("stall < 200ms", "passed"),
        ("cold == 0", "unknown"),
        ("effect.read.p50 < 0.5ms", "passed"),
        ("aftermath.read.p50 < 0ms", "passed"),
        ("(read.p50 + read.p99) * 2 == 10ms", "passed"),
        ("read.p99.9 < 1s", "unknown"),
        ("effect.write.p50 < 1ms", "unknown"),
        ("offered / missed > 1", "unknown"),
        ("5 - 2 - 1 == 2", "passed"),
        ("2 + 3 * 2 == 8", "passed"),
    ],
)
def test_a_gate_is_judged(text: str, state: str) -> None:
    """Scopes, units, arithmetic and comparisons mean what docs/report.md says."""
    assert gates.parse(text).judge(REPORT).state == state


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a gate is empty"),
        ("read.p99", "a comparison is expected here"),
        ("read.p99 <", "a number, a metric such as read.p99"),
        ("read.p99 < 5", "the right side has no unit of time"),
        ("5 > read.p99", "the left side has no unit of time"),
        ("failed == 5ms", "the left side has no unit of time"),
        ("read.p98 < 5ms", "no such metric"),
        ("reed.p99 < 5ms", "no such metric"),
        ("during.audit.missing == 0", "no such metric"),
        ("control.whole.read.p99 < 5ms", "no such metric"),
        ("control.read.p99 < 5ms", "no such metric"),
        ("phase.read < 5ms", "no such metric"),
        ("read.p99 < 5ms 6", "nothing more is expected"),
        ("read.p99 < 5 ms", "nothing more is expected"),
        ("read.p99 < 5m", "cannot be read"),
        ("read.p99 = 5ms", "cannot be read"),
        ("(read.p99 < 5ms", "this parenthesis is not closed"),
        ("read.p99 * write.p99 < 5ms", "two times cannot be multiplied"),
        ("5 / read.p99 < 5", "cannot be divided by a time"),
        ("read.p99 + 5 < 5ms", "cannot be added"),
        ("read.p99 < 5ms; rm -rf", "cannot be read"),
        ("run < 5", "no such metric"),
        ("__class__ < 5", "no such metric"),
        ("read.p99 < < 5ms", "a number, a metric such as read.p99"),
    ],
)
def test_a_gate_outside_the_grammar_is_refused_by_name(text: str, said: str) -> None:
    """The error shows the gate and what was expected where."""
    with pytest.raises(gates.GateError, match=said) as raised:
        gates.parse(text)
    assert not text or repr(text) in str(raised.value)


def test_a_gate_on_what_the_run_does_not_have_does_not_hold() -> None:
    """A run without a reshard cannot pass a gate on one: unknown, with the reason, and not a pass."""
    result = gates.parse("during.read.p99 < 5ms").judge({**REPORT, "reshard": None})
    assert (result.state, result.why) == ("unknown", "this run has no during.latency.read.p99")


def test_a_gates_file_is_one_gate_a_line(tmp_path: Path) -> None:
    """Comments and blank lines are left out; a file that is missing is said by name."""
    path = tmp_path / "gates.txt"
    path.write_text("# all of it\n\nfailed == 0   # none\n  read.p99 < 5ms\n")
    assert gates.read_gates(path) == ["failed == 0", "read.p99 < 5ms"]
    with pytest.raises(gates.GateError, match=r"nowhere\.txt"):
        gates.read_gates(tmp_path / "nowhere.txt")
