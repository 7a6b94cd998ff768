"""The verdict for a terminal of 80 columns."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from report import escapes
from report.checks.check import FAIL
from report.headline import note, table

WIDTH = 80
_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|points)\b|%)")


def text(report: Mapping[str, Any]) -> str:
    """The first sentence; why the run is INVALID, or else the headline's table; the other sentences; what is next.

    No character of the run folder's texts reaches the terminal as a command, nor does a line begin with one.
    """
    first, *others = report["verdict"]
    blocks = [_wrapped(first)]
    if not report["valid"]:
        blocks.append("\n".join(_failed(check) for check in report["checks"] if check["state"] == FAIL))
    elif report["headline"] is not None:
        blocks += [_aligned(table(report["headline"])), _wrapped(note(report["headline"]))]
    blocks.append(_wrapped(" ".join(others)))
    if report["valid"] and report["next"]:
        blocks.append("Next:\n" + "\n".join(_item(line) for line in report["next"]))
    return escapes.terminal_lines("\n\n".join(block for block in blocks if block))


def _failed(check: Mapping[str, Any]) -> str:
    """A check that failed, and under it what to do."""
    remedy = f"\n{_wrapped('What to do: ' + check['remedy'] + '.', '    ', '    ')}" if check["remedy"] else ""
    return _item(f"{check['name']}: {check['value']}") + remedy


def _item(line: str) -> str:
    return _wrapped(line, "  - ", "    ")


def _wrapped(line: str, first: str = "", indent: str = "") -> str:
    """Lines that fit, with no number at the end of one and its unit on the next."""
    kept = _UNIT.sub("\u00a0", escapes.terminal(line))
    lines = textwrap.fill(kept, WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    return lines.replace("\u00a0", " ")


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of the widest cell's width, two spaces apart: the first to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
