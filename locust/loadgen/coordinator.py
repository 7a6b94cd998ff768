"""The master's side: gives out leases, keeps the books, writes the run folder. Passive: whoever owns the loop calls it.

A run goes ready -> running -> finishing (all sent or stopped, last replies due) -> finished, stopped or interrupted.
"""

import time
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from contract import runfolder
from contract.histograms import OVER_ALL_OFFERED, SERIES, Latencies
from contract.profiles import Profile
from contract.runfolder import RunFolder
from contract.schedule import Schedule
from loadgen.agent import Clock, Message
from loadgen.books import Batch, Books, OpenSecond, live_counts
from loadgen.leases import Leases
from loadgen.windows import Windows

START_AFTER_S = 2.5  # from the order to the common start: every worker has its plan by then
GIVE_UP_AFTER_S = 15.0  # past the last reply's time limit, what was not reported is unknown
ACTIVE = frozenset({"running", "finishing"})


@dataclass(frozen=True)
class Load:
    """What to run, checked."""

    profile: Profile
    host: str
    connection: str = "new"
    time_limit_s: float = 20.0
    connect_limit_s: float = 5.0
    max_in_flight: int = 8192
    late_threshold_ms: float = 10.0


class Observer(Protocol):
    """Whoever follows a run as it goes: statistics, what is sent to S3."""

    def started(self, folder: Path, run: Mapping[str, object]) -> None:
        """The run folder exists."""
        ...

    def reported(self, batch: Batch) -> None:
        """A worker reported."""
        ...

    def second_closed(self, folder: Path, second: runfolder.Second) -> None:
        """A planned second was written."""
        ...

    def closed(self, folder: Path, ended: str) -> None:
        """The run folder is complete."""
        ...


class RunError(RuntimeError):
    """Something that cannot be done now: the message says why and what to do."""


class Coordinator:
    """One run after the other."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.state = "ready"
        self.observers: list[Observer] = []
        self.folder: RunFolder | None = None
        self.run_dir: Path | None = None
        self.inconsistent = 0
        self.delivered = False  # whether the last run sent all that it was to send, nothing missed or unknown
        self.failed = 0
        self._run: str | None = None
        self._names: dict[str, str] = {}  # session -> member
        self._wanted = ""  # how the run ends, once that is known
        self._live: dict[str, Any] = {}
        self._live_at = 0.0

    # -- a run's life
    # ---------------------------------------------------------------------------------------------------

    def start(self, load: Load, run_dir: Path, facts: Mapping[str, object]) -> None:
        """Begin a run; `facts` are the keys of run.json that only the caller knows (stack, versions, workers)."""
        if self.state in ACTIVE:
            raise RunError(f"a run is {self.state}; stop it or wait for its end before you start another")
        self.load = load
        self.schedule = Schedule(load.profile)
        self.leases = Leases(self.schedule)
        self.books = Books(self.schedule, self.leases, late_threshold_ms=load.late_threshold_ms)
        self.windows = Windows()
        self._kept: dict[int, OpenSecond] = {}  # closed, and an event may still want their single arrivals
        self._recent: deque[OpenSecond] = deque(maxlen=12)
        self._started_unix_s = self.clock.now() + START_AFTER_S
        self._names, self._wanted, self._live_at = {}, "", 0.0
        self._clocks: dict[str, dict[str, float]] = {}
        self._cpu: dict[str, tuple[float, float]] = {}
        self._cpu_master = time.process_time()
        self._phase, self._epoch, self._settled_at = -1, 0, None
        self.folder = RunFolder.create(run_dir, self._run_json(facts))
        self.run_dir = run_dir
        self._run = uuid.uuid4().hex
        self.state = "running"
        self._event(0.0, "run.started")
        for observer in self.observers:
            observer.started(run_dir, runfolder.read_run(run_dir))

    def stop(self, ended: str) -> None:
        """End the load now (`stopped` or `interrupted`); what is in flight is waited for."""
        if self.state == "running" and not self._wanted:
            self._wanted = ended
            self.leases.stop(self.t_s)

    @property
    def t_s(self) -> float:
        """Seconds since the common start; negative before it."""
        return self.clock.now() - self._started_unix_s

    @property
    def end_s(self) -> float:
        """When the last arrival is planned to be over."""
        if self.leases.end >= self.schedule.total:
            return self.schedule.duration_s
        return self.schedule.planned_s(self.leases.end - 1) if self.leases.end else 0.0

    @property
    def workers(self) -> int:
        """How many share the load now."""
        return len(self.leases.members) if self.state in ACTIVE else 0

    # -- workers
    # --------------------------------------------------------------------------------------------------------

    def poll(self, message: Message) -> Message:
        """A worker's report in, its orders out."""
        answer: Message = {
            "session": message["session"],
            "sent": message["sent"],
            "master": self.clock.now(),
            "run": self._run,
            "lost": False,
            "pieces": [],
            "bye": False,
        }
        if self._run is None:
            return answer
        if message["run"] != self._run:
            if not message["leaving"]:
                answer["plan"] = self._plan()
            return answer
        session = message["session"]
        member = self._names.get(session)
        if member is None:
            member = self._join(message)
        if member in self.leases.lost:
            answer["lost"] = True
            return answer
        self._clocks[member] = {
            "offset_ms": round(message["offset_ms"], 3),
            "round_trip_ms": round(message["round_trip_ms"], 3),
        }
        self._cpu[member] = (self._cpu.get(member, (message["cpu_s"], 0))[0], message["cpu_s"])
        if message["crash"]:
            raise RunError(f"worker {member}'s sender ended: {message['crash']}")
        if message["leaving"]:
            self.leases.leave(member, self.t_s)
        answer["pieces"] = self.leases.renew(member, self.t_s)
        self._enter(member, message)
        if message["leaving"] and self._owes_nothing(member):
            self.leases.gone.add(member)
            answer["bye"] = True
        return answer

    def _join(self, message: Message) -> str:
        taken = set(self._names.values())
        worker, number = message["worker"], 2
        member = worker
        while member in taken:
            member = f"{worker}-{number}"
            number += 1
        self._names[message["session"]] = member
        self.leases.join(member, self.t_s)
        self._event(self.t_s, "worker.joined", worker=member)
        return member

    def _enter(self, member: str, message: Message) -> None:
        if self.folder is None:
            return
        for t_s, cause, detail in message.get("details", ()):
            self.folder.append_failure(t_s, cause, detail)
        if rows := message.get("rows"):
            batch = self.books.add(member, rows)
            self.folder.append_sessions(batch.sessions)
            for observer in self.observers:
                observer.reported(batch)

    def _owes_nothing(self, member: str) -> bool:
        first, until = self.books.next_s, int(self.end_s) + 1
        for t_s in range(first, min(until, int(self.t_s + self.leases.horizon_s) + 2)):
            found = self.books.open.get(t_s)
            if self.leases.assigned(member, *self.books.range_of(t_s)) != (
                0 if found is None else found.resolved[member]
            ):
                return False
        return True

    def _plan(self) -> Message:
        load = self.load
        return {
            "profile": load.profile.text,
            "scale": str(load.profile.scale),
            "compress": str(load.profile.compress),
            "host": load.host,
            "connection": load.connection,
            "time_limit_s": load.time_limit_s,
            "connect_limit_s": load.connect_limit_s,
            "max_in_flight": load.max_in_flight,
            "start_unix_s": self._started_unix_s,
        }

    # -- time
    # -----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Call several times a second: notices lost workers, closes seconds, ends the run."""
        if self.state not in ACTIVE or self.folder is None:
            return
        t_s = self.t_s
        for member in self.leases.expire(t_s):
            self._event(t_s, "worker.lost", worker=member)
        if self.leases.epochs[-1].number != self._epoch:
            self._epoch = self.leases.epochs[-1].number
            self._event(t_s, "epoch.started", epoch=self._epoch, workers=len(self.leases.members))
        if t_s >= 0 and t_s < self.end_s and (phase := self.schedule.phase_at(t_s).index) != self._phase:
            self._phase = phase
            self._event(self.schedule.phases[phase].start_s, "phase.started", phase=phase)
        if self.state == "running" and (t_s >= self.end_s):
            self.state = "finishing"
        self._close_seconds(t_s)
        if self.state == "finishing" and self.books.next_s >= self._last_second():
            self._close_run()

    def _last_second(self) -> int:
        if self.leases.end >= self.schedule.total:
            whole = int(self.schedule.duration_s)
            return whole + (self.schedule.duration_s > whole)
        return int(self.end_s) + 1 if self.leases.end else 0

    def _close_seconds(self, t_s: float) -> None:
        folder = self.folder
        if folder is None:
            return
        give_up_s = t_s - self.load.time_limit_s - GIVE_UP_AFTER_S
        last = self._last_second()
        while self.books.next_s < last and self.books.next_s + 1 <= t_s:
            if not self.books.settled(self.books.next_s) and self.books.next_s + 1 > give_up_s:
                break
            found = self.books.close()
            second = found.second
            folder.append_second(second)
            for series in SERIES:
                folder.append_latency(second.t_s, series, found.latencies[series])
            self._kept[second.t_s] = found
            self._recent.append(found)
            for observer in self.observers:
                observer.second_closed(folder.path, second)
        for second_s in self.windows.to_write(self._kept):
            folder.append_arrivals(self.books.arrivals(self._kept.pop(second_s)))
        for second_s in self.windows.to_drop(self._kept, t_s):
            del self._kept[second_s]
        folder.flush()

    def _close_run(self) -> None:
        folder = self.folder
        if folder is None:
            return
        for second_s in self.windows.to_write(self._kept):
            folder.append_arrivals(self.books.arrivals(self._kept.pop(second_s)))
        ended = self._wanted or "finished"
        self._event(self.t_s, "run.finished" if ended == "finished" else "run.interrupted", ended=ended)
        totals = {name: self.books.totals[name] for name in runfolder.SECONDS_COLUMNS[2:-1]}
        folder.close(
            {
                "ended_at": runfolder.iso_utc(self.clock.now()),
                "ended": ended,
                "totals": totals,
                "above_range": {series: self.books.above_range[series] for series in SERIES},
                "clock": self._clocks,
                "generator_cpu": {
                    **{member: round(now - before, 3) for member, (before, now) in self._cpu.items()},
                    "master": round(time.process_time() - self._cpu_master, 3),
                },
            }
        )
        self.delivered = ended == "finished" and not totals["missed"] and not totals["unknown"]
        self.failed = totals["failed"]
        self.inconsistent = self.books.inconsistent
        self._live_at = 0.0
        self.live()
        self.folder, self._run = None, None
        self.state = ended
        self._live["state"] = ended
        for observer in self.observers:
            observer.closed(folder.path, ended)

    # -- what others say and ask
    # ----------------------------------------------------------------------------------------

    def event(self, event: str, fields: Mapping[str, object]) -> float:
        """An event from outside, stamped now."""
        if self.state not in ACTIVE:
            raise RunError(f"no run is under way (state {self.state!r}); events belong to a run")
        t_s = self.t_s
        self._event(t_s, event, **fields)
        return t_s

    def notes(self, notes: Mapping[str, object]) -> None:
        """Keys for run.json from outside."""
        if self.run_dir is None:
            raise RunError("no run has started yet; notes belong to a run")
        runfolder.update_run(self.run_dir, notes)

    def _event(self, t_s: float, event: str, **fields: object) -> None:
        if self.folder is not None:
            self.windows.event(t_s, event)
            self.folder.event(t_s, event, **fields)

    def _run_json(self, facts: Mapping[str, object]) -> dict[str, object]:
        profile = self.load.profile
        return {
            "where": "generator",
            **facts,
            "started_at": runfolder.iso_utc(self._started_unix_s),
            "started_at_unix_s": self._started_unix_s,
            "ended": "running",
            "duration_s": self.schedule.duration_s,
            "time_limit_s": self.load.time_limit_s,
            "late_threshold_ms": self.load.late_threshold_ms,
            "max_in_flight": self.load.max_in_flight,
            "host": self.load.host,
            "connection": self.load.connection,
            "profile": {
                "name": profile.name,
                "text": profile.text,
                "arrivals": profile.arrivals,
                "seed": profile.seed,
                "phases": [
                    {
                        "name": phase.name,
                        "start_s": phase.start_s,
                        "duration_s": phase.duration_s,
                        "rate_from": phase.rate_from,
                        "rate_to": phase.rate_to,
                        "arrivals": phase.arrivals,
                    }
                    for phase in self.schedule.phases
                ],
            },
            "scale": float(profile.scale),
            "compress": float(profile.compress),
            "machine": runfolder.machine(),
        }

    def live(self) -> dict[str, Any]:
        """The picture for `/arrivals/live`; made anew at most twice a second."""
        if self.run_dir is None:
            return {"state": "ready", "workers": 0}
        if self.state in ACTIVE and self.clock.now() - self._live_at >= 0.5:
            self._live_at = self.clock.now()
            self._live = self._picture()
        return self._live

    def _picture(self) -> dict[str, Any]:
        books, t_s = self.books, self.t_s
        counts, _ = live_counts(books, 0, 1 << 60)
        totals = Counter(books.totals)
        totals.update(counts)
        totals["offered"] = min(self.schedule.count_before(max(0.0, min(t_s, self.end_s))), self.leases.end)
        if t_s >= self.end_s:
            totals["offered"] = self.leases.end
        until = max(0, min(int(t_s), int(self.end_s) + 1))
        first = max(0, until - 10)
        recent, latencies = live_counts(books, first, until)
        offered = min(self.schedule.count_before(until), self.leases.end) - min(
            self.schedule.count_before(first), self.leases.end
        )
        for found in self._recent:
            if first <= found.second.t_s < until:
                recent.update(ok=found.second.ok, failed=found.second.failed, missed=found.second.missed)
                for series, values in found.latencies.items():
                    latencies[series].add(values)
        span = max(1, until - first)
        return {
            "state": self.state,
            "run_dir": str(self.run_dir),
            "started_at_unix_s": self._started_unix_s,
            "t_s": round(t_s, 3),
            "duration_s": self.schedule.duration_s,
            "phase": self.schedule.phase_at(max(0.0, t_s)).name,
            "workers": self.workers,
            "totals": {name: totals[name] for name in ("offered", "sent", "ok", "failed", "missed", "unknown", "late")},
            "last_10s": {
                "offered_per_s": offered / span,
                "ok_per_s": recent["ok"] / span,
                "failed_per_s": recent["failed"] / span,
                "series": self._series(latencies, recent["failed"] + recent["missed"]),
            },
            "phases": [self._phase_picture(index) for index in range(len(self.schedule.phases))],
        }

    def _phase_picture(self, index: int) -> dict[str, Any]:
        phase, counts = self.schedule.phases[index], self.books.phase_counts[index]
        return {
            "name": phase.name,
            "start_s": phase.start_s,
            "duration_s": phase.duration_s,
            **{name: counts[name] for name in ("offered", "sent", "ok", "failed", "missed", "unknown", "late")},
            "series": self._series(self.books.phase_latencies[index], counts["offered"] - counts["ok"]),
        }

    def _series(self, latencies: Mapping[str, Latencies], others: int) -> dict[str, Any]:
        limit_us = int(self.load.time_limit_s * 1e6)
        return {
            series: (latencies.get(series) or Latencies()).summary_ms(
                others=others if series in OVER_ALL_OFFERED else 0, time_limit_us=limit_us
            )
            for series in SERIES
        }
