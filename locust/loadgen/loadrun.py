"""One run on the master, from its start to its closed folder. Passive: the caller brings reports and the time.

It is running until everything is sent or the load was stopped, then finishing while the last replies are due.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import runfolder
from contract.schedule import Schedule
from loadgen.books import Books
from loadgen.leases import Leases
from loadgen.live import LivePicture
from loadgen.messages import Orders, Report, RunPlan
from loadgen.observer import RunObserver
from loadgen.runspec import RunSpec
from loadgen.runwriter import RunWriter, run_json
from loadgen.warming import GIVE_UP_S, WarmingTotals
from loadgen.workers import Workers

GIVE_UP_AFTER_S = 15.0  # so long after the last reply's time limit, unreported arrivals count as unknown


class RunError(RuntimeError):
    """Something that cannot be done now: the message says why and what to do."""


@dataclass(frozen=True)
class EndedRun:
    """The result of a run whose folder is closed."""

    run_dir: Path
    ended: str
    delivered: bool  # it sent all that it was to send: nothing missed or unknown
    failed: int
    inconsistent: int
    live: dict[str, Any]


class LoadRun:
    """A run in progress: made when the run starts, dropped when its folder is closed."""

    def __init__(
        self,
        spec: RunSpec,
        run_dir: Path,
        facts: Mapping[str, object],
        started_at_unix_s: float,
        observers: Sequence[RunObserver],
    ) -> None:
        schedule = Schedule(spec.profile)
        self.run_id = uuid.uuid4().hex
        self.state = "running"
        self.spec = spec
        self.started_at_unix_s = started_at_unix_s
        self.books = Books(schedule, Leases(schedule), spec.timings, late_threshold_ms=spec.late_threshold_ms)
        self.workers = Workers(self.books)
        self.writer = RunWriter(run_dir, run_json(spec, schedule, started_at_unix_s, facts), self.books)
        self.live = LivePicture(str(run_dir), started_at_unix_s, spec.time_limit_s, self.books)
        self._warming: WarmingTotals | None = None  # until second 0
        if spec.warm:
            self._warming = WarmingTotals(spec.warm, int(str(facts.get("workers", 1))))
        self._observers = observers
        self._stopped = ""  # how the run ends, if not by its schedule
        self._epoch = 0
        self._phase = -1
        self._cpu_at_start_s = time.process_time()
        self.writer.event(0.0, "run.started")

    def plan(self, worker_id: str, t_s: float) -> RunPlan:
        """The run, for a worker that takes part from now on."""
        return self.spec.plan(
            self.started_at_unix_s, 0 if self._warming is None else self._warming.part(worker_id, t_s)
        )

    def poll(self, report: Report, orders: Orders, t_s: float) -> None:
        """A worker's report: enter it, and fill in the worker's orders."""
        worker = self.workers.find(report["worker_id"])
        if worker is None:
            worker = self.workers.join(report, t_s)
            self.writer.event(t_s, "worker.joined", worker=worker.name)
        if self.workers.is_lost(worker):
            orders["lost"] = True
            return
        worker.hear(report)
        if report["crash"]:
            raise RunError(f"worker {worker.name}'s sender ended: {report['crash']}")
        orders["shares"] = self.workers.renew(worker, t_s, leaving=report["leaving"])
        self._enter(worker.name, report)
        orders["bye"] = report["leaving"] and self.workers.dismiss(worker, t_s)

    def _enter(self, worker: str, report: Report) -> None:
        self.writer.failures(report.get("details", ()))
        if self._warming is not None and (warmed := report.get("warmed")):
            self._warming.enter(warmed)
        if rows := report.get("rows"):
            batch = self.books.add(worker, rows)
            self.writer.sessions(batch.sessions)
            for observer in self._observers:
                observer.reported(batch)

    def stop(self, ended: str, t_s: float) -> None:
        """End the load now (`stopped` or `interrupted`); what is in flight is waited for."""
        if self.state == "running" and not self._stopped:
            self._stopped = ended
            self.books.leases.stop(t_s)

    def tick(self, t_s: float) -> bool:
        """Notice lost workers, close seconds; whether the run is over and can be closed."""
        if t_s >= 0 and self._warming is not None:
            self.writer.warmed(-GIVE_UP_S, self._warming.as_json())
            self._warming = None
        leases, schedule = self.books.leases, self.books.schedule
        for worker in self.workers.expire(t_s):
            self.writer.event(t_s, "worker.lost", worker=worker)
        if (epoch := leases.epochs[-1].number) != self._epoch:
            self._epoch = epoch
            self.writer.event(t_s, "epoch.started", epoch=epoch, workers=self.workers.count)
        if 0 <= t_s < leases.end_s and (phase := schedule.phase_at(t_s)).index != self._phase:
            self._phase = phase.index
            self.writer.event(phase.start_s, "phase.started", phase=phase.index)
        if t_s >= leases.end_s:
            self.state = "finishing"
        self._close_seconds(t_s)
        return self.state == "finishing" and self.books.next_s >= leases.seconds

    def _close_seconds(self, t_s: float) -> None:
        books = self.books
        give_up_s = t_s - self.spec.time_limit_s - GIVE_UP_AFTER_S
        while books.next_s < books.leases.seconds and books.next_s + 1 <= t_s:
            if not books.settled(books.next_s) and books.next_s + 1 > give_up_s:
                break
            second = books.close()
            self.writer.second(second)
            self.live.second_closed(second)
            for observer in self._observers:
                observer.second_closed(second.counts)
        self.writer.flush(t_s)

    def close(self, t_s: float) -> EndedRun:
        """Complete the folder."""
        ended, books = self._stopped or "finished", self.books
        self.writer.event(t_s, "run.finished" if ended == "finished" else "run.interrupted", ended=ended)
        totals = {name: books.totals[name] for name in runfolder.COUNTS}
        cold = books.totals["cold"] if books.totals["said_cold"] else None
        self.writer.close(
            {
                "ended_at": runfolder.iso_utc(self.started_at_unix_s + t_s),
                "ended": ended,
                "totals": {**totals, "cold": cold},
                "above_range": {series: books.above_range[series] for series in books.series},
                "clock": self.workers.clocks(),
                "generator_cpu": {
                    **self.workers.cpu_s(),
                    "master": round(time.process_time() - self._cpu_at_start_s, 3),
                },
            }
        )
        return EndedRun(
            self.writer.path,
            ended,
            delivered=ended == "finished" and not totals["missed"] and not totals["unknown"],
            failed=totals["failed"],
            inconsistent=books.inconsistent,
            live=self.live.make(t_s, ended),
        )
