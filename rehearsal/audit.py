"""Every acknowledged session is read back after the run and compared with what it should hold.

The comparison is the declared audit function's own; this module feeds it sessions.bin and adds up its answers.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contract import runfolder

_BATCH = 5000  # the most that the audit function takes a call
_EXAMPLES = 20


def audit(
    run_dir: Path,
    invoke: Callable[[Mapping[str, Any]], dict[str, Any]],
    on_progress: Callable[[int, int], None] = lambda _checked, _total: None,
) -> dict[str, Any]:
    """Check every session of `run_dir`'s sessions.bin, write audit.json, return its content.

    `invoke` calls the audit function. A call that fails leaves its sessions unchecked and the audit incomplete.
    """
    started = time.monotonic()
    content = (run_dir / runfolder.SESSIONS).read_bytes()
    sessions = [str(uuid.UUID(bytes=content[at : at + 16])) for at in range(0, len(content) - len(content) % 16, 16)]
    result: dict[str, Any] = {
        "complete": False,
        "acknowledged": len(sessions),
        "checked": 0,
        "missing": 0,
        "different": 0,
        "examples": [],
    }
    problems: list[str] = []
    for at in range(0, len(sessions), _BATCH):
        batch = sessions[at : at + _BATCH]
        answer = invoke({"sessions": batch})
        result["checked"] += int(answer.get("checked", 0))
        for problem in ("missing", "different"):
            found = answer.get(problem, [])
            result[problem] += len(found)
            room = _EXAMPLES - len(result["examples"])
            result["examples"] += [{"session": session, "problem": problem} for session in found[:room]]
        if "error" in answer or "errorMessage" in answer:
            problems.append(str(answer.get("error") or answer["errorMessage"]))
        on_progress(min(at + _BATCH, len(sessions)), len(sessions))
    result["complete"] = result["checked"] == len(set(sessions)) and not problems
    if problems:
        result["problems"] = sorted(set(problems))
    result["seconds"] = round(time.monotonic() - started, 3)
    (run_dir / runfolder.AUDIT).write_text(json.dumps(result, indent=2) + "\n")
    return result
