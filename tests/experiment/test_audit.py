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


def written(folder: Path, **run: object) -> Path:
    """A run of five acknowledged sessions."""
    (folder / "run.json").write_text(json.dumps({"format": 2, "totals": {"ok": 5, "failed": 2, "unknown": 1}} | run))
    (folder / "sessions.bin").write_bytes(b"".join(uuid.UUID(int=n).bytes for n in range(5)))
    return folder


def holding(keys: int, *problems: str) -> Mapping[str, Any]:
    """The function's answer when the primaries hold so many keys."""
    return {"keys": keys, "values": keys, "nodes": [], "problems": list(problems)}


WARMED = {"requests": 40, "sessions": 38}


@pytest.mark.parametrize(
    ("run", "keys", "bounds", "says"),
    [
        ({"keys_before": 10, "warmed": WARMED}, 53, (53, 58), []),
        ({"keys_before": 10, "warmed": WARMED}, 58, (53, 58), []),
        ({"keys_before": 10, "warmed": WARMED}, 52, (53, 58), ["hold 52 keys, 1 fewer than were written (53)"]),
        ({"keys_before": 10, "warmed": WARMED}, 59, (53, 58), ["59 keys, 1 more than can have been written (58)"]),
        ({"keys_before": 10}, 18, (15, 18), []),
        ({"keys_before": 10}, 14, (15, 18), ["hold 14 keys, 1 fewer"]),
        ({"warmed": WARMED}, 5000, (43, None), []),
        ({"warmed": WARMED}, 42, (43, None), ["hold 42 keys, 1 fewer"]),
        ({"keys_before": 10, "totals": None}, 5000, (15, None), []),
    ],
)
def test_the_number_of_keys_must_fit_what_was_written(
    tmp_path: Path, run: dict[str, object], keys: int, bounds: tuple[int, int | None], says: list[str]
) -> None:
    """A key is lost or extra even where every acknowledged session is there; without a count before, only lost."""
    folder = written(tmp_path, **run)
    nodes = audit.audit(folder, honest, ask_nodes=lambda: holding(keys))["nodes"]
    assert (nodes["at_least"], nodes["at_most"]) == bounds
    assert [part in problem for part, problem in zip(says, nodes["problems"], strict=True)] == [True] * len(says)
    assert json.loads((folder / "audit.json").read_text())["nodes"] == nodes


def test_what_the_nodes_tell_is_kept(tmp_path: Path) -> None:
    """A stray key is in audit.json as the node told it."""
    nodes = audit.audit(written(tmp_path), honest, ask_nodes=lambda: holding(5, "a stray"))["nodes"]
    assert nodes["problems"] == ["a stray"]


@pytest.mark.parametrize("answer", [{"error": "Refused: NOPERM"}, {"checked": 0, "missing": [], "different": []}])
def test_nodes_that_cannot_be_asked_are_a_problem(tmp_path: Path, answer: dict[str, Any]) -> None:
    """Neither an error nor another function's answer counts as nodes that agree."""
    (problem,) = audit.audit(written(tmp_path), honest, ask_nodes=lambda: answer)["nodes"]["problems"]
    assert problem.startswith("the nodes could not be asked: ")
    assert str(answer.get("error", "checked")) in problem


def test_an_application_of_ones_own_may_hold_other_data(tmp_path: Path) -> None:
    """Its replies name no session, so nobody knows how many keys there should be: the nodes are not asked."""
    folder = written(tmp_path)
    (folder / "sessions.bin").write_bytes(b"")
    assert "nodes" not in audit.audit(folder, honest, ask_nodes=lambda: pytest.fail("asked"))
