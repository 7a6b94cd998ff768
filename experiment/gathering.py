"""collect, audit, report, and fetch, which is all three: the evidence."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract import runfolder
from experiment import audit as audits
from experiment import collect as collecting
from experiment import load, metrics, notes, prices
from experiment.durations import EXPECTED
from experiment.errors import UsageError
from experiment.loading import Loading
from report import build


class Gathering(Loading):
    """The steps that bring a run home and judge it."""

    def collect(self) -> Path:
        """Bring the run folder here, with what CloudWatch and Logs hold of it."""
        run_id = self.run_id("collect")
        with self.screen.step("collect"):
            if self._is_mine(run_id):
                self.state.begin("collect")
            seen = self.patiently(lambda: self._bucket("collect").progress(run_id))
            if seen.run and seen.ended == "running" and not self._is_silent(run_id, seen):
                raise UsageError("collect", f"run {run_id}", "it is still running", "python -m experiment wait")
            noted = notes.during(self.state.get("reshard"), seen.run)
            asked = collecting.Wanted(
                run_id,
                self.exports("collect"),
                function_log=self.wanted.function_log,
                notes={} if self.deployed.why_not else self._notes(run_id, noted),
                reshard=noted,
                why_no_stack=self.deployed.why_not,
            )
            done = self.patiently(lambda: collecting.collect(self.cloud, asked, self.wanted.runs, self.screen.say))
            for lack in done.missing:
                self.screen.say(f"missing: {lack}")
            if not self.deployed.why_not:
                self._note_cost(done)
        if self._is_mine(run_id):
            self.state.save(folder=str(done.folder))
            self.state.finish("collect")
        return done.folder

    def _is_mine(self, run_id: str) -> bool:
        """A run that was only named, or started elsewhere, is no part of what goes on here."""
        return run_id == self.state.get("run_id")

    def _notes(self, run_id: str, reshard: Mapping[str, Any]) -> dict[str, Any]:
        """What run.json should say that only this machine knows."""
        return {
            **notes.of_settings(self.settings),
            "command": self.wanted.command,
            "experiment": {
                "steps": self.state.get("steps") if self._is_mine(run_id) else None,
                "reshard": dict(reshard) or None,
                "clock_offset_s": round(self.cloud.clock_offset.seconds, 3),
                "region": self.cloud.region,
            },
        }

    def _note_cost(self, done: collecting.Collected) -> None:
        """What this run cost, from what CloudWatch counted and the hours that the stack exists."""
        run = runfolder.read_run(done.folder)
        if "cost" in run:
            return  # collected before: the hours since then are not this run's
        settings = self.settings
        name = str(self.exports("collect").get("functionName", ""))
        calls = metrics.total(done.metrics, "Invocations", name)
        duration_ms = metrics.total(done.metrics, "Duration", name)
        lcus = metrics.total(done.metrics, "ConsumedLCUs")
        measured = prices.Measured(
            calls=calls,
            call_s_in_all=None if duration_ms is None else duration_ms / 1000,
            lcu_hours=None if lcus is None else lcus / 60,
        )
        # Of a stack that was deployed by hand only the run itself is known to have been paid for.
        began = self.state.began_at("up") if self._is_mine(done.folder.name) else None
        hours = (self.cloud.now() - float(began or str(run["started_at_unix_s"])) + EXPECTED["destroy"].seconds) / 3600
        facts = load.facts(settings, self.wanted.root)
        reshard: Any = run.get("reshard") or {}
        shards = max(settings.shard_count, reshard.get("to") or 0)
        cost = prices.estimate(self.cloud, prices.items(settings, facts, shards, measured), hours)
        self.screen.say("cost so far and of the destroy: " + cost.sentence())
        runfolder.update_run(done.folder, {"cost": cost.as_json()})

    def folder(self, step: str) -> Path:
        """The collected run folder."""
        mine = None if self.wanted.run_id else self.state.get("folder")
        found = Path(mine or self.wanted.runs / self.run_id(step))
        if not runfolder.holds_run(found):
            raise UsageError(step, str(found), "the run is not collected", "python -m experiment collect")
        return found

    def audit(self) -> dict[str, Any]:
        """Check every acknowledged session inside the VPC."""
        folder = self.folder("audit")
        function = self.exports("audit").get("auditFunctionName")
        if not function:
            raise UsageError(
                "audit",
                f"stack {self.wanted.stack}",
                f"its function cannot be asked: {self.deployed.why_not}",
                "audit a run before its stack is destroyed",
            )
        with self.screen.step("audit"):
            result = self.patiently(
                lambda: audits.audit(
                    self.cloud, str(function), folder, lambda n, of: self.screen.progress(f"{n:,} of {of:,} sessions")
                )
            )
            self.screen.say(
                f"{result['checked']:,} of {result['acknowledged']:,} sessions checked, "
                f"{result['missing']} missing, {result['different']} different"
            )
        if self._is_mine(folder.name):
            self.state.finish("audit")
        return result

    def report(self) -> int:
        """The report of the collected run; its exit code."""
        folder = self.folder("report")
        with self.screen.step("report"):
            result = build(folder, self.wanted.gates)
            self.screen.say(result.verdict)
            self.screen.say(str(result.html))
        if self._is_mine(folder.name):
            self.state.finish("report")
        return result.exit_code

    def fetch(self) -> int:
        """Everything after the load, for a run that was started anywhere: the newest, unless one was named."""
        self.wanted = replace(self.wanted, run_id=self.wanted.run_id or self.newest("fetch"))
        self.wait()
        folder = self.collect()
        if self.deployed.why_not:
            self.screen.say(f"not audited: {self.deployed.why_not}, and its function is asked inside its network")
        elif audits.is_complete(folder):
            self.screen.say("audited already")
        else:
            self.audit()
        return self.report()
