"""The audit through the function: every session once, half an answer never taken for a whole one."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiment import audit
from experiment.errors import ExperimentError, StepError


def honest(sessions: Sequence[str]) -> Mapping[str, Any]:
    """A function that finds everything."""
    return {"checked": len(sessions), "missing": [], "different": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with 12,001 sessions and half of another."""
    (tmp_path / "sessions.bin").write_bytes(b"".join(uuid.UUID(int=n).bytes for n in range(12_001)) + b"cut")
    return tmp_path


def test_every_session_is_asked_for_once(folder: Path) -> None:
    """In batches that the function takes; a half session at the end of a cut file is none."""
    asked: list[str] = []

    def note(sessions: Sequence[str]) -> Mapping[str, Any]:
        assert len(sessions) <= audit.BATCH
        asked.extend(sessions)
        return honest(sessions)

    result = audit.audit(folder, note)
    assert sorted(asked) == [str(uuid.UUID(int=n)) for n in range(12_001)]
    assert {key: result[key] for key in ("complete", "acknowledged", "checked", "missing", "different")} == {
        "complete": True, "acknowledged": 12_001, "checked": 12_001, "missing": 0, "different": 0,
    }  # fmt: skip
    assert json.loads((folder / "audit.json").read_text()) == result
    assert audit.is_complete(folder)


def test_a_session_that_is_acknowledged_twice_counts_twice(tmp_path: Path) -> None:
    """The function looks at each session of a call once; the books are of acknowledgements, in both places."""
    twice, once = uuid.UUID(int=1), uuid.UUID(int=2)
    (tmp_path / "sessions.bin").write_bytes(twice.bytes + once.bytes + twice.bytes)

    def lost(sessions: Sequence[str]) -> Mapping[str, Any]:
        assert list(sessions) == [str(twice), str(once)]
        return {"checked": 2, "missing": [str(twice)], "different": []}

    result = audit.audit(tmp_path, lost)
    assert (result["complete"], result["acknowledged"], result["checked"], result["missing"]) == (True, 3, 3, 2)


def test_missing_and_different_sessions_are_counted_with_examples(folder: Path) -> None:
    """The audit can fail, and says with which session."""

    def finds(sessions: Sequence[str]) -> Mapping[str, Any]:
        return {"checked": len(sessions), "missing": list(sessions[:1]), "different": list(sessions[1:3])}

    result = audit.audit(folder, finds)
    assert (result["missing"], result["different"], result["complete"]) == (3, 6, True)
    assert {"session": str(uuid.UUID(int=0)), "problem": "missing"} in result["examples"]


def test_an_interrupted_audit_goes_on(folder: Path) -> None:
    """What was checked is not checked again: 186 calls at 927,000 sessions are minutes. Until then it is incomplete."""
    failed: list[bool] = []
    calls: list[str] = []

    def fails_once(sessions: Sequence[str]) -> Mapping[str, Any]:
        calls.append(sessions[0])
        if sessions[0] == str(uuid.UUID(int=10_000)) and not failed:
            failed.append(True)
            raise StepError("audit", "function audit", "it failed: Task timed out", "again")
        return honest(sessions)

    with pytest.raises(StepError, match="Task timed out"):
        audit.audit(folder, fails_once)
    half = json.loads((folder / "audit.json").read_text())
    assert half["complete"] is False
    assert "Task timed out" in half["problems"][0]
    assert not audit.is_complete(folder)
    before = len(calls)
    result = audit.audit(folder, fails_once)
    assert (result["checked"], result["complete"]) == (12_001, True)
    assert len(calls) - before == 1


@pytest.mark.parametrize("answer", [{"checked": 4_999, "missing": [], "different": []}, {"ok": 1}])
def test_an_answer_that_is_no_audit_is_an_error(answer: dict[str, Any], folder: Path) -> None:
    """Sessions that were not looked at must never count as intact."""
    with pytest.raises(ExperimentError, match="the audit function"):
        audit.audit(folder, lambda _sessions: answer)


def test_a_run_without_sessions_is_audited_at_once(tmp_path: Path) -> None:
    """Nothing was acknowledged: nothing can be missing, and the function is not asked."""
    result = audit.audit(tmp_path, lambda _sessions: pytest.fail("asked"))
    assert (result["complete"], result["acknowledged"]) == (True, 0)
