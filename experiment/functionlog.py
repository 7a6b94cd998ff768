"""The function's log lines, through CloudWatch Logs Insights, which returns at most 10,000 a query.

The ledger says how many lines to expect in each second, so the run is cut into windows that fit, and a window that
still has more than its query returned is cut again. Lines arrive in Logs some seconds late: the last windows are asked
for until what is there no longer grows.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiment.cloud import Cloud
from experiment.errors import StepError, asking

# CloudWatch Logs User Guide, "CloudWatch Logs Insights quotas": rows a query returns, queries at a time (30 in most
# accounts, and others may be asking, too).
LIMIT = 10_000
TARGET = 7_000
AT_A_TIME = 8
QUERY = 'fields @timestamp, @message | filter type = "ECL" | sort @timestamp asc'
COUNT = 'filter type = "ECL" | stats count(*) as lines'
_SETTLE_S = 10.0
_SETTLE_TRIES = 18
_POLL_S = 1.0
_REFUSED_S = 15 * 60.0  # a query of somebody else may take as long; AWS ends one after an hour
_ENDED_BADLY = ("Failed", "Cancelled", "Timeout", "Unknown")


@dataclass(frozen=True)
class Window:
    """Whole Unix seconds [start, end)."""

    start: int
    end: int


def windows(started_at_unix_s: float, sent: Sequence[int], target: int = TARGET) -> list[Window]:
    """Cut a run into windows of about `target` expected lines; replies may come up to half a minute after the end."""
    begin = int(started_at_unix_s)
    found: list[Window] = []
    lines = 0
    for second, count in enumerate(sent):
        if lines and lines + count > target:
            found.append(Window(begin, int(started_at_unix_s) + second))
            begin, lines = int(started_at_unix_s) + second, 0
        lines += count
    found.append(Window(begin, int(started_at_unix_s) + len(sent) + 30))
    return found


class FunctionLog:
    """Asks Logs Insights about one log group."""

    def __init__(self, cloud: Cloud, group: str, *, poll_s: float = _POLL_S) -> None:
        self._cloud = cloud
        self._group = group
        self._poll_s = poll_s
        self._refused_since: float | None = None
        self.truncated: list[Window] = []
        """Single seconds with more lines than a query returns: nothing finer can be asked for."""

    def collect(self, todo: Sequence[Window], path: Path, say: Callable[[int, int], None] = lambda _d, _t: None) -> int:
        """Append every log line of these windows to `path`, each once; returns how many."""
        waiting = list(reversed(todo))
        running: dict[str, Window] = {}
        seen: set[int] = set()
        done = written = 0
        total = len(waiting)
        with path.open("a", encoding="utf-8") as stream:
            while waiting or running:
                while waiting and len(running) < AT_A_TIME:
                    query = self._start(waiting[-1])
                    if query is None:
                        break  # as many queries as the account may have: some must end first
                    running[query] = waiting.pop()
                finished = self._finished(running)
                for query, answer in finished:
                    window = running.pop(query)
                    rows, matched = answer["results"], int(answer.get("statistics", {}).get("recordsMatched", 0))
                    cut_off = len(rows) >= LIMIT or matched > len(rows)
                    if cut_off and window.end - window.start == 1:
                        self.truncated.append(window)
                    elif cut_off:
                        middle = (window.start + window.end) // 2
                        waiting += [Window(middle, window.end), Window(window.start, middle)]
                        total += 1
                        continue
                    written += self._write(rows, seen, stream.write)
                    done += 1
                    say(done, total)
                if not finished:
                    self._cloud.sleep(self._poll_s)
        return written

    def wait_until_settled(self, last: Window, expected: int) -> int:
        """Wait until the lines of the run's end are there: all that are expected, or no more than before."""
        before = -1
        for _ in range(_SETTLE_TRIES):
            query = None
            while query is None:
                query = self._start(last, COUNT)
            finished: list[tuple[str, Any]] = []
            while not finished:
                self._cloud.sleep(self._poll_s)
                finished = self._finished([query])
            rows = finished[0][1]["results"]
            now = int(next((field.get("value", "0") for row in rows for field in row), "0"))
            if now >= expected or (now == before and now > 0):
                return now
            before = now
            self._cloud.sleep(_SETTLE_S)
        return before

    def _start(self, window: Window, query: str = QUERY) -> str | None:
        with asking("collect", f"log group {self._group}", "logs:StartQuery"):
            try:
                # Both ends are inclusive; a line of the next second that comes twice is told by its @ptr.
                answer = self._cloud.logs.start_query(
                    logGroupName=self._group,
                    startTime=window.start,
                    endTime=window.end,
                    queryString=query,
                    limit=LIMIT,
                )
            except self._cloud.logs.exceptions.LimitExceededException:
                now = self._cloud.clock()
                self._refused_since = now if self._refused_since is None else self._refused_since
                if now - self._refused_since > _REFUSED_S:
                    raise
                self._cloud.sleep(self._poll_s)
                return None
        self._refused_since = None
        return answer["queryId"]

    def _finished(self, running: Iterable[str]) -> list[tuple[str, Any]]:
        finished: list[tuple[str, Any]] = []
        for query in list(running):
            with asking("collect", f"log group {self._group}", "logs:GetQueryResults"):
                answer = self._cloud.logs.get_query_results(queryId=query)
            if answer["status"] == "Complete":
                finished.append((query, answer))
            elif answer["status"] in _ENDED_BADLY:
                raise StepError(
                    "collect",
                    f"log group {self._group}",
                    f"a Logs Insights query ended as {answer['status']}",
                    "run `python -m experiment collect` again, or with --no-function-log",
                )
        return finished

    def _write(self, rows: Sequence[Sequence[Any]], seen: set[int], write: Callable[[str], object]) -> int:
        written = 0
        for row in rows:
            fields = {field.get("field", ""): field.get("value", "") for field in row}
            pointer = fields.get("@ptr", "")
            if pointer and hash(pointer) in seen:
                continue
            seen.add(hash(pointer))
            message = fields.get("@message", "")
            try:
                line = json.loads(message[message.index("{") :])
            except ValueError:
                continue  # cut by Lambda's own line limit, or not ours
            write(json.dumps(line) + "\n")
            written += 1
        return written


def sent_per_second(seconds: Path) -> list[int]:
    """`sent` of each planned second, from seconds.csv."""
    counts: list[int] = []
    lines = seconds.read_text(encoding="utf-8").splitlines() if seconds.exists() else []
    if not lines:
        return counts
    columns = lines[0].split(",")
    for line in lines[1:]:
        row = dict(zip(columns, line.split(","), strict=False))
        if row.get("t_s", "").isdigit() and row.get("sent", "").isdigit():
            second = int(row["t_s"])
            counts += [0] * (second + 1 - len(counts))
            counts[second] = int(row["sent"])
    return counts
