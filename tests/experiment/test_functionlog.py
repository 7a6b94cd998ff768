"""The function's log lines, whole, though a query returns 10,000 at most."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiment.cloud import Cloud
from experiment.errors import StepError
from experiment.functionlog import COUNT, LIMIT, FunctionLog, Window, sent_per_second, windows
from tests.experiment.conftest import Answer, Clock, in_turn, refuse, scripted

CloudOf = Callable[..., Cloud]


class Logs:
    """A log group with lines at given seconds, answering as Insights does: both ends inclusive, rows limited."""

    def __init__(self, lines: list[tuple[int, str]], limit: int = LIMIT) -> None:
        self.lines = lines
        self.limit = limit
        self.queries: dict[str, tuple[int, int, str]] = {}
        self.refusals: list[Exception] = []

    def start(self, **asked: Any) -> dict[str, Any]:
        """StartQuery."""
        if self.refusals:
            raise self.refusals.pop()
        name = f"query-{len(self.queries)}"
        self.queries[name] = (asked["startTime"], asked["endTime"], asked["queryString"])
        return {"queryId": name}

    def results(self, **asked: Any) -> dict[str, Any]:
        """GetQueryResults."""
        start, end, text = self.queries[asked["queryId"]]
        found = [(at, line) for at, line in self.lines if start <= at <= end]
        if text == COUNT:
            rows = [[{"field": "lines", "value": str(len(found))}]]
        else:
            rows = [
                [{"field": "@message", "value": line}, {"field": "@ptr", "value": f"{at}{line}"}]
                for at, line in found[: self.limit]
            ]
        return {"status": "Complete", "results": rows, "statistics": {"recordsMatched": float(len(found))}}

    def answers(self) -> dict[str, Answer]:
        """For `scripted`."""
        return {"start_query": self.start, "get_query_results": self.results}


def line(number: int) -> str:
    """A log line of the function."""
    return json.dumps({"type": "ECL", "requestId": str(number), "connection": 0.001, "write": 0.002, "read": 0.003})


def ids(path: Path) -> list[int]:
    """The request ids that were written."""
    return sorted(int(json.loads(text)["requestId"]) for text in path.read_text().splitlines())


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], [(100, 130)]),
        ([5, 5], [(100, 132)]),
        ([6, 6, 6], [(100, 101), (101, 102), (102, 133)]),
        ([3, 3, 3, 3], [(100, 103), (103, 134)]),
        ([20, 1], [(100, 101), (101, 132)]),  # more than a window holds in one second: cut no further
    ],
)
def test_windows_hold_what_a_query_returns(sent: list[int], expected: list[tuple[int, int]]) -> None:
    """The ledger says how many lines a second has; the last window waits for the last replies."""
    assert [(window.start, window.end) for window in windows(100.4, sent, target=10)] == expected


def test_every_line_comes_once(cloud_of: CloudOf, tmp_path: Path) -> None:
    """Windows share their inclusive ends; a line there is in two answers and once in the file."""
    logs = Logs([(100 + number // 4, line(number)) for number in range(40)])
    todo = [Window(100, 105), Window(105, 112)]
    cloud = cloud_of(logs=scripted("logs", **logs.answers()))
    assert FunctionLog(cloud, "group").collect(todo, tmp_path / "function.jsonl") == 40
    assert ids(tmp_path / "function.jsonl") == list(range(40))


def test_a_window_with_more_lines_than_a_query_returns_is_cut(cloud_of: CloudOf, tmp_path: Path) -> None:
    """Retries of the balancer make more lines than the ledger expects; none may be lost for it."""
    logs = Logs([(100 + number % 8, line(number)) for number in range(80)], limit=25)
    log = FunctionLog(cloud_of(logs=scripted("logs", **logs.answers())), "group")
    assert log.collect([Window(100, 108)], tmp_path / "function.jsonl") == 80
    assert log.truncated == []
    assert len(logs.queries) > 4


def test_a_second_that_cannot_be_cut_is_said(cloud_of: CloudOf, tmp_path: Path) -> None:
    """Nothing finer than a second can be asked for: what is lost there is named."""
    logs = Logs([(100, line(number)) for number in range(30)], limit=25)
    log = FunctionLog(cloud_of(logs=scripted("logs", **logs.answers())), "group")
    log.collect([Window(100, 101)], tmp_path / "function.jsonl")
    assert log.truncated == [Window(100, 101)]


def test_too_many_queries_at_once_are_waited_for(cloud_of: CloudOf, tmp_path: Path) -> None:
    """The account's limit of running queries is shared with everybody who looks at a dashboard."""
    logs = Logs([(100, line(1))])
    logs.refusals = [refuse("LimitExceededException", operation="StartQuery") for _ in range(3)]
    client = scripted("logs", **logs.answers())
    logs.refusals = [
        client.exceptions.LimitExceededException(error.response, "StartQuery")  # type: ignore[attr-defined] - refuse makes ClientErrors
        for error in logs.refusals
    ]
    cloud = cloud_of(logs=client)
    assert FunctionLog(cloud, "group").collect([Window(100, 101)], tmp_path / "function.jsonl") == 1


def test_an_account_that_takes_no_query_is_not_asked_for_ever(cloud_of: CloudOf, clock: Clock, tmp_path: Path) -> None:
    """Somebody else's dashboards may hold all queries that the account may have: collect goes on without the log."""
    client = scripted("logs")
    refused = client.exceptions.LimitExceededException(refuse("LimitExceededException").response, "StartQuery")
    log = FunctionLog(cloud_of(logs=scripted("logs", start_query=in_turn(refused))), "group")
    with pytest.raises(StepError, match=r"log group group: .*LimitExceededException"):
        log.collect([Window(100, 101)], tmp_path / "function.jsonl")
    with pytest.raises(StepError):
        log.wait_until_settled(Window(90, 130), expected=4)
    assert 900 <= clock.slept <= 910


def test_lines_that_arrive_late_are_waited_for(cloud_of: CloudOf) -> None:
    """Logs shows a line some seconds after it was printed."""
    logs = Logs([])

    def results(**asked: Any) -> dict[str, Any]:
        logs.lines.append((100, line(len(logs.lines))))
        return logs.results(**asked)

    cloud = cloud_of(logs=scripted("logs", start_query=logs.start, get_query_results=results))
    assert FunctionLog(cloud, "group").wait_until_settled(Window(90, 130), expected=4) == 4


def test_a_failed_query_names_the_group(cloud_of: CloudOf, tmp_path: Path) -> None:
    """Not a half file that looks whole."""
    client = scripted(
        "logs", start_query=in_turn({"queryId": "q"}), get_query_results=in_turn({"status": "Timeout", "results": []})
    )
    with pytest.raises(StepError, match="log group the-group: a Logs Insights query ended as Timeout"):
        FunctionLog(cloud_of(logs=client), "the-group").collect([Window(1, 2)], tmp_path / "f")


def test_lines_that_lambda_prefixed_or_cut_are_survived(cloud_of: CloudOf, tmp_path: Path) -> None:
    """Lambda's logger puts words before the JSON; a line over 256 KB is cut."""
    logs = Logs([(100, "[INFO] 2026 abc " + line(1)), (100, '{"type": "ECL", "req'), (100, "nothing")])
    cloud = cloud_of(logs=scripted("logs", **logs.answers()))
    assert FunctionLog(cloud, "group").collect([Window(100, 101)], tmp_path / "f") == 1
    assert ids(tmp_path / "f") == [1]


def test_sent_is_read_by_second_from_the_ledger(tmp_path: Path) -> None:
    """A second that is missing counts as none; a cut last line is left out."""
    path = tmp_path / "seconds.csv"
    path.write_text("t_s,phase,offered,sent\n0,0,5,4\n2,0,6,6\n3,0")
    assert sent_per_second(path) == [4, 0, 6]
