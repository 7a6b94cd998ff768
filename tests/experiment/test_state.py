"""The state that makes a run go on, and the lock that keeps a second command away."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiment.errors import UsageError
from experiment.state import State, locked

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_noted_is_there_after_a_crash(tmp_path: Path) -> None:
    """Every note is on disk when it was made."""
    state = State.load(tmp_path, "dev")
    state.begin("up")
    state.finish("up")
    state.save(run_id="r")
    again = State.load(tmp_path, "dev")
    assert again.done("up")
    assert not again.done("start")
    assert again.get("run_id") == "r"


def test_stacks_do_not_share_a_state(tmp_path: Path) -> None:
    """Two stacks may be measured side by side."""
    State.load(tmp_path, "dev").save(run_id="r")
    assert State.load(tmp_path, "other").get("run_id") is None


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}'])
def test_a_state_that_cannot_be_read_is_refused_in_words(content: str, tmp_path: Path) -> None:
    """It names the file; nothing on AWS is touched for it."""
    (tmp_path / "experiment-dev.json").write_text(content)
    with pytest.raises(UsageError, match=r"experiment-dev\.json"):
        State.load(tmp_path, "dev")


def test_a_finished_run_leaves_the_stack_and_nothing_else(tmp_path: Path) -> None:
    """The next run must not find the last one's id; what stands must still be known to cost."""
    state = State.load(tmp_path, "dev")
    for step in ("up", "start", "wait"):
        state.begin(step)
        state.finish(step)
    state.save(run_id="r", usd_per_hour=1.5, reshard={"to": 2})
    state.archive(tmp_path)
    again = State.load(tmp_path, "dev")
    assert json.loads((tmp_path / "experiment.json").read_text())["run_id"] == "r"
    assert (again.get("run_id"), again.get("reshard"), again.done("start"), again.done("up")) == (
        None,
        None,
        False,
        False,
    )
    assert (again.get("usd_per_hour"), again.began_at("up") is not None) == (1.5, True)


def test_two_commands_on_one_stack_are_kept_apart(tmp_path: Path) -> None:
    """The second one says who is at it and begins nothing; another stack is free."""
    code = (
        "import sys; from pathlib import Path; from experiment.state import locked\n"
        "with locked(Path(sys.argv[1]), 'dev'):\n print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    with other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match=f"process {other.pid}"), locked(tmp_path, "dev"):
            pass
        with locked(tmp_path, "other"):
            pass
        other.stdin.close()
        other.wait(10)
    with locked(tmp_path, "dev"):
        pass
