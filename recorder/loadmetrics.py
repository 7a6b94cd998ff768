"""Prints offered and achieved load as CloudWatch metrics during a run."""

import json
from collections import deque
from typing import Any, TextIO

from contract.runfolder import Second

METRICS_EVERY_S = 10  # planned seconds in one line
METRIC_NAMESPACE = "LoadGenerator"
_METRICS = {"Offered": "offered", "Achieved": "ok", "Failed": "failed", "Missed": "missed", "Late": "late"}


class LoadMetrics:
    """Prints the run's closed seconds in CloudWatch's Embedded Metric Format.

    The awslogs driver sends stdout to CloudWatch Logs, which turns such lines into metrics, without an API call or
    permission (CloudWatch User Guide, "Specification: Embedded metric format"; at most 100 values per metric and line).
    """

    def __init__(self, stack: str, started_at_unix_s: float, out: TextIO | None) -> None:
        self._stack = stack
        self._started_at = started_at_unix_s
        self._out = out
        self._seconds: deque[Second] = deque()  # one thread appends, another takes; both are atomic

    def add(self, second: Second) -> None:
        """Add a closed second; any thread may call this."""
        self._seconds.append(second)

    def publish(self, *, last: bool) -> None:
        """Print the added seconds in lines of METRICS_EVERY_S planned seconds; with `last` also a shorter line."""
        while (waiting := len(self._seconds)) >= METRICS_EVERY_S or (last and waiting):
            seconds = [self._seconds.popleft() for _ in range(min(waiting, METRICS_EVERY_S))]
            print(json.dumps(self._line(seconds)), file=self._out, flush=True)

    def _line(self, seconds: list[Second]) -> dict[str, Any]:
        names = [{"Name": name, "Unit": "Count/Second"} for name in _METRICS]
        at = self._started_at + seconds[-1].t_s
        return {
            "_aws": {
                "Timestamp": int(at * 1000),
                "CloudWatchMetrics": [{"Namespace": METRIC_NAMESPACE, "Dimensions": [["Stack"]], "Metrics": names}],
            },
            "Stack": self._stack,
            **{name: [getattr(second, count) for second in seconds] for name, count in _METRICS.items()},
        }
