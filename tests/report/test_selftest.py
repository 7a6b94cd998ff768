"""What a run says about itself: each test finds what it looks for, and seldom anything where nothing is."""

import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from contract.runread import read_run
from report import changepoints, document, gaps, measures, selftest, sensitivity, series
from report.changepoints import LOAD, MOVE, OTHER, e_divisive
from report.checks.check import FAIL, PASS, UNKNOWN, WARN
from report.findings import Findings, examine
from tests.report.test_report import SCHEMA
from tools import synthetic
from tools.synthetic import Synthetic, write

SEEDS = 200
# The Nile's yearly flow at Aswan, 1871 to 1970 (Cobb, Biometrika 65, 1978): it fell after 1898.
NILE = """
1120 1160 963 1210 1160 1160 813 1230 1370 1140 995 935 1110 994 1020 960 1180 799 958 1140 1100 1210 1150 1250
1260 1220 1030 1100 774 840 874 694 940 833 701 916 692 1020 1050 969 831 726 456 824 702 1120 1100 832 764 821 768 845
864 862 698 845 744 796 1040 759 781 865 845 944 984 897 822 1010 771 676 649 846 812 742 801 1040 860 874 848 890 744
749 838 1050 918 986 797 923 975 815 1020 906 901 1170 912 746 919 718 714 740"""
# Of Apache Otava's own tests (tests/series_test.py), which expect a change before index 6.
OTAVA = (1.02, 0.95, 0.99, 1.00, 1.12, 0.90, 0.50, 0.51, 0.48, 0.48, 0.55)


def wandering(seed: int, seconds: int, alike: float) -> measures.Floats:
    """A series without drift or change, each second `alike` times the one before plus noise with a long tail."""
    values = np.random.default_rng(seed).lognormal(0, 0.5, seconds)
    for place in range(1, seconds):
        values[place] += alike * values[place - 1]
    return values[10:]


def warned(seconds: int, alike: float) -> dict[str, float]:
    """How often each test of a series falls below the level, without anything to find."""
    found = {"independent": 0, "steady": 0, "changes": 0}
    for seed in range(SEEDS):
        values = wandering(seed, seconds + 10, alike)
        t_s = np.arange(len(values))
        state = (t_s > seconds // 2).astype(np.int64)
        found["independent"] += series.autocorrelation(values, t_s, state).p <= selftest.ALPHA
        found["steady"] += series.trend(values, t_s, state).p <= selftest.ALPHA
        found["changes"] += bool(changepoints.searched(np.log(values)))
    return {name: count / SEEDS for name, count in found.items()}


@pytest.mark.parametrize("seconds", [15, 60])
def test_no_test_of_a_series_warns_often_without_cause(seconds: int) -> None:
    """A note that comes by chance in more than a few of a hundred runs is soon overlooked."""
    assert max(warned(seconds, 0.0).values()) <= 0.04


def test_seconds_that_are_alike_are_told_as_such_and_not_as_drift_or_change() -> None:
    """An autocorrelation of 0.5 makes a series wander, which must not be taken for a trend."""
    found = warned(80, 0.5)
    assert found["independent"] >= 0.8
    assert found["steady"] <= 0.05
    assert found["changes"] <= 0.2  # docs/report.md tells how often


def test_a_drift_is_found_within_two_states_and_a_step_between_them_is_not_one() -> None:
    """More shards after a move are another system: that difference is the effect, not a drift."""
    t_s = np.arange(60)
    state = (t_s >= 30).astype(np.int64)
    noise = np.random.default_rng(5).normal(size=60)
    assert series.trend(noise + 0.15 * (t_s % 30), t_s, state).p < 0.001
    assert series.trend(noise + 50 * state, t_s, state).p > 0.05


def test_mann_and_kendall_give_the_published_variance() -> None:
    """For n values without ties Var S = n (n - 1) (2n + 5) / 18: of 10 that rise, z = (45 - 1) / sqrt(125)."""
    values = np.array([1.0, 2.1, 2.9, 4.2, 4.8, 6.1, 6.9, 8.2, 8.8, 10.1])
    found = series.trend(values, np.arange(10), np.zeros(10, dtype=np.int64))
    assert found.tau == 1.0
    assert found.p == pytest.approx(math.erfc(44 / math.sqrt(125) / math.sqrt(2)))


def test_change_points_of_published_series_are_found() -> None:
    """The Nile's fall after 1898 (28 years), and the series of Apache Otava's own tests."""
    assert [split.place for split in e_divisive(np.array(NILE.split(), dtype=np.float64))] == [28]
    assert [split.place for split in e_divisive(np.array(OTAVA), least=3)] == [6]


def test_the_energy_of_a_split_is_that_of_the_paper() -> None:
    """The sums over prefixes give the same Q as the paper's means over pairs, computed one by one."""
    values = np.random.default_rng(2).normal(size=14) + np.repeat([0.0, 3.0, 0.0], (5, 5, 4))
    distance = np.abs(values[:, None] - values[None, :])

    def q(t: int, k: int) -> float:
        one, other = range(t), range(t, k)
        between = np.mean([distance[i, j] for i in one for j in other])
        within = [np.mean([distance[i, j] for i in part for j in part if i < j]) for part in (one, other)]
        return float(t * (k - t) / k * (2 * between - sum(within)))

    every = {(t, k): q(t, k) for t in range(3, 12) for k in range(t + 3, 15)}
    best = max(every, key=lambda pair: every[pair])
    found, place = changepoints.best_split(distance, 3)
    assert place == best[0]
    assert found == pytest.approx(every[best])


def test_a_long_run_is_searched_as_medians_of_a_few_seconds(tmp_path: Path) -> None:
    """3,000 seconds have no more points than 250, so that the search ends in a second or two."""
    level = [0.0] * 3000
    level[1500:] = [4000.0] * 1500
    spec = Synthetic(phases=(("Steady", 3000, 2, 2),), moves=(), level_us=level)
    run = read_run(write(tmp_path / "run", spec))
    found = changepoints.changes(run, [], None)
    assert found.seconds_a_point == 12
    assert [(point.t_s, point.near) for point in found.points] == [(1500.0, OTHER)]


def gaps_of(kind: str, seed: int) -> measures.Floats:
    """2,000 gaps of mean 1."""
    random = np.random.default_rng(seed)
    return random.exponential(1, 2000) if kind == "exponential" else random.gamma(1.3, 1 / 1.3, 2000)


def test_anderson_and_darling_reject_one_exponential_sample_in_a_hundred_and_others() -> None:
    """The critical value is that of the 0.01 level; gaps of a gamma distribution of shape 1.3 are seen."""
    for kind, low, high in (("exponential", 0.0, 0.035), ("gamma", 0.95, 1.0)):
        over = np.mean([gaps.anderson_darling(gaps_of(kind, seed)) > gaps.CRITICAL for seed in range(SEEDS)])
        assert low <= over <= high


def checks(findings: Findings) -> dict[str, tuple[str, str]]:
    """State and value by name."""
    return {check.name: (check.state, check.value) for check in findings.selftest.checks}


def whole(tmp_path: Path, **changes: object) -> Findings:
    """A run of constant rate before and after a move that costs 3 ms, with a control."""
    phases = (("First", 90, 60, 60), ("Higher load", 20, 100, 100), ("Last", 90, 60, 60))
    moves = (synthetic.Planted("sham", 40, 10), synthetic.Planted("real", 150, 10, 1000))
    spec = replace(Synthetic(phases=phases, moves=moves, lead_s=1.0), **changes)  # type: ignore[arg-type]
    return examine(read_run(write(tmp_path / "run", spec)))


def test_a_quiet_run_passes_its_own_tests_and_its_move_is_a_change_point(tmp_path: Path) -> None:
    """The change points lie at the move's edges, and nothing else is found."""
    found = whole(tmp_path)
    assert {name: state for name, (state, _) in checks(found).items()} == {
        "Arrivals as distributed": PASS, "Seconds independent": PASS, "Seconds steady": PASS, "Changes declared": PASS,
    }  # fmt: skip
    assert [point.t_s for point in found.selftest.changes.points if point.near == MOVE] == [150.0, 160.0]
    assert {point.near for point in found.selftest.changes.points} <= {MOVE, LOAD}


def test_a_change_that_nobody_declared_is_a_note(tmp_path: Path) -> None:
    """Another program from second 15 to 30 of the control is named with its seconds, and the run stays VALID."""
    level = np.zeros(200)
    level[15:30] = 4000.0
    found = whole(tmp_path, level_us=level.tolist())
    assert checks(found)["Changes declared"] == (
        WARN,
        "4 changes of level: 2 at a move, 2 where nothing was declared (second 15, 30)",
    )
    assert FAIL not in {check.state for check in found.selftest.checks}


def test_a_drift_in_the_phase_of_the_move_is_a_note(tmp_path: Path) -> None:
    """A response time that grows against its control, whatever moves, makes the seconds unsteady."""
    level = np.zeros(200)
    level[110:] += np.linspace(0, 800, 90)
    found = whole(tmp_path, level_us=level.tolist())
    assert checks(found)["Seconds steady"][0] == WARN
    assert FAIL not in {check.state for check in found.selftest.checks}


def test_poisson_arrivals_are_held_against_the_exponential_on_a_ramp(tmp_path: Path) -> None:
    """A ramp's gaps shrink; on the scale of expected arrivals they are exponential, unless they were planned evenly."""
    phases = (("First", 60, 20, 80), ("Last", 60, 20, 80))
    moves = (synthetic.Planted("sham", 20, 20), synthetic.Planted("real", 80, 20))
    spec = Synthetic(phases=phases, moves=moves, poisson_seed=3)
    run = read_run(write(tmp_path / "poisson", spec))
    assert [check.state for check in gaps.arrivals(run)] == [PASS]
    evenly = read_run(write(tmp_path / "evenly", replace(spec, poisson_seed=None)))
    assert [check.state for check in gaps.arrivals(evenly)] == [PASS]
    profile = {**evenly.meta["profile"], "arrivals": "poisson"}
    told = replace(evenly, meta={**evenly.meta, "profile": profile})
    assert [check.state for check in gaps.arrivals(told)] == [WARN]


def test_a_ramp_alone_has_no_quiet_seconds_to_compare(tmp_path: Path) -> None:
    """Seconds of another rate are no series of equals: that is said, and nothing is tested."""
    run = read_run(write(tmp_path / "run", Synthetic(phases=(("Up", 60, 20, 80),), moves=())))
    states = checks(examine(run))
    assert states["Seconds independent"][0] == states["Seconds steady"][0] == UNKNOWN
    assert states["Seconds steady"][1].startswith("0 quiet seconds")


def test_the_power_of_a_t_test_is_the_published_one() -> None:
    """R's power.t.test: n = 20, delta = 1, sd = 1 in two samples has power 0.8689528."""
    assert sensitivity.t_power(math.sqrt(10), 38) == pytest.approx(0.8689528, abs=2e-5)
    # One sample of 20, power 0.8: delta = 0.6604413.
    assert sensitivity.noncentrality(19) / math.sqrt(20) == pytest.approx(0.6604413, abs=1e-4)


def test_half_of_an_effect_needs_about_four_times_the_blocks() -> None:
    """With many blocks the error falls as 1 / sqrt(K); with few blocks fewer than four times do."""
    smallest = sensitivity.noncentrality(98) / math.sqrt(100)
    assert sensitivity.blocks_for(smallest, 1.0, 2) == 100
    half = sensitivity.blocks_for(smallest / 2, 1.0, 2)
    assert half is not None
    assert 385 <= half <= 400


def test_the_smallest_effect_of_cycles_is_found_in_four_of_five_runs() -> None:
    """The formula's effect, planted into simulated blocks, is found with the power that it promises."""
    blocks, found = 12, 0
    effect = sensitivity.noncentrality(blocks - 2) / math.sqrt(blocks)
    critical = 2.228139  # t(0.975, 10), printed tables
    random = np.random.default_rng(11)
    for _ in range(2000):
        d = random.normal(effect, 1, (2, blocks // 2))
        s = math.sqrt(((d - d.mean(axis=1, keepdims=True)) ** 2).sum() / (blocks - 2))
        found += abs(d.mean()) > critical * s / math.sqrt(blocks)
    assert found / 2000 == pytest.approx(0.8, abs=0.03)


def test_the_report_tells_the_smallest_effect_of_one_move_and_of_cycles(tmp_path: Path) -> None:
    """Both kinds of run say it in report.json, which keeps to its schema."""
    one = whole(tmp_path)
    told = one.selftest.smallest
    assert told is not None
    assert [row.outcome for row in told.rows] == ["response.p99", "response.slow"]
    assert told.rows[1].value == pytest.approx(3 / 600)  # no quiet second had a slow arrival: the rule of three
    blocks = examine(read_run(write(tmp_path / "cycles", synthetic.cycles(8))))
    assert blocks.cycles is not None
    rows = sensitivity.of_cycles(blocks.cycles).rows
    assert rows
    assert all(row.half_blocks is None or row.half_blocks > 8 for row in rows)
    for findings in (one, blocks):
        report = document.document(findings)
        jsonschema.Draft202012Validator(SCHEMA["properties"]["selftest"]).validate(report["selftest"])
