"""What the verdict says, in words: the first sentence, the table, what it leaves out when it may not say it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report import advice, build, headline, summary, terminal, verdict
from report.checks.check import FAIL, PASS, RunCheck
from tools import synthetic
from tools.synthetic import Planted, Synthetic, schedule_of

AT_ONCE = {"state": "at once", "after_s": 0, "watched_s": 8, "limit_ms": 9.5, "why": ""}
WHOLE = {"complete": True, "acknowledged": 900, "expected": 900, "checked": 900, "missing": 0, "different": 0}


def rows(p99: bool = True, lost: int | None = 0, failed: tuple[int, int, int] = (0, 0, 0)) -> list[dict[str, Any]]:
    """A headline's rows."""
    none_lost = 0 if lost == 0 else None
    tail = {"during": 48.2, "control": 21.0, "difference": 27.2} if p99 else {}
    return [
        {"figure": "response p50", "unit": "ms", "during": 4.31, "control": 3.9, "difference": 0.41},
        {"figure": "response p99", "unit": "ms", **dict.fromkeys(("during", "control", "difference")), **tail},
        {"figure": "over 20 ms", "unit": "%", "during": 24.06, "control": 6.04, "difference": 18.02},
        {
            "figure": "failed", "unit": "requests", "during": failed[0], "control": failed[1],
            "difference": failed[0] - failed[1], "run": failed[2],
        },
        {
            "figure": "lost", "unit": "sessions", "during": none_lost, "control": none_lost, "difference": none_lost,
            "run": lost,
        },
    ]  # fmt: skip


def of(**changes: Any) -> dict[str, Any]:
    """A report.json as far as the verdict reads it: a valid rehearsal that added a shard."""
    report: dict[str, Any] = {
        "id": "20261122T151100Z-dev", "valid": True, "reasons": [], "where": "rehearsal", "cycles": [], "moves": [],
        "checks": [], "gates": [], "run": {"engine": {"name": "valkey", "version": "9.1.2"}}, "audit": WHOLE,
        "offered": 900, "ok": 900, "failed": 0, "missed": 0, "unknown": 0,
        "headline": {
            "usable": True, "primary": "response.p99", "slow_ms": 20, "seconds": 28, "against": "control",
            "control": {"phase": "Warm up", "sham": True}, "rows": rows(), "back_to_normal": AT_ONCE,
        },
        "reshard": {
            "from": 1, "to": 2, "error": None, "started_s": 87.5, "finished_s": 114.8, "duration_ms": 27_344.6,
            "slots": 8192, "migration": "slots", "under_load": True, "during": {},
        },
    }  # fmt: skip
    report |= changes
    return report


def headlined(**changes: Any) -> dict[str, Any]:
    """A report whose headline differs."""
    return of(headline={**of()["headline"], **changes})


WELL = "No request failed and no session was lost."
SLOW = "In the 28 s in which slots moved, 24 % of requests took over 20 ms, against 6.0 %"
FELT = f"{SLOW} in the control; response p99 was 48.2 ms, against 21 ms."
FIRST: list[tuple[str, dict[str, Any], str]] = [
    ("all well", of(), f"{WELL} {FELT}"),
    (
        "no p99 of few arrivals", headlined(rows=rows(p99=False)),
        f"{WELL} {SLOW} in the control; response p50 was 4.31 ms, against 3.9 ms.",
    ),
    (
        "no control", headlined(against="before", control=None),
        f"{WELL} {SLOW} before it (the run has no control); response p99 was 48.2 ms, against 21 ms.",
    ),
    (
        "some failed", {**headlined(rows=rows(failed=(7, 1, 12))), "failed": 12},
        "12 of 900 requests failed (7 while slots moved, 1 in the control) and no session was lost. " + FELT,
    ),
    (
        "missed and unknown", of(missed=3, unknown=1),
        "No request failed, 3 could not be sent, 1 may have been sent: their worker was lost and no session was lost. "
        + FELT,
    ),
    ("no audit", of(audit=None), "No request failed; whether sessions were lost was not checked. " + FELT),
    (
        "an empty audit", of(audit=dict.fromkeys(WHOLE, 0) | {"complete": True}),
        "No request failed; no session was acknowledged, so none could be lost. " + FELT,
    ),
    (
        "an audit of a part", of(audit={**WHOLE, "checked": 100}),
        "No request failed; only 100 of 900 sessions were read back afterwards; of these, 0 were missing and "
         "0 different. "
        + FELT,
    ),
    (
        "an audit that did not end", of(audit={**WHOLE, "complete": False}),
        "No request failed; the audit of the sessions did not end; of these, 0 were missing and 0 different. " + FELT,
    ),
    (
        "sessions lost", of(audit={**WHOLE, "missing": 2, "different": 1}),
        "No request failed; of 900 sessions 2 were lost and 1 came back different. " + FELT,
    ),
    ("no reshard", of(headline=None, reshard=None), "No request failed and no session was lost."),
    ("no load", of(headline=None, reshard=None, offered=0, audit=None),
     "No request was planned; whether sessions were lost was not checked."),
    ("INVALID", of(valid=False, reasons=["a", "b"]),
     "INVALID: 2 checks of this run failed, so its latencies must not be quoted."),
]  # fmt: skip


@pytest.mark.parametrize(("report", "first"), [case[1:] for case in FIRST], ids=[case[0] for case in FIRST])
def test_the_first_sentence_says_what_callers_felt(report: dict[str, Any], first: str) -> None:
    """Failures, losses, slow requests and the response time come first, and nothing is claimed that nobody checked."""
    assert verdict.sentences(report)[0] == first
    assert "all 0" not in " ".join(verdict.sentences(report))


def back(state: str, after_s: int | None = None, why: str = "") -> dict[str, Any]:
    """A report whose response times were back to normal at some time."""
    return headlined(back_to_normal={**AT_ONCE, "state": state, "after_s": after_s, "why": why})


OTHERS: list[tuple[str, dict[str, Any], str]] = [
    ("how it moved", of(), "Adding a shard (1 to 2) moved 8,192 slots in 27.3 s, slot by slot."),
    ("normal at once", of(), "Response times were back to normal at once."),
    ("normal later", back("after", 4), "Response times were back to normal 4 s after the move."),
    ("not normal", back("not within the record"),
     "Response times were not back to normal within the 8 s recorded after the move."),
    ("unknown", back("unknown", why="the record ends before the move does"),
     "When response times were back to normal cannot be told: the record ends before the move does."),
    ("its limits", of(), "This is one event on one machine (valkey 9.1.2): a rehearsal, not AWS."),
    ("no reshard", of(headline=None, reshard=None), "No slots moved in this run, so it says nothing about resharding."),
]  # fmt: skip


@pytest.mark.parametrize(("report", "said"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_the_other_sentences_follow(report: dict[str, Any], said: str) -> None:
    """What moved, when it was over, and what the claim is limited to, each a sentence of its own."""
    assert said in verdict.sentences(report)[1:]


def with_next(report: dict[str, Any]) -> dict[str, Any]:
    """The report with all that its texts need."""
    report["verdict"] = verdict.sentences(report)
    report["next"] = advice.advice(report)
    return report


def test_the_table_has_a_row_for_each_window() -> None:
    """Figures are columns, the differences carry their signs, and percentages differ in points."""
    assert headline.table(of()["headline"]) == [
        ["", "response p50", "response p99", "over 20 ms", "failed", "lost"],
        ["during", "4.31 ms", "48.2 ms", "24 %", "0", "0"],
        ["control", "3.9 ms", "21 ms", "6.0 %", "0", "0"],
        ["difference", "+0.410 ms", "+27.2 ms", "+18 points", "0", "0"],
    ]


def test_losses_are_told_of_the_whole_run() -> None:
    """In which second a lost session was written is not recorded: the table says how many, and of what."""
    table = headline.table(headlined(rows=rows(p99=False, lost=3, failed=(7, 1, 12)))["headline"])
    assert table[0] == ["", "response p50", "over 20 ms", "failed", "lost"]
    assert table[1:] == [
        ["during", "4.31 ms", "24 %", "7", "-"],
        ["control", "3.9 ms", "6.0 %", "1", "-"],
        ["difference", "+0.410 ms", "+18 points", "+6", "-"],
        ["whole run", "", "", "12", "3"],
    ]


def test_the_terminal_gets_80_columns() -> None:
    """The widest figures fit, and no unit begins a line."""
    wide = rows(lost=1_234_567, failed=(123_456, 123_456, 1_234_567))
    wide[0] |= {"during": 14_999.9, "control": 0.123, "difference": 14_999.777}
    wide[1] |= {"during": 15_000.0, "control": 999.9, "difference": 14_000.1}
    wide[2] |= {"figure": "over 12345 ms", "during": 0.04, "control": 99.96, "difference": -99.92}
    text = terminal.text(with_next(headlined(rows=wide)))
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"^ *(ms|s|%|points)\b", text, re.MULTILINE)
    assert "\n\nNext:\n  - For an effect with an interval" in text


INVALID = [
    RunCheck("Sent on time", FAIL, "2.41% late", "late <= 1%", "", "close other programs"),
    RunCheck("Clocks agree", PASS, "at most 0.02 ms apart", "<= 10 ms", ""),
]


def test_an_invalid_run_says_why_and_what_to_do_and_no_latency() -> None:
    """Neither the sentences, the terminal nor the Markdown tell a latency, nor whether a gate on one held."""
    gates = [
        {"gate": "read.p99 < 5ms", "state": "failed", "left": 6.789, "right": 5.0, "unit": "ms", "why": ""},
        {"gate": "audit.missing == 0", "state": "failed", "left": 2, "right": 0, "unit": "", "why": ""},
    ]
    report = with_next(
        of(
            valid=False,
            reasons=["Sent on time: 2.41% late"],
            checks=[dict(check.__dict__) for check in INVALID],
            gates=gates,
            audit={**WHOLE, "missing": 2},
        )
    )
    assert report["next"] == [
        "Find out why sessions were lost or changed: audit.json has examples.",
        "Sent on time: close other programs.",
    ]
    for text in (terminal.text(report), summary.markdown(report)):
        said = " ".join(re.sub(r"&#(\d+);", lambda match: chr(int(match[1])), text).split())
        assert "INVALID: 1 check of this run failed, so its latencies must not be quoted." in said
        assert "Sent on time: 2.41% late" in said
        assert "What to do: close other programs." in said
        assert "of 900 sessions 2 were lost" in said
        assert "1 of 1 gates did not hold: audit.missing == 0 (measured 2, limit 0)." in said
        assert not re.search(r"\d ?m?s\b", said.replace("read.p99 < 5ms | ? not judged: INVALID | - | - |", ""))
        assert "6.789" not in said
        assert "slow" not in said


BUSY = Synthetic(
    phases=(("Warm up", 60, 100, 100), ("Higher load", 30, 150, 150), ("Cool down", 60, 100, 100)),
    moves=(Planted("sham", 12, 12, 40), Planted("real", 102, 12, 140)),
)


def test_the_figures_are_those_of_the_windows(tmp_path: Path) -> None:
    """Slow arrivals are counted over all that were offered, by the threshold that run.json declares."""
    stall = (105.0, 0.3)
    what = replace(BUSY, stalls=[stall], failures=[(108.0, "refused", "refused")])
    schedule = schedule_of(what)
    planned = np.array([t_s for _, t_s in schedule.times(0, schedule.total)])
    for slow_ms, run in ((20, {}), (50, {"slow_ms": 50})):
        report = build(synthetic.write(tmp_path / f"run-{slow_ms}", replace(what, run=run)), []).report
        found = report["headline"]
        slow = int(((planned >= stall[0]) & (planned < sum(stall) - slow_ms / 1000)).sum()) + 1
        p50, p99, over, failed, lost = found["rows"]
        assert (found["slow_ms"], over["figure"], found["seconds"]) == (slow_ms, f"over {slow_ms} ms", 12)
        assert over["during"] == pytest.approx(100 * slow / 1200, abs=0.1)
        assert (over["control"], failed["during"], failed["control"], failed["run"]) == (0, 1, 0, 1)
        assert (lost["during"], lost["control"], lost["run"]) == (0, 0, 0)
        during, control = report["reshard"]["during"], report["reshard"]["control"]["during"]
        for row, stat in ((p50, "p50"), (p99, "p99")):
            assert (row["during"], row["control"]) == tuple(
                window["latency"]["response"][stat] for window in (during, control)
            )
            assert row["difference"] == pytest.approx(row["during"] - row["control"])
        assert during["slow"] == pytest.approx(slow, abs=1)
        assert found["primary"] == "response.p99"


def test_a_window_of_few_arrivals_has_no_p99(tmp_path: Path) -> None:
    """Below 1,000 arrivals the share of slow ones leads, and the verdict and the page's windows tell no p99."""
    moves = (Planted("sham", 12, 9, 40), Planted("real", 102, 9, 140))
    result = build(synthetic.write(tmp_path / "run", replace(BUSY, moves=moves)), [])
    found = result.report["headline"]
    assert (found["primary"], found["rows"][1]["during"], found["rows"][1]["control"]) == ("response.slow", None, None)
    assert "p99" not in result.verdict


# A slow second is one with a pause of 30 ms; the move ends at 114, its phase at 150.
STALLS: list[tuple[str, list[tuple[float, float]], str, int | None]] = [
    ("at once", [], "at once", 0),
    ("a slow second by chance, later", [(117.5, 0.03)], "at once", 0),
    ("three slow seconds", [(114.5 + second, 0.03) for second in range(3)], "after", 3),
    ("slow, quiet for two, slow again", [(114.5, 0.03), (117.5, 0.03), (118.5, 0.03)], "after", 5),
    ("slow to the end", [(114.5 + second, 0.03) for second in range(36)], "not within the record", None),
    ("as slow in the control", [(20.5 + second, 0.03) for second in range(10, 40)]
     + [(114.5 + second, 0.03) for second in range(36)], "at once", 0),
]  # fmt: skip


@pytest.mark.parametrize(("stalls", "state", "after_s"), [c[1:] for c in STALLS], ids=[c[0] for c in STALLS])
def test_back_to_normal_is_within_the_controls_ordinary_range(
    tmp_path: Path, stalls: list[tuple[float, float]], state: str, after_s: int | None
) -> None:
    """From the first ordinary second on with which five begin of which four are ordinary."""
    report = build(synthetic.write(tmp_path / "run", replace(BUSY, stalls=stalls, seed=8)), []).report
    found = report["headline"]["back_to_normal"]
    assert (found["state"], found["after_s"], found["watched_s"]) == (state, after_s, 36)


@pytest.mark.parametrize(
    ("moves", "why"),
    [
        ((Planted("sham", 12, 12, 40), Planted("real", 136, 10, 140)), "the phase goes on for 4 s after the move"),
        ((Planted("sham", 5, 50, 40), Planted("real", 95, 40, 140)), "only 6 seconds without a move or sham"),
    ],
)
def test_nothing_is_said_of_the_end_where_too_little_is_known(
    tmp_path: Path, moves: tuple[Planted, ...], why: str
) -> None:
    """Five seconds after the move, and ten ordinary ones, are needed."""
    report = build(synthetic.write(tmp_path / "run", replace(BUSY, moves=moves)), []).report
    found = report["headline"]["back_to_normal"]
    assert (found["state"], found["after_s"]) == ("unknown", None)
    assert why in found["why"]
