"""Whole rehearsals as a user runs them: one to its end, one beside it that is stopped half-way."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.rehearsal, pytest.mark.alone]

PROFILE = """
phases:
  - {name: Warm up, duration: 16s, arrivalRate: 10, rampTo: 40}
  - {name: Higher load, duration: 4s, arrivalRate: 40}
  - {name: Cool Down, duration: 16s, arrivalRate: 10, rampTo: 40}
"""
STEADY = "phases: [{name: Steady, duration: 60s, arrivalRate: 20}]\n"


def rehearse(folder: Path, name: str, profile: str, *words: str) -> "subprocess.Popen[str]":
    """Start a rehearsal with its output in a file."""
    file = folder / f"{name}.yml"
    file.write_text(profile)
    command = [sys.executable, "-m", "rehearsal", "--load-profile", str(file), "--load-compress", "1"]
    command += ["--load-scale", "1", "--migration", "atomic", "--out", str(folder / name), *words]
    with (folder / f"{name}.log").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSON-lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def processes_of(log: str) -> list[int]:
    """Processes whose command line names a port of that rehearsal's output."""
    ports = set(re.findall(r"127\.0\.0\.1:(\d+)", log))
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if any(f" {port}" in line for port in ports)]


def test_two_rehearsals_side_by_side_one_of_them_stopped(tmp_path: Path) -> None:
    """The one that runs to its end has exact books, an audit and a report; the stopped one says so and leaves nothing.

    The machine is shared by both and by whatever else runs, so nothing is asked of latency here.
    """
    whole = rehearse(tmp_path, "whole", PROFILE, "--reshard-at", "65%")
    stopped = rehearse(tmp_path, "stopped", STEADY, "--set", "loadTasks=1")
    try:
        wait_for(tmp_path / "stopped" / "seconds.csv", 3)
        stopped.send_signal(signal.SIGTERM)
        assert stopped.wait(90) == 2, (tmp_path / "stopped.log").read_text()
        assert whole.wait(180) in (0, 2), (tmp_path / "whole.log").read_text()
    finally:
        for process in (whole, stopped):
            if process.poll() is None:
                process.terminate()
                process.wait(60)
    check_whole(tmp_path / "whole", (tmp_path / "whole.log").read_text())
    check_stopped(tmp_path / "stopped", (tmp_path / "stopped.log").read_text())


def wait_for(seconds: Path, rows: int) -> None:
    """Wait until so many planned seconds are closed."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if seconds.exists() and seconds.read_text().count("\n") > rows:
            return
        time.sleep(0.2)
    raise AssertionError(f"{seconds} did not get {rows} rows within 120 s")


def check_whole(run: Path, log: str) -> None:
    """Offered is planned, every arrival is in the books, the reshard and the sham happened, nothing was lost."""
    with (run / "seconds.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    totals = {key: sum(int(row[key]) for row in rows) for key in ("offered", "ok", "failed", "missed", "unknown")}
    assert len(rows) == 36
    assert totals["offered"] == 400 + 160 + 400
    assert totals["offered"] == totals["ok"] + totals["failed"] + totals["missed"] + totals["unknown"]
    assert (totals["ok"], totals["failed"]) == (totals["offered"], 0), log

    names = [event["event"] for event in lines(run / "events.jsonl")]
    order = ["reshard.requested", "reshard.declared", "nodes.joined", "slots.started", "slots.finished"]
    at = [names.index(name) for name in [*order, "reshard.finished"]]
    assert at == sorted(at)
    at = [names.index(f"sham.{name}") for name in ("requested", "slots.started", "slots.finished", "finished")]
    assert at == sorted(at)
    [finished] = [event for event in lines(run / "events.jsonl") if event["event"] == "slots.finished"]
    assert finished["slots"] == 8192

    audit = json.loads((run / "audit.json").read_text())
    assert audit["complete"]
    assert (audit["acknowledged"], audit["missing"], audit["different"]) == (totals["ok"], 0, 0)

    described = json.loads((run / "run.json").read_text())
    assert (described["where"], described["ended"], described["stack"]) == ("rehearsal", "finished", "dev")
    assert described["engine"]["name"] == "valkey"
    assert described["reshard"]["migration"] == "atomic"
    shards = {(row["group"], row["shard"]) for row in lines(run / "server.jsonl") if row["node"] != "machine"}
    assert ("application", 2) in shards
    log_lines = lines(run / "function.jsonl")
    assert sum(line["type"] == "ECL" and "t_s" not in line for line in log_lines) >= totals["ok"]
    hosted = [line for line in log_lines if line["type"] == "environments"]
    assert any(line["busy_max"] > 0 for line in hosted)
    assert described["warmed"]["wanted"] == 10  # of 40 a second in a stall of 0.25 s
    assert described["warmed"]["sessions"] == 30
    before = [line["count"] for line in hosted if line["t_s"] < 0]
    assert before[-1] >= 10, "environments before second 0"
    machine = [row for row in lines(run / "server.jsonl") if row["node"] == "machine"]
    for samples in (hosted, machine):
        assert 30 <= len(samples) <= samples[-1]["t_s"] - samples[0]["t_s"] + 2, "one a second"

    report = json.loads((run / "report.json").read_text())
    assert report["offered"] == report["ok"] == totals["offered"]
    assert (run / "report.html").stat().st_size > 100_000
    assert "report.html" in log
    assert not processes_of(log)


def check_stopped(run: Path, log: str) -> None:
    """The folder says that it was interrupted, there is a report all the same, and no process is left."""
    assert json.loads((run / "run.json").read_text())["ended"] == "interrupted"
    assert json.loads((run / "report.json").read_text())["valid"] is False
    assert "Traceback" not in log
    assert not processes_of(log)
