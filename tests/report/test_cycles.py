"""A run of cycles from its files to the verdict: known effects come back, and nothing is claimed that may not be."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from contract.runread import read_run
from contract.runtables import Arrivals
from report import cycles, document, gates, verdict
from report.assemble import build
from report.blocks import Design
from report.findings import examine
from tests.report.test_report import SCHEMA
from tools import synthetic
from tools.synthetic import Synthetic, write

K = 8


def cycles_run(atomic: bool) -> Synthetic:
    """A run of 8 blocks: each of the three timings takes 200 us longer in real moves, 50 in shams."""
    if atomic:
        return synthetic.cycles(K, length_s=0.25, window_s=2.0, migration="atomic")
    return synthetic.cycles(K, migration="slots")


def declaring(spec: Synthetic, **changes: object) -> Synthetic:
    """The run with other words on its cycles in run.json."""
    declared: Any = spec.run["cycles"]
    return replace(spec, run={**spec.run, "cycles": {**declared, **changes}})


def reported(folder: Path) -> dict[str, Any]:
    """report.json with its verdict, without the page and the pictures."""
    report = document.document(examine(read_run(folder)))
    return {**report, "verdict": " ".join(verdict.sentences(report))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with windows of 1,080 arrivals."""
    return write(tmp_path_factory.mktemp("cycles") / "run", cycles_run(atomic=False))


def test_a_run_folder_of_cycles_gives_the_planted_effect(made: Path) -> None:
    """From files to verdict: what real moves add beyond the shams lies in the intervals, and the p-values say so."""
    result = build(made, [])
    jsonschema.Draft202012Validator(SCHEMA).validate(result.report)
    found = result.report["cycles"]
    assert (len(found["blocks"]), found["left_out"], found["primary"], found["problem"]) == (K, [], "response.p99", "")
    assert list(found["outcomes"]) == [
        "response.p99", "response.slow", "response.p50", "response.slow_arrivals", "connection.p99", "write.p99",
        "read.p99",
    ]  # fmt: skip
    primary, read = found["outcomes"]["response.p99"], found["outcomes"]["read.p99"]
    assert (primary["role"], primary["p"]) == ("primary", pytest.approx(2 / 256))
    assert primary["low"] <= 0.45 <= primary["high"]
    assert read["low"] <= 0.15 <= read["high"]
    assert read["p"] == pytest.approx(6 * 2 / 256)
    said = " ".join(result.verdict.split())
    assert said.startswith(
        "No request failed and no session was lost. Moving slots changes the primary outcome, response p99, by +0.4"
    )
    assert f"Slots moved {K} times, slot by slot, in 8 s each; whole blocks of a real and a sham move: {K}." in said
    assert "none is shown on share of slow responses, slow arrivals a move" in said


def test_an_atomic_move_has_no_p99(tmp_path: Path) -> None:
    """Where a window holds fewer than 1,000 arrivals no p99 is told of cycles: the share of slow ones is primary."""
    folder = write(tmp_path / "atomic", cycles_run(atomic=True))
    result = reported(folder)
    found = result["cycles"]
    assert (found["arrivals_a_window"], found["primary"], found["problem"]) == (240, "response.slow", "")
    assert list(found["outcomes"]) == [
        "response.slow", "response.p90", "response.p50", "response.slow_arrivals", "connection.p90", "write.p90",
        "read.p90",
    ]  # fmt: skip
    assert "p99" not in result["verdict"]
    assert "No effect on the primary outcome, share of slow responses, is shown" in result["verdict"]
    assert "The others are estimates alone" in result["verdict"]
    assert all(row["p"] is None for row in found["outcomes"].values() if row["role"] == "secondary")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"primary": "response.p99"}, "response.p99 was declared primary, but a window holds only 240 arrivals"),
        ({"primary": "read.p50"}, "run.json's cycles declares no primary outcome (response.p99 or response.slow)"),
        ({"window_s": 0}, "run.json's cycles has no window_s and flank_s above 0"),
        ({"flank_s": None}, "run.json's cycles has no window_s and flank_s above 0"),
    ],
)
def test_a_primary_outcome_that_cannot_be_computed_gives_no_p_value(
    tmp_path: Path, changes: Mapping[str, object], problem: str
) -> None:
    """Nothing takes the declared outcome's place after the run: no interval, no p-value, and the reason is told."""
    folder = write(tmp_path / "run", declaring(cycles_run(atomic=True), **changes))
    result = reported(folder)
    assert result["cycles"]["problem"].startswith(problem)
    assert problem in result["verdict"]
    assert " p = " not in result["verdict"]
    assert "p99 +" not in result["verdict"]
    assert all(row["low"] is row["p"] is None for row in result["cycles"]["outcomes"].values())


def test_fewer_than_8_blocks_give_their_values_alone(tmp_path: Path) -> None:
    """With 4 blocks the table has each block's d, and nothing is concluded from them."""
    result = reported(write(tmp_path / "few", synthetic.cycles(4)))
    found = result["cycles"]
    assert [0.1 < block["d"]["read.p99"] < 0.2 for block in found["blocks"]] == [True] * 4
    assert all(row["estimate"] is None for row in found["outcomes"].values())
    assert "an interval needs 8 whole blocks, 2 of each direction" in result["verdict"]


def test_an_invalid_run_claims_no_effect(tmp_path: Path) -> None:
    """The verdict of a run that was interrupted says what was played, and quotes no figure of an effect."""
    result = reported(write(tmp_path / "cut", replace(cycles_run(atomic=False), ended="interrupted")))
    assert result["valid"] is False
    assert f"whole blocks of a real and a sham move: {K}" in result["verdict"]
    for word in ("primary", "interval", "p99", "p = "):
        assert word not in result["verdict"]


def test_blocks_left_out_and_not_played_are_counted(tmp_path: Path) -> None:
    """A block whose sham is missing is named with its reason; one that was declared and never came is counted."""
    spec = declaring(synthetic.cycles(10), count=12)
    moves = [move for move in spec.moves if (move.fields["cycle"], move.kind) != (3, "sham")]
    result = reported(write(tmp_path / "run", replace(spec, moves=moves)))
    found = result["cycles"]
    assert [block["cycle"] for block in found["blocks"]] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert found["left_out"] == [{"cycle": 3, "why": "it has no sham move"}]
    assert "1 left out (block 3: it has no sham move); 2 of 12 declared were not played." in result["verdict"]
    assert found["outcomes"]["response.p99"]["p"] is not None


def arrivals(done_ms: list[float], ok: list[bool]) -> Arrivals:
    """An arrival each second; NaN: nobody knows when it ended."""
    planned = np.arange(len(done_ms), dtype=np.float64)
    read = {"read": np.where(ok, np.array(done_ms) * 100, np.nan)}
    done = planned + np.array(done_ms) / 1000
    return Arrivals(planned, planned, planned, done, np.array(ok), [], planned, planned, planned, planned, read)


def test_a_contrast_is_the_window_less_the_mean_of_its_flanks() -> None:
    """By hand: real 9 - (1 + 3) / 2 = 7 ms, sham 6 - (1 + 1) / 2 = 5 ms, so d = 2 ms; counts stretch to the window."""
    done = [1, 9, 9, 3, 1, 6, 6, 1.0]
    kept = arrivals(done, [True] * 8)
    first = np.array([[[1, 0, 3], [5, 4, 7]]])
    last = np.array([[[3, 1, 4], [7, 5, 8]]])
    design = Design(1, window_s=2.0, flank_s=1.0, primary="response.p99")
    statistics = cycles.family(kept, 15_000.0, 2.0, 100, design)
    d = {name: cycles.differences(statistic, first, last)[0] for name, (_, statistic) in statistics.items()}
    assert d == pytest.approx(
        {
            "response.p90": 2.0,
            "response.slow": (1 - 0.5) - (1 - 0),
            "response.p50": 2.0,
            "response.slow_arrivals": (2 - 2 * 0.5) - 2,
            "read.p90": 0.2,
        }
    )


def test_an_arrival_without_a_good_reply_counts_as_the_time_limit() -> None:
    """Failed at once, never answered or never sent: each counts 15 s and is slow, otherwise p99 improves with failures.

    Of the application's own timings nothing is known then.
    """
    kept = arrivals([1.0, 2.0, float("nan")], [True, False, False])
    assert cycles.response_ms(kept, 15_000.0).tolist() == [1.0, 15_000.0, 15_000.0]
    statistic = cycles.quantile_of(kept.timings_us["read"], 0.9)
    assert statistic(np.array([0, 1]), np.array([3, 3])).tolist() == [100.0, pytest.approx(float("nan"), nan_ok=True)]


@pytest.mark.parametrize(("count", "rank"), [(100, 99), (1_000, 990), (1_001, 991), (1, 1)])
def test_a_quantile_is_the_nearest_rank(count: int, rank: int) -> None:
    """The p99 of 1,000 arrivals is the 990th, so that ten lie above it."""
    values = np.random.default_rng(1).permutation(np.arange(1.0, count + 1))
    assert cycles.quantile_of(values, 0.99)(np.array([0]), np.array([count])).tolist() == [rank]


def test_skew_asks_for_more_blocks(tmp_path: Path) -> None:
    """One block in which the move costs far more than in the others: the verdict tells the skew and its coverage."""
    spec = synthetic.cycles(12)
    moves = [
        replace(move, added_us=5_000) if (move.fields["cycle"], move.kind) == (5, "real") else move
        for move in spec.moves
    ]
    result = reported(write(tmp_path / "run", replace(spec, moves=moves)))
    row = result["cycles"]["outcomes"]["response.p99"]
    assert row["skew"] > 1.8
    assert (row["coverage"], row["coverage_by"]) == (0.583, "skew")
    assert "held the true mean in 58% of runs, not 95 %; play more blocks." in result["verdict"]


def gate(report: Mapping[str, Any], text: str) -> tuple[str, object, str]:
    """State, measured value and reason of one gate."""
    row = gates.parse(text).judge(report)
    return row.state, row.left, row.why


def test_gates_reach_the_ends_of_the_intervals(made: Path) -> None:
    """A pipeline may ask that the effect is surely below a limit: `effect.response.p99.high < 5ms`."""
    report = reported(made)
    outcomes = report["cycles"]["outcomes"]
    for name, part in (
        ("response.p99", "high"),
        ("response.p99", "low"),
        ("read.p99", "high"),
        ("response.slow", "low"),
    ):
        unit = "ms" if outcomes[name]["unit"] == "ms" else ""
        state, left, _ = gate(report, f"effect.{name}.{part} < 5{unit}")
        assert (state, left) == ("passed", outcomes[name][part])
    assert gate(report, "effect.response.p99 > 5ms")[:2] == ("failed", outcomes["response.p99"]["estimate"])
    assert gate(report, "effect.response.slow_arrivals.high < 5")[0] == "passed"


def test_a_gate_on_what_is_not_told_does_not_hold(tmp_path: Path) -> None:
    """No p99 of short windows, no interval of secondary outcomes without a primary effect, and the reason is told."""
    report = reported(write(tmp_path / "atomic", cycles_run(atomic=True)))
    assert gate(report, "effect.response.p99.high < 5ms") == (
        "unknown", None, "cycles of 240 arrivals a window do not tell it",
    )  # fmt: skip
    state, _, why = gate(report, "effect.read.p90.high < 5ms")
    assert (state, why[:38]) == ("unknown", "the primary outcome shows no effect, s")
    assert gate(report, "effect.response.slow.high < 1%")[0] == "passed"


def test_slow_is_what_the_run_declared(tmp_path: Path) -> None:
    """The threshold of slow comes from run.json: with 0.5 ms every response is slow, in moves and flanks."""
    spec = cycles_run(atomic=True)
    folder = write(tmp_path / "run", replace(spec, run={**spec.run, "slow_ms": 0.5}))
    found = examine(read_run(folder)).cycles
    assert found is not None
    assert found.slow_ms == 0.5
    assert found.moved["real"]["slow"] == found.moved["real"]["arrivals"] == K * 240
