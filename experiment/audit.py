"""Reads every acknowledged session back after the run: the audit function compares, this module counts."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from contract import growing, runfolder
from contract.files import UnusableFileError, replace_json
from experiment import census
from experiment.errors import ExperimentError, StepError, UsageError

BATCH = 5_000  # what the function takes in one call (docs/function.md)
AT_A_TIME = 4  # few enough for an account's smallest concurrency limit of 10
_EXAMPLES = 20

Ask = Callable[[Sequence[str]], Mapping[str, Any]]


@dataclass
class Tally:
    """The result so far; written to disk after every batch, so that an interrupted audit resumes."""

    acknowledged: int
    batches: set[int] = field(default_factory=set[int])
    checked: int = 0
    missing: int = 0
    different: int = 0
    examples: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    seconds: float = 0.0

    def add(self, number: int, batch: Sequence[str], answer: Mapping[str, Any]) -> None:
        """Add a checked batch; a session that was acknowledged twice counts twice, as in sessions.bin."""
        self.batches.add(number)
        self.checked += len(batch)
        for problem in ("missing", "different"):
            named = set(answer[problem])
            count = sum(1 for session in batch if session in named)
            setattr(self, problem, getattr(self, problem) + count)
            room = _EXAMPLES - len(self.examples)
            self.examples += [{"session": str(session), "problem": problem} for session in answer[problem][:room]]

    def result(self, problem: str = "", nodes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The content of audit.json (docs/run-folder.md)."""
        result = asdict(self)
        del result["batches"]
        complete = self.checked == self.acknowledged and not problem
        return {
            "complete": complete,
            **result,
            "seconds": round(self.seconds, 3),
            **({"problems": [problem]} if problem else {}),
            **({} if nodes is None else {"nodes": nodes}),
        }


def audit(
    folder: Path,
    ask: Ask,
    say: Callable[[int, int], None] = lambda _checked, _of: None,
    *,
    ask_nodes: census.Ask | None = None,
) -> dict[str, Any]:
    """Check every session of the run folder, then the nodes; write audit.json and return its content.

    Args:
        folder: the run folder.
        ask: calls the audit function with at most BATCH different sessions and returns its answer.
        say: called with the numbers of checked and of all sessions.
        ask_nodes: calls the audit function for what each node holds; None: the nodes are not asked.

    Raises:
        ExperimentError: the function did not answer, or its answer is no audit. Checked batches are kept, audit.json
            says that it is incomplete, and the next call checks the rest.
    """
    try:
        acknowledged = growing.acknowledged(folder)
    except UnusableFileError as error:
        raise StepError("audit", str(folder / runfolder.SESSIONS), str(error), "collect the run again") from None
    tally = _resume(folder, acknowledged)
    began = time.monotonic() - tally.seconds
    try:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            todo = ((number, batch) for number, batch in enumerate(_batches(folder)) if number not in tally.batches)
            for number, batch, answer in _ask_all(pool, ask, todo):
                tally.seconds = time.monotonic() - began
                tally.add(number, batch, answer)
                _keep(folder, tally)
                say(tally.checked, tally.acknowledged)
    except UsageError:  # there is no function to ask: no audit was made
        raise
    except ExperimentError as error:
        replace_json(folder / runfolder.AUDIT, tally.result(str(error)))
        raise
    nodes = None if ask_nodes is None else census.take(folder, ask_nodes)
    tally.seconds = time.monotonic() - began
    result = tally.result(nodes=nodes)
    replace_json(folder / runfolder.AUDIT, result)
    _partial(folder).unlink(missing_ok=True)
    return result


def is_complete(folder: Path) -> bool:
    """Whether a run folder holds an audit of every acknowledged session."""
    try:
        result: Any = json.loads((folder / runfolder.AUDIT).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(result, dict) and cast("dict[str, Any]", result).get("complete") is True


def _batches(folder: Path) -> Iterator[list[str]]:
    """The acknowledged sessions, BATCH at a time."""
    for batch in growing.read_sessions(folder, BATCH):
        yield [str(uuid.UUID(bytes=session)) for session in batch]


def _ask_all(
    pool: ThreadPoolExecutor, ask: Ask, todo: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str], Mapping[str, Any]]]:
    """Keep only a few calls in flight, so that memory does not grow with the run.

    After a failure, waiting batches are dropped; those in flight are still yielded before the error is raised.
    """
    running: dict[Future[Mapping[str, Any]], tuple[int, list[str]]] = {}
    failure: BaseException | None = None
    while True:
        while failure is None and len(running) < 2 * AT_A_TIME and (entry := next(todo, None)) is not None:
            running[pool.submit(_checked, ask, entry[1])] = entry
        if not running:
            break
        future = next(as_completed(running))
        number, batch = running.pop(future)
        if (error := future.exception()) is None:
            yield number, batch, future.result()
        elif failure is None:
            failure = error
            for waiting in [waiting for waiting in running if waiting.cancel()]:
                del running[waiting]
    if failure is not None:
        raise failure


def _checked(ask: Ask, batch: Sequence[str]) -> Mapping[str, Any]:
    """The function's answer for a batch; an error unless it checked every session."""
    different = list(dict.fromkeys(batch))
    answer = ask(different)
    again = "see the log of the audit function, then audit again: it resumes"
    if not {"checked", "missing", "different"} <= answer.keys():
        raise StepError("audit", "the audit function", f"an answer that is no audit: {str(dict(answer))[:200]}", again)
    if answer["checked"] != len(different):
        why = f" ({answer['error']})" if "error" in answer else ""
        shortfall = f"it checked {answer['checked']} of {len(different)} sessions{why}"
        raise StepError("audit", "the audit function", shortfall, again)
    return answer


def _partial(folder: Path) -> Path:
    return folder / ".audit.partial.json"


def _keep(folder: Path, tally: Tally) -> None:
    replace_json(_partial(folder), {**asdict(tally), "batches": sorted(tally.batches)})


def _resume(folder: Path, acknowledged: int) -> Tally:
    try:
        before: dict[str, Any] = json.loads(_partial(folder).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return Tally(acknowledged)
    if before.get("acknowledged") != acknowledged:
        return Tally(acknowledged)
    batches = set(before.pop("batches"))
    return Tally(**before, batches=batches)
