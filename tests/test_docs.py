"""The documents: links lead somewhere, commands and options exist, lines fit, what they tell of the load is true."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import profiles
from contract.schedule import Schedule
from experiment import __main__ as experiment_command
from experiment.plan import plan_reshard
from infra.settings import defaults
from rehearsal import options as rehearsal_options
from tests.test_rooms import ALLOWED

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
WIDTH = 120
# What a run or a build makes, and what lies in the bucket on AWS: not there in a fresh checkout.
MADE = ("runs/", "build/", "benchmarks/results/", "markers/")


def named(document: Path) -> str:
    """A document's name for pytest."""
    return document.name


def prose(document: Path) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, without tables and code (fenced, or indented by four after an empty line)."""
    fenced = code = False
    before = ""
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            indented = line.startswith("    ")
            code = (indented and (code or not before.strip())) or (code and not line.strip())
            if not code and not line.startswith("|"):
                yield number, line
        before = line


def headings(document: Path) -> list[str]:
    """Its headings as GitHub's anchors spell them."""
    texts = [line.lstrip("#").strip() for _, line in prose(document) if line.startswith("#")]
    return [re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts]


def code(document: Path) -> Iterator[str]:
    """Everything a reader might type: the lines of code blocks, and `code` within the text."""
    text = document.read_text(encoding="utf-8")
    shown = {number for number, _ in prose(document)}
    for number, line in enumerate(text.splitlines(), 1):
        if number not in shown and not line.startswith("|"):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    """A link names a file that is there, and a heading that this file has."""
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    broken: list[str] = []
    for target in targets:
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists() or (anchor and anchor not in headings(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_files_named_in_the_text_are_there(document: Path) -> None:
    """A path in `code` is a file or folder of the checkout, so that a file that moves takes its mentions along."""
    paths = {
        path
        for path in re.findall(r"`([\w.*-]+/[\w.*/-]*)`", document.read_text(encoding="utf-8"))
        if path.endswith(("/", ".py", ".yml", ".md", ".json", ".jinja")) and not path.startswith(MADE)
    }
    missing = {path for path in paths if not any(ROOT.glob(path.rstrip("/")))}
    assert missing == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_lines_fit(document: Path) -> None:
    """Lines can be read and reviewed side by side; tables and code cannot be broken."""
    assert [f"{document.name}:{number}" for number, line in prose(document) if len(line) > WIDTH] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_exist(document: Path) -> None:
    """Each `make` target and each `python -m` module that a document tells the reader to run is there."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    missing: list[str] = []
    for line in code(document):
        for target in re.findall(r"^make ([a-z]+)", line):
            missing += [f"make {target}"] if target not in targets else []
        for module in re.findall(r"python -m ([\w.]+)", line):
            path = ROOT / module.replace(".", "/")
            missing += [module] if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists() else []
    assert missing == []


def accepted(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    """Whether a command line's parser takes these words."""
    try:
        parser.parse_args(words)
    except SystemExit as ended:
        return ended.code == 0
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_command_lines_are_accepted(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reader who types what a document shows is not told that there is no such step or option."""
    refused: list[str] = []
    for line in code(document):
        experiment = re.search(r"python -m experiment ([a-z].*)", line)
        if experiment:
            words = shlex.split(experiment[1], comments=True)
            refused += [] if accepted(experiment_command._parser(), words) else [line]
        rehearsal = re.search(r'make rehearse ARGS="(--.*)"|python -m rehearsal (--.*)', line)
        if rehearsal:
            words = shlex.split(rehearsal[1] or rehearsal[2], comments=True)
            refused += [] if accepted(rehearsal_options._parser(), words) else [line]
    assert refused == [], capsys.readouterr().err


def test_the_options_of_a_rehearsal_exist() -> None:
    """README's table of options names none that a rehearsal does not have."""
    known = rehearsal_options._parser().format_help()
    asked = set(re.findall(r"`(--[a-z-]+)", README.split("## Rehearse it here")[1].split("\n## ")[0]))
    assert len(asked) >= 8
    assert {option for option in asked if f"{option} " not in known} == set()


def test_the_phases_are_those_of_the_default_profile() -> None:
    """README's table of phases is what a stack with default settings sends."""
    settings = {name: str(value) for name, value in defaults().items()}
    schedule = Schedule(profiles.load(settings["loadProfile"], scale=settings["loadScale"]))
    rows = re.findall(r"^\| ([\w ]+) \| (\d+) to (\d+) \| (\d+) -> (\d+) \|", README, re.MULTILINE)
    told = [(name, float(a) * 60, float(b) * 60, float(low), float(high)) for name, a, b, low, high in rows]
    assert told == [(p.name, p.start_s, p.end_s, p.rate_from, p.rate_to) for p in schedule.phases]
    assert f"{schedule.total:,} arrivals" in README


def test_the_load_of_ones_own_has_a_control() -> None:
    """The profile that README shows is valid, and the default moment of the reshard finds its control in it."""
    text = README.split("```yaml\n")[1].split("```")[0]
    assert len(text.splitlines()) == 8
    schedule = Schedule(profiles.parse(text, compress=8))
    moves = plan_reshard(schedule, 0.65, 2, sham=True)
    assert [move.kind for move in moves] == ["sham", "real"]
    assert "150 seconds at 100 arrivals" in README
    assert (schedule.duration_s, schedule.phases[0].rate_from) == (150.0, 100.0)


def test_the_table_of_rooms_is_what_the_rooms_are_held_to() -> None:
    """docs/architecture.md allows each room the imports that tests/test_rooms.py allows it."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+(?:\.py)?)/?` \| .* \| (.*) \|$", text, re.MULTILINE)
    told = {room: set(re.findall(r"`(\w+)`", allowed)) for room, allowed in rows}
    assert told == {room: rooms - {"loadgen"} for room, rooms in ALLOWED.items() if room != "benchmarks"}


def test_each_term_of_the_glossary_is_explained_once() -> None:
    """A word has one meaning: one heading, with a text below it."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^### ([^\n]+)\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    terms = [term for heading, _ in entries for term in heading.split(", ")]
    assert sorted(terms) == sorted(set(terms))
    assert [heading for heading, explained in entries if len(explained.split()) < 4] == []
    for needed in ("arrival", "offered", "lag", "stall", "epoch", "lease", "sham", "control", "environment"):
        assert needed in terms
