"""A real run folder, changed in one way at a time: the check that should tell it fails, and by its name."""

import json
import shutil
from pathlib import Path

import pytest

from contract.runfolder import RunFolderError
from contract.runread import read_run
from report.checks.check import FAIL, RunCheck
from report.moves import find_moves
from report.trust import check_run
from report.windows import windows_of
from tests.report.mutations import (
    CONTROL_S,
    DURING_S,
    QUIET_S,
    Mutation,
    added,
    again,
    arrival,
    both,
    bytes_of,
    contents_swapped,
    event,
    faster,
    gone,
    in_json,
    later,
    meta,
    more,
    more_us,
    most,
    payload_of,
    put,
    remove,
    replaced,
    rows,
    seconds,
    swapped,
    without,
)
from tools import synthetic
from tools.golden import copied
from tools.synthetic import Synthetic

WHOLE = "real-batches"
"""A rehearsal with all of its files but the function's log lines."""
NOISE = {"Sent on time", "Machine not saturated", "Other programs"}
"""Other programs ran beside it, and these checks say so. What should fail them is changed in a made-up run instead."""

ADD, PLAN, COUNTED, SINGLE = "Counts add up", "Offered as planned", "Latencies counted", "Single arrivals"
ORDER, RUN, DATA, AUDIT, CLOCKS = "Events in order", "Run described", "Data complete", "Audit complete", "Clocks agree"
SERVERS, PLACE = "Servers recorded", "Place known"
NODE = r'"node":"0001-001","group":"application"'

SECONDS = [
    Mutation("a second is gone", without("seconds.csv", rf"^{DURING_S},"), DATA),
    Mutation("the last second is gone", without("seconds.csv", "^124,"), DATA),
    Mutation("two rows are swapped", swapped(f"^{DURING_S},", f"^{DURING_S + 1},", "seconds.csv"), DATA),
    Mutation("two seconds swap all but their time", contents_swapped, PLAN),
    Mutation("a row comes twice", rows("seconds.csv", lambda lines: [*lines, lines[50]]), DATA),
    Mutation("a time is one later", replaced("seconds.csv", "^124,", "125,"), DATA),
    Mutation("all times are one later", rows("seconds.csv", lambda lines: [
        lines[0], *(f"{int(t_s) + 1},{rest}" for t_s, rest in (line.split(",", 1) for line in lines[1:]))]), DATA),
    Mutation("another phase", seconds(DURING_S, phase=1), PLAN),
    Mutation("one more offered and ok", seconds(DURING_S, offered=more(1), sent=more(1), ok=more(1)), PLAN),
    Mutation("one fewer offered and ok", seconds(DURING_S, offered=more(-1), sent=more(-1), ok=more(-1)), PLAN),
    Mutation("one arrival from one second to the next", both(
        seconds(DURING_S, offered=more(-1), sent=more(-1), ok=more(-1)),
        seconds(DURING_S + 1, offered=more(1), sent=more(1), ok=more(1))), PLAN),
    Mutation("one ok becomes failed", seconds(DURING_S, ok=more(-1), failed=more(1), causes="timeout:1"), COUNTED),
    Mutation("one ok becomes missed", seconds(
        DURING_S, ok=more(-1), sent=more(-1), missed=more(1), causes="overdue:1"), COUNTED),
    Mutation("one ok becomes unknown", seconds(DURING_S, ok=more(-1), sent=more(-1), unknown=more(1)), COUNTED),
    Mutation("more ok than offered", seconds(DURING_S, ok=more(1)), ADD),
    Mutation("fewer sent than ok", seconds(DURING_S, sent=more(-1)), ADD),
    Mutation("a failure without a cause", seconds(DURING_S, ok=more(-1), failed=more(1)), ADD),
    Mutation("a cause without a failure", seconds(DURING_S, causes="timeout:1"), ADD),
    Mutation("a cause that nobody knows", seconds(DURING_S, ok=more(-1), failed=more(1), causes="tired:1"), ADD),
    Mutation("a missed arrival by a cause of failures", seconds(
        DURING_S, ok=more(-1), sent=more(-1), missed=more(1), causes="timeout:1"), ADD),
    Mutation("a cause counted minus once", seconds(DURING_S, causes="timeout:1 reset:-1"), ADD),
    Mutation("a negative count", seconds(DURING_S, redirects=-1), DATA),
    Mutation("a float as a count", seconds(DURING_S, ok=lambda old: f"{old}.0"), DATA),
    Mutation("not a number", seconds(DURING_S, late="nan"), DATA),
    Mutation("a huge number", seconds(DURING_S, retries="9" * 30), DATA),
    Mutation("more late than sent", seconds(DURING_S, late=10_000), ADD),
    Mutation("late that the lag does not show", seconds(QUIET_S, late=3), COUNTED),
    Mutation("late arrivals not counted", most("late", 0), COUNTED),
    Mutation("more cold than sent", seconds(DURING_S, cold=10_000), ADD),
    Mutation("a cold start that no arrival met", seconds(DURING_S, cold=more(1)), SINGLE),
    Mutation("cold is unknown", seconds(DURING_S, cold=""), ADD),
    Mutation("redirects that no arrival met", seconds(DURING_S, redirects=more(1)), SINGLE),
    Mutation("redirects against the totals", seconds(QUIET_S, redirects=7), ADD),
    Mutation("retries that no arrival made", seconds(DURING_S, retries=2), SINGLE),
    Mutation("the file is gone", gone("seconds.csv"), DATA),
]  # fmt: skip
LATENCY = [
    Mutation("a histogram is gone", without("latency.hlog", rf"^Tag=response,{DURING_S}\.000"), COUNTED),
    Mutation("a histogram of a timing is gone", without("latency.hlog", rf"^Tag=read,{DURING_S}\.000"), COUNTED),
    Mutation("a histogram of the lag is gone", without("latency.hlog", rf"^Tag=lag,{QUIET_S}\.000"), COUNTED),
    Mutation("a timing is gone", without("latency.hlog", "^Tag=write,"), COUNTED),
    Mutation("a histogram comes twice", rows("latency.hlog", lambda lines: [*lines, lines[100]]), COUNTED),
    Mutation("a payload of another second", payload_of("response", DURING_S, 40), DATA),
    Mutation("a line of another second", payload_of("response", QUIET_S, 40, whole=True), COUNTED),
    Mutation("a line of a second with as many arrivals", payload_of("read", DURING_S, CONTROL_S, whole=True), SINGLE),
    Mutation("all reads are fast", faster("read", DURING_S), SINGLE),
    Mutation("all responses are fast", faster("response", DURING_S), SINGLE),
    Mutation("all responses are fast where no arrival is kept", faster("response", QUIET_S), COUNTED),
    Mutation("all lags are short", faster("lag", QUIET_S), COUNTED),
    Mutation("the highest value", replaced(
        "latency.hlog", rf"(Tag=read,{DURING_S}\.000,1\.000,)[\d.]+", r"\g<1>0.100"), DATA),
    Mutation("a time between two seconds", replaced("latency.hlog", rf"{DURING_S}\.000", f"{DURING_S}.400"), DATA),
    Mutation("an interval of two seconds", replaced("latency.hlog", r"1\.000", "2.000"), DATA),
    Mutation("another start", replaced("latency.hlog", r"StartTime: \d", "StartTime: 2"), DATA),
    Mutation("a damaged payload", replaced("latency.hlog", r"HIST(.{20})", r"HIST\1A"), DATA),
    Mutation("a series that run.json does not name", replaced("latency.hlog", "Tag=read,", "Tag=reads,"), DATA),
    Mutation("the file is gone", gone("latency.hlog"), DATA),
]  # fmt: skip
ARRIVALS = [
    Mutation("a row is gone", without("arrivals.csv", rf"^\d+,{DURING_S}\.", 1), SINGLE),
    Mutation("a second is gone", without("arrivals.csv", rf"^\d+,{DURING_S}\."), SINGLE),
    Mutation("the last seconds are gone", without("arrivals.csv", r"^\d+,12[0-4]\."), SINGLE),
    Mutation("a row comes twice", rows(
        "arrivals.csv", lambda lines: [*lines[:901], lines[900], *lines[901:]]), SINGLE),
    Mutation("two rows are swapped", rows(
        "arrivals.csv", lambda lines: [*lines[:900], lines[901], lines[900], *lines[902:]]), DATA),
    Mutation("another number", arrival(DURING_S, k=lambda old: int(old) + 1), SINGLE),
    Mutation("a number that is none", arrival(DURING_S, k="x"), SINGLE),
    Mutation("a number beyond the profile", arrival(DURING_S, k=9_999_999), SINGLE),
    Mutation("another outcome", arrival(DURING_S, outcome="timeout"), SINGLE),
    Mutation("a missed one that was sent", arrival(DURING_S, outcome="overdue"), SINGLE),
    Mutation("planned at another time", arrival(DURING_S, planned_s=later(0.002)), SINGLE),
    Mutation("sent before it was planned", arrival(DURING_S, sent_s=later(-0.5)), SINGLE),
    Mutation("done before it was sent", arrival(DURING_S, done_s=later(-0.5)), SINGLE),
    Mutation("done at no time", arrival(DURING_S, done_s=""), SINGLE),
    Mutation("a longer wait", arrival(DURING_S, done_s=later(0.05)), SINGLE),
    Mutation("another lag", arrival(DURING_S, sent_s=later(0.0003)), SINGLE),
    Mutation("another timing", arrival(DURING_S, read_us=more_us(50)), SINGLE),
    Mutation("no timing", arrival(DURING_S, read_us=""), SINGLE),
    Mutation("a cold start", arrival(DURING_S, cold=1), SINGLE),
    Mutation("a redirect", arrival(DURING_S, redirects=1), SINGLE),
    Mutation("a column is gone", rows("arrivals.csv", lambda lines: [
        ",".join(line.rstrip("\n").split(",")[:-1]) + "\n" for line in lines]), DATA),
    Mutation("the file is gone", gone("arrivals.csv"), SINGLE),
]  # fmt: skip
EVENTS = [
    Mutation("no sham", without("events.jsonl", '"sham'), "Sham in the control"),
    Mutation("the slots never start", without("events.jsonl", '"event":"slots.started'), ORDER),
    Mutation("the slots never finish", without("events.jsonl", '"event":"slots.finished'), ORDER),
    Mutation("the move never ends", without("events.jsonl", '"event":"(slots|reshard).finished'), ORDER),
    Mutation("no request", without("events.jsonl", '"event":"reshard.requested'), ORDER),
    Mutation("the slots finish before they start", event("slots.finished", t_s=82.0), ORDER),
    Mutation("the slots start before the request", event("slots.started", t_s=80.0), ORDER),
    Mutation("the request before it is declared", event("reshard.requested", t_s=76.0), ORDER),
    Mutation("the sham finishes before its slots", event("sham.finished", t_s=30.0), ORDER),
    Mutation("two reshards", again("reshard.", "slots.", later_s=40), ORDER),
    Mutation("a second request", added("events.jsonl", {"t_s": 90, "event": "reshard.requested"}), ORDER),
    Mutation("an unknown event", event("slots.finished", event="slots.done"), ORDER),
    Mutation("more slots moved than there are", event("slots.progress", moved=9000), ORDER),
    Mutation("moved slots move back", event("slots.progress", 20, moved=1), ORDER),
    Mutation("fewer slots at the end", event("slots.finished", slots=4096), ORDER),
    Mutation("fewer slots in the sham", event("sham.slots.started", slots=4096), ORDER),
    Mutation("a sham of fewer slots from start to end", rows("events.jsonl", lambda lines: [
        line.replace("8192", "4096") if '"sham.' in line else line for line in lines
        if "sham.slots.progress" not in line]), "Sham comparable"),
    Mutation("a sham of fewer keys", event("sham.slots.finished", keys=5), "Sham comparable"),
    Mutation("a sham that does not tell its bytes", event("sham.slots.finished", bytes=None), "Sham comparable"),
    Mutation("the event of the warming is gone", without("events.jsonl", "environments.warmed"), RUN),
    Mutation("a negative number of keys", event("slots.finished", keys=-5), ORDER),
    Mutation("slots to another number of shards", event("slots.started", to=3), ORDER),
    Mutation("another way of moving slots", event("slots.started", migration="atomic"), ORDER),
    Mutation("a lost worker in the window", added(
        "events.jsonl", {"t_s": 100, "event": "worker.lost", "worker": "WORKER"}), "Workers stayed"),
    Mutation("a worker that never joined", without("events.jsonl", "worker.joined", 1), CLOCKS),
    Mutation("an epoch with another number of workers", event("epoch.started", workers=4), ORDER),
    Mutation("epochs run backwards", added("events.jsonl", {"t_s": 90, "event": "epoch.started", "epoch": 1}), ORDER),
    Mutation("a phase starts later", event("phase.started", 2, t_s=80), ORDER),
    Mutation("a phase that run.json does not list", event("phase.started", 2, phase=7), ORDER),
    Mutation("the run starts later", event("run.started", t_s=5), ORDER),
    Mutation("the run ends early", event("run.finished", t_s=100), ORDER),
    Mutation("the run ends twice", added("events.jsonl", {"t_s": 126, "event": "run.finished"}), ORDER),
    Mutation("no environment was free", added(
        "events.jsonl", {"t_s": 90, "event": "limit.reached"}), "Function environments"),
    Mutation("an event without a time", event("slots.started", t_s=None), DATA),
    Mutation("the file is gone", gone("events.jsonl"), DATA),
]  # fmt: skip
DESCRIBED = [
    Mutation("another place", meta(put("where", value="generator")), ORDER),
    Mutation("AWS", meta(put("where", value="aws")), DATA),
    Mutation("an unknown place", meta(put("where", value="cloud")), PLACE),
    Mutation("another start", meta(put("started_at_unix_s", value=1.7e9)), RUN),
    Mutation("another start in words", meta(put("started_at", value="2026-01-01T00:00:00.000Z")), RUN),
    Mutation("ended before it began", meta(put("ended_at", value="2020-01-01T00:00:00.000Z")), RUN),
    Mutation("stopped", meta(put("ended", value="stopped")), "Ended by itself"),
    Mutation("a longer run", meta(put("duration_s", value=126.0)), PLAN),
    Mutation("a shorter run", meta(put("duration_s", value=100.0)), PLAN),
    Mutation("an infinite run", meta(put("duration_s", value=float("inf"))), RUN),
    Mutation("another time limit", meta(put("time_limit_s", value=5.0)), RUN),
    Mutation("no time limit", meta(remove("time_limit_s")), RUN),
    Mutation("late means very late", meta(put("late_threshold_ms", value=1000.0)), RUN),
    Mutation("minus one in flight", meta(put("max_in_flight", value=-1)), RUN),
    Mutation("another host", meta(put("host", value="http://127.0.0.1:1")), RUN),
    Mutation("no host", meta(put("host", value="somewhere")), RUN),
    Mutation("another kind of connection", meta(put("connection", value="pooled")), RUN),
    Mutation("connections other than set", meta(put("connection", value="keep-alive")), RUN),
    Mutation("other rates", meta(put("scale", value=7.0)), PLAN),
    Mutation("another compression", meta(put("compress", value=12.0)), PLAN),
    Mutation("another profile", meta(
        lambda run: run["profile"].update(text=run["profile"]["text"].replace("150", "160"))), PLAN),
    Mutation("no profile", meta(remove("profile", "text")), PLAN),
    Mutation("Poisson arrivals", meta(put("profile", "arrivals", value="poisson")), PLAN),
    Mutation("a phase that starts later", meta(lambda run: run["profile"]["phases"][1].update(start_s=51.0)), PLAN),
    Mutation("a phase with another rate", meta(lambda run: run["profile"]["phases"][0].update(rate_to=500)), PLAN),
    Mutation("a phase with fewer arrivals", meta(
        lambda run: run["profile"]["phases"][0].update(arrivals=12_000)), PLAN),
    Mutation("no phases", meta(put("profile", "phases", value=[])), DATA),
    Mutation("more workers", meta(put("workers", value=4)), CLOCKS),
    Mutation("a clock is gone", meta(lambda run: run["clock"].popitem()), CLOCKS),
    Mutation("a clock is off", meta(lambda run: run["clock"].update({next(iter(run["clock"])): {
        "offset_ms": -30, "round_trip_ms": 1}})), CLOCKS),
    Mutation("a clock that is not known well", meta(lambda run: run["clock"].update({next(iter(run["clock"])): {
        "offset_ms": 0, "round_trip_ms": 500}})), CLOCKS),
    Mutation("no clocks", meta(remove("clock")), CLOCKS),
    Mutation("the CPU of a worker is gone", meta(
        lambda run: run["generator_cpu"].pop(next(iter(run["clock"])))), CLOCKS),
    Mutation("no CPU of the generator", meta(remove("generator_cpu")), "Generator not saturated"),
    Mutation("a busy worker", meta(lambda run: run["generator_cpu"].update({next(iter(run["clock"])): 120.0})),
             "Generator not saturated"),
    Mutation("other shards than the reshard's", meta(put("settings", "shardCount", value=2)), RUN),
    Mutation("a reshard to the same number", meta(put("reshard", "to", value=1)), RUN),
    Mutation("a reshard of other shards", meta(put("reshard", "to", value=3)), ORDER),
    Mutation("another timeout", meta(put("settings", "functionTimeout", value=3)), RUN),
    Mutation("other memory", meta(put("function", "memory_mb", value=128)), RUN),
    Mutation("another scale than set", meta(put("settings", "loadScale", value="7")), RUN),
    Mutation("another profile than set", meta(put("settings", "loadProfile", value="short")), RUN),
    Mutation("no engine", meta(remove("engine")), RUN),
    Mutation("an engine without a version", meta(remove("engine", "version")), RUN),
    Mutation("no settings", meta(remove("settings")), RUN),
    Mutation("what stood in for AWS is gone", meta(remove("substitutions")), RUN),
    Mutation("nothing was warmed", meta(remove("warmed")), RUN),
    Mutation("more was warmed", meta(put("warmed", "sessions", value=10**6)), RUN),
    Mutation("a negative number was warmed", meta(put("warmed", "requests", value=-1)), RUN),
    Mutation("problems that are no list", meta(put("problems", value="none")), RUN),
    Mutation("a problem", meta(put("problems", value=["a node died"])), "No problems reported"),
    Mutation("another total", meta(lambda run: run["totals"].update(ok=run["totals"]["ok"] - 1)), ADD),
    Mutation("a total as a float", meta(lambda run: run["totals"].update(ok=float(run["totals"]["ok"]))), ADD),
    Mutation("no totals", meta(remove("totals")), ADD),
    Mutation("another total of cold starts", meta(put("totals", "cold", value=9999)), ADD),
    Mutation("values above the range", meta(put("above_range", "read", value=3)), ADD),
    Mutation("fewer timings", meta(put("timings", value=["connection", "write"])), DATA),
    Mutation("no run.json", gone("run.json"), RUN),
]  # fmt: skip
BESIDE = [
    Mutation("the audit is gone", gone("audit.json"), AUDIT),
    Mutation("an incomplete audit", in_json("audit.json", put("complete", value=False)), AUDIT),
    Mutation("one session fewer read back", in_json(
        "audit.json", lambda audit: audit.update(checked=audit["checked"] - 1)), AUDIT),
    Mutation("one session fewer acknowledged", in_json(
        "audit.json", lambda audit: audit.update(acknowledged=audit["acknowledged"] - 1)), AUDIT),
    Mutation("fewer of both", in_json("audit.json", lambda audit: audit.update(acknowledged=9, checked=9)), AUDIT),
    Mutation("a negative number of lost sessions", in_json("audit.json", put("missing", value=-1)), AUDIT),
    Mutation("a float", in_json("audit.json", lambda audit: audit.update(checked=float(audit["checked"]))), AUDIT),
    Mutation("lost sessions with no example", in_json("audit.json", put("missing", value=3)), AUDIT),
    Mutation("examples with no lost session", in_json("audit.json", put("examples", value=[{"session": "a"}])), AUDIT),
    Mutation("the nodes were not asked", in_json("audit.json", remove("nodes")), "Nodes agree"),
    Mutation("the nodes do not agree", in_json("audit.json", put("nodes", "problems", value=["x"])), "Nodes agree"),
    Mutation("the sessions are gone", gone("sessions.bin"), AUDIT),
    Mutation("a session is gone", bytes_of("sessions.bin", lambda listed: listed[:-16]), AUDIT),
    Mutation("half a session is gone", bytes_of("sessions.bin", lambda listed: listed[:-8]), DATA),
    Mutation("a session twice in place of another", bytes_of(
        "sessions.bin", lambda listed: listed[:-16] + listed[:16]), AUDIT),
    Mutation("an example of a failure that nobody counts", added(
        "failures.jsonl", {"t_s": 100.2, "cause": "timeout", "detail": ""}), ADD),
    Mutation("a row of the machine is gone", without("server.jsonl", r'"t_s":100\.\d+,"node":"machine"'), SERVERS),
    Mutation("what the rehearsal used in a second is gone", replaced(
        "server.jsonl", r'("t_s":100\.\d+,"node":"machine",)"cpu_own":[\d.]+,', r"\g<1>"), SERVERS),
    Mutation("an impossible CPU", replaced(
        "server.jsonl", r'("t_s":100\.\d+,"node":"machine",.*"cpu_busy":)[\d.]+', r"\g<1>-1"), SERVERS),
    Mutation("a row of a node is gone", without("server.jsonl", rf'"t_s":100\.\d+,{NODE}'), SERVERS),
    Mutation("all rows of the application's nodes are gone", without("server.jsonl", '"application"'), SERVERS),
    Mutation("a node restarts in the window", replaced(
        "server.jsonl", rf'("t_s":100\.\d+,{NODE}.*"commands":)\d+', r"\g<1>3"), "Nodes kept running"),
    Mutation("a node in an unknown group", replaced(
        "server.jsonl", '"group":"application"', '"group":"other"'), SERVERS),
    Mutation("a row of the environments is gone", without("function.jsonl", r'"t_s": 100\.'), SERVERS),
    Mutation("all rows of the environments are gone", gone("function.jsonl"), "Function environments"),
    Mutation("every environment was busy", replaced(
        "function.jsonl", r'("t_s": 100\..*"busy_max": )\d+', r"\g<1>256"), "Function environments"),
    Mutation("another limit of environments", replaced(
        "function.jsonl", r'"limit": 256', '"limit": 9000', 10**6), SERVERS),
    Mutation("a line cut off", bytes_of("server.jsonl", lambda lines: lines[:-5]), DATA),
]  # fmt: skip
DISTURBED = [
    Mutation("what the rehearsal used is gone", replaced(
        "server.jsonl", r'"cpu_own":[\d.]+,', "", 10**6), "Other programs"),
    Mutation("all rows of the machine are gone", without("server.jsonl", '"node":"machine"'), "Machine not saturated"),
    Mutation("a full machine", replaced(
        "server.jsonl", r'("cpu_busy":)[\d.]+', r"\g<1>1.0", 10**6), "Machine not saturated"),
    Mutation("a full machine for six seconds", replaced(
        "server.jsonl", r'("t_s":10[3-8],"node":"machine",.*"cpu_busy":)[\d.]+', r"\g<1>0.99", 6),
             "Machine not saturated"),
    Mutation("other programs", replaced("server.jsonl", r'("cpu_own":)[\d.]+', r"\g<1>0.0", 10**6), "Other programs"),
    Mutation("late in one window", seconds(105, late=5), "Sent on time"),
]  # fmt: skip
KINDS = (
    ("seconds", SECONDS), ("latency", LATENCY), ("arrivals", ARRIVALS), ("events", EVENTS), ("run", DESCRIBED),
    ("beside", BESIDE),
)  # fmt: skip
TABLE = [pytest.param(mutation, id=f"{kind}: {mutation.what}") for kind, mutations in KINDS for mutation in mutations]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder."""
    return copied(WHOLE, tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run that nothing disturbs."""
    return synthetic.write(tmp_path_factory.mktemp("quiet") / "run", Synthetic())


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of the run folder to change."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def checks_of(folder: Path) -> dict[str, RunCheck]:
    """The checks by their names."""
    run = read_run(folder)
    moves = find_moves(run)
    return {check.name: check for check in check_run(run, moves, windows_of(run, moves))}


def test_the_run_itself_contradicts_nothing(whole: Path) -> None:
    """No check fails that a mutation should fail, so each of those below fails for its mutation."""
    failed = {check.name for check in checks_of(whole).values() if check.state == FAIL}
    assert failed - NOISE == set()
    assert {mutation.check for _, mutations in KINDS for mutation in mutations} & NOISE == set()


@pytest.mark.parametrize("mutation", TABLE)
def test_each_mutation_is_told_by_its_check(run: Path, mutation: Mutation) -> None:
    """A changed run is INVALID, and the check that the change breaks says so in words."""
    mutation.change(run)
    name_the_worker(run)
    check = checks_of(run).get(mutation.check)
    assert check is not None
    assert check.state == FAIL
    assert check.value
    assert check.remedy


@pytest.mark.parametrize("mutation", [pytest.param(mutation, id=mutation.what) for mutation in DISTURBED])
def test_a_disturbed_machine_is_told(quiet: Path, tmp_path: Path, mutation: Mutation) -> None:
    """Only the check of what disturbed it fails, in a run that is valid without."""
    assert [check for check in checks_of(quiet).values() if check.state == FAIL] == []
    run = Path(shutil.copytree(quiet, tmp_path / "run"))
    mutation.change(run)
    assert mutation.check in {check.name for check in checks_of(run).values() if check.state == FAIL}


def name_the_worker(run: Path) -> None:
    """A mutation says WORKER for one that joined."""
    path = run / "events.jsonl"
    if path.exists() and '"WORKER"' in (text := path.read_text(encoding="utf-8")):
        worker = next(json.loads(line)["worker"] for line in text.splitlines() if "worker.joined" in line)
        path.write_text(text.replace('"WORKER"', json.dumps(worker)), encoding="utf-8")


@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_another_format_is_refused(run: Path, version: object) -> None:
    """A folder of another format is not read as if it were of this one."""
    meta(put("format", value=version))(run)
    with pytest.raises(RunFolderError, match="run folder format"):
        read_run(run)
