"""The command as a user runs it: files, exit codes, errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contract.runfolder import update_run
from tools import synthetic

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = "tests/report/golden/made-up"
ALWAYS = ["audit.missing == 0", "audit.different == 0"]


def run_report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m report` in a process of its own."""
    command = [sys.executable, "-m", "report", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def judged_by(run: Path) -> list[str]:
    """The gates of its report."""
    return [row["gate"] for row in json.loads((run / "report.json").read_text())["gates"]]


@pytest.fixture(scope="module")
def good_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a planted effect and nothing wrong."""
    return synthetic.write(tmp_path_factory.mktemp("runs") / "20261122T151100Z-dev", synthetic.Synthetic())


def test_a_good_run_gets_every_file_and_exit_code_0(good_run: Path) -> None:
    """A valid run whose gates hold exits 0 and leaves the page, the data, the summary and the pictures."""
    done = run_report(good_run)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("report.html", "report.json", "report.md", "timeline.svg", "timeline.png"):
        assert (good_run / name).stat().st_size > 500, name
    assert json.loads((good_run / "report.json").read_text())["valid"] is True


def test_a_gate_that_does_not_hold_exits_1(good_run: Path) -> None:
    """A pipeline sees a failed gate in the exit code and the gate in the output."""
    done = run_report(good_run, "--gate", "read.p99 < 1us")
    assert done.returncode == 1
    assert "read.p99 < 1us" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: run"),
        (["nowhere"], "nowhere is not a folder"),
        (["tests"], "tests is not a run folder"),
        ([GOLDEN, "--gate", "read.p99 <"], "a number, a metric such as read.p99"),
        ([GOLDEN, "--gate", "failed < 1%"], "failed/offered < 1%"),
        ([GOLDEN, "--gate", "(" * 3000], "at most 500 are read"),
        (["tests", "--gates", "nowhere.txt"], "gates file nowhere.txt"),
        (["tests", "--gates", "gates.txt", "--no-gates"], "not allowed with argument"),
        (["tests", "--loud"], "unrecognized arguments: --loud"),
        (["compare"], "the following arguments are required: RUN"),
        (["compare", "tests"], "compare takes 2 to 5 runs, got 1"),
        (["compare", "tests", "tests"], "tests is not a run folder"),
    ],
)
def test_usage_errors_are_one_line_and_exit_64(arguments: list[str], said: str) -> None:
    """Bad usage gets one line that says what was wrong, no traceback, and exit code 64."""
    done = run_report(*arguments)
    assert done.returncode == 64
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_gates_files_replace_and_gates_add(good_run: Path, tmp_path: Path) -> None:
    """The repository's gates are the default; --gates replaces them, --no-gates drops them, --gate adds."""
    own = tmp_path / "own.txt"
    own.write_text("read.p99 < 1us\n")
    assert run_report(good_run, "--gates", own).returncode == 1
    assert run_report(good_run, "--no-gates", "--gate", "offered > 0").returncode == 0
    assert judged_by(good_run) == [*ALWAYS, "offered > 0"]
    assert run_report(good_run, "--gate", "failed == 0").returncode == 0
    assert judged_by(good_run) == [*ALWAYS, "failed == 0", "missed == 0", "unknown == 0"]


def test_a_run_is_judged_again_by_the_gates_that_it_was_started_with(good_run: Path, tmp_path: Path) -> None:
    """What run.json keeps is the default; --gate adds to it, --gates and --no-gates leave it out, each gate once."""
    run = tmp_path / "run"
    shutil.copytree(good_run, run)
    update_run(run, {"gates": ["read.p99 < 1us", "offered > 0"]})
    done = run_report(run)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "1 of 4 gates did not hold: read.p99 < 1us (measured 0." in said
    assert " ms, limit 0.001 ms)" in said
    assert judged_by(run) == [*ALWAYS, "read.p99 < 1us", "offered > 0"]
    assert run_report(run, "--gate", "offered > 0", "--gate", "failed == 0").returncode == 1
    assert judged_by(run) == [*ALWAYS, "read.p99 < 1us", "offered > 0", "failed == 0"]
    assert run_report(run, "--no-gates").returncode == 0
    assert judged_by(run) == ALWAYS
    update_run(run, {"gates": ["failed < 1%"]})
    done = run_report(run)
    assert (done.returncode, done.stderr.count("\n")) == (64, 1)
    assert "failed/offered < 1%" in done.stderr
