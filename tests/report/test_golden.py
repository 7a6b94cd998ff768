"""Small real run folders and the report.json that was looked at when they were added: no number moves unnoticed."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.report.test_report import SCHEMA
from tools.golden import GOLDEN, expected, names, report_of


def same(found: object, wanted: object, where: str = "") -> list[str]:
    """Where two JSON values differ by more than the last digits of a float."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = {*found, *wanted}
        return [line for key in sorted(keys) for line in same(found.get(key), wanted.get(key), f"{where}.{key}")]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [
            line for at, pair in enumerate(zip(found, wanted, strict=True)) for line in same(*pair, f"{where}[{at}]")
        ]
    if isinstance(found, float) and isinstance(wanted, float):
        return [] if found == pytest.approx(wanted, rel=1e-6, abs=2e-6) else [f"{where}: {found}, expected {wanted}"]
    return [] if found == wanted else [f"{where}: {found!r}, expected {wanted!r}"]


@pytest.mark.parametrize("name", names())
def test_a_golden_run_gives_the_report_it_gave(tmp_path: Path, name: str) -> None:
    """A changed number is a changed meaning: look at the report, then rewrite it with tools/golden.py."""
    found: dict[str, Any] = report_of(name, tmp_path)
    assert same(found, json.loads(expected(name).read_text(encoding="utf-8"))) == []
    jsonschema.Draft202012Validator(SCHEMA).validate(found)


def test_there_are_real_and_made_up_golden_runs() -> None:
    """The test above has something to compare, and it stays small."""
    assert len(names()) >= 2
    size = sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file())
    assert size < 2_500_000
