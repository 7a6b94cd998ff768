"""The command as a user runs it: files, exit codes, errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report import synthetic

ROOT = Path(__file__).resolve().parents[2]


def run_report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m report` in a process of its own."""
    command = [sys.executable, "-m", "report", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


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
