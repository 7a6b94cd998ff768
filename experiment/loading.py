"""start and wait: the load."""

from typing import Any

from experiment import master
from experiment.bucket import Progress, RunBucket
from experiment.errors import StepError, UsageError
from experiment.stack import Stack

POLL_S = 10.0
# The master sends every five seconds; after this long something is wrong with it.
SILENT_S = 120.0
GIVE_UP_S = 15 * 60.0
CLOSING_S = 180.0
WORKERS_S = 10 * 60.0


class Loading(Stack):
    """The steps that start the load and follow it."""

    def start(self) -> str:
        """Start the load, or find the run that has begun; returns its id."""
        if self.state.get("run_id"):
            return str(self.state.get("run_id"))
        with self.screen.step("start"):
            self.state.begin("start")
            self.patiently(self.cloud.measure_clock)
            bucket = self._bucket("start")
            current = self.patiently(lambda: bucket.current(self.wanted.stack))
            running = current is not None and not current.get("ended")
            by_itself = self.settings.load_autostart and (current is None or running)
            requested = self.state.get("start_requested_unix_s")
            if running and current is not None and not by_itself and requested is None:
                raise UsageError(
                    "start",
                    f"run {current.get('run')}",
                    "a run is in progress on this stack that this command did not start",
                    "wait for it: python -m experiment wait --run "
                    f"{current.get('run')}; or stop it in the UI: python -m experiment ui",
                )
            if not by_itself and not running:
                requested = self._swarm()
            since = 0.0 if by_itself else float(requested or 0)
            marker = self._begun(bucket, since)
            self.state.save(run_id=marker["run"], started_at_unix_s=marker["started_at_unix_s"])
            self.screen.say(f"run {marker['run']} began")
        self.state.finish("start")
        return str(marker["run"])

    def _swarm(self) -> float:
        """Ask the master to start, once all declared workers are with it."""
        with self.port_forward("start") as forward:
            port = master.Master(forward.url, "start")
            state = port.live().get("state")
            if state in ("running", "finishing"):
                raise UsageError("start", "the master", f"it is {state} a run already", "wait for its end")
            until = self.cloud.clock() + WORKERS_S
            while (workers := port.workers()) < self.settings.load_tasks:
                if self.cloud.clock() > until:
                    raise StepError(
                        "start",
                        f"service {self.exports('start').get('workerService')}",
                        f"{workers} of {self.settings.load_tasks} workers after {WORKERS_S / 60:.0f} min",
                        "see the service's events in the ECS console, then run the same command again",
                    )
                self.screen.progress(f"{workers} of {self.settings.load_tasks} workers")
                self.cloud.sleep(5)
            requested = self.cloud.now()
            self.state.save(start_requested_unix_s=requested)
            answer = port.start()
            if answer.get("success") is False:
                raise StepError("start", "the master", str(answer.get("message")), "see the log group of the load")
            return requested

    def _begun(self, bucket: RunBucket, since_unix_s: float) -> dict[str, Any]:
        """The master's marker of the run that began at `since` or later (by a master's clock, so with some room)."""
        until = self.cloud.clock() + WORKERS_S
        while True:
            marker = self.patiently(lambda: bucket.current(self.wanted.stack))
            if marker and not marker.get("ended") and float(marker["started_at_unix_s"]) >= since_unix_s - 5:
                return marker
            if self.cloud.clock() > until:
                raise StepError(
                    "start",
                    f"s3://{bucket.bucket}/markers/current-{self.wanted.stack}.json",
                    f"no run began within {WORKERS_S / 60:.0f} min",
                    "see the log group of the load: it says why; then run the same command again",
                )
            self.screen.progress("waiting for the run's first trace in the bucket")
            self.cloud.sleep(POLL_S)

    def wait(self, until_s: float | None = None) -> Progress:
        """Follow the run to its end, or to a planned second."""
        run_id = self.run_id("wait")
        bucket = self._bucket("wait")
        self.patiently(self.cloud.measure_clock)
        with self.screen.step("load" if until_s is not None else "wait"):
            while True:
                seen = self.patiently(lambda: bucket.progress(run_id))
                started = float(seen.run.get("started_at_unix_s") or self.state.get("started_at_unix_s") or 0)
                duration = float(seen.run.get("duration_s") or 0)
                t_s = self.cloud.now() - started
                self.screen.progress(
                    f"second {max(0, t_s):.0f} of {duration:.0f}; in the bucket {seen.t_s + 1} s, "
                    f"{seen.offered}/s offered, {seen.ok}/s achieved"
                )
                if seen.ended != "running" or (until_s is not None and t_s >= until_s):
                    break
                if self._is_silent(run_id, seen):
                    self.screen.say("the master is gone and left the run half written; what there is can be collected")
                    break
                rest = POLL_S if until_s is None else min(POLL_S, max(0.5, until_s - t_s))
                self.cloud.sleep(rest)
            if until_s is None:
                self._wait_until_closed(bucket, run_id)
                self.screen.say(f"run {run_id}: {seen.ended}")
        if until_s is None and run_id == self.state.get("run_id"):
            self.state.finish("wait")
        return seen

    def _is_silent(self, run_id: str, seen: Progress) -> bool:
        """Whether nothing came for a while and the task that wrote is no more."""
        if seen.newest is None:
            return False
        silent = self.cloud.now() - seen.newest.timestamp()
        if silent < SILENT_S:
            return False
        # Who may read no more than the bucket waits longer.
        writer = "" if self.deployed.why_not else self.patiently(lambda: self._bucket("wait").writer(run_id))
        if writer and not self.patiently(lambda: master.task_runs(self.cloud, writer)):
            return True
        return silent > GIVE_UP_S

    def _wait_until_closed(self, bucket: RunBucket, run_id: str) -> None:
        """The master's last word comes some seconds after the run's end, or when a reshard under way is over."""
        until = self.cloud.clock() + CLOSING_S
        while True:
            seen = self.patiently(lambda: bucket.progress(run_id))
            if seen.closed or seen.abandoned or self._is_silent(run_id, seen) or self.cloud.clock() > until:
                return
            self.screen.progress("the load is over; the master sends the rest")
            self.cloud.sleep(POLL_S)
