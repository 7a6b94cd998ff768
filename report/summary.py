"""report.md: the summary for a pull request."""

from collections.abc import Mapping, Sequence
from typing import Any

from report import headline, verdict
from report.checks.check import FAIL, PASS
from report.escapes import markdown as escaped
from report.formats import quantity
from report.mechanism import explained


def markdown(report: Mapping[str, Any]) -> str:
    """The verdict and its table, gates, the checks that did not pass. Of an INVALID run: why, and what to do."""
    state = verdict.STATES[verdict.state(report)]
    first, *others = report["verdict"]
    lines = [f"### {state}: {escaped(report['id'])}", "", f"**{escaped(first)}**", ""]
    if not report["valid"]:
        lines += [*_reasons(report), ""]
    elif report["headline"] is not None:
        lines += [*_table(headline.table(report["headline"])), "", escaped(headline.note(report["headline"])), ""]
    lines += [escaped(sentence) + "  " for sentence in others]
    if report["valid"]:
        lines += ["", *(f"- {escaped(line)}" for line in report["next"])]
    way = explained(report["run"].get("reshard"))
    lines += ["", *([f"How slots moved: {escaped(way)}", ""] if way else []), *_gates(report), *_checks(report)]
    return "\n".join(lines).rstrip() + "\n"


def _reasons(report: Mapping[str, Any]) -> list[str]:
    """A line for each check that failed, and what to do about it."""
    return [
        f"- {escaped(check['name'])}: {escaped(check['value'])}"
        + (f". What to do: {escaped(check['remedy'])}." if check["remedy"] else "")
        for check in report["checks"]
        if check["state"] == FAIL
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    lines = [f"| {' | '.join(map(escaped, head))} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return lines + [f"| {' | '.join(map(escaped, row))} |" for row in body]


def _gates(report: Mapping[str, Any]) -> list[str]:
    if not report["gates"]:
        return []
    lines = ["| gate | | measured | limit |", "|---|---|---:|---:|"]
    for gate in report["gates"]:
        if not verdict.judged(report, gate):
            lines.append(f"| {escaped(gate['gate'])} | ? not judged: INVALID | - | - |")
            continue
        mark = {"passed": "✓", "failed": "✗"}.get(gate["state"], "?")
        measured, limit = (quantity(gate[side], gate["unit"]) for side in ("left", "right"))
        lines.append(f"| {escaped(gate['gate'])} | {mark} {gate['state']} | {measured} | {limit} |")
    return [*lines, ""]


def _checks(report: Mapping[str, Any]) -> list[str]:
    passed = sum(check["state"] == PASS for check in report["checks"])
    noted = [check for check in report["checks"] if check["state"] not in (PASS, FAIL)]
    lines = [f"{passed} of {len(report['checks'])} checks of the run itself passed."]
    lines += [
        f"- {check['state']}: {escaped(check['name'])}: {escaped(check['value'])} (limit: {escaped(check['limit'])})"
        for check in noted
    ]
    return lines
