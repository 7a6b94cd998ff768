"""Did workers and nodes stay, in what is compared?"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from contract.runread import Run, number
from report.checks.check import FAIL, PASS, WARN, RunCheck
from report.checks.compared import Stretch, Touched

_MOST_NAMED = 4
_SILENT_S = 3.0  # a worker is declared lost after so long a silence, at most


def workers_stayed(run: Run, compared: Sequence[Stretch]) -> Iterator[RunCheck]:
    """No worker was lost in what is compared; elsewhere it is a note."""
    lost = [event.t_s for event in run.events if event.name == "worker.lost"]
    touched = Touched(run, [stretch for stretch in compared if not stretch.is_whole_run])
    inside = sorted({name for at_s in lost for name in touched.names(at_s - _SILENT_S, at_s)})
    value = f"{len(lost)} worker(s) lost" + (f", in {', '.join(inside[:_MOST_NAMED])}" if inside else "")
    yield RunCheck(
        "Workers stayed", FAIL if inside else WARN if lost else PASS, value, "none lost in a window that is compared",
        "What a lost worker should have sent is unknown.",
    )  # fmt: skip


def nodes_stayed(run: Run, compared: Sequence[Stretch]) -> Iterator[RunCheck]:
    """No node restarted in what is compared: its counters never fall; elsewhere it is a note."""
    by_node: dict[tuple[object, object], list[tuple[float, float, float]]] = {}
    for row in run.servers:
        if row.get("node") != "machine" and not math.isnan(number(row.get("commands"))):
            numbers = (number(row.get("t_s")), number(row.get("commands")), number(row.get("cpu_s"), 0.0))
            by_node.setdefault((row.get("group"), row.get("node")), []).append(numbers)
    fell: list[str] = []
    inside: set[str] = set()
    touched = Touched(run, compared)
    for (group, node), rows in by_node.items():
        table = np.array(sorted(rows))
        for place in np.flatnonzero((np.diff(table[:, 1]) < 0) | (np.diff(table[:, 2]) < 0)).tolist():
            first_s, last_s = float(table[place, 0]), float(table[place + 1, 0])
            fell.append(f"{node} ({group}) between {first_s:g} and {last_s:g} s")
            inside |= set(touched.names(first_s, last_s)) if len(inside) < _MOST_NAMED else set()
    if not by_node:
        return
    value = "; ".join(fell[:3]) + (f", in {', '.join(sorted(inside)[:_MOST_NAMED])}" if inside else "")
    value = value or f"{len(by_node)} nodes, none restarted"
    yield RunCheck(
        "Nodes kept running", FAIL if inside else WARN if fell else PASS, value,
        "no node restarts in a window that is compared",
        "A restarted node lost its data and its connections.",
    )  # fmt: skip
