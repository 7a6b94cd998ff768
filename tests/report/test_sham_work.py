"""A sham that was other work than its real move makes the run INVALID, and the report says what differed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contract.runread import read_run
from report.checks.check import FAIL, PASS, RunCheck
from report.findings import examine
from tools import synthetic
from tools.synthetic import Planted, Synthetic

SINGLE = Synthetic(
    phases=(("Warm up", 30, 10, 20), ("Cool down", 30, 10, 20)),
    moves=(Planted("sham", 12, 10, keys=980), Planted("real", 42, 10, keys=1000)),
)
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module", name="whole")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A single run and a run of four blocks, both with comparable shams."""
    folder = tmp_path_factory.mktemp("whole")
    blocks = synthetic.cycles(4, length_s=2, window_s=3, flank_s=2, rate=20)
    return {
        "single": synthetic.write(folder / "single", SINGLE),
        "blocks": synthetic.write(folder / "blocks", blocks),
    }


def mutated(source: Path, folder: Path, of: tuple[str, int | None], change: Change | None) -> Path:
    """A copy in which the events of one name (and block) are changed; without a change they are left out."""
    shutil.copytree(source, folder)
    name, block = of
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    hit = [event for event in events if event["event"] == name and block in (None, event.get("cycle"))]
    assert hit
    for event in hit:
        if change is None:
            events.remove(event)
        else:
            change(event)
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def sham_check(folder: Path) -> list[RunCheck]:
    """The check, if it is asked."""
    return [check for check in examine(read_run(folder)).checks if check.name == "Sham comparable"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("single", "keys 2.0%, bytes 2.0%, slots 0.0% apart at most; slots moved for 10.0 s, 10.0 s in the sham"),
        ("blocks", "keys 0.0%, bytes 0.0%, slots 0.0% apart at most in 4 pairs; slots moved for 2.0 s, 2.0 s in the"),
    ],
)
def test_as_much_work_is_comparable(whole: dict[str, Path], kind: str, said: str) -> None:
    """Counts within 5 % pass; how long both took is told."""
    [check] = sham_check(whole[kind])
    assert check.state == PASS
    assert said in check.value


def scaled(name: str, factor: float) -> Change:
    """Changes one count."""
    return lambda event: event.update({name: round(event[name] * factor)})


def put(name: str, value: object) -> Change:
    """Changes one field."""
    return lambda event: event.update({name: value})


def gone(name: str) -> Change:
    """Takes one field away."""
    return lambda event: event.pop(name)


@pytest.mark.parametrize(
    ("of", "change", "said"),
    [
        (("sham.slots.finished", 2), scaled("keys", 0.94), "block 2: 370 keys, 348 in the sham (5.9% apart)"),
        (("slots.finished", 1), scaled("keys", 1.06), "block 1: 223 keys, 210 in the sham (5.8% apart)"),
        (("slots.finished", 3), scaled("bytes", 1.5), "block 3: "),
        (("sham.slots.finished", 0), scaled("slots", 0.5), "block 0: 8,192 slots, 4,096 in the sham (50.0% apart)"),
        (("slots.finished", 0), gone("keys"), "block 0: keys of the real move not told"),
        (("sham.slots.finished", 0), gone("bytes"), "block 0: bytes of the sham move not told"),
        (("sham.slots.finished", 0), put("keys", -5), "block 0: keys of the sham move not told"),
        (("sham.slots.finished", 0), put("bytes", "many"), "block 0: bytes of the sham move not told"),
        (("sham.slots.started", 1), put("direction", "1->2"), "block 1: direction 2->1, 1->2 in the sham"),
        (("slots.started", 1), put("migration", "atomic"), "block 1: migration atomic, batches in the sham"),
        (("sham.slots.finished", 3), None, "block 3: keys of the sham move not told"),
        (("slots.started", 3), put("cycle", 2), "block 2: 2 real and 1 sham move(s)"),
        (("sham.slots.started", 3), put("cycle", 7), "block 7: 0 real and 1 sham move(s)"),
    ],
)
def test_other_work_in_a_block_is_told(
    whole: dict[str, Path], tmp_path: Path, of: tuple[str, int], change: Change | None, said: str
) -> None:
    """More than 5 % apart, another direction or way, a missing count or move: which block, and what."""
    [check] = sham_check(mutated(whole["blocks"], tmp_path / "run", of, change))
    assert check.state == FAIL
    assert said in check.value


@pytest.mark.parametrize(
    ("of", "change", "said"),
    [
        ("sham.slots.finished", scaled("keys", 0.9), "1,000 keys, 882 in the sham (11.8% apart)"),
        ("slots.finished", gone("bytes"), "bytes of the real move not told"),
        ("sham.slots.finished", None, "keys of the sham move not told"),
        ("slots.started", put("to", 3), "direction 1->3, 1->2 in the sham"),
    ],
)
def test_other_work_in_a_single_run_is_told(
    whole: dict[str, Path], tmp_path: Path, of: str, change: Change | None, said: str
) -> None:
    """The same of the one sham in the control; the run is INVALID for it."""
    folder = mutated(whole["single"], tmp_path / "run", (of, None), change)
    [check] = sham_check(folder)
    assert check.state == FAIL
    assert said in check.value
    assert f"Sham comparable: {check.value}" in examine(read_run(folder)).reasons


def test_how_long_both_took_is_not_judged(tmp_path: Path) -> None:
    """A move that takes longer than its sham may be the very effect that is looked for."""
    moves = (Planted("sham", 12, 4), Planted("real", 42, 10))
    [check] = sham_check(synthetic.write(tmp_path / "run", replace(SINGLE, moves=moves)))
    assert check.state == PASS
    assert "slots moved for 10.0 s, 4.0 s in the sham" in check.value


def test_a_place_without_shams_is_not_asked(tmp_path: Path) -> None:
    """On AWS there is none, and a run without a sham has other checks."""
    on_aws = replace(SINGLE, moves=SINGLE.moves[1:], run={"where": "aws"})
    assert sham_check(synthetic.write(tmp_path / "aws", on_aws)) == []
    assert sham_check(synthetic.write(tmp_path / "here", replace(SINGLE, moves=SINGLE.moves[1:]))) == []
