"""Offered and achieved load as CloudWatch metrics, printed as a run goes."""

import csv
import json
from pathlib import Path
from typing import Any, TextIO

METRICS_EVERY_S = 10  # planned seconds in one line
METRIC_NAMESPACE = "LoadGenerator"
_METRICS = {"Offered": "offered", "Achieved": "ok", "Failed": "failed", "Missed": "missed", "Late": "late"}


class LoadMetrics:
    """Follows seconds.csv and prints its new rows in CloudWatch's Embedded Metric Format.

    The awslogs driver carries stdout into CloudWatch Logs, which makes metrics of such lines: no API call and no
    permission is needed. (CloudWatch User Guide, "Specification: Embedded metric format"; a
    metric may have 100 values in one line.)
    """

    def __init__(self, stack: str, path: Path, started_at_unix_s: float, out: TextIO | None) -> None:
        self._stack = stack
        self._path = path
        self._started_at = started_at_unix_s
        self._out = out
        self._offset = 0
        self._header: list[str] = []
        self._rows: list[dict[str, str]] = []

    def publish(self, *, last: bool) -> None:
        """Print what has come, in lines of METRICS_EVERY_S planned seconds; with `last` also a shorter one."""
        self._read()
        while len(self._rows) >= METRICS_EVERY_S or (last and self._rows):
            rows, self._rows = self._rows[:METRICS_EVERY_S], self._rows[METRICS_EVERY_S:]
            print(json.dumps(self._line(rows)), file=self._out, flush=True)

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            body = stream.read()
        body = body[: body.rfind(b"\n") + 1]
        self._offset += len(body)
        for fields in csv.reader(body.decode().splitlines()):
            if not self._header:
                self._header = [name.strip() for name in fields]
            else:
                self._rows.append(dict(zip(self._header, fields, strict=False)))

    def _line(self, rows: list[dict[str, str]]) -> dict[str, Any]:
        names = [{"Name": name, "Unit": "Count/Second"} for name in _METRICS]
        at = self._started_at + float(rows[-1]["t_s"])
        return {
            "_aws": {
                "Timestamp": int(at * 1000),
                "CloudWatchMetrics": [{"Namespace": METRIC_NAMESPACE, "Dimensions": [["Stack"]], "Metrics": names}],
            },
            "Stack": self._stack,
            **{name: [int(row[column]) for row in rows] for name, column in _METRICS.items()},
        }
