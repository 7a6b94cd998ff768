"""What the report says of runs whose answer is known: effects, stalls, damage, hostile text, every exit code."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from contract import runfolder
from report import build
from report.compare import compare
from report.document import WINDOWS
from report.escapes import script_data
from report.gates import GateError
from tools import synthetic
from tools.synthetic import Planted, Synthetic

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "report" / "schema.json").read_text(encoding="utf-8")
)
PLAIN = Synthetic()


def made(tmp_path: Path, what: Synthetic) -> Path:
    """A run folder."""
    return synthetic.write(tmp_path / "20261122T151100Z-dev", what)


def unwrapped(text: str) -> str:
    """A terminal's text as one line."""
    return " ".join(text.split())


def holds_to_the_schema(report: dict[str, Any]) -> None:
    """Fail with the path of the first part that does not."""
    jsonschema.Draft202012Validator(SCHEMA).validate(report)


def test_a_planted_effect_is_found_and_nothing_else(tmp_path: Path) -> None:
    """140 us in the move against 40 in the sham is an effect of 100, with no aftermath and no figure of chance."""
    result = build(made(tmp_path, PLAIN))
    holds_to_the_schema(json.loads((tmp_path / "20261122T151100Z-dev" / "report.json").read_text()))
    assert (result.exit_code, result.reasons) == (0, [])
    for series in ("connection", "write", "read"):
        found = result.report["reshard"]["effect"][series]["p50"]
        assert found["paired"] is True
        assert found["effect_ms"] == pytest.approx(0.1, abs=0.02)
        assert abs(found["aftermath_ms"]) < 0.02
        assert found["placebo"] is None  # a design of two windows of 10 s has no figure of chance
    assert "placebo" not in result.html.read_text(encoding="utf-8").split("Definitions</h2>")[0]
    assert "This is one event on one machine" in unwrapped(result.verdict)
    assert "not AWS" in unwrapped(result.verdict)


@pytest.mark.parametrize("timings", [("render",), (), tuple(f"step-{place}" for place in range(8))])
def test_an_application_with_timings_of_its_own_gets_its_report(tmp_path: Path, timings: tuple[str, ...]) -> None:
    """Names and number of timings come from the run: no table, chart, gate or comparison needs our three."""
    folder = made(tmp_path, replace(PLAIN, timings=timings))
    gates = ["response.p99 < 5ms", *(f"{timing}.p99 < 5ms" for timing in timings), "during.cold == 0"]
    result = build(folder, gates)
    holds_to_the_schema(json.loads((folder / "report.json").read_text()))
    assert (result.exit_code, result.reasons) == (0, [])
    assert result.report["latency"].keys() == {"response", "service", "lag", *timings}
    assert result.report["reshard"]["effect"].keys() == {"response", "service", *timings}
    page = result.html.read_text(encoding="utf-8")
    assert all(f">{timing}, ms<" in page for timing in timings)
    assert compare([folder, folder], tmp_path / "compare.html").unlike == []
    with pytest.raises(GateError, match="no such metric"):
        build(folder, ["read.p99 < 5ms"])


def test_cold_starts_are_summed_by_window(tmp_path: Path) -> None:
    """A window whose control is cold compares nothing; that needs the number in each window, and unknown is not 0."""
    folder = made(tmp_path, PLAIN)
    path = folder / "seconds.csv"
    head, *rows = path.read_text().splitlines()
    cold = head.split(",").index("cold")
    fields = [row.split(",") for row in rows]
    for place, row in enumerate(fields):
        row[cold] = "3" if 102 <= place < 112 else "" if place < 60 else "0"
    path.write_text("\n".join([head, *(",".join(row) for row in fields)]) + "\n")
    report = build(folder, ["during.cold == 30", "phase.1.cold == 0"]).report
    assert [report["reshard"][window]["cold"] for window in ("before", "during", "after")] == [0, 30, 0]
    assert (report["cold"], [phase["cold"] for phase in report["phases"]]) == (30, [None, 0, 30])
    assert [gate["state"] for gate in report["gates"][-2:]] == ["passed", "unknown"]


LONG = Synthetic(
    phases=(("Warm up", 150, 20, 80), ("Higher load", 10, 50, 150), ("Cool down", 150, 20, 80)),
    moves=(Planted("sham", 75, 2, 40), Planted("real", 235, 2, 140)),
)
"""Beside its move of 2 s over 20 windows of 2 s fit."""


def test_an_effect_gets_its_p_where_20_windows_fit(tmp_path: Path) -> None:
    """No quiet window reaches a planted effect, so p is 1 in so many windows, side by side, and one more."""
    report = build(made(tmp_path, LONG)).report
    holds_to_the_schema(report)
    for series in ("connection", "write", "read"):
        placebo = report["reshard"]["effect"][series]["p50"]["placebo"]
        assert 60 <= placebo["windows"] <= 75  # 146 quiet seconds
        assert (placebo["as_large"], placebo["p"]) == (0, pytest.approx(1 / (1 + placebo["windows"]), abs=1e-6))


def test_no_effect_is_not_made_up(tmp_path: Path) -> None:
    """Where the move costs what the sham costs, quiet windows are as large as the effect."""
    same = [Planted("sham", 75, 2, 40), Planted("real", 235, 2, 40)]
    result = build(made(tmp_path, replace(LONG, moves=same, seed=11)))
    effects = result.report["reshard"]["effect"]
    assert all(abs(effects[series]["p50"]["effect_ms"]) < 0.02 for series in ("connection", "write", "read"))
    assert min(effects[series]["p50"]["placebo"]["p"] for series in effects) > 0.05


def test_a_stall_of_200_ms_is_reported_as_that(tmp_path: Path) -> None:
    """A pause that a percentile per second would blur is found with its length, its start and its arrivals."""
    busy = (("Warm up", 60, 150, 150), ("Higher load", 30, 150, 150), ("Cool down", 60, 150, 150))
    result = build(
        made(tmp_path, replace(PLAIN, phases=busy, stalls=[(105.3, 0.2)])), ["stall < 250ms", "stall < 150ms"]
    )
    stall = result.report["reshard"]["stall"]
    assert stall["stall_ms"] == pytest.approx(200, abs=10)
    assert stall["stall_from_s"] == pytest.approx(105.3, abs=0.01)
    assert stall["stalled_arrivals"] == pytest.approx(28, abs=4)
    assert result.report["reshard"]["control_stall"]["slow"] == 0
    assert [gate["state"] for gate in result.report["gates"]][-2:] == ["passed", "failed"]
    assert result.exit_code == 1


def test_percentiles_get_worse_when_replies_fail(tmp_path: Path) -> None:
    """An arrival failing in every second puts the response p99 at the time limit; the causes are counted."""
    failures = [(float(second), "refused", "connection refused") for second in range(150)]
    result = build(made(tmp_path, replace(PLAIN, failures=failures)))
    assert result.report["failed"] == 150
    assert result.report["latency"]["response"]["p99"] == 15_000
    assert result.report["latency"]["read"]["p99"] < 1
    assert [(row["cause"], row["count"]) for row in result.report["failures"]] == [("refused", 150)]
    assert result.exit_code == 1


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Change a file's text."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def without_lines(pattern: str) -> Callable[[str], str]:
    """Drop the lines that match."""
    return lambda text: "".join(line for line in text.splitlines(keepends=True) if not re.search(pattern, line))


def no_reshard(run: Path) -> None:
    """A run of the generator alone."""
    less("events.jsonl", "reshard|slots|sham|nodes")(run)
    runfolder.update_run(run, {"reshard": None})


def only_seconds(run: Path, last: int) -> None:
    """As if the run had been killed at a second."""
    rewrite(run / "seconds.csv", lambda text: "".join(text.splitlines(keepends=True)[: last + 1]))
    rewrite(run / "latency.hlog", lambda text: "".join(
        line for line in text.splitlines(keepends=True)
        if not line.startswith("Tag=") or float(line.split(",")[1]) < last
    ))  # fmt: skip
    rewrite(run / "events.jsonl", lambda text: "".join(
        line for line in text.splitlines(keepends=True) if json.loads(line)["t_s"] < last
    ))  # fmt: skip
    runfolder.update_run(run, {"ended": "interrupted"})


def lose_sessions(run: Path) -> None:
    """An audit that found two sessions missing and one different."""
    rewrite(run / "audit.json", lambda text: text.replace('"missing": 0, "diff', '"missing": 2, "diff'))
    rewrite(run / "audit.json", lambda text: text.replace('"different": 0', '"different": 1'))
    rewrite(run / "audit.json", lambda text: text.replace('"examples": []', '"examples": [{"session": "a"}]'))


def move_rates(run: Path) -> None:
    """The reshard's phase delivered 5 % less than its control while slots moved."""

    def fewer(line: str) -> str:
        fields = line.rstrip("\n").split(",")
        if not fields[0].isdigit() or not 102 <= int(fields[0]) < 112:
            return line
        lost = max(round(int(fields[2]) * 0.05), 1)
        fields[3], fields[4], fields[6] = str(int(fields[3]) - lost), str(int(fields[4]) - lost), str(lost)
        return ",".join(fields) + "\n"

    rewrite(run / "seconds.csv", lambda text: "".join(fewer(line) for line in text.splitlines(keepends=True)))


def within(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Replace text in one file of the run."""
    return lambda run: rewrite(run / name, lambda text: text.replace(old, new))


def less(name: str, pattern: str) -> Callable[[Path], object]:
    """Drop lines of one file of the run."""
    return lambda run: rewrite(run / name, without_lines(pattern))


def gone(name: str) -> Callable[[Path], object]:
    """Remove one file of the run."""
    return lambda run: (run / name).unlink()


def meta(**changes: object) -> Callable[[Path], object]:
    """Change keys of run.json."""
    return lambda run: runfolder.update_run(run, changes)


FAILED_EVENT = '"reshard.failed","error":"CLUSTERDOWN"'
WRONG_TYPES: dict[str, object] = {
    "duration_s": "long", "time_limit_s": None, "clock": [1], "generator_cpu": "x", "reshard": 5, "engine": [],
    "function": None, "machine": 7, "versions": [], "host": {}, "command": 3, "settings": "all",
}  # fmt: skip

CASES: list[tuple[str, Callable[[Path], object], int, str]] = [
    ("no reshard", no_reshard, 0, "No slots moved"),
    ("a reshard that was declared only", less("events.jsonl", "reshard|slots|sham"), 2, "the reshard never started"),
    ("ended during it", lambda run: only_seconds(run, 106), 2, "there are no seconds after it"),
    ("interrupted before it", lambda run: only_seconds(run, 80), 2, "interrupted"),
    ("empty", lambda run: only_seconds(run, 0), 2, "No request was planned"),
    ("the request alone", less("events.jsonl", '"slots|"reshard.f'), 2, "no slot moved"),
    ("the reshard failed", within("events.jsonl", '"reshard.finished"', FAILED_EVENT), 2, "failed: CLUSTERDOWN"),
    ("no run.json", gone("run.json"), 2, "run.json is missing"),
    ("no latencies", gone("latency.hlog"), 2, "latency.hlog is missing"),
    ("no events", gone("events.jsonl"), 2, "events.jsonl is missing"),
    ("no audit", gone("audit.json"), 2, "no audit was made"),
    ("an incomplete audit", within("audit.json", "true", "false"), 2, "Audit complete"),
    ("lost sessions", lose_sessions, 1, "2 were lost and 1 came back different"),
    ("a gap in seconds", less("seconds.csv", "^4[0-4],"), 2, "5 of 150 planned seconds"),
    ("a clock that jumped", within("seconds.csv", "\n40,", "\n9999,"), 2, "a clock jumped"),
    ("counts that do not add up", within("seconds.csv", "\n40,0,", "\n40,0,1"), 2, "1 second(s) do not add up"),
    ("unequal rates", move_rates, 2, "during 5"),
    ("clocks apart", meta(clock={"w1": {"offset_ms": 80, "round_trip_ms": 1}}), 2, "at most 80.00 ms apart"),
    ("a busy generator", meta(generator_cpu={"w1": 140}), 2, "Generator not saturated"),
    ("a full machine", within("server.jsonl", '"cpu_busy":0.4', '"cpu_busy":0.99'), 2, "Machine not saturated"),
    ("no free environment", within("function.jsonl", '"busy_max":3', '"busy_max":100'), 2, "all busy in 150 second(s)"),
    ("problems reported", meta(problems=["a node died"]), 2, "a node died"),
    ("no record of the servers", gone("server.jsonl"), 2, "no row of the machine"),
    ("wrong types throughout", meta(**WRONG_TYPES), 2, "duration_s, time_limit_s must be above 0"),
]


@pytest.mark.parametrize(("change", "code", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_kind_of_input_gets_a_report_that_says_so(
    tmp_path: Path, change: Callable[[Path], object], code: int, said: str
) -> None:
    """Whatever is wrong with a run folder, the report is made, says it, keeps to its schema and exits as promised."""
    run = made(tmp_path, PLAIN)
    change(run)
    result = build(run)
    assert said in unwrapped(result.verdict)
    assert result.exit_code == code
    assert [
        check["name"] for check in result.report["checks"] if check["state"] == "fail" and not check["remedy"]
    ] == []
    holds_to_the_schema(json.loads((run / "report.json").read_text(encoding="utf-8")))
    assert html.escape(said) in html.escape(html.unescape(result.html.read_text(encoding="utf-8")))


def test_an_invalid_run_is_marked_wherever_a_figure_stands(tmp_path: Path) -> None:
    """Each chart, each section of figures and the picture say so, gates show nothing measured, and so does the data."""
    run = made(tmp_path, PLAIN)
    valid = build(run, ["read.p99 < 5ms"]).html.read_text(encoding="utf-8")
    assert 'class="unusable"' not in valid
    meta(generator_cpu={"w1": 140})(run)
    result = build(run, ["read.p99 < 5ms"])
    page = result.html.read_text(encoding="utf-8")
    mark = '<span class="unusable">✗ INVALID run: not usable</span>'
    assert page.count("<figcaption>") == page.count(f"<figcaption>{mark}") >= 15
    sections = dict(re.findall(r'<h2 id="(\w+)">(.*?)(?=<h2 )', page, re.DOTALL))
    assert {name for name, section in sections.items() if mark in section} == {
        "selftest", "timeline", "effect", "phases", "percentiles",
    }  # fmt: skip
    shown = re.search(r"<code>read.p99 &lt; 5ms</code></td>(.*?)</tr>", page, re.DOTALL)
    assert shown is not None
    assert "not judged" in shown[1]
    assert " ms" not in shown[1]
    assert "INVALID run, not usable" in re.sub(r"<!--|-->", "", (run / "timeline.svg").read_text(encoding="utf-8"))
    report = result.report
    flagged = [report["headline"], *report["phases"], *report["moves"], *(report["reshard"][name] for name in WINDOWS)]
    assert [part["usable"] for part in flagged] == [False] * len(flagged)
    assert report["headline"]["rows"][0]["during"] > 0  # the figures are there, and flagged


HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>\u2028`|**"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Text from outside never becomes an element, not in the page, its data, the picture or the summary."""
    names = [(f"{HOSTILE} {name}", *rest) for name, *rest in PLAIN.phases]
    what = replace(
        PLAIN,
        phases=names,
        failures=[(50.0, "refused", HOSTILE)],
        run={"command": HOSTILE, "host": HOSTILE, "engine": {"name": HOSTILE, "version": HOSTILE}, "ended_at": HOSTILE},
    )
    run = made(tmp_path, what)
    with (run / "server.jsonl").open("a", encoding="utf-8") as stream:
        for t_s in (5, 6):
            row = {"t_s": t_s, "node": HOSTILE, "role": "primary", "group": "application", "keys": 1, "shard": HOSTILE}
            stream.write(json.dumps({**row, "commands": t_s, "cpu_s": t_s}) + "\n")
    build(run)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script>") == 3 + plotlys_own(page)
    assert "<img src=x" not in page
    assert "<" not in (run / "report.md").read_text(encoding="utf-8")
    assert "<script" not in (run / "timeline.svg").read_text(encoding="utf-8")


def plotlys_own(page: str) -> int:
    """Script tags that plotly.js itself speaks of, in its own strings."""
    library = max(re.findall(r"<script>(.*?)</script>", page, re.DOTALL), key=len)
    return library.count("<script")


def test_data_in_the_page_cannot_end_its_script() -> None:
    """JSON inside a script element holds no character that HTML would act on."""
    text = script_data({"a": HOSTILE, "b": "<!-- & -->"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["a"] == HOSTILE


def test_the_page_is_whole_and_small(tmp_path: Path) -> None:
    """One file under 6 MB that fetches nothing, with its sections in the promised order and words for every chart."""
    result = build(made(tmp_path, PLAIN))
    page = result.html.read_text(encoding="utf-8")
    assert result.html.stat().st_size < 6_000_000
    own = page.replace(max(re.findall(r"<script>.*?</script>", page, re.DOTALL), key=len), "")
    assert not re.findall(r"""(?:src|href)=["']?(?!#|data:)[a-z/]""", own)
    assert "default-src 'none'" in html.unescape(own)
    ids = re.findall(r'<h2 id="(\w+)"', own)
    assert ids == ["trust", "selftest", "timeline", "effect", "phases", "failures", "percentiles", "run", "definitions"]
    drawn = re.findall(r'<div class="chart" id="chart-[\w-]+" role="img" aria-label="([^"]*)"', own)
    assert len(drawn) >= 15
    assert all(len(words) > 30 for words in drawn)
