"""The audit through the function: every session once, half an answer never taken for a whole one."""

import io
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody

from experiment import audit
from experiment.cloud import Cloud
from experiment.errors import StepError
from tests.experiment.conftest import scripted

CloudOf = Callable[..., Cloud]


def payload(value: object) -> dict[str, Any]:
    """Invoke's answer."""
    body = json.dumps(value).encode()
    return {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(body), len(body))}


def honest(**asked: Any) -> dict[str, Any]:
    """A function that finds everything."""
    return payload({"checked": len(json.loads(asked["Payload"])["sessions"]), "missing": [], "different": []})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with 12,001 sessions and half of another."""
    (tmp_path / "sessions.bin").write_bytes(b"".join(uuid.UUID(int=n).bytes for n in range(12_001)) + b"cut")
    return tmp_path


def test_every_session_is_asked_for_once(folder: Path, cloud_of: CloudOf) -> None:
    """In batches that the function takes; a half session at the end of a cut file is none."""
    client = scripted("lambda", invoke=honest)
    result = audit.audit(cloud_of(**{"lambda": client}), "audit", folder)
    asked = [session for _, call in client.calls for session in json.loads(call["Payload"])["sessions"]]
    assert sorted(asked) == [str(uuid.UUID(int=n)) for n in range(12_001)]
    assert {key: result[key] for key in ("complete", "acknowledged", "checked", "missing", "different")} == {
        "complete": True, "acknowledged": 12_001, "checked": 12_001, "missing": 0, "different": 0,
    }  # fmt: skip
    assert json.loads((folder / "audit.json").read_text()) == result


def test_missing_and_different_sessions_are_counted_with_examples(folder: Path, cloud_of: CloudOf) -> None:
    """The audit can fail, and says with which session."""

    def finds(**asked: Any) -> dict[str, Any]:
        sessions = json.loads(asked["Payload"])["sessions"]
        return payload({"checked": len(sessions), "missing": sessions[:1], "different": sessions[1:3]})

    result = audit.audit(cloud_of(**{"lambda": scripted("lambda", invoke=finds)}), "audit", folder)
    assert (result["missing"], result["different"], result["complete"]) == (3, 6, True)
    assert {"session": str(uuid.UUID(int=0)), "problem": "missing"} in result["examples"]


def test_an_interrupted_audit_goes_on(folder: Path, cloud_of: CloudOf) -> None:
    """What was checked is not checked again: 186 calls at 927,000 sessions are minutes."""
    failed: list[bool] = []

    def fails_once(**asked: Any) -> dict[str, Any]:
        if json.loads(asked["Payload"])["sessions"][0] == str(uuid.UUID(int=10_000)) and not failed:
            failed.append(True)
            return {**payload({"errorMessage": "Task timed out"}), "FunctionError": "Unhandled"}
        return honest(**asked)

    client = scripted("lambda", invoke=fails_once)
    cloud = cloud_of(**{"lambda": client})
    with pytest.raises(StepError, match=r"function audit: it failed: .*Task timed out"):
        audit.audit(cloud, "audit", folder)
    assert not (folder / "audit.json").exists()
    before = len(client.calls)
    result = audit.audit(cloud, "audit", folder)
    assert (result["checked"], result["complete"]) == (12_001, True)
    assert len(client.calls) - before == 1


@pytest.mark.parametrize("answer", [{"checked": 4_999, "missing": [], "different": []}, {"ok": 1}, "text"])
def test_an_answer_that_is_no_audit_is_an_error(answer: object, folder: Path, cloud_of: CloudOf) -> None:
    """Sessions that were not looked at must never count as intact."""
    client = scripted("lambda", invoke=lambda **_: payload(answer))
    with pytest.raises(StepError, match="function audit"):
        audit.audit(cloud_of(**{"lambda": client}), "audit", folder)


def test_a_run_without_sessions_is_audited_at_once(tmp_path: Path, cloud_of: CloudOf) -> None:
    """Nothing was acknowledged: nothing can be missing, and the function is not asked."""
    result = audit.audit(cloud_of(**{"lambda": scripted("lambda")}), "audit", tmp_path)
    assert (result["complete"], result["acknowledged"]) == (True, 0)
