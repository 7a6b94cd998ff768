"""The warming before second 0: environments are warm then, the books do not know it, and nothing holds it up."""

import asyncio
import json
import time
import uuid
from pathlib import Path

import pytest

from contract import profiles
from contract.profiles import parse
from contract.runfolder import TIMINGS
from contract.schedule import Schedule
from loadgen import warming
from loadgen.coordinator import START_AFTER_S, Coordinator
from loadgen.messages import Orders, Report, Warmed
from loadgen.resolver import Resolver, Target
from loadgen.runspec import RunSpec
from loadgen.sender import Sender
from loadgen.timelimits import Limits
from loadgen.warming import GIVE_UP_S, Warming, lead_s
from tests.locust.master import PROFILE, ClockByHand
from tests.locust.servers import Received, Server
from tests.locust.swarm import Written, swarm


class Environments:
    """Takes one request at a time in each environment and starts another one when none is idle, as Lambda does."""

    def __init__(self, *, service_s: float) -> None:
        self.service_s = service_s
        self.count = self.idle = 0
        self.at_unix_s: list[float] = []

    async def __call__(self, request: Received) -> None:
        """Serve one request."""
        self.at_unix_s.append(time.time())
        cold = not self.idle
        self.count += cold
        self.idle -= not cold
        await asyncio.sleep(self.service_s)
        self.idle += 1
        reply = {"session": str(uuid.uuid4()), "connection": 0.003, "write": 0.0002, "read": 0.0001}
        request.reply(json.dumps({**reply, "redirects": 0, "retries": 0, "cold": cold}).encode())


@pytest.mark.alone
def test_environments_are_warm_at_second_0_and_the_books_do_not_know(tmp_path: Path) -> None:
    """Two real workers start 40 environments in time; no arrival, session or second of the run is the warming's."""
    environments = Environments(service_s=0.3)
    load = ("--load-profile", "short", "--load-compress", "15", "--load-warm", "40", "--load-scale", "1")
    with Server(environments).running() as server:
        with swarm(tmp_path, f"http://127.0.0.1:{server.port}", *load, workers=2) as it:
            assert it.post("/swarm")[1]["success"]
            it.wait_state("finished")
        written = Written(it.run_dir)
    written.check_books()
    warmed = written.run["warmed"]
    how = "3 bursts of 40 requests at once, 8, 5.5, 3 s before second 0"
    assert warmed == {"wanted": 40, "environments": 40, "requests": 120, "sessions": 120, "how": how}
    assert [event for event in written.events if event["event"] == "environments.warmed"] == [
        {"t_s": -GIVE_UP_S, "event": "environments.warmed", **warmed}
    ]
    began_s = [at - written.run["started_at_unix_s"] for at in environments.at_unix_s]
    assert sum(t_s < -GIVE_UP_S for t_s in began_s) == 120
    assert sum(t_s >= 0 for t_s in began_s) == written.total("ok") == 60
    assert environments.count == 40
    assert [row["cold"] for row in written.seconds] == [0] * len(written.seconds)


async def silent(request: Received) -> None:
    """Takes the request and never answers."""
    await request.reader.read()


async def throttled(request: Received) -> None:
    """As the balancer answers when Lambda refuses to start another environment."""
    request.reply(b"<html>", "502 Bad Gateway")


@pytest.mark.parametrize(
    ("behaviour", "causes"),
    [(silent, {"no reply in time": 15}), (throttled, {"http_502": 15}), (None, {"refused": 15})],
)
def test_a_target_that_does_not_answer_holds_nothing_up(
    behaviour: object, causes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts come before second 0 whatever the target does, and name what it did."""
    monkeypatch.setattr(warming, "BURSTS_S", (1.0, 0.75, 0.5))
    monkeypatch.setattr(warming, "CONNECT_S", 0.125)
    monkeypatch.setattr(warming, "GIVE_UP_S", 0.25)
    with Server(behaviour or silent).running() as server:  # pyright: ignore[reportArgumentType] - one of the above
        target = Target(f"http://127.0.0.1:{server.port if behaviour else 1}/")
        resolver = Resolver(target.host, target.port)
        resolver.resolve()

        def make(kind: type[Sender], schedule: Schedule, begin_s: float) -> Sender:
            return kind(
                schedule, resolver, target.request(keep_alive=False), keep_alive=False, timings=TIMINGS,
                limits=Limits(), start_monotonic_s=second_0 + begin_s,
            )  # fmt: skip

        second_0 = time.monotonic() + 1.5
        warm = Warming(5, make, len(TIMINGS), second_0)
        while (counts := warm.counts(time.monotonic())) is None:
            assert time.monotonic() < second_0, "second 0 comes, and the warming is not over"
            time.sleep(0.01)
    assert warm.crash == ""
    assert counts == {"requests": 15, "sessions": 0, "said_cold": 0, "cold": 0, "causes": causes}


@pytest.mark.parametrize(
    ("text", "scale", "environments"),
    [
        (
            "phases: [{duration: 20m, arrivalRate: 20, rampTo: 150}, {duration: 10m, arrivalRate: 50, rampTo: 300}]",
            3,
            225,
        ),
        ("phases: [{duration: 9, arrivalRate: 300, rampTo: 0}, {pause: 9}]", 1, 75),
        ("phases: [{duration: 9, arrivalRate: 1}]", 1, 1),
    ],
)
def test_as_many_as_the_peak_needs(text: str, scale: int, environments: int) -> None:
    """The number follows from the highest rate of the schedule: its arrivals in a stall of 0.25 s."""
    assert warming.for_peak(Schedule(parse(text, scale=scale))) == environments


def test_the_original_load_needs_225() -> None:
    """What the documents say of the default profile."""
    assert warming.for_peak(Schedule(profiles.load("artillery-50min", scale=3))) == 225


class Master:
    """A coordinator with a run that warms, on a clock that is moved by hand."""

    def __init__(self, folder: Path, warm: int, workers: int = 2) -> None:
        self.clock = ClockByHand()
        self.coordinator = Coordinator(self.clock)
        self.ordered_at_s = self.clock.now()
        self.run_dir = folder / "run"
        self.coordinator.start(RunSpec(PROFILE, "http://127.0.0.1/", warm=warm), self.run_dir, {"workers": workers})
        self.run = ""

    def poll(self, name: str, warmed: Warmed | None = None) -> Orders:
        """A worker that takes part reports, or one that does not yet asks."""
        report: Report = {
            "name": name, "worker_id": name, "run": self.run or None, "leaving": False, "sent": 0.0, "offset_ms": 0.0,
            "round_trip_ms": 0.1, "cpu_s": 0.0, "crash": "",
        }  # fmt: skip
        if warmed is not None:
            report["warmed"] = warmed
        return self.coordinator.poll(report)

    def plan(self, name: str) -> tuple[int, float]:
        """A new worker's part, and how far away its second 0 is from the order to start."""
        orders = self.poll(name)
        assert "plan" in orders
        self.run = orders["run"] or ""
        return orders["plan"]["warm"], orders["plan"]["start_unix_s"] - self.ordered_at_s

    def at(self, seconds: float) -> None:
        """Move the clock to a time since the order to start."""
        self.clock.now_unix_s = self.ordered_at_s + seconds
        self.coordinator.tick()


def test_workers_divide_the_warming_and_late_ones_have_no_part(tmp_path: Path) -> None:
    """As many as wanted, not one more; second 0 lies as far ahead as the bursts need, and who comes later has none."""
    master = Master(tmp_path, warm=25, workers=3)
    for name, part in (("a", 9), ("b", 8), ("a", 9), ("c", 8), ("d", 0)):
        master.run = ""
        assert master.plan(name) == (part, START_AFTER_S + 8.5)
    master.at(START_AFTER_S)
    master.run = ""
    assert master.plan("a") == (0, START_AFTER_S + 8.5)


def test_without_warming_the_run_starts_as_soon_as_ever(tmp_path: Path) -> None:
    """No number, no wait, and nothing about it in the folder."""
    master = Master(tmp_path, warm=0)
    assert master.plan("a") == (0, START_AFTER_S)
    master.at(START_AFTER_S + 1)
    assert "warmed" not in json.loads((master.run_dir / "run.json").read_text())


@pytest.mark.parametrize(
    ("told", "warmed"),
    [
        (
            {"requests": 39, "sessions": 39, "said_cold": 39, "cold": 12, "causes": {}},
            {"environments": 24, "requests": 78, "sessions": 78, "how": ""},
        ),
        (
            {"requests": 39, "sessions": 30, "said_cold": 0, "cold": 0, "causes": {"http_502": 9}},
            {"environments": None, "requests": 78, "sessions": 60, "how": "; without a good reply: http_502 18"},
        ),
        (
            None,
            {"environments": None, "requests": 0, "sessions": 0, "how": "; no worker has told what became of them"},
        ),
    ],
)
def test_what_the_workers_counted_is_in_run_json_at_second_0(
    told: Warmed | None, warmed: dict[str, object], tmp_path: Path
) -> None:
    """Sums over the workers; unknown stays unknown, and what went wrong is named."""
    master = Master(tmp_path, warm=26)
    master.plan("a")
    for name in ("a", "b"):
        master.poll(name, told)
    master.at(START_AFTER_S + lead_s(26) - 0.1)
    assert "warmed" not in json.loads((master.run_dir / "run.json").read_text())
    master.at(START_AFTER_S + lead_s(26))
    how = "3 bursts of 26 requests at once, 8, 5.5, 3 s before second 0"
    run = json.loads((master.run_dir / "run.json").read_text())
    assert run["warmed"] == {"wanted": 26, **warmed, "how": f"{how}{warmed['how']}"}
