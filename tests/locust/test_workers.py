"""What the master orders its workers: who joins, who may go, who is lost, and what it keeps of each."""

import json

import pytest

from loadgen.loadrun import RunError
from tests.locust.master import PROFILE, SCHEDULE, MasterByHand, timeline
from tests.locust.swarm import Written


def test_a_worker_gets_the_plan_first_and_orders_from_then_on(master: MasterByHand) -> None:
    """A worker learns of a run by its next poll, and takes part by the one after."""
    worker = master.join("id-1", "host")
    assert worker.poll(master.coordinator, -1.0)["run"] is None
    master.start()
    orders = worker.poll(master.coordinator, -1.0)
    assert orders == {
        "worker_id": "id-1", "sent": 5.0, "master": master.clock.now(), "run": worker.run,
        "lost": False, "shares": [], "bye": False,
        "plan": {
            "profile": PROFILE.text, "scale": "1", "compress": "1", "host": "http://127.0.0.1/", "connection": "new",
            "timings": ["connection", "write", "read"], "time_limit_s": 1.0, "connect_limit_s": 5.0,
            "max_in_flight": 8192, "start_unix_s": master.start_unix_s, "warm": 0,
        },
    }  # fmt: skip
    orders = worker.poll(master.coordinator, -1.0)
    assert "plan" not in orders
    assert orders["shares"] == [(1, 0, 0, 1, False)]  # the lease runs 1.5 s ahead, and second 0 is 2.5 s away


def test_a_worker_that_leaves_before_it_took_part_gets_no_plan(master: MasterByHand) -> None:
    """A process that ends must not be drawn into a run that starts at the same moment."""
    worker = master.join("a")
    worker.leaving = True
    master.start()
    assert "plan" not in worker.poll(master.coordinator, 0.0)


def test_a_process_that_joins_again_is_another_worker(master: MasterByHand) -> None:
    """A lost worker gets no arrivals any more; the same process under a new id has a name of its own."""
    master.start()
    first = master.join("id-1", "host")
    master.until(1.0)
    first.silent = True
    master.until(6.0)
    first.silent = False
    master.until(6.25)
    assert first.lost
    sent_when_lost = len(first.sent)
    second = master.join("id-2", "host")
    master.until(8.25)
    written = master.written()
    assert [line for line in timeline(written) if "worker." in line] == [
        "-2 worker.joined host", "5.25 worker.lost host", "6.75 worker.joined host-2",
    ]  # fmt: skip
    assert len(first.sent) == sent_when_lost
    assert second.sent
    assert min(second.sent) == SCHEDULE.count_before(6.75)
    assert list(written.run["clock"]) == ["host", "host-2"]


def test_a_leaving_worker_is_let_go_once_it_has_reported_everything(master: MasterByHand) -> None:
    """It still sends what its lease covers, may only end when all of that is in the books, and is not lost then."""
    master.start()
    staying, leaving = master.join("a"), master.join("b")
    master.until(2.0)
    leaving.leaving = True
    master.until(3.5)
    assert not leaving.gone
    master.until(3.75)  # where the leases of 2.25 end
    assert leaving.gone
    assert max(leaving.sent) == 35
    staying.mute = True  # no second is closed now, so the epoch of both stays
    master.until(8.0)
    staying.mute = False
    master.until(8.25)
    written = master.written()
    assert written.run["totals"]["ok"] == 120
    assert "worker.lost" not in written.names()


def test_a_worker_that_leaves_with_unreported_arrivals_stays(master: MasterByHand) -> None:
    """Going without its last rows would turn sent arrivals into unknown ones."""
    master.start()
    worker = master.join("a")
    master.until(2.0)
    worker.leaving, worker.mute = True, True
    master.until(5.0)
    assert not worker.gone
    worker.mute = False
    master.until(5.25)
    assert worker.gone


def test_run_json_holds_the_workers_clocks_and_cpu(master: MasterByHand) -> None:
    """Whoever reads the run can tell how far clocks were apart, and what the generator itself cost."""
    master.start()
    worker = master.join("a")
    assert json.loads((master.run_dir / "run.json").read_text())["ended"] == "running"
    master.until(8.0)
    run = master.written().run
    assert run["clock"] == {"a": {"offset_ms": 1.235, "round_trip_ms": 0.5}}
    assert run["generator_cpu"]["a"] == (worker.polls - 1) / 4
    assert run["generator_cpu"]["master"] >= 0
    assert (run["stack"], run["where"], run["duration_s"], run["host"]) == ("test", "generator", 8, "http://127.0.0.1/")
    assert [phase["arrivals"] for phase in run["profile"]["phases"]] == [40, 80]
    assert run["started_at_unix_s"] == master.start_unix_s
    assert run["ended_at"].startswith("1970-01-12T13:46:50.500")  # 8 s after the start


def test_a_crashed_sender_is_told_and_its_worker_is_lost(master: MasterByHand) -> None:
    """The master says why the worker failed; without a lease it is then lost like a silent one."""
    master.start()
    worker = master.join("a")
    master.until(1.0)
    worker.crash, worker.silent = "Traceback: no more memory", True
    with pytest.raises(RunError, match="worker a's sender ended: Traceback: no more memory"):
        worker.poll(master.coordinator, 1.25)
    master.until(5.25)
    assert "5.25 worker.lost a" in timeline(Written(master.run_dir))
