"""report.md: the summary for a pull request."""

from collections.abc import Mapping, Sequence
from typing import Any

from report import verdict
from report.escapes import markdown as escaped
from report.formats import milliseconds, quantity
from report.mechanism import explained


def markdown(report: Mapping[str, Any]) -> str:
    """The verdict, the comparison, gates, and the checks that did not pass."""
    state = verdict.STATES[verdict.state(report)]
    lines = [f"### {state}: {escaped(report['id'])}", ""]
    lines += [escaped(sentence) + "  " for sentence in report["verdict"]]
    way = explained(report["run"].get("reshard"))
    lines += ["", *([f"How slots moved: {escaped(way)}", ""] if way else [])]
    lines += [*_comparison(report["reshard"], report["timings"]), *_gates(report), *_checks(report)]
    return "\n".join(lines).rstrip() + "\n"


def _comparison(reshard: Mapping[str, Any] | None, timings: Sequence[str]) -> list[str]:
    if reshard is None or reshard["during"] is None:
        return []
    windows = [("during the move", reshard["during"]), ("before it", reshard["before"]), ("after it", reshard["after"])]
    if reshard["control"]:
        windows.insert(1, ("control, same seconds", reshard["control"]["during"]))
    shown = ("response", *timings)
    heads = [f"{series} p50 / p99" for series in shown]
    lines = [f"| ms | {' | '.join(heads)} | failed |", f"|---|{'---:|' * len(heads)}---:|"]
    for name, window in windows:
        cells = [
            f"{milliseconds(window['latency'][series]['p50'])} / {milliseconds(window['latency'][series]['p99'])}"
            for series in shown
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {window['failed']:,} |")
    return [*lines, ""]


def _gates(report: Mapping[str, Any]) -> list[str]:
    if not report["gates"]:
        return []
    lines = ["| gate | | measured | limit |", "|---|---|---:|---:|"]
    for gate in report["gates"]:
        mark = {"passed": "✓", "failed": "✗"}.get(gate["state"], "?")
        measured, limit = (quantity(gate[side], gate["unit"]) for side in ("left", "right"))
        lines.append(f"| {escaped(gate['gate'])} | {mark} {gate['state']} | {measured} | {limit} |")
    return [*lines, ""]


def _checks(report: Mapping[str, Any]) -> list[str]:
    noted = [check for check in report["checks"] if check["state"] != "pass"]
    passed = len(report["checks"]) - len(noted)
    lines = [f"{passed} of {len(report['checks'])} checks of the run itself passed."]
    lines += [
        f"- {check['state']}: {escaped(check['name'])}: {escaped(check['value'])} (limit: {escaped(check['limit'])})"
        for check in noted
    ]
    return lines
