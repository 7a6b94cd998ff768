"""The checks of a run, each by itself."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from contract import runfolder
from contract.runread import read_run
from report.checks import comparison, programs
from report.checks.check import FAIL, PASS
from report.moves import find_moves
from report.windows import windows_of
from tools import synthetic
from tools.synthetic import Synthetic

SHORT = Synthetic(
    phases=(("Warm up", 40, 20, 80), ("Higher load", 10, 50, 150), ("Cool down", 40, 20, 80)),
    moves=(synthetic.Planted("sham", 12, 6, 40), synthetic.Planted("real", 62, 6, 140)),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all that copy it."""
    return synthetic.write(tmp_path_factory.mktemp("made") / "20261122T151100Z-dev", Synthetic())


@pytest.fixture
def plain_run(made: Path, tmp_path: Path) -> Path:
    """A valid run that a test may change."""
    return Path(shutil.copytree(made, tmp_path / made.name))


@pytest.mark.parametrize("seed", range(40))
def test_poisson_arrivals_have_their_pairs(tmp_path: Path, seed: int) -> None:
    """Drawn arrivals repeat in the control phase, so that their number never makes a run INVALID."""
    spec = Synthetic(SHORT.phases, SHORT.moves, poisson_seed=seed)
    run = read_run(synthetic.write(tmp_path / "20261122T151100Z-dev", spec))
    windows = windows_of(run, find_moves(run))
    assert windows is not None
    (pairs,) = comparison.pairs(run, windows)
    assert (pairs.name, pairs.state, pairs.value) == ("Pairs comparable", PASS, "rates differ by 0.00% at most")


def with_others(run: Path, others: Mapping[range, float]) -> None:
    """Give the machine's lines what other programs used, beside 0.35 of the rehearsal's own."""
    lines = [json.loads(line) for line in (run / "server.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line["node"] == "machine":
            used = next((used for seconds, used in others.items() if line["t_s"] in seconds), 0.02)
            line |= {"cpu_busy": 0.35 + used, "cpu_own": 0.35}
    (run / "server.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


# PLAIN's phases compared are seconds 0 to 59 and 90 to 149; slots move in seconds 102 to 111, its control is 12 to 21.
OTHERS: list[tuple[str, Mapping[range, float], str, str]] = [
    ("quiet", {}, PASS, "at most 0.0 of 2 cores in any 10 s; 0.0 of 2 cores during the move, 0.0 of 2 cores in its"),
    ("busy in the control", {range(8, 20): 0.4}, FAIL, "other programs used 0.8 of 2 cores for 12 s"),
    ("busy after the move", {range(120, 200): 0.3}, FAIL, "other programs used 0.6 of 2 cores for 30 s"),
    ("a short burst", {range(140, 143): 0.6}, PASS, "at most 0.4 of 2 cores in any 10 s"),
    ("busy between the phases", {range(60, 90): 0.6}, PASS, "at most 0.0 of 2 cores"),
    ("more in the move", {range(102, 112): 0.2}, FAIL, "0.4 of 2 cores during the move, 0.0 of 2 cores in its control"),
    ("alike in both", {range(102, 112): 0.2, range(12, 22): 0.2}, PASS, "at most 0.4 of 2 cores in any 10 s"),
]


@pytest.mark.parametrize(("others", "state", "said"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_other_programs_are_told_apart_from_the_rehearsal(
    plain_run: Path, others: Mapping[range, float], state: str, said: str
) -> None:
    """Only what others took from the phases compared fails the run, and the reason says how much and how long."""
    with_others(plain_run, others)
    run = read_run(plain_run)
    (check,) = programs.others(run, windows_of(run, find_moves(run)))
    assert (check.state, said in check.value) == (state, True), check.value
    assert check.value.endswith("the rehearsal itself used 0.7 of 2 cores on average")


def test_a_run_that_did_not_record_its_own_cpu_says_so(plain_run: Path) -> None:
    """Without the rehearsal's own share nobody can tell whose CPU it was; on AWS there are no other programs."""
    servers = plain_run / "server.jsonl"
    servers.write_text(servers.read_text(encoding="utf-8").replace('"cpu_own"', '"cpu_else"'), encoding="utf-8")
    (check,) = programs.others(read_run(plain_run), None)
    assert (check.state, check.value) == (FAIL, "not recorded")
    runfolder.update_run(plain_run, {"where": "aws"})
    assert list(programs.others(read_run(plain_run), None)) == []
