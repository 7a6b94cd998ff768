"""Real Locust processes against a real server that counts, for tests of the whole generator."""

import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCUST = [sys.executable, "-m", "locust", "-f", "locust/locustfile.py"]

SERVER = """
import asyncio, json, sys, uuid

seen = 0

async def handle(reader, writer):
    global seen
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            if head.startswith(b"GET /count"):
                body = str(seen).encode()
            else:
                seen += 1
                reply = {"session": str(uuid.uuid4()), "connection": 0.0031, "write": 0.0002, "read": 0.0001}
                body = json.dumps({**reply, "redirects": 0, "retries": 0, "cold": seen == 1}).encode()
            close = b"onnection: close" in head
            writer.write(
                b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n%s\\r\\n"
                % (len(body), b"Connection: close\\r\\n" if close else b"") + body
            )
            if close:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()

async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def counting_server() -> Generator[str]:
    """A server process that answers like the function; its URL. `counted` asks how many requests it had."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def counted(url: str) -> int:
    """How many arrivals the server received."""
    with urllib.request.urlopen(f"{url}/count", timeout=10) as answer:  # noqa: S310 - our own server
        return int(answer.read())


def settled(url: str) -> int:
    """How many arrivals the server received, once none has come for a second."""
    seen, since = counted(url), time.monotonic()
    until = since + 15
    while time.monotonic() - since < 1:
        assert time.monotonic() < until, f"the server still receives arrivals after 15 s: {seen}"
        time.sleep(0.05)
        if (now := counted(url)) != seen:
            seen, since = now, time.monotonic()
    return seen


def wait_for(what: str, condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Wait until a condition is true; a sentence says what was waited for."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError, KeyError):
            if outcome := condition():
                return outcome
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


class Swarm:
    """A Locust master (or a lone process) with its web interface, and workers."""

    def __init__(self, tmp_path: Path, url: str, *options: str, alone: bool = False) -> None:
        self.url = url
        self.web_port, self.bind_port = free_port(), free_port()
        self.run_dir = tmp_path / "run"
        self.log = tmp_path / "locust.log"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        role = (
            [] if alone else ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(self.bind_port)]
        )
        web = ["--web-host", "127.0.0.1", "--web-port", str(self.web_port)]
        self.master = self.start(*role, *web, "--host", f"{url}/", "--run-dir", str(self.run_dir), *options)

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        """Another Locust process."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOAD_", "LOCUST_"))}
        with self.log.open("ab") as log:
            process = subprocess.Popen([*LOCUST, *options], cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def worker(self) -> "subprocess.Popen[bytes]":
        """Another worker."""
        process = self.start("--worker", "--master-host", "127.0.0.1", "--master-port", str(self.bind_port))
        self.workers.append(process)
        return process

    def get(self, path: str) -> Any:
        """Ask the web interface."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}{path}", timeout=30) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: bytes = b"", kind: str = "application/x-www-form-urlencoded") -> tuple[int, Any]:
        """Tell the web interface."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.web_port}{path}", data=body, method="POST", headers={"Content-Type": kind}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def live(self) -> dict[str, Any]:
        """The run as it is now."""
        picture: dict[str, Any] = self.get("/arrivals/live")
        return picture

    def wait_workers(self, count: int) -> None:
        """Until the master knows its workers."""
        wait_for(f"{count} workers", lambda: self.live()["workers"] >= count)

    def wait_state(self, state: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Until the run is in a state."""
        picture: dict[str, Any] = wait_for(
            f"state {state}", lambda: (live := self.live())["state"] == state and live, timeout_s
        )
        return picture

    def wait_second(self, t_s: float) -> None:
        """Until the run is some seconds old."""
        wait_for(f"second {t_s}", lambda: self.live()["t_s"] >= t_s)

    def wait_event(self, name: str) -> None:
        """Until the run's folder tells of an event."""
        wait_for(f"event {name}", lambda: f'"event":"{name}"' in (self.run_dir / "events.jsonl").read_text())

    def close(self) -> None:
        """End whatever still runs, by its own id."""
        for process in self.processes:
            if process.poll() is None:
                with contextlib.suppress(OSError):
                    process.send_signal(signal.SIGCONT)
                    process.kill()
            process.wait()


@contextlib.contextmanager
def swarm(tmp_path: Path, url: str, *options: str, workers: int = 0, alone: bool = False) -> Generator[Swarm]:
    """A swarm that is gone after the block; its log is printed if the block fails."""
    it = Swarm(tmp_path, url, *options, alone=alone)
    try:
        for _ in range(workers):
            it.worker()
        if alone:
            wait_for("the web interface", lambda: it.live()["state"] == "ready")
        else:
            it.wait_workers(workers)
        yield it
    except BaseException:
        sys.stdout.write(it.log.read_text(errors="replace")[-8000:])
        raise
    finally:
        it.close()


class Written:
    """A run folder's counts, read with nothing but the standard library."""

    def __init__(self, run_dir: Path) -> None:
        self.run: dict[str, Any] = json.loads((run_dir / "run.json").read_text())
        with (run_dir / "seconds.csv").open(newline="") as stream:
            self.seconds = [
                {key: value if key == "causes" else int(value or 0) for key, value in row.items()}
                for row in csv.DictReader(stream)
            ]
        self.events: list[dict[str, Any]] = [
            json.loads(line) for line in (run_dir / "events.jsonl").read_text().splitlines()
        ]
        self.sessions = (run_dir / "sessions.bin").read_bytes()
        with (run_dir / "arrivals.csv").open(newline="") as stream:
            self.arrivals = list(csv.DictReader(stream))
        self.tags = Counter(
            re.findall(r"^Tag=(\w+),", (run_dir / "latency.hlog").read_text(), flags=re.MULTILINE)
        )  # fmt: skip

    def total(self, column: str) -> int:
        """A column's sum."""
        return sum(int(row[column]) for row in self.seconds)

    def names(self) -> list[str]:
        """The events' names in order."""
        return [str(event["event"]) for event in self.events]

    def check_books(self) -> None:
        """What must hold for every run, whatever happened in it."""
        assert [row["t_s"] for row in self.seconds] == list(range(len(self.seconds)))
        for row in self.seconds:
            outcomes = [int(row[name]) for name in ("ok", "failed", "missed", "unknown")]
            assert int(row["offered"]) == sum(outcomes), row
            assert int(row["sent"]) == int(row["ok"]) + int(row["failed"]), row
            assert min(outcomes) >= 0
        if "totals" in self.run:
            assert self.run["totals"]["offered"] == self.total("offered")
            assert self.run["totals"]["sent"] == self.total("sent")
        assert len(self.sessions) == 16 * self.total("ok")
        assert len({self.sessions[at : at + 16] for at in range(0, len(self.sessions), 16)}) == self.total("ok")
