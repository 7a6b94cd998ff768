"""The report says by which mechanism slots moved, what AWS says of its own, and which tries failed."""

import json
from pathlib import Path
from typing import get_args

import pytest

import report
from rehearsal.reshard import Migration
from report.mechanism import AWS_SAYS, WAYS, explained, retries
from tools.synthetic import Synthetic, write


@pytest.mark.parametrize("way", [*get_args(Migration), "ElastiCache"])
def test_every_way_is_explained_with_its_source(way: str) -> None:
    """A reader can tell Valkey's mechanism from ElastiCache's, and where AWS said what its own does."""
    said = explained({"migration": way})
    assert AWS_SAYS in said
    assert ("not known" in said) == (way in ("batches", "atomic"))
    assert (way in WAYS) == (way != "ElastiCache")


@pytest.mark.parametrize("run", [None, {}, {"migration": None}, {"migration": "magic"}, {"migration": ["slots"]}, "x"])
def test_an_unknown_way_is_not_explained(run: object) -> None:
    """Whatever run.json holds, nothing is claimed about a mechanism that the report does not know."""
    assert explained(run) == ""


def test_tries_that_failed_are_counted(tmp_path: Path) -> None:
    """Two jobs of the real move were cancelled and repeated: moves and verdict of the report say so."""
    folder = write(tmp_path / "run", Synthetic())
    lines = (folder / "events.jsonl").read_text().splitlines()
    at = next(place for place, line in enumerate(lines) if json.loads(line)["event"] == "slots.started")
    event = {**json.loads(lines[at]), "event": "slots.retried", "attempt": 1, "state": "cancelled", "message": ""}
    lines[at + 1 : at + 1] = [json.dumps({**event, "ranges": ranges}) for ranges in ("0-63", "64-127")]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    report.build(folder)
    built = json.loads((folder / "report.json").read_text())
    assert [(move["kind"], move["retried"]) for move in built["moves"]] == [("sham", 0), ("real", 2)]
    assert "2 tries to move slots failed and were repeated" in " ".join(built["verdict"])


@pytest.mark.parametrize(("counts", "said"), [([], 0), ([0, 0], 0), ([1], 1), ([0, 3], 1)])
def test_no_tries_no_sentence(counts: list[int], said: int) -> None:
    """The verdict speaks of repeated tries only when there were some."""
    assert len(retries([{"retried": count} for count in counts])) == said
