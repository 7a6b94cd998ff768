"""Does each second that is compared have its record of the machine, the nodes and the function's environments?"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from contract.runread import Run, number
from report.checks.check import FAIL, PASS, RunCheck
from report.checks.compared import Stretch, Touched
from report.checks.promises import limit_of
from report.windows import load_end_s

GAP_S = 1.75
"""Rows come once a second, a busy machine's a little late; over so long one is missing."""
JOINING_S = 10.0
"""A node has rows as soon as it runs, at most so long before the others know it."""


def recorded(run: Run, compared: Sequence[Stretch]) -> Iterator[RunCheck]:
    """Each second that is compared has its row of the machine, of each node, and of the environments."""
    if all(limit_of(run, key) for key in ("machine", "nodes", "environments")):
        return
    touched = Touched(run, compared)
    gaps = [
        *_machine(run, touched),
        *_nodes(run, touched),
        *_environments(run, touched),
    ]
    yield RunCheck(
        "Servers recorded",
        FAIL if gaps else PASS,
        "; ".join(gaps[:4]) + ("" if len(gaps) < 5 else f"; and {len(gaps) - 4} more")
        or f"{len(run.servers):,} rows of machine and nodes, {len(run.environments):,} of the environments",
        f"a row each second (at most {GAP_S:g} s apart) in every window that is compared",
        "Whether a second without its row had a saturated machine is unknown.",
    )


def _machine(run: Run, touched: Touched) -> Iterator[str]:
    rows = [row for row in run.servers if row.get("node") == "machine"]
    usable = [row for row in rows if 0 <= number(row.get("cpu_busy")) <= 1 and number(row.get("cpu_own"), -1.0) >= 0]
    if len(usable) != len(rows):
        yield f"{len(rows) - len(usable)} row(s) of the machine have an impossible cpu_busy or cpu_own"
    times = [number(row.get("t_s")) for row in usable]
    yield from _lacking(run, touched, "the machine", times)


def _environments(run: Run, touched: Touched) -> Iterator[str]:
    counts = ("count", "busy_max", "waited", "limit")
    usable = [row for row in run.environments if all(number(row.get(key), -1.0) >= 0 for key in counts)]
    if len(usable) != len(run.environments):
        yield f"{len(run.environments) - len(usable)} row(s) of the environments have impossible counts"
    limit = number(run.table("function").get("limit"))
    if {number(row.get("limit")) for row in usable} - {limit}:
        yield f"the environments' limit is not {limit:g}, as run.json says"
    if any(number(row.get("busy_max")) > number(row.get("limit")) for row in usable):
        yield "more environments were busy than their limit allows"
    yield from _lacking(run, touched, "the environments", [number(row.get("t_s")) for row in usable])


def _nodes(run: Run, touched: Touched) -> Iterator[str]:
    """The application's nodes and the sham's, from when a node joins until the end, or until its shard is removed."""
    times: dict[tuple[str, str], list[float]] = {}
    unknown = 0
    for row in run.servers:
        node, group = str(row.get("node")), str(row.get("group"))
        if node == "machine":
            continue
        if group not in ("application", "sham") or not all(
            number(row.get(key), -1.0) >= 0 for key in ("commands", "cpu_s", "keys", "slots")
        ):
            unknown += 1
            continue
        times.setdefault((group, node), []).append(number(row.get("t_s")))
    if unknown:
        yield f"{unknown} row(s) of nodes have an unknown group or impossible numbers"
    if not any(group == "application" for group, _ in times):
        yield "no row of the application's nodes"
    for (group, node), at in sorted(times.items()):
        yield from _lacking(run, touched, f"node {node} ({group})", at, life=_life(run, group, node, max(at)))


def _life(run: Run, group: str, node: str, last_s: float) -> tuple[list[float], float]:
    """When a node joins (each time), and until when it stays at least."""
    name = "sham.nodes.joined" if group == "sham" else "nodes.joined"
    listed = [event for event in run.events if event.name == name]
    joined = [event.t_s for event in listed if node in _texts(event.fields.get("nodes"))]
    shrinks = number(run.table("reshard").get("from")) > number(run.table("reshard").get("to"))
    leaves = group == "sham" or shrinks or bool(run.table("cycles"))
    return joined, last_s if leaves else math.inf


def _texts(value: object) -> list[str]:
    return [str(entry) for entry in value] if isinstance(value, list) else []


def _lacking(
    run: Run,
    touched: Touched,
    what: str,
    times: Sequence[float],
    *,
    life: tuple[Sequence[float], float] = ((), math.inf),
) -> Iterator[str]:
    """The compared seconds that no row tells of. A node that joins has no rows before, and none since it left."""
    joined, until_s = life
    at = np.sort(np.array([time for time in times if math.isfinite(time)], dtype=np.float64))
    if not len(at):
        yield f"no row of {what}"
        return
    gaps = [(float(at[-1]), min(load_end_s(run), until_s))]
    for first, last in zip([0.0, *at[:-1].tolist()], at.tolist(), strict=True):
        if last - first > GAP_S:  # a node runs before it has joined
            gaps.append((max([first, *(time for time in joined if first < time < last + JOINING_S)]), last))
    for first, last in gaps:
        if last - first > GAP_S and (inside := touched.names(first, last)):
            yield f"no row of {what} from {first:g} to {last:g} s ({', '.join(inside[:3])})"
            return
