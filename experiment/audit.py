"""Ask the audit function, inside the VPC, whether the cache still holds every session that was acknowledged."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from contract import runfolder
from experiment.cloud import Cloud
from experiment.errors import StepError, asking

BATCH = 5_000  # what the function takes in one call (docs/architecture.md)
AT_A_TIME = 4  # few enough for an account's smallest concurrency limit of 10
_EXAMPLES = 20
_SESSION_BYTES = 16


@dataclass
class Audit:
    """What is known so far; on disk after every batch, so that an interrupted audit goes on."""

    acknowledged: int
    done: set[int] = field(default_factory=set[int])
    checked: int = 0
    missing: int = 0
    different: int = 0
    examples: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Every acknowledged session was looked at."""
        return self.checked == self.acknowledged

    def result(self) -> dict[str, Any]:
        """audit.json, as docs/run-folder.md has it."""
        return {
            "complete": self.complete,
            "acknowledged": self.acknowledged,
            "checked": self.checked,
            "missing": self.missing,
            "different": self.different,
            "examples": self.examples,
            "seconds": round(self.seconds, 3),
        }


def sessions(path: Path) -> Iterator[list[str]]:
    """The acknowledged sessions in batches; a half session at the end (a cut file) is left out."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        while chunk := stream.read(BATCH * _SESSION_BYTES):
            whole = len(chunk) // _SESSION_BYTES * _SESSION_BYTES
            if whole:
                yield [str(uuid.UUID(bytes=chunk[at : at + 16])) for at in range(0, whole, _SESSION_BYTES)]


def audit(
    cloud: Cloud, function: str, folder: Path, say: Callable[[int, int], None] = lambda _checked, _of: None
) -> dict[str, Any]:
    """Check every session of the run folder, write audit.json, return what it says."""
    path = folder / runfolder.SESSIONS
    found = _resume(folder, (path.stat().st_size if path.exists() else 0) // _SESSION_BYTES)
    began = time.monotonic() - found.seconds
    todo = ((number, batch) for number, batch in enumerate(sessions(path)) if number not in found.done)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        # A few batches ahead of the answers, so that memory does not grow with the run.
        running: dict[Any, int] = {}
        try:
            for number, batch in todo:
                running[pool.submit(_ask, cloud, function, batch)] = number
                if len(running) >= 2 * AT_A_TIME:
                    _take(running, found, folder, began, say)
            while running:
                _take(running, found, folder, began, say)
        except BaseException:
            # What the other batches found is worth keeping: those that wait are dropped, those under way are taken.
            for future in running:
                future.cancel()
            for future, number in running.items():
                if not future.cancelled() and future.exception() is None:
                    _note(number, future.result(), found, folder)
            raise
    found.seconds = time.monotonic() - began
    result = found.result()
    _write_json(folder / runfolder.AUDIT, result)
    _partial(folder).unlink(missing_ok=True)
    return result


def is_complete(folder: Path) -> bool:
    """Whether a run folder holds an audit of every acknowledged session."""
    try:
        result = json.loads((folder / runfolder.AUDIT).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(result, dict) and cast("dict[str, Any]", result).get("complete") is True


def _take(running: dict[Any, int], found: Audit, folder: Path, began: float, say: Callable[[int, int], None]) -> None:
    future = next(as_completed(running))
    number = running.pop(future)
    found.seconds = time.monotonic() - began
    _note(number, future.result(), found, folder)
    say(found.checked, found.acknowledged)


def _note(number: int, answer: dict[str, Any], found: Audit, folder: Path) -> None:
    missing, different = answer["missing"], answer["different"]
    found.done.add(number)
    found.checked += int(answer["checked"])
    found.missing += len(missing)
    found.different += len(different)
    for problem, names in (("missing", missing), ("different", different)):
        room = _EXAMPLES - len(found.examples)
        found.examples += [{"session": str(name), "problem": problem} for name in names[:room]]
    _write_json(_partial(folder), {**found.result(), "done": sorted(found.done)})


def _ask(cloud: Cloud, function: str, batch: list[str]) -> dict[str, Any]:
    resource = f"function {function}"
    with asking("audit", resource, "lambda:InvokeFunction"):
        answer = cloud.functions.invoke(FunctionName=function, Payload=json.dumps({"sessions": batch}).encode())
        body = answer["Payload"].read()
    again = "see its log group, then run `python -m experiment audit` again: it goes on"
    if answer.get("FunctionError"):
        raise StepError("audit", resource, f"it failed: {body[:500].decode(errors='replace')}", again)
    try:
        told: Any = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not {"checked", "missing", "different"} <= cast("dict[str, Any]", told).keys():
        raise StepError("audit", resource, f"an answer that is no audit: {body[:200]!r}", again)
    result = cast("dict[str, Any]", told)
    if result["checked"] != len(batch):
        raise StepError("audit", resource, f"it checked {result['checked']} of {len(batch)} sessions", again)
    return result


def _partial(folder: Path) -> Path:
    return folder / ".audit.partial.json"


def _resume(folder: Path, acknowledged: int) -> Audit:
    found = Audit(acknowledged)
    try:
        before = json.loads(_partial(folder).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return found
    if before.get("acknowledged") != acknowledged:
        return found
    found.done = set(before["done"])
    found.checked, found.missing, found.different = before["checked"], before["missing"], before["different"]
    found.examples, found.seconds = before["examples"], before["seconds"]
    return found


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a small JSON file in one step."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)
