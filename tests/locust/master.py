"""A coordinator on a clock that is moved by hand, with workers that are played: no process, no waiting."""

from pathlib import Path

from contract.profiles import parse
from contract.schedule import Schedule
from loadgen.clock import Clock
from loadgen.coordinator import START_AFTER_S, Coordinator
from loadgen.cursor import Cursor
from loadgen.messages import Orders, Report
from loadgen.outcomes import IN_FLIGHT_CAP, NO_SESSION, NOT_SAID, OK, REFUSED, row_struct
from loadgen.runspec import RunSpec
from tests.locust.swarm import Written

# 10 a second for 4 s, then 20 a second for 4 s: 40 + 80 arrivals.
PROFILE = parse("phases:\n - {name: Low, duration: 4, arrivalRate: 10}\n - {name: High, duration: 4, arrivalRate: 20}")
SCHEDULE = Schedule(PROFILE)
NAN = float("nan")
PACK = row_struct(3).pack


class ClockByHand(Clock):
    """Stands still until it is moved. All times here are quarters of a second, which floats hold exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.now_unix_s = 1_000_000.0

    def now(self) -> float:
        """The time it was set to."""
        return self.now_unix_s


class FakeWorker:
    """A worker that sends what it may when it is due, and reports it when it polls."""

    def __init__(self, name: str, worker_id: str) -> None:
        self.name = name
        self.worker_id = worker_id
        self.run: str | None = None
        self.leaving = self.silent = self.gone = self.lost = self.mute = False
        self.outcome = OK
        self.cold: dict[int, int] = {}  # what good replies say of their environment, by planned second
        self.crash = ""
        self.polls = 0
        self.cursor = Cursor(SCHEDULE)
        self.sent: list[int] = []
        self._rows: list[bytes] = []

    def poll(self, coordinator: Coordinator, t_s: float) -> Orders:
        """Report, and take the orders."""
        while self.cursor.next is not None and self.cursor.next[1] <= t_s:
            k, planned_s = self.cursor.next
            self.cursor.advance()
            self.sent.append(k)
            self._rows.append(self._row(k, planned_s))
        report: Report = {
            "name": self.name,
            "worker_id": self.worker_id,
            "run": self.run,
            "leaving": self.leaving,
            "sent": 5.0,
            "offset_ms": 1.23456,
            "round_trip_ms": 0.5,
            "cpu_s": 3.0 + self.polls / 4,
            "crash": self.crash,
        }
        if self.run is not None and not self.mute:
            report["rows"], self._rows = b"".join(self._rows), []
            report["details"] = [(0.5, "refused", "nobody listens")] if self.outcome == REFUSED else []
        orders = coordinator.poll(report)
        if self.run is not None:
            self.polls += 1
            self.cursor.take(orders["shares"])
        self.run, self.lost, self.gone = orders["run"], orders["lost"], orders["bye"]
        return orders

    def _row(self, k: int, planned_s: float) -> bytes:
        if self.outcome == IN_FLIGHT_CAP:
            return PACK(k, planned_s, NAN, NAN, self.outcome, 0, NOT_SAID, 0, 0, NO_SESSION, -1, -1, -1)
        session = k.to_bytes(15) + b"s" if self.outcome == OK else NO_SESSION
        cold = self.cold.get(int(planned_s), NOT_SAID) if self.outcome == OK else NOT_SAID
        done_s = planned_s + 0.002
        return PACK(k, planned_s, planned_s, done_s, self.outcome, 0, cold, 0, 0, session, 900, -1, -1)


class MasterByHand:
    """A coordinator on a clock that is moved by hand, and its workers."""

    def __init__(self, folder: Path) -> None:
        self.clock = ClockByHand()
        self.coordinator = Coordinator(self.clock)
        self.workers: dict[str, FakeWorker] = {}
        self.run_dir = folder / "run"
        self.start_unix_s = 0.0

    def start(self) -> None:
        """Order a run; its second 0 comes START_AFTER_S later."""
        spec = RunSpec(PROFILE, "http://127.0.0.1/", time_limit_s=1.0)
        self.coordinator.start(spec, self.run_dir, {"stack": "test"})
        self.start_unix_s = self.clock.now() + START_AFTER_S

    def join(self, worker_id: str, name: str = "") -> FakeWorker:
        """Another worker, which polls from now on."""
        worker = self.workers[worker_id] = FakeWorker(name or worker_id, worker_id)
        return worker

    @property
    def t_s(self) -> float:
        """Seconds since the start."""
        return self.clock.now() - self.start_unix_s

    def until(self, t_s: float) -> None:
        """Move the clock on by quarters of a second; everybody polls, then the master ticks."""
        while self.t_s < t_s:
            self.clock.now_unix_s += 0.25
            for worker in self.workers.values():
                if not (worker.silent or worker.gone or worker.lost):
                    worker.poll(self.coordinator, self.t_s)
            self.coordinator.tick()

    def act(self, action: str) -> None:
        """What a scenario names: `stop`, or something that a worker does."""
        verb, _, worker_id = action.partition(" ")
        if verb == "join":
            self.join(worker_id)
        elif verb in ("stop", "interrupt"):
            self.coordinator.stop("stopped" if verb == "stop" else "interrupted")
        elif verb == "silent":
            self.workers[worker_id].silent = True
        elif verb == "leave":
            self.workers[worker_id].leaving = True
        else:
            raise AssertionError(action)

    def written(self) -> Written:
        """The run folder, whose books must balance."""
        written = Written(self.run_dir)
        written.check_books()
        return written


def timeline(written: Written) -> list[str]:
    """The events as texts: second, name, worker or number."""
    lines: list[str] = []
    for event in written.events:
        rest = [str(value) for key, value in event.items() if key not in ("t_s", "event")]
        lines.append(" ".join([f"{event['t_s']:g}", event["event"], *rest]))
    return lines
