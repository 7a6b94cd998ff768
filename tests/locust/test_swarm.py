"""The whole generator: real Locust processes, a server that counts, and books that must agree with it."""

import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from contract.profiles import parse
from contract.schedule import Schedule
from loadgen.leases import HORIZON_S
from tests.locust.swarm import (
    LOCUST,
    ROOT,
    Written,
    counted,
    counting_server,
    free_port,
    settled,
    swarm,
    wait_for,
)

PROFILE = """
phases:
  - name: Up
    duration: 4
    arrivalRate: 40
    rampTo: 120
  - name: Steady
    duration: 7
    arrivalRate: 100
"""
OFFERED = 320 + 700  # at scale 1


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """A ramp and a plateau in 11 seconds."""
    path = tmp_path / "load.yml"
    path.write_text(PROFILE)
    return str(path)


def headless(tmp_path: Path, *options: str) -> tuple[int, str, Path]:
    """Run without a web interface to the end; exit code, output, run folder."""
    run_dir = tmp_path / "run"
    done = subprocess.run(
        [*LOCUST, "--headless", "--only-summary", "--run-dir", str(run_dir), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, run_dir


def test_alone_and_headless(tmp_path: Path) -> None:
    """One process, no web interface: the shape ends the run, exit code 0, the books agree with the server."""
    with counting_server() as url:
        code, output, run_dir = headless(tmp_path, "--host", url, "--load-profile", "short", "--load-compress", "6")
        assert code == 0, output
        written = Written(run_dir)
        written.check_books()
        assert (written.total("ok"), counted(url)) == (450, 450)
    assert written.run["ended"] == "finished"
    assert written.names()[0] == "run.started"
    assert written.names()[-1] == "run.finished"
    assert [event["phase"] for event in written.events if event["event"] == "phase.started"] == [0, 1, 2]
    assert set(written.tags) == {"response", "service", "lag", "connection", "write", "read"}
    assert "connection" in output  # the cache's figures are entries of Locust's own tables


def test_two_processes(tmp_path: Path) -> None:
    """`--processes 2` shares the schedule between two workers and sends it once."""
    port = str(free_port())
    load = ("--load-profile", "short", "--load-compress", "6", "--master-bind-port", port, "--master-port", port)
    with counting_server() as url:
        code, output, run_dir = headless(tmp_path, "--processes", "2", "--host", url, *load)
        assert code == 0, output
        written = Written(run_dir)
        written.check_books()
        assert (written.total("ok"), counted(url)) == (450, 450)
    assert len(written.run["clock"]) == 2


def test_exit_codes_say_what_a_pipeline_needs(tmp_path: Path) -> None:
    """64 for options that cannot be used, named; 1 for failed arrivals; a folder that holds a run is refused."""
    code, output, run_dir = headless(tmp_path, "--host", "http://127.0.0.1:1", "--load-profile", "nosuch")
    assert (code, run_dir.exists()) == (64, False)
    assert "load profile 'nosuch': no such profile or file" in output
    assert "Traceback" not in output
    quick = ("--load-profile", "short", "--load-compress", "30", "--host", "http://127.0.0.1:1")
    code, output, run_dir = headless(tmp_path, *quick)
    assert code == 1, output
    written = Written(run_dir)
    written.check_books()
    assert written.total("failed") == written.total("offered") == 90
    assert str(written.seconds[0]["causes"]).startswith("refused:")
    code, output, _ = headless(tmp_path, *quick)
    assert code == 64
    assert "holds a run already" in output


def test_start_stop_and_start_again(tmp_path: Path, profile: str) -> None:
    """Over the web interface: refused options, a run that is stopped, a second one in its own folder to its end."""
    with counting_server() as url, swarm(tmp_path, url, "--load-profile", profile, workers=2) as it:
        assert it.live() == {"state": "ready", "workers": 2}
        status, refused = it.post("/swarm", b"load_scale=many")
        assert (status, refused["success"]) == (200, False)
        assert "load scale 'many'" in refused["message"]
        assert it.post("/arrivals/events", b'{"event":"slots.started"}', "application/json")[0] == 409

        assert it.post("/swarm", b"load_scale=2")[1]["success"]
        it.wait_second(3.0)
        status, answer = it.post(
            "/arrivals/events", b'{"event":"reshard.requested","from":1,"to":2}', "application/json"
        )
        assert status == 200
        assert answer["t_s"] >= 3.0
        assert it.post("/arrivals/events", b"{}", "application/json")[0] == 400
        assert it.post("/arrivals/notes", b'{"engine":{"name":"valkey"}}', "application/json")[0] == 200
        it.post("/stop")
        it.wait_state("stopped")
        first = Written(it.run_dir)
        first.check_books()
        assert first.run["ended"] == "stopped"
        assert first.run["engine"] == {"name": "valkey"}
        assert first.total("ok") == first.total("offered") == counted(url)
        assert first.total("offered") < 2 * OFFERED
        assert len(first.arrivals) == first.total("offered")  # all of it lies within 10 s of the event

        assert it.post("/swarm", b"load_scale=1&load_compress=2")[1]["success"]  # at once, while Locust still ends
        it.wait_state("running")
        status, refused = it.post("/swarm", b"load_scale=7")
        assert (status, refused["success"]) == (200, False)
        assert "a run is running; stop it" in refused["message"]
        statistics = wait_for(
            "statistics", lambda: len((statistics := it.get("/stats/requests"))["stats"]) == 5 and statistics
        )  # fmt: skip
        names = {(entry["method"], entry["name"]) for entry in statistics["stats"]}
        assert names >= {("GET", "/"), ("cache", "connection"), ("cache", "write"), ("cache", "read")}
        live = it.wait_state("finished")
        second = Written(it.run_dir.with_name("run-2"))
        second.check_books()
        assert live["run_dir"].endswith("run-2")
        assert second.total("ok") == OFFERED // 2 == live["totals"]["ok"]
        assert counted(url) == first.total("ok") + OFFERED // 2
        statistics = it.get("/stats/requests")
        entries = {entry["name"]: entry for entry in statistics["stats"]}
        assert entries["Aggregated"]["num_requests"] == entries["/"]["num_requests"] == OFFERED // 2
        assert entries["connection"]["median_response_time"] == pytest.approx(3.1, rel=0.01)
        assert entries["write"]["median_response_time"] == pytest.approx(0.2, rel=0.01)
        wait_for("Locust to be stopped", lambda: it.get("/stats/requests")["state"] == "stopped")
        it.master.send_signal(signal.SIGTERM)
        assert it.master.wait(30) == 0


def test_a_start_right_after_the_end_starts(tmp_path: Path) -> None:
    """Locust would answer such a start as good and ignore it, for it ends its own test up to a second later."""
    with counting_server() as url, swarm(tmp_path, url, "--load-profile", "short", workers=1) as it:
        for folder in ("run", "run-2"):
            assert it.post("/swarm", b"load_scale=1&load_compress=30")[1]["success"]
            wait_for(folder, lambda name=folder: it.live().get("run_dir", "").endswith(f"/{name}"))
            it.wait_state("finished")


def test_a_page_that_asks_while_the_test_ends_keeps_asking(tmp_path: Path, profile: str) -> None:
    """Locust's page asks on only in the states spawning and running: told "stopping", it shows Stop for ever."""
    with counting_server() as url, swarm(tmp_path, url, "--load-profile", profile, workers=2) as it:
        assert it.post("/swarm", b"load_scale=1")[1]["success"]
        it.wait_second(1.0)
        it.workers[0].send_signal(signal.SIGSTOP)  # so that the end takes a while
        stopping = threading.Thread(target=it.post, args=["/stop"])
        stopping.start()
        until = time.monotonic() + 2.8  # Locust answers the same for two seconds
        states: list[str] = []
        while time.monotonic() < until:
            states.append(it.get("/stats/requests")["state"])
        it.workers[0].send_signal(signal.SIGCONT)
        stopping.join()
        wait_for("the end", lambda: it.get("/stats/requests")["state"] == "stopped")
    assert set(states) <= {"spawning", "running"}


@pytest.mark.alone
def test_workers_killed_paused_leaving_and_joining_at_random(tmp_path: Path, profile: str) -> None:
    """Whatever happens to workers nothing is sent twice; the server counts between sent and sent + unknown."""
    seed = random.randrange(1_000_000)  # noqa: S311 - printed, to try it again
    print(f"seed {seed}")
    at = random.Random(seed)  # noqa: S311 - moments, no secrets
    with (
        counting_server() as url,
        swarm(tmp_path, url, "--load-profile", profile, "--load-scale", "1", workers=3) as it,
    ):
        assert it.post("/swarm")[1]["success"]
        it.worker()  # joins late: a process takes seconds to start
        it.wait_second(1.0 + at.random() * 2)
        it.workers[0].send_signal(signal.SIGKILL)
        it.worker()
        it.wait_second(3.0 + at.random())
        it.workers[1].send_signal(signal.SIGTERM)  # leaves in good order
        live = it.wait_state("finished", 90)
        received = counted(url)
        written = Written(it.run_dir)
    written.check_books()
    assert written.total("offered") == OFFERED == live["totals"]["offered"]
    assert written.total("sent") <= received <= written.total("sent") + written.total("unknown"), f"seed {seed}"
    lost = [event["worker"] for event in written.events if event["event"] == "worker.lost"]
    assert len(lost) == 1, f"seed {seed}: {written.events}"
    assert written.total("failed") == 0
    assert 0 < written.total("unknown") < 200
    causes = " ".join(str(row["causes"]) for row in written.seconds)
    assert "worker_lost:" in causes
    assert sum(name == "worker.joined" for name in written.names()) == 5
    kept = {row["outcome"] for row in written.arrivals}
    assert kept >= {"ok", "unknown", "worker_lost"}
    assert it.workers[1].returncode == 0


@pytest.mark.alone
def test_a_paused_worker_comes_back_as_a_new_one(tmp_path: Path, profile: str) -> None:
    """A worker that slept longer than its lease sends nothing of what others took over, and joins again."""
    with (
        counting_server() as url,
        swarm(tmp_path, url, "--load-profile", profile, "--load-scale", "1", workers=2) as it,
    ):
        assert it.post("/swarm")[1]["success"]
        it.wait_second(2.0)
        it.workers[0].send_signal(signal.SIGSTOP)
        it.wait_event("worker.lost")
        it.workers[0].send_signal(signal.SIGCONT)
        it.wait_state("finished", 90)
        received = counted(url)
        written = Written(it.run_dir)
    written.check_books()
    assert written.total("offered") == OFFERED
    assert written.total("sent") <= received <= written.total("sent") + written.total("unknown")
    assert written.names().count("worker.lost") == 1
    assert written.names().count("worker.joined") == 3


def test_autostart_waits_for_the_declared_workers_and_runs_once(tmp_path: Path) -> None:
    """A deployed master starts by itself when its workers are there, once, and stays for whoever reads the run."""
    quick = ("--load-profile", "short", "--load-compress", "15", "--load-autostart", "true", "--load-workers", "2")
    with counting_server() as url, swarm(tmp_path, url, *quick, workers=1) as it:
        it.worker()
        alone: list[str] = []  # the states while the second worker's process starts, which takes seconds
        wait_for("both workers", lambda: (live := it.live())["workers"] == 2 or alone.append(live["state"]))
        assert set(alone) == {"ready"}
        it.wait_state("finished")
        written = Written(it.run_dir)
        written.check_books()
        assert written.total("ok") == counted(url) == 180
        it.worker()  # again there are as many workers as declared, and more
        it.wait_workers(3)
        assert it.live()["state"] == "finished"
        assert counted(url) == 180


def test_the_last_worker_killed_ends_the_run(tmp_path: Path, profile: str) -> None:
    """With nobody left to send, Locust stops the test: interrupted, and what was leased to the worker is unknown."""
    with counting_server() as url, swarm(tmp_path, url, "--load-profile", profile, workers=1) as it:
        assert it.post("/swarm", b"load_scale=1")[1]["success"]
        it.wait_second(2.2)
        it.workers[0].kill()
        it.wait_state("interrupted")
        received = counted(url)
        written = Written(it.run_dir)
    written.check_books()
    assert written.run["ended"] == "interrupted"
    assert written.total("sent") <= received <= written.total("sent") + written.total("unknown")
    assert 0 < written.total("unknown") < 300
    assert written.total("offered") < OFFERED


@pytest.mark.alone
def test_a_killed_master_leaves_a_valid_run_and_its_workers_stop(tmp_path: Path, profile: str) -> None:
    """Without a master the workers stop when their lease ends; what was written is whole lines that add up."""
    with counting_server() as url, swarm(tmp_path, url, "--load-profile", profile, workers=2) as it:
        assert it.post("/swarm", b"load_scale=3")[1]["success"]
        it.wait_second(4.5)
        it.master.kill()
        it.master.wait()
        written = Written(it.run_dir)
        lease_ends_s = time.time() - written.run["started_at_unix_s"] + HORIZON_S
        first = settled(url)
        assert first <= Schedule(parse(PROFILE, scale=3)).count_before(lease_ends_s)
    assert written.run["ended"] == "running"  # nobody was left to write anything else
    assert [row["t_s"] for row in written.seconds] == list(range(len(written.seconds)))
    assert 2 <= len(written.seconds) <= 6
    assert all(row["offered"] == row["ok"] for row in written.seconds)
    assert written.total("sent") <= first
    assert len(written.sessions) % 16 == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_headless_run_ends_in_good_order(tmp_path: Path, profile: str, how: signal.Signals) -> None:
    """SIGTERM or Ctrl-C without a web interface: the folder is closed, everything sent is booked, exit code 2."""
    run_dir = tmp_path / "run"
    with counting_server() as url:
        options = ["--headless", "--host", url, "--load-profile", profile, "--run-dir", str(run_dir)]
        process = subprocess.Popen(
            [*LOCUST, *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            # tests that a shell started in the background inherit that Ctrl-C is ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs here
        )  # fmt: skip
        try:
            wait_for("the third second", lambda: len((run_dir / "seconds.csv").read_text().splitlines()) > 3)
            process.send_signal(how)
            assert process.wait(30) == 2
        finally:
            process.kill()
            process.wait()
        written = Written(run_dir)
        written.check_books()
        assert written.run["ended"] in ("interrupted", "stopped")
        assert written.total("ok") == written.total("offered") == counted(url)


def test_sigterm_ends_a_run_in_good_order(tmp_path: Path, profile: str) -> None:
    """SIGTERM to the master: the load stops, the last replies are booked, run.json says interrupted."""
    with (
        counting_server() as url,
        swarm(tmp_path, url, "--load-profile", profile, "--load-scale", "1", workers=2) as it,
    ):
        assert it.post("/swarm")[1]["success"]
        it.wait_second(2.0)
        it.master.send_signal(signal.SIGTERM)
        assert it.master.wait(30) == 0
        written = Written(it.run_dir)
        received = counted(url)
        for worker in it.workers:
            assert worker.wait(30) == 0
    written.check_books()
    assert written.run["ended"] == "interrupted"
    assert written.names()[-1] == "run.interrupted"
    assert written.total("ok") == written.total("offered") == received
