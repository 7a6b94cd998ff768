"""The master's side: one run after the other, and the answers to workers and the web interface.

Passive: the caller brings the workers' reports and calls `tick`. A run goes ready -> running -> finishing
-> finished, stopped or interrupted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract import runfolder
from loadgen.clock import Clock
from loadgen.loadrun import EndedRun, LoadRun, RunError
from loadgen.messages import Orders, Report
from loadgen.observer import RunObserver
from loadgen.runspec import RunSpec
from loadgen.warming import lead_s

START_AFTER_S = 2.5  # from the order to the common start, or to the warming: every worker has its plan by then


class Coordinator:
    """The run in progress, if there is one, and the result of the last one."""

    def __init__(self, clock: Clock) -> None:
        self.observers: list[RunObserver] = []
        self.last: EndedRun | None = None
        self._clock = clock
        self._run: LoadRun | None = None

    @property
    def active(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None

    @property
    def state(self) -> str:
        """Ready, running, finishing, or how the last run ended."""
        if self._run is not None:
            return self._run.state
        return "ready" if self.last is None else self.last.ended

    @property
    def run_dir(self) -> Path | None:
        """The folder of the run under way, else of the last one."""
        if self._run is not None:
            return self._run.writer.path
        return None if self.last is None else self.last.run_dir

    def start(self, spec: RunSpec, run_dir: Path, facts: Mapping[str, object]) -> None:
        """Begin a run; `facts` are the keys of run.json that only the caller knows (stack, versions, workers)."""
        if self._run is not None:
            raise RunError(f"a run is {self.state}; stop it or wait for its end before you start another")
        started_at_unix_s = self._clock.now() + START_AFTER_S + lead_s(spec.warm)
        self._run = LoadRun(spec, run_dir, facts, started_at_unix_s, self.observers)
        for observer in self.observers:
            observer.started(run_dir, runfolder.read_run(run_dir))

    def stop(self, ended: str) -> None:
        """End the load now (`stopped` or `interrupted`); what is in flight is waited for."""
        if self._run is not None:
            self._run.stop(ended, self._t_s(self._run))

    def poll(self, report: Report) -> Orders:
        """A worker's report in, its orders out."""
        run = self._run
        orders: Orders = {
            "worker_id": report["worker_id"],
            "sent": report["sent"],
            "master": self._clock.now(),
            "run": None if run is None else run.run_id,
            "lost": False,
            "shares": [],
            "bye": False,
        }
        if run is None:
            return orders
        if report["run"] == run.run_id:
            run.poll(report, orders, self._t_s(run))
        elif not report["leaving"]:
            orders["plan"] = run.plan(report["worker_id"], self._t_s(run))
        return orders

    def tick(self) -> None:
        """Call several times a second: notices lost workers, closes seconds, ends the run."""
        run = self._run
        if run is None or not run.tick(self._t_s(run)):
            return
        self.last = run.close(self._t_s(run))
        self._run = None
        for observer in self.observers:
            observer.closed()

    def event(self, event: str, fields: Mapping[str, object]) -> float:
        """An event from outside, stamped now."""
        if self._run is None:
            raise RunError(f"no run is under way (state {self.state!r}); events belong to a run")
        t_s = self._t_s(self._run)
        self._run.writer.event(t_s, event, **fields)
        return t_s

    def notes(self, notes: Mapping[str, object]) -> None:
        """Keys for run.json from outside; they may come after the run's end."""
        if self.run_dir is None:
            raise RunError("no run has started yet; notes belong to a run")
        runfolder.update_run(self.run_dir, notes)

    def live(self) -> dict[str, Any]:
        """The picture for `/arrivals/live`."""
        if self._run is not None:
            return self._run.live.show(self._t_s(self._run), self._run.state)
        return {"state": "ready", "workers": 0} if self.last is None else self.last.live

    def _t_s(self, run: LoadRun) -> float:
        """Seconds since the common start; negative before it."""
        return self._clock.now() - run.started_at_unix_s
