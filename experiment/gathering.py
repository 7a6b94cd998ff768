"""collect, audit, report: the evidence."""

import time
from pathlib import Path
from typing import Any

from contract import runfolder
from experiment import audit as audits
from experiment import collect as collecting
from experiment import load, metrics, prices
from experiment.durations import EXPECTED
from experiment.errors import UsageError
from experiment.loading import Loading
from infra.settings import PRIVATE
from report import build


class Gathering(Loading):
    """The steps that bring a run home and judge it."""

    def collect(self) -> Path:
        """Bring the run folder here, with what CloudWatch and Logs hold of it."""
        run_id = self.run_id("collect")
        with self.screen.step("collect"):
            self.state.begin("collect")
            seen = self.patiently(lambda: self._bucket("collect").progress(run_id))
            if seen.run and seen.ended == "running" and not self._is_silent(seen):
                raise UsageError("collect", f"run {run_id}", "it is still running", "python -m experiment wait")
            exports = self.exports("collect")
            notes = self._notes() if not self.wanted.bucket else {}
            asked = collecting.Wanted(
                run_id,
                exports,
                project=self.project,
                stack=self.wanted.stack,
                function_log=self.wanted.function_log,
                notes=notes,
                reshard=self.state.get("reshard") or {},
            )
            done = self.patiently(lambda: collecting.collect(self.cloud, asked, self.wanted.runs, self.screen.say))
            for lack in done.missing:
                self.screen.say(f"missing: {lack}")
            if not self.wanted.bucket:
                self._note_cost(done)
        if run_id == self.state.get("run_id"):  # not a run that was only named: it is no part of what goes on here
            self.state.save(folder=str(done.folder))
            self.state.finish("collect")
        return done.folder

    def _notes(self) -> dict[str, Any]:
        """What run.json should say that only this machine knows; no secret among it."""
        settings = {_camel(name): value for name, value in vars(self.settings).items() if name not in PRIVATE}
        engine, _, version = self.settings.cache_engine.partition(" ")
        notes: dict[str, Any] = {
            "settings": settings,
            "engine": {"name": engine, "version": version},
            "function": {"memory_mb": self.settings.function_memory, "timeout_s": self.settings.function_timeout},
            "command": self.wanted.command,
            "experiment": {
                "steps": self.state.get("steps"),
                "reshard": self.state.get("reshard"),
                "clock_offset_s": round(self.cloud.clock_offset.seconds, 3),
                "region": self.cloud.region,
            },
        }
        info = self.state.get("reshard")
        started = self.state.get("started_at_unix_s")
        if info:
            settings["shardCount"] = info["from"]  # what the run began with, whatever was set since
        if info and started:
            at_s = round(float(info["requested_unix_s"]) - float(started), 3)
            notes["reshard"] = {"from": info["from"], "to": info["to"], "at_s": at_s, "migration": "ElastiCache"}
        return notes

    def _note_cost(self, done: collecting.Collected) -> None:
        """What this run cost, from what CloudWatch counted and the hours that the stack exists."""
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
        began = self.state.began_at("up") or self.state.get("started_at_unix_s") or time.time()
        hours = (time.time() - float(began) + EXPECTED["destroy"].seconds) / 3600
        facts = load.facts(settings, self.wanted.root)
        shards = max(settings.shard_count, (self.state.get("reshard") or {}).get("to", 0))
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
        with self.screen.step("audit"):
            self.state.begin("audit")
            function = str(self.exports("audit")["auditFunctionName"])
            result = self.patiently(
                lambda: audits.audit(
                    self.cloud, function, folder, lambda n, of: self.screen.progress(f"{n:,} of {of:,} sessions")
                )
            )
            self.screen.say(
                f"{result['checked']:,} of {result['acknowledged']:,} sessions checked, "
                f"{result['missing']} missing, {result['different']} different"
            )
        self.state.finish("audit")
        return result

    def report(self) -> int:
        """The report of the collected run; its exit code."""
        folder = self.folder("report")
        with self.screen.step("report"):
            result = build(folder, self.wanted.gates)
            self.screen.say(result.verdict)
            self.screen.say(str(result.html))
        self.state.finish("report")
        return result.exit_code


def _camel(name: str) -> str:
    """A setting's name as Pulumi.yaml has it."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
