"""What each place promises: what is missing makes its run INVALID, what it never promised is named as a limit."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from contract.runfolder import EVENT_NAMES, FAILED_CAUSES, MISSED_CAUSES
from contract.runread import read_run
from report.checks.check import FAIL, RunCheck
from report.checks.promises import table
from report.findings import examine
from tests.report.mutations import gone, in_json, meta, put, remove, rows, without
from tools import synthetic
from tools.synthetic import Synthetic
from tools.synthetic_aws import ON_AWS

ROOT = Path(__file__).resolve().parents[2]
FORMAT = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
Change = Callable[[Path], None]


def checks_of(folder: Path) -> dict[str, RunCheck]:
    """The checks by their names."""
    return {check.name: check for check in examine(read_run(folder)).checks}


def failed(folder: Path) -> list[str]:
    """The names of the checks that failed."""
    return [check.name for check in checks_of(folder).values() if check.state == FAIL]


def test_the_documented_promises_are_those_of_the_code() -> None:
    """The table of docs/report.md is the one that the checks follow."""
    assert table() in (ROOT / "docs" / "report.md").read_text(encoding="utf-8")


def test_documented_events_and_causes_are_known() -> None:
    """No event or cause that the format names is taken for a forged one."""
    events = re.search(r"\| event \| fields \|\n(.*?)\n\n", FORMAT, re.DOTALL)
    assert events is not None
    named = {name for row in events[1].splitlines()[1:] for name in re.findall(r"`([\w.]+)`", row.split("|")[1])}
    assert named - EVENT_NAMES == set()
    assert {
        f"sham.{name.removeprefix('reshard.')}" for name in named if "slots" in name or "reshard" in name
    } <= EVENT_NAMES
    tables = re.findall(r"\| cause \| meaning \|\n(.*?)\n\n", FORMAT, re.DOTALL)
    failing, missing = (
        set(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in found.splitlines()))) for found in tables
    )
    assert failing == FAILED_CAUSES
    assert missing == MISSED_CAUSES


def generator_alone(run: Path) -> None:
    """As the generator writes a run that nothing was resharded in."""
    for name in ("audit.json", "server.jsonl", "function.jsonl"):
        gone(name)(run)
    without("events.jsonl", "reshard|slots|sham|nodes")(run)
    rows("arrivals.csv", lambda lines: lines[:1])(run)
    for key in ("settings", "engine", "reshard", "function", "substitutions", "cluster_medium", "command"):
        meta(remove(key))(run)
    meta(put("where", value="generator"))(run)


def application_of_ones_own(run: Path) -> None:
    """As above, where replies tell neither timings nor sessions nor cold starts."""
    generator_alone(run)
    gone("sessions.bin")(run)
    without("latency.hlog", "^Tag=(connection|write|read),")(run)
    rows("seconds.csv", lambda lines: [lines[0], *(re.sub(r",0,([^,]*)$", r",,\1", line) for line in lines[1:])])(run)
    meta(put("totals", "cold", value=None))(run)


@pytest.mark.parametrize("change", [generator_alone, application_of_ones_own])
def test_a_generator_alone_needs_no_servers(tmp_path: Path, change: Change) -> None:
    """What lies around the generator is not promised where there is nothing around it."""
    run = synthetic.write(tmp_path / "run", Synthetic())
    change(run)
    assert failed(run) == []
    assert (
        "settings, engine, and what was warmed before second 0 (nothing is known of the servers)"
        in checks_of(run)["Place known"].value
    )


def test_an_own_application_that_tells_some_timings_is_not_ours(tmp_path: Path) -> None:
    """A timing that only some replies tell is no missing data, where the application promised none."""
    run = synthetic.write(tmp_path / "run", replace(Synthetic(), timings=("render",)))
    without("latency.hlog", r"^Tag=render,70\.")(run)
    assert failed(run) == []


def test_our_function_tells_its_timings_to_the_generator_alone_too(tmp_path: Path) -> None:
    """A histogram that is missing from a run of our own function is missing anywhere."""
    run = synthetic.write(tmp_path / "run", Synthetic())
    generator_alone(run)
    without("latency.hlog", r"^Tag=read,70\.")(run)
    assert failed(run) == ["Latencies counted"]


def test_aws_has_no_sham_and_says_so(tmp_path: Path) -> None:
    """A run on AWS is valid without a sham or the machine's CPU, and its report names both as limits."""
    run = synthetic.write(tmp_path / "run", ON_AWS)
    without("server.jsonl", '"node":"machine"')(run)
    gone("function.jsonl")(run)
    in_json("evidence.json", put("files", "server.jsonl", value=(run / "server.jsonl").stat().st_size))(run)
    assert failed(run) == []
    limits = checks_of(run)["Place known"].value
    assert "a sham beside each move (there is no sham)" in limits
    assert "the moment at which slots start and stop moving (known within the seconds" in limits


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (gone("evidence.json"), "Data complete"),
        (in_json("evidence.json", put("whole", value=False)), "Data complete"),
        (in_json("evidence.json", put("files", "seconds.csv", value=12)), "Data complete"),
        (in_json("evidence.json", put("files", "sessions.bin", value=10**9)), "Data complete"),
        (in_json("evidence.json", put("files", value={})), "Data complete"),
        (gone("audit.json"), "Audit complete"),
        (gone("arrivals.csv"), "Single arrivals"),
        (meta(remove("clock")), "Clocks agree"),
        (meta(remove("engine")), "Run described"),
        (rows("events.jsonl", lambda lines: [*lines, lines[5].replace("reshard", "sham")]), "Events in order"),
    ],
)
def test_what_aws_promised_must_be_there(tmp_path: Path, change: Change, name: str) -> None:
    """A promised fact that a run on AWS lacks makes it INVALID."""
    run = synthetic.write(tmp_path / "run", ON_AWS)
    change(run)
    assert name in failed(run)


def test_lines_added_after_a_run_on_aws_are_no_damage(tmp_path: Path) -> None:
    """The experiment appends events and node metrics to what the master sent."""
    run = synthetic.write(tmp_path / "run", ON_AWS)
    rows("events.jsonl", lambda lines: [*lines, '{"t_s":430.0,"event":"cache.event","message":"x"}\n'])(run)
    rows("server.jsonl", lambda lines: [*lines, lines[-2]])(run)
    assert failed(run) == []


@pytest.mark.parametrize(
    "spec", [synthetic.cycles(4), synthetic.cycles(4, length_s=0.5, window_s=2, flank_s=2, rate=60)]
)
def test_cycles_are_valid_and_judged_within_each_window(tmp_path: Path, spec: Synthetic) -> None:
    """A run of blocks is valid as it is written; a second without its row in a window is told with the window."""
    run = synthetic.write(tmp_path / "run", spec)
    assert failed(run) == []
    at_s = int(spec.moves[2].start_s)
    without("server.jsonl", f'"t_s":{at_s},"node":"machine"')(run)
    assert failed(run) == ["Servers recorded"]
    assert f"the window of the {spec.moves[2].kind} move of cycle 1" in checks_of(run)["Servers recorded"].value


@pytest.mark.parametrize(
    "change",
    [
        meta(put("cycles", "count", value=5)),
        meta(put("cycles", "window_s", value=1.0)),
        without("events.jsonl", '"kind":"sham"'),
        rows("events.jsonl", lambda lines: [line.replace('"cycle":1', '"cycle":0') for line in lines]),
        rows("events.jsonl", lambda lines: [
            line.replace("2->1", "1->2") if '"kind":"sham"' in line else line for line in lines]),
    ],
)  # fmt: skip
def test_blocks_that_were_not_played_as_declared_are_told(tmp_path: Path, change: Change) -> None:
    """Each block has a real and a sham move of one direction, as many as declared, each within its window."""
    run = synthetic.write(tmp_path / "run", synthetic.cycles(4))
    change(run)
    assert "Events in order" in failed(run)
