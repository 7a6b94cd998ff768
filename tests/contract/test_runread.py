"""The reader of run folders: what the writer wrote comes back, and what is damaged is said, never guessed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import hdrread, runfolder, runread
from contract.histograms import HistogramCodec, Latencies
from contract.runfolder import Arrival, RunFolder, RunFolderError, Second
from tools import synthetic

SMALL = synthetic.Synthetic(phases=(("One", 20, 10, 30), ("Two", 10, 30, 30)), moves=())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small whole run."""
    return synthetic.write(tmp_path / "run", SMALL)


def test_a_whole_run_comes_back_as_written(folder: Path) -> None:
    """Every file of a whole run is read and nothing is called damaged."""
    run = runread.read_run(folder)
    assert run.damage == ()
    assert [phase.name for phase in run.phases] == ["One", "Two"]
    assert run.seconds.t_s.tolist() == list(range(30))
    assert int(run.seconds["offered"].sum()) == 700
    assert run.sessions == 700
    assert run.audit is not None
    assert {name: int(series.totals.sum()) for name, series in run.latency.items()} == dict.fromkeys(
        ("response", "service", "lag", "connection", "write", "read"), 700
    )


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(1, 120_000_000), max_size=60), min_size=1, max_size=8), st.randoms())
def test_decoded_percentiles_are_those_of_the_library(seconds: list[list[int]], random: object) -> None:
    """Decoding all histograms at once gives what hdrh gives for each, and for all of them merged."""
    del random
    codec = HistogramCodec()
    payloads: list[bytes] = []
    library: list[HdrHistogram] = []
    for values in seconds:
        latencies = Latencies()
        latencies.record(values)
        text = codec.encode(latencies)
        payloads.append(hdrread.unwrap(text.encode()))
        library.append(HdrHistogram.decode(text.encode()))
    ours = hdrread.build(list(range(len(seconds))), payloads, len(seconds))
    assert ours.totals.tolist() == [len(values) for values in seconds]
    for quantile in (0.5, 0.99, 1.0):
        quantiles = ours.per_row(quantile)
        for row, values in enumerate(seconds):
            if not values:
                assert np.isnan(quantiles[row])
                continue
            exact = sorted(values)[max(int(np.ceil(quantile * len(values) - 1e-9)), 1) - 1]
            assert quantiles[row] == library[row].get_highest_equivalent_value(exact)
    together = [value for values in seconds for value in values]
    merged = ours.merged(np.ones(len(seconds), dtype=np.bool_))
    assert merged.total == len(together)
    if together:
        assert merged.quantile_us(1.0) == library[0].get_highest_equivalent_value(max(together))


def test_arrivals_without_a_good_reply_count_as_the_time_limit() -> None:
    """A percentile gets worse, not better, when replies fail."""
    codec = HistogramCodec()
    latencies = Latencies()
    latencies.record([100] * 98)
    one = hdrread.build([0], [hdrread.unwrap(codec.encode(latencies).encode())], 2)
    beyond = np.array([2, 3])
    assert one.per_row(0.98, beyond, 15_000_000).tolist() == [100, 15_000_000]
    assert one.per_row(0.99, beyond, 15_000_000).tolist() == [15_000_000, 15_000_000]
    merged = one.merged(np.array([True, False])).with_beyond(2, 15_000_000)
    assert (merged.quantile_us(0.98), merged.quantile_us(0.99)) == (100, 15_000_000)


def cut(path: Path, size: int) -> None:
    """Cut bytes off the end."""
    path.write_bytes(path.read_bytes()[:-size])


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def lines_gone(path: Path, first: int, last: int) -> None:
    """Remove lines."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:first] + lines[last:]), encoding="utf-8")


DAMAGES: list[tuple[str, Callable[[Path], object], str]] = [
    ("no run.json", lambda run: (run / "run.json").unlink(), "run.json is missing"),
    ("run.json cut off", lambda run: cut(run / "run.json", 40), "run.json is not readable as JSON"),
    ("run.json a list", lambda run: (run / "run.json").write_text("[]"), "run.json holds list"),
    ("no seconds.csv", lambda run: (run / "seconds.csv").unlink(), "seconds.csv is missing"),
    ("seconds.csv empty", lambda run: (run / "seconds.csv").write_bytes(b""), "seconds.csv is empty"),
    ("last second cut off", lambda run: cut(run / "seconds.csv", 5), "seconds.csv: the last line was cut off"),
    ("a line not numbers", lambda run: edit(run / "seconds.csv", "\n5,0,", "\nfive,0,"), "seconds.csv: 1 unreadable"),
    ("a field too few", lambda run: edit(run / "seconds.csv", "\n5,0,", "\n5,"), "seconds.csv: 1 unreadable line"),
    ("a column gone", lambda run: edit(run / "seconds.csv", ",ok,", ",good,"), "no column ok"),
    ("a second twice", lambda run: edit(run / "seconds.csv", "\n5,0,", "\n4,0,"), "come twice"),
    ("a clock that jumped", lambda run: edit(run / "seconds.csv", "\n5,0,", "\n3605,0,"), "a clock jumped"),
    ("time that runs back", lambda run: edit(run / "seconds.csv", "\n5,0,", "\n29,0,"), "runs backwards"),
    ("an endless field", lambda run: edit(run / "seconds.csv", "\n5,0,", "\n5," + "0" * 200_000 + ","), "seconds.csv"),
    ("an open quote", lambda run: edit(run / "seconds.csv", "\n5,0,", '\n"5,0,'), "seconds.csv: 1 unreadable"),
    ("an absurd number", lambda run: edit(run / "seconds.csv", "\n5,0,", f"\n5,0,{10**30},"), "seconds.csv"),
    ("no latencies", lambda run: (run / "latency.hlog").unlink(), "latency.hlog is missing"),
    ("last histogram cut off", lambda run: cut(run / "latency.hlog", 9), "latency.hlog: the last line was cut off"),
    ("a histogram cut off", lambda run: edit(run / "latency.hlog", "=\n", "\n"), "latency.hlog: 1 unreadable line"),
    ("a gap in seconds", lambda run: lines_gone(run / "seconds.csv", 6, 9), "18 histogram(s) of seconds that"),
    ("no events", lambda run: (run / "events.jsonl").unlink(), "events.jsonl is missing"),
    ("an event cut off", lambda run: cut(run / "events.jsonl", 4), "events.jsonl: the last line was cut off"),
    ("an event not JSON", lambda run: edit(run / "events.jsonl", '{"t_s"', '{"t_s'), "events.jsonl: 1 unreadable line"),
    ("an event without time", lambda run: edit(run / "events.jsonl", '"t_s":0', '"t":0'), "1 event(s) without"),
    ("a session cut off", lambda run: cut(run / "sessions.bin", 3), "sessions.bin: its last session"),
    ("audit cut off", lambda run: cut(run / "audit.json", 30), "audit.json is not readable"),
    ("bytes that are no text", lambda run: (run / "events.jsonl").write_bytes(b"\xff\xfe\x00\n"), "1 unreadable"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "said"), [case[1:] for case in DAMAGES], ids=[case[0] for case in DAMAGES])
def test_damage_is_read_around_and_said(folder: Path, damage: Callable[[Path], object], said: str) -> None:
    """Whatever is damaged, the rest is read and the damage is named."""
    damage(folder)
    run = runread.read_run(folder)
    assert any(said in sentence for sentence in run.damage), run.damage


def test_a_histogram_with_any_byte_changed_is_named_as_damage(folder: Path) -> None:
    """A changed byte anywhere in a histogram's payload is damage to say: its checksums hold the reader back."""
    path = folder / "latency.hlog"
    whole = path.read_bytes()
    begin = whole.index(b"HIST", whole.index(b"Tag="))
    end = whole.index(b"\n", begin)
    for place in range(begin, end - 4, 3):
        raw = bytearray(whole)
        raw[place] ^= 0x15
        path.write_bytes(bytes(raw))
        assert [said for said in runread.read_run(folder).damage if "latency.hlog" in said], place - begin


def test_another_format_version_is_refused_in_one_sentence(folder: Path) -> None:
    """An old or a newer run folder is not half understood: the message names both versions."""
    meta = json.loads((folder / "run.json").read_text())
    for version in (0, 1, 3, "2", True, None):
        (folder / "run.json").write_text(json.dumps({**meta, "format": version}))
        with pytest.raises(RunFolderError, match=r"run folder format .*, and this .* reads format 2; ") as error:
            runread.read_run(folder)
        assert ("git checkout" in str(error.value)) == (version == 1 and version is not True)
        with pytest.raises(RunFolderError, match="reads format 2; "):
            runfolder.read_run(folder)


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    """A file, a missing path and an empty folder each get one clear error."""
    with pytest.raises(RunFolderError, match="is not a folder"):
        runread.read_run(tmp_path / "missing")
    with pytest.raises(RunFolderError, match="is not a run folder"):
        runread.read_run(tmp_path)


def test_single_arrivals_come_back_in_planned_order(tmp_path: Path) -> None:
    """arrivals.csv is read by column, unknown fields as NaN, a broken line counted."""
    folder = synthetic.write(tmp_path / "run", synthetic.Synthetic())
    path = folder / "arrivals.csv"
    lines = path.read_text().splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    lines.append("9999,149.5,,,refused,0,,,,,,")
    lines.append("oops,not a number,,,ok,0,,,,,,")
    path.write_text("\n".join(lines) + "\n")
    run = runread.read_run(folder)
    assert np.all(np.diff(run.arrivals.planned_s) >= 0)
    assert run.arrivals.outcome[-1] == "refused"
    assert np.isnan(run.arrivals.done_s[-1])
    assert [said for said in run.damage if "arrivals.csv: 1 unreadable" in said]


def test_timings_and_scenarios_are_those_that_run_json_names(tmp_path: Path) -> None:
    """An application of one timing and two scenarios is read as ours is: nothing depends on our three names."""
    scenarios = [{"name": "browse", "weight": 3}, {"name": "buy", "weight": 1}]
    writer = RunFolder.create(tmp_path / "run", {"timings": ["render"], "scenarios": scenarios, "duration_s": 2})
    values = Latencies()
    values.record([700, 900])
    writer.append_second(Second(0, 0, ok=2, cold=1, said_cold=2))
    writer.append_second(Second(1, 0, ok=2))
    for series in ("response", "service", "lag", "render", "response/0", "response/1", "response/2", "read"):
        writer.append_latency(0, series, values)
    writer.append_arrivals(
        [Arrival(0, 0.5, 0.5, 0.6, "ok", 1, cold=True, timings_us=[700]), Arrival(1, 0.6, 0.6, 0.7, "ok")]
    )
    writer.close({})
    run = runread.read_run(tmp_path / "run")
    assert run.series == ("response", "service", "lag", "render")
    assert [(scenario.name, scenario.weight) for scenario in run.scenarios] == [("browse", 3.0), ("buy", 1.0)]
    assert {name: int(held.totals.sum()) for name, held in run.latency.items()} == dict.fromkeys(
        ("response", "service", "lag", "render", "response/0", "response/1"), 2
    )
    assert [said for said in run.damage if "latency.hlog" in said] == [
        "latency.hlog: 2 histogram(s) of series that run.json does not name are left out"
    ]
    assert run.arrivals.timings_us.keys() == {"render"}
    np.testing.assert_array_equal(run.arrivals.timings_us["render"], [700, np.nan])
    np.testing.assert_array_equal(run.arrivals.cold, [1, np.nan])
    np.testing.assert_array_equal(run.arrivals.scenario, [1, 0])
    np.testing.assert_array_equal(run.seconds.cold, [1, np.nan])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timings", None),
        ("timings", "read"),
        ("timings", ["read", "read"]),
        ("timings", ["response"]),
        ("timings", ["<b>"]),
        ("timings", ["a" * 50]),
        ("timings", [f"t{place}" for place in range(9)]),
        ("scenarios", None),
        ("scenarios", []),
        ("scenarios", [{"name": "session", "weight": 0}]),
        ("scenarios", [{"name": "session"}]),
        ("scenarios", [{"name": "session", "weight": 1}] * 101),
    ],
)
def test_timings_and_scenarios_that_cannot_be_are_damage(folder: Path, key: str, value: object) -> None:
    """Names and weights come from outside: what is no list of them is said, and never becomes a column or a chart."""
    runfolder.update_run(folder, {key: value})
    assert any(f"run.json: {key} must be" in sentence for sentence in runread.read_run(folder).damage)
