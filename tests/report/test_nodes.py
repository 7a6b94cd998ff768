"""The check of what the nodes hold: any disagreement makes the run INVALID, and says which."""

import json
from pathlib import Path
from typing import Any

import pytest

from contract import runread
from report.checks import nodes
from tools.synthetic import Synthetic, write

AGREE: dict[str, Any] = {
    "keys": 55, "values": 55, "nodes": [{}, {}], "at_least": 53, "at_most": 58, "problems": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "state", "says"),
    [
        (AGREE, "pass", "55 keys (53 to 58 expected), 55 compared with their copies, 2 nodes asked"),
        ({**AGREE, "at_most": None}, "pass", "55 keys (at least 53 expected)"),
        ({**AGREE, "problems": ["replica a:1 holds 3 keys"]}, "fail", "replica a:1 holds 3 keys"),
        ({"problems": ["the nodes could not be asked: gone"]}, "fail", "could not be asked"),
        ({**AGREE, "problems": None}, "fail", "does not say"),
        ({}, "fail", "does not say"),
        (None, "fail", "were not asked"),
        ("yes", "fail", "were not asked"),
    ],
)
def test_nodes_that_disagree_make_the_run_invalid(tmp_path: Path, told: object, state: str, says: str) -> None:
    """Only nodes that were asked and have no problem pass."""
    folder = write(tmp_path / "run", Synthetic())
    audit = json.loads((folder / "audit.json").read_text())
    (folder / "audit.json").write_text(json.dumps({**audit, "nodes": told}))
    [check] = nodes.agree(runread.read_run(folder))
    assert check.state == state
    assert says in check.value
