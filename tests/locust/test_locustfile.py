"""The locustfile tells a reader what load it makes."""

import ast
import re
from pathlib import Path

from contract import profiles
from contract.schedule import Schedule

LOCUSTFILE = Path(__file__).resolve().parents[2] / "locust" / "locustfile.py"
ROW = re.compile(r"^ {4}(\S.*?) +\| (\d+) min +\| (\d+) -> (\d+) +\| ([\d,]+)$", re.MULTILINE)


def test_the_table_of_phases_is_the_default_profile() -> None:
    """The three phases that the locustfile shows are those that it runs, whoever edits one of the two."""
    text = ast.get_docstring(ast.parse(LOCUSTFILE.read_text())) or ""
    shown = [
        (name, int(minutes) * 60, int(low), int(high), int(arrivals.replace(",", "")))
        for name, minutes, low, high, arrivals in ROW.findall(text)
    ]
    planned = [
        (phase.name, phase.duration_s, phase.rate_from, phase.rate_to, phase.arrivals)
        for phase in Schedule(profiles.load("artillery-50min", scale="3")).phases
    ]
    assert shown == planned
