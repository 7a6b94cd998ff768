"""The master's side by an injected clock: what workers, events and the end of a run do to its folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from contract.runfolder import RunFolderError, Second
from loadgen.books import Batch
from loadgen.loadrun import GIVE_UP_AFTER_S, RunError
from loadgen.observer import RunObserver
from loadgen.outcomes import IN_FLIGHT_CAP, OK, REFUSED
from tests.locust.master import MasterByHand, timeline
from tests.locust.swarm import Written

START = ["0 run.started"]
PHASES = ["0 phase.started 0", "4 phase.started 1"]

# Name: (what happens when, the events, totals that are not 0, when the folder is closed)
SCENARIOS: dict[str, tuple[list[tuple[float, str]], list[str], dict[str, int], float]] = {
    "one worker from start to end": (
        [(-2.5, "join a")],
        [*START, "-2 worker.joined a", "-2 epoch.started 1 1", *PHASES, "8 run.finished finished"],
        {"offered": 120, "sent": 120, "ok": 120},
        8.0,
    ),
    "two workers, one of which joins late": (
        [(-2.5, "join a"), (2.0, "join b")],
        [
            *START, "-2 worker.joined a", "-2 epoch.started 1 1", PHASES[0],
            "2.5 worker.joined b", "2.5 epoch.started 2 2", PHASES[1], "8 run.finished finished",
        ],
        {"offered": 120, "sent": 120, "ok": 120},
        8.0,
    ),
    "a worker that leaves in good order owes nothing": (
        [(-2.5, "join a"), (-2.5, "join b"), (2.0, "leave b")],
        [
            *START, "-2 worker.joined a", "-2 worker.joined b", "-2 epoch.started 2 2", PHASES[0],
            "2.25 epoch.started 3 1", PHASES[1], "8 run.finished finished",
        ],
        {"offered": 120, "sent": 120, "ok": 120},
        8.0,
    ),
    # b is leased up to second 3.5 and reports up to 2; silence is noticed after 4 s; a's lease then ends at 7.75.
    "a lost worker's leased arrivals are unknown, those that nobody could be given are missed": (
        [(-2.5, "join a"), (-2.5, "join b"), (2.0, "silent b")],
        [
            *START, "-2 worker.joined a", "-2 worker.joined b", "-2 epoch.started 2 2", *PHASES,
            "6.25 worker.lost b", "6.25 epoch.started 3 1", "8 run.finished finished",
        ],
        {"offered": 120, "sent": 73, "ok": 73, "missed": 40, "unknown": 7},
        8.0,
    ),
    "with all workers lost the rest is missed": (
        [(-2.5, "join a"), (1.0, "silent a")],
        [
            *START, "-2 worker.joined a", "-2 epoch.started 1 1", *PHASES,
            "5.25 worker.lost a", "5.25 epoch.started 2 0", "8 run.finished finished",
        ],
        {"offered": 120, "sent": 10, "ok": 10, "missed": 95, "unknown": 15},
        8.0,
    ),
    "nobody ever joins": (
        [],
        [*START, *PHASES, "8 run.finished finished"],
        {"offered": 120, "missed": 120},
        8.0,
    ),
    # At 2.0 the lease ends at 3.5: 35 arrivals are sent, then the run ends.
    "a stop ends the load where the leases end": (
        [(-2.5, "join a"), (2.0, "stop")],
        [*START, "-2 worker.joined a", "-2 epoch.started 1 1", PHASES[0], "4 run.interrupted stopped"],
        {"offered": 35, "sent": 35, "ok": 35},
        4.0,
    ),
    "the first reason to stop is kept": (
        [(-2.5, "join a"), (2.0, "interrupt"), (2.25, "stop")],
        [*START, "-2 worker.joined a", "-2 epoch.started 1 1", PHASES[0], "4 run.interrupted interrupted"],
        {"offered": 35, "sent": 35, "ok": 35},
        4.0,
    ),
    "a stop before second 0 sends nothing": (
        [(-2.5, "join a"), (-2.0, "stop")],
        [*START, "-2 worker.joined a", "-2 epoch.started 1 1", "0 run.interrupted stopped"],
        {},
        0.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_a_run_writes(master: MasterByHand, name: str) -> None:
    """Whatever workers do, the events tell it in order, each arrival has one outcome, and the run ends in time."""
    actions, events, totals, closed_at_s = SCENARIOS[name]
    master.start()
    for t_s, action in actions:
        master.until(t_s)
        master.act(action)
    master.until(closed_at_s - 0.25)
    assert master.coordinator.active
    master.until(closed_at_s)
    assert not master.coordinator.active
    written = master.written()
    assert timeline(written) == events
    assert {column: count for column, count in written.run["totals"].items() if count} == totals
    assert written.run["ended"] == events[-1].split()[-1] == master.coordinator.state
    wire = [k for worker in master.workers.values() for k in worker.sent]
    assert len(wire) == len(set(wire)) == totals.get("sent", 0)


def test_a_second_is_closed_when_its_last_arrival_is_reported(master: MasterByHand) -> None:
    """Seconds are counted, not timed: one waits for its last row, and the rest behind it waits too."""
    master.start()
    worker = master.join("a")
    master.until(2.0)
    assert [row["t_s"] for row in Written(master.run_dir).seconds] == [0, 1]
    worker.mute = True
    master.until(5.0)
    assert [row["t_s"] for row in Written(master.run_dir).seconds] == [0, 1]
    worker.mute = False
    master.until(5.25)
    assert [(row["t_s"], row["phase"], row["ok"]) for row in Written(master.run_dir).seconds] == [
        (0, 0, 10), (1, 0, 10), (2, 0, 10), (3, 0, 10), (4, 1, 20),
    ]  # fmt: skip


def test_what_a_living_worker_never_reports_is_given_up(master: MasterByHand) -> None:
    """Each second waits for its replies' time limit and GIVE_UP_AFTER_S more; then its arrivals are unknown."""
    master.start()
    worker = master.join("a")
    master.until(2.0)
    worker.mute = True
    wait_s = 1.0 + GIVE_UP_AFTER_S
    master.until(2.75 + wait_s)
    assert len(Written(master.run_dir).seconds) == 2
    master.until(3.0 + wait_s)
    assert [row["unknown"] for row in Written(master.run_dir).seconds] == [0, 0, 10]
    assert master.coordinator.state == "finishing"
    master.until(8.0 + wait_s)
    written = master.written()
    assert (written.run["ended"], written.total("ok"), written.total("unknown")) == ("finished", 20, 100)
    assert master.coordinator.last is not None
    assert not master.coordinator.last.delivered


@pytest.mark.parametrize(
    ("outcome", "delivered", "failed", "column"),
    [(OK, True, 0, "ok"), (REFUSED, True, 120, "failed"), (IN_FLIGHT_CAP, False, 0, "missed")],
)
def test_what_is_left_of_a_run_says_whether_it_was_delivered(
    master: MasterByHand, outcome: int, delivered: bool, failed: int, column: str
) -> None:
    """The exit code tells a load that was not sent from one whose replies were bad."""
    assert master.coordinator.last is None
    master.start()
    master.join("a").outcome = outcome
    master.until(8.0)
    run = master.coordinator.last
    assert run is not None
    assert (run.delivered, run.failed, run.inconsistent) == (delivered, failed, 0)
    written = master.written()
    assert written.total(column) == 120
    examples = [json.loads(line) for line in (master.run_dir / "failures.jsonl").read_text().splitlines()]
    assert (len(examples) == 20) is (outcome == REFUSED)  # as many as are kept of a cause


def test_rows_that_come_after_their_second_was_given_up_are_inconsistent(master: MasterByHand) -> None:
    """A second's row is written once: what comes later is not added, and shows that the figures cannot be trusted."""
    master.start()
    worker = master.join("a")
    master.until(2.0)
    worker.mute = True
    master.until(3.0 + 1.0 + GIVE_UP_AFTER_S)
    worker.mute = False
    master.until(20.0)
    assert master.coordinator.last is not None
    assert master.coordinator.last.inconsistent == 10


def test_events_and_notes_need_a_run(master: MasterByHand) -> None:
    """Without a run they would be lost, so they are refused; notes may also come when it is over."""
    with pytest.raises(RunError, match=r"no run is under way \(state 'ready'\); events belong to a run"):
        master.coordinator.event("slots.started", {})
    with pytest.raises(RunError, match="no run has started yet; notes belong to a run"):
        master.coordinator.notes({"engine": "valkey"})
    master.start()
    master.join("a")
    master.until(3.0)
    assert master.coordinator.event("reshard.requested", {"from": 1, "to": 2}) == 3.0
    master.coordinator.notes({"engine": {"name": "valkey"}})
    master.until(8.0)
    with pytest.raises(RunError, match=r"no run is under way \(state 'finished'\)"):
        master.coordinator.event("slots.started", {})
    master.coordinator.notes({"engine": {"version": "9"}})
    written = master.written()
    assert written.run["engine"] == {"name": "valkey", "version": "9"}
    assert {"t_s": 3.0, "event": "reshard.requested", "from": 1, "to": 2} in written.events


def test_cold_starts_are_counted_by_planned_second(master: MasterByHand) -> None:
    """A second whose replies do not say whether their environment was cold tells no number, not even 0."""
    master.start()
    master.join("a").cold = {0: 1, 1: 0}
    master.until(8.0)
    rows = (master.run_dir / "seconds.csv").read_text().splitlines()
    assert [row.split(",")[11] for row in rows] == ["cold", "10", "0", "", "", "", "", "", ""]
    assert master.written().run["totals"]["cold"] == master.coordinator.live()["totals"]["cold"] == 10


def test_a_run_whose_replies_never_say_it_has_no_cold_starts_to_tell(master: MasterByHand) -> None:
    """An application of another kind must not pass for one that never starts cold."""
    master.start()
    master.join("a")
    master.until(8.0)
    assert master.written().run["totals"]["cold"] is None
    assert master.coordinator.live()["totals"]["cold"] is None


def test_single_arrivals_are_kept_around_an_event(master: MasterByHand) -> None:
    """A move of 0.2 s shows only in single arrivals; without an event they would only cost space."""
    master.start()
    master.join("a")
    master.until(3.0)
    assert Written(master.run_dir).arrivals == []
    master.coordinator.event("slots.started", {})
    master.until(4.25)
    assert [int(row["k"]) for row in Written(master.run_dir).arrivals] == list(range(40))
    master.until(8.0)
    assert len(master.written().arrivals) == 120


def test_a_run_at_a_time(master: MasterByHand) -> None:
    """A second start is refused while a run is under way, and a folder that holds one starts nothing."""
    master.start()
    with pytest.raises(RunError, match="a run is running; stop it or wait for its end"):
        master.start()
    master.join("a")
    master.until(8.0)
    with pytest.raises(RunFolderError, match="holds a run already"):
        master.start()
    assert (master.coordinator.state, master.coordinator.active) == ("finished", False)
    master.run_dir = master.run_dir.with_name("run-2")
    master.start()
    assert (master.coordinator.state, master.coordinator.run_dir) == ("running", master.run_dir)
    master.until(0.5)
    assert "plan" not in master.workers["a"].poll(master.coordinator, 0.5)


def test_the_live_picture(master: MasterByHand) -> None:
    """What the web interface shows adds up while seconds are still open, and stays when the run is over."""
    assert master.coordinator.live() == {"state": "ready", "workers": 0}
    master.start()
    worker = master.join("a")
    master.until(2.5)
    live = master.coordinator.live()
    counts = {"offered": 25, "sent": 25, "ok": 25, "failed": 0, "missed": 0, "unknown": 0, "late": 0, "cold": None}
    assert live["totals"] == counts
    assert (live["state"], live["t_s"], live["duration_s"], live["phase"], live["workers"]) == (
        "running", 2.5, 8, "Low", 1,
    )  # fmt: skip
    recent: Mapping[str, Any] = live["last_10s"]
    assert (recent["offered_per_s"], recent["ok_per_s"], recent["failed_per_s"]) == (10, 10, 0)
    assert (recent["series"]["response"]["count"], recent["series"]["connection"]["p50"]) == (20, 0.9)
    assert [(phase["name"], phase["ok"]) for phase in live["phases"]] == [("Low", 20), ("High", 0)]
    master.until(2.75)
    assert master.coordinator.live() is live  # made at most twice a second
    worker.outcome = REFUSED
    master.until(3.75)
    live = master.coordinator.live()
    assert (live["totals"]["ok"], live["totals"]["failed"]) == (28, 10)
    assert live["last_10s"]["series"]["response"]["max"] > 999  # those without a good reply count as the time limit
    master.until(8.0)
    live = master.coordinator.live()
    assert (live["state"], live["t_s"], live["totals"]["offered"], live["totals"]["failed"]) == (
        "finished", 8.0, 120, 92,
    )  # fmt: skip


class NotingObserver(RunObserver):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, folder: Path, run: Mapping[str, object]) -> None:
        """Note the folder."""
        self.told.append(f"started {folder.name} {run['stack']}")

    def reported(self, batch: Batch) -> None:
        """Note how many were good."""
        self.told.append(f"reported {batch.ok}")

    def second_closed(self, second: Second) -> None:
        """Note the second."""
        self.told.append(f"second {second.t_s}: {second.offered}")

    def closed(self) -> None:
        """Note the end."""
        self.told.append("closed")


def test_observers_are_told_everything_in_order(master: MasterByHand) -> None:
    """Statistics and what goes to AWS live on these calls; an observer need not take them all."""
    listener = NotingObserver()
    master.coordinator.observers += [listener, RunObserver()]
    master.start()
    master.join("a")
    master.until(8.0)
    seconds = [line for line in listener.told if line.startswith("second")]
    assert seconds == [f"second {t_s}: {10 if t_s < 4 else 20}" for t_s in range(8)]
    assert (listener.told[0], listener.told[-1]) == ("started run test", "closed")
    assert sum(int(line.split()[1]) for line in listener.told if line.startswith("reported")) == 120
    assert listener.told.index("reported 3") < listener.told.index("second 0: 10")
