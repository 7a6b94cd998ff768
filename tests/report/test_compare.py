"""Comparing runs: what was not alike is named, differences have the right sign, and intervals theirs."""

from dataclasses import replace
from pathlib import Path

import pytest

from contract.runread import read_run
from report import compare_tables, student
from report.compare import CompareError, compare
from report.findings import examine
from tests.report.test_command import run_report
from tests.report.test_cycles import cycles_run
from tools import synthetic
from tools.synthetic import Planted, Synthetic

QUIET = Synthetic(phases=(("One", 40, 30, 30),), moves=(Planted("real", 12, 5, 50),))


def test_runs_that_were_alike_are_called_so(tmp_path: Path) -> None:
    """Two runs of the same settings have nothing to be warned of."""
    runs = [synthetic.write(tmp_path / name, replace(QUIET, seed=seed)) for name, seed in (("a", 1), ("b", 2))]
    found = compare(runs, tmp_path / "out.html")
    assert (found.unlike, found.invalid, found.exit_code) == ([], [], 0)
    assert found.html.stat().st_size < 6_000_000


def test_everything_that_was_not_alike_is_named(tmp_path: Path) -> None:
    """Profile, scale, machine, engine and each setting are compared by name, with both values."""
    other = replace(
        QUIET,
        phases=(("One", 40, 30, 60),),
        run={
            "scale": 2,
            "machine": {"system": "Linux 6", "cores": 8, "memory_bytes": 25_000_000_000, "cpu": "a CPU"},
            "engine": {"name": "redis", "version": "7.1"},
            "settings": {"shardCount": "2", "cacheEngine": "valkey"},
            "reshard": {"from": 2, "to": 3, "migration": "atomic"},
        },
    )
    runs = [synthetic.write(tmp_path / "a", QUIET), synthetic.write(tmp_path / "b", other)]
    done = run_report("compare", *runs, "--out", tmp_path / "out.html")
    assert (done.returncode, done.stderr) == (0, "")
    for said in (
        "phases: One 40 s 30 to 30/s | One 40 s 30 to 60/s", "scale: 1 | 2", "machine cores: 2 | 8",
        "engine name: valkey | redis", "settings shardCount: 1 | 2", "reshard from: 1 | 2",
        "reshard migration: slots | atomic",
    ):  # fmt: skip
        assert said in done.stdout
    assert "connection" not in done.stdout


def test_an_invalid_run_makes_the_comparison_exit_2(tmp_path: Path) -> None:
    """Nothing may be concluded from a difference to a run that did not deliver its schedule."""
    runs = [
        synthetic.write(tmp_path / "a", QUIET),
        synthetic.write(tmp_path / "b", replace(QUIET, ended="interrupted")),
    ]
    done = run_report("compare", *runs, "--out", tmp_path / "out.html")
    assert done.returncode == 2
    assert "INVALID: B: b" in done.stdout


def test_cycles_are_compared_with_an_interval_of_the_difference(tmp_path: Path) -> None:
    """Two runs that were planted with the same effect: the interval of their difference holds zero."""
    spec = cycles_run(atomic=False)
    runs = [synthetic.write(tmp_path / name, replace(spec, seed=seed)) for name, seed in (("a", 1), ("b", 2))]
    found = [examine(read_run(folder)) for folder in runs]
    rows = {(row["name"], row["run"]): row for row in compare_tables.cycle_rows(found)}
    assert rows["response.p99", "A"]["effect"].startswith("+0.4")
    assert rows["response.p99", "A"]["difference"] == ""
    low, high = rows["response.p99", "B"]["difference"].split("(")[1].removesuffix(" ms)").split(" to ")
    assert float(low) < 0 < float(high)


def test_an_invalid_run_of_cycles_shows_no_effect(tmp_path: Path) -> None:
    """Neither its effect nor a difference to it stands in the table."""
    spec = cycles_run(atomic=False)
    runs = [
        synthetic.write(tmp_path / "a", spec),
        synthetic.write(tmp_path / "b", replace(spec, ended="interrupted")),
    ]
    rows = compare_tables.cycle_rows([examine(read_run(folder)) for folder in runs])
    assert {(row["effect"], row["difference"]) for row in rows if row["run"] == "B"} == {("INVALID", "")}


def test_a_difference_of_effects_has_satterthwaites_degrees_of_freedom() -> None:
    """Two estimates 1 apart with standard errors 1 and 1 on 4 degrees each: 8 degrees, t 2.306 times root 2."""
    between = student.difference(student.interval(2.0, 1.0, 4), student.interval(1.0, 1.0, 4))
    assert (between.estimate, between.degrees) == (1.0, pytest.approx(8.0))
    assert between.high - between.estimate == pytest.approx(2.306004 * 2**0.5, abs=1e-5)


def test_the_difference_has_the_sign_of_the_second_less_the_first(tmp_path: Path) -> None:
    """A run whose reads are slower than the first run's shows a positive difference."""
    slow = replace(QUIET, moves=(Planted("real", 5, 30, 500),))
    runs = [synthetic.write(tmp_path / "a", QUIET), synthetic.write(tmp_path / "b", slow)]
    found = compare(runs, tmp_path / "out.html")
    page = found.html.read_text(encoding="utf-8")
    row = page[page.index("<td>read p50</td>") :].split("</tr>")[0]
    assert "+0.4" in row or "+0.5" in row


@pytest.mark.parametrize("count", [1, 6])
def test_too_few_or_too_many_runs_are_refused(tmp_path: Path, count: int) -> None:
    """The error says how many are allowed and how many came."""
    with pytest.raises(CompareError, match=f"2 to 5 runs, got {count}"):
        compare([tmp_path] * count, tmp_path / "out.html")
