"""The run folder's writer: whole lines, one row format, nothing overwritten."""

import json
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from contract import runfolder
from contract.histograms import HIGHEST_US, Latencies
from contract.runfolder import Arrival, RunFolder, RunFolderError, Second

RUN = {"stack": "dev", "timings": ["write", "render"]}


def latencies(*values_us: int) -> Latencies:
    """A second's worth of one series."""
    latencies = Latencies()
    latencies.record(values_us)
    return latencies


def test_everything_is_written_as_the_contract_says(tmp_path: Path) -> None:
    """Header lines, a row per second, empty fields where unknown, sessions as 16 bytes, events as they come."""
    folder = RunFolder.create(tmp_path / "run", {**RUN, "started_at_unix_s": 1_795_360_000.25})
    folder.append_second(
        Second(0, 0, ok=2, failed=1, missed=3, unknown=1, late=1, causes={"timeout": 1, "no_ports": 3})
    )
    folder.append_latency(0, "lag", latencies(100, 200, 70_000))
    folder.append_latency(0, "read", latencies())
    folder.append_second(Second(1, 0, ok=2, cold=1, said_cold=2))
    folder.append_arrivals(
        [
            Arrival(7, 0.5, None, None, "unknown"),
            Arrival(8, 0.6, 0.6001, 0.7, "ok", cold=True, redirects=0, retries=0, timings_us=(1, None)),
        ]
    )
    folder.append_sessions(bytes(32))
    folder.event(-0.5, "worker.joined", worker="a")
    folder.close({"ended": "finished", "totals": {"offered": 7}})
    path = tmp_path / "run"
    assert (path / "seconds.csv").read_text().splitlines() == [
        "t_s,phase,offered,sent,ok,failed,missed,unknown,late,redirects,retries,cold,causes",
        "0,0,7,3,2,1,3,1,1,0,0,,no_ports:3 timeout:1",
        "1,0,2,2,2,0,0,0,0,0,0,1,",
    ]
    assert (path / "arrivals.csv").read_text().splitlines() == [
        "k,planned_s,sent_s,done_s,outcome,scenario,cold,redirects,retries,write_us,render_us",
        "7,0.500000,,,unknown,0,,,,,",
        "8,0.600000,0.600100,0.700000,ok,0,1,0,0,1,",
    ]
    assert (path / "sessions.bin").stat().st_size == 32
    assert json.loads((path / "events.jsonl").read_text()) == {"t_s": -0.5, "event": "worker.joined", "worker": "a"}
    run = json.loads((path / "run.json").read_text())
    assert (run["format"], run["id"], run["ended"], run["totals"]) == (2, "run", "finished", {"offered": 7})


def test_the_histogram_log_is_read_by_the_standard_library(tmp_path: Path) -> None:
    """Tags, start times and values come out of the library's reader; an empty histogram has no line."""
    folder = RunFolder.create(tmp_path / "run", {"started_at_unix_s": 1_795_360_000.0})
    folder.append_latency(3, "service", latencies(150, 150, 90_000_000))
    folder.append_latency(4, "read", latencies())
    folder.close({})
    log = HistogramLogReader(str(tmp_path / "run" / "latency.hlog"), HdrHistogram(1, HIGHEST_US, 3))
    histogram = log.get_next_interval_histogram()
    assert histogram is not None
    assert (histogram.tag, histogram.get_total_count()) == ("service", 3)
    assert histogram.get_value_at_percentile(50) == 150
    assert histogram.get_start_time_stamp() == 1_795_360_003_000
    assert log.get_next_interval_histogram() is None


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path) -> None:
    """No run is ever written into another one; the next free name is found by number."""
    RunFolder.create(tmp_path / "run", {}).close({})
    with pytest.raises(RunFolderError, match="holds a run already; name another one or remove it"):
        RunFolder.create(tmp_path / "run", {})
    assert runfolder.free_folder(tmp_path / "run") == tmp_path / "run-2"
    assert runfolder.free_folder(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunFolder.create(tmp_path / "file" / "run", {})


def test_examples_of_failures_are_few_and_short(tmp_path: Path) -> None:
    """At most 20 a cause, at most 500 characters each, line ends inside them escaped."""
    folder = RunFolder.create(tmp_path / "run", {})
    for _ in range(30):
        folder.append_failure(1.0, "garbage", "x\n" * 400)
    folder.append_failure(1.0, "reset", "by peer")
    folder.close({})
    lines = [json.loads(line) for line in (tmp_path / "run" / "failures.jsonl").read_text().splitlines()]
    assert [line["cause"] for line in lines] == ["garbage"] * 20 + ["reset"]
    assert max(len(line["detail"]) for line in lines) == 500


def test_notes_are_merged_into_run_json(tmp_path: Path) -> None:
    """Several writers add their keys; objects are merged, everything else is replaced."""
    RunFolder.create(tmp_path / "run", {"engine": {"name": "valkey"}}).close({})
    runfolder.update_run(tmp_path / "run", {"engine": {"version": "9.1"}, "where": "rehearsal"})
    run = runfolder.read_run(tmp_path / "run")
    assert (run["engine"], run["where"]) == ({"name": "valkey", "version": "9.1"}, "rehearsal")


def test_the_name_of_a_run_folder() -> None:
    """UTC start and stack, as the contract says."""
    assert runfolder.folder_name(1_795_360_000.9, "dev") == "20261122T150640Z-dev"
