"""A worker's side: reports the sender's rows to the master, and hands the master's orders to the sender.

Nothing here knows gevent or Locust. The caller carries the messages: it calls `report` a few times a second, and `take`
with each answer. A report and its answer also measure the clock difference.
"""

import gc
import resource
import sys
import time
import uuid

from contract import profiles
from contract.schedule import Schedule
from loadgen.clock import Clock
from loadgen.leases import Share
from loadgen.messages import Orders, Report, RunPlan
from loadgen.resolver import Resolver, Target
from loadgen.sender import Limits, Sender
from loadgen.warming import Warming

POLL_EVERY_S = 0.25
# How long gevent's hub may hold the interpreter while a send is due; Python's default is ten times that.
SWITCH_INTERVAL_S = 0.0005
MAX_ROWS = 20_000  # a report


def max_in_flight(limit: int) -> int:
    """Raise this process's limit of open files as far as it goes, and stay below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = limit * 2 + 512  # connections that the server still has to close need descriptors too
    if soft != resource.RLIM_INFINITY and soft < need:
        target = need if hard == resource.RLIM_INFINITY else min(need, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            soft = target
        except (ValueError, OSError):  # macOS refuses more than kern.maxfilesperproc
            pass
    return limit if soft == resource.RLIM_INFINITY else max(1, min(limit, (soft - 512) // 2))


class Agent:
    """One worker's conversation with the master."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.run: str | None = None
        self.leaving = False
        self.heard_monotonic = 0.0
        self.crash = ""
        self._worker_id = uuid.uuid4().hex
        self._sender: Sender | None = None
        self._resolver: Resolver | None = None
        self._warming: Warming | None = None  # until its counts are reported
        self._samples: list[tuple[float, float]] = []  # (round trip, offset), newest last
        self._bye = False

    @property
    def busy(self) -> bool:
        """Whether the master still expects something of this worker."""
        return self.run is not None and not self._bye and time.monotonic() - self.heard_monotonic < 3.0

    def report(self) -> Report:
        """The next report; asks for orders at the same time."""
        round_trip, offset = min(self._samples, default=(0.0, 0.0))
        sender, warming = self._sender, self._warming
        for sending in (sender, warming):
            if sending is not None and sending.crash and not self.crash:
                self.crash = sending.crash
        report: Report = {
            "name": self.name,
            "worker_id": self._worker_id,
            "run": self.run,
            "leaving": self.leaving,
            "sent": self.clock.now(),
            "offset_ms": offset * 1000,
            "round_trip_ms": round_trip * 1000,
            "cpu_s": time.process_time(),
            "crash": self.crash,
        }
        if sender is not None:
            rows = sender.rows
            report["rows"] = b"".join([rows.popleft() for _ in range(min(len(rows), MAX_ROWS))])
            report["details"] = [sender.details.popleft() for _ in range(len(sender.details))]
        if warming is not None and (warmed := warming.counts(time.monotonic())) is not None:
            report["warmed"] = warmed
            self._warming = None
        return report

    def take(self, orders: Orders) -> None:
        """Take the master's answer to a report."""
        now = self.clock.now()
        self.heard_monotonic = time.monotonic()
        if orders["worker_id"] != self._worker_id:
            return  # an answer to the id that this worker had before it was declared lost
        round_trip = now - orders["sent"]
        self._samples = [*self._samples[-19:], (round_trip, orders["master"] - (orders["sent"] + now) / 2)]
        if orders["run"] != self.run or orders["lost"]:
            self._end()
            if orders["lost"]:
                self._worker_id = uuid.uuid4().hex  # join anew
                return
        if self.run is None and orders["run"] is not None and (plan := orders.get("plan")):
            self._begin(orders["run"], plan)
        if self._sender is not None:
            self._sender.orders.append([Share(*share) for share in orders["shares"]])
        self._bye = orders["bye"]

    def _begin(self, run: str, plan: RunPlan) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.collect()
        gc.freeze()  # the collector no longer searches Locust's objects while sends are due
        profile = profiles.parse(plan["profile"], scale=plan["scale"], compress=plan["compress"])
        target = Target(plan["host"])
        self._resolver = resolver = Resolver(target.host, target.port)
        resolver.start()
        round_trip, offset = min(self._samples, default=(0.0, 0.0))
        if abs(offset) <= round_trip / 2:  # smaller than the error of the measurement
            offset = 0.0
        start_monotonic_s = self.clock.monotonic(plan["start_unix_s"] - offset)
        keep_alive = plan["connection"] == "keep-alive"
        limits = Limits(plan["time_limit_s"], plan["connect_limit_s"], max_in_flight(plan["max_in_flight"]))

        def make(kind: type[Sender], schedule: Schedule, begin_s: float) -> Sender:
            return kind(
                schedule,
                resolver,
                target.request(keep_alive=keep_alive),
                keep_alive=keep_alive,
                timings=plan["timings"],
                limits=limits,
                start_monotonic_s=start_monotonic_s + begin_s,
            )

        self._sender = make(Sender, Schedule(profile), 0.0)
        self._sender.start()
        if plan["warm"]:
            self._warming = Warming(plan["warm"], make, len(plan["timings"]), start_monotonic_s)
        self.run, self._bye = run, False

    def _end(self) -> None:
        for part in (self._sender, self._warming, self._resolver):
            if part is not None:
                part.quit()
        self._sender = self._warming = self._resolver = None
        self.run = None
