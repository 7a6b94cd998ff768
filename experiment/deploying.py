"""preflight, up, destroy, ui: the stack itself."""

import time
from collections.abc import Sequence

from experiment import leftovers, load, preflight, prices
from experiment.durations import stack_hours
from experiment.errors import StepError, UsageError
from experiment.preflight import Check
from experiment.stack import Stack


class Deploying(Stack):
    """The steps that make and remove the stack."""

    def preflight(self, shards: int | None = None) -> None:
        """Everything that would stop a run, and what it will cost."""
        with self.screen.step("preflight"):
            tools = preflight.machine(port_forward=True)
            if any(check.name == "Pulumi" and check.state == preflight.FAIL for check in tools):
                self._show(tools)
            settings, facts = self.settings, load.facts(self.settings, self.wanted.root)
            most = max(shards or settings.shard_count + 1, settings.shard_count)
            hours = stack_hours(facts.duration_s)
            checks = preflight.machine(port_forward=not settings.load_autostart)
            checks += preflight.account(self.cloud, hours)
            if not any(check.state == preflight.FAIL for check in checks):
                deployed = settings.shard_count if "resultsBucket" in self.engine.exports() else 0
                checks += preflight.quotas(self.cloud, preflight.needs(settings, facts, most, deployed), facts)
            self._show(checks)
            self.screen.say(
                f"load: {facts.arrivals:,} arrivals in {facts.duration_s / 60:.1f} min, {facts.peak_per_s:g}/s at most"
            )
            cost = prices.estimate(self.cloud, prices.items(settings, facts, most), hours)
            self.screen.say("cost: " + cost.sentence())
            known = cost.usd_per_hour if len(cost.unknown) < len(cost.lines) else None
            self.state.save(usd_per_hour=known)
        self.state.finish("preflight")

    def _show(self, checks: Sequence[Check]) -> None:
        rows = [
            (check.state, check.name, check.seen + (f"\n-> {check.todo}" if check.todo and check.state != "ok" else ""))
            for check in checks
        ]
        self.screen.table("", ("", "", ""), rows)
        failed = [check for check in checks if check.state == preflight.FAIL]
        if failed:
            raise UsageError(
                "preflight",
                ", ".join(check.name for check in failed),
                "; ".join(check.seen for check in failed),
                "; ".join(check.todo for check in failed),
            )

    def up(self) -> None:
        """Deploy what the program declares."""
        with self.screen.step("up"):
            if self.state.get("destroyed_unix_s"):
                self.state.renew()  # what was noted belongs to a stack that is gone
            self.state.begin("up")
            self.engine.open(create=True)
            changes = self.engine.up()
            self.screen.say(", ".join(f"{count} {kind}" for kind, count in sorted(changes.items())) or "no change")
            self.look_again()
        self.state.finish("up")

    def destroy(self, *, sure: bool) -> list[leftovers.Leftover]:
        """Remove the stack, then list what of it still lives."""
        with self.screen.step("destroy"):
            settings = self.settings
            run_id = self.state.get("run_id")
            if run_id and not self.state.done("collect") and not sure:
                kept = "the bucket is kept, but not the function's log" if settings.keep_results else "nothing is kept"
                raise UsageError(
                    "destroy",
                    f"run {run_id}",
                    f"it is not collected ({kept})",
                    "python -m experiment collect; or --yes",
                )
            vpc_id = str(self.engine.exports().get("vpcId", ""))
            self._keep_or_not(keep=settings.keep_results)
            try:
                self.engine.destroy()
            except StepError:
                self._say_left(leftovers.interfaces(self.cloud, vpc_id))  # what most often holds a destroy up
                raise
            self.look_again()
            self.state.save(destroyed_unix_s=time.time())
            left = self.patiently(
                lambda: leftovers.find(
                    self.cloud, self.project, self.wanted.stack, keeps_results=settings.keep_results, vpc_id=vpc_id
                )
            )
            self._say_left(left)
            if not left:
                self.screen.say("nothing is left")
        self.state.forget("up")
        return left

    def _keep_or_not(self, *, keep: bool) -> None:
        """Let Pulumi's state agree with keepResults: `destroy` reads the state, where the last `up` wrote it."""
        retained = self.engine.retained("aws:s3/")
        if any(kept != keep for kept in retained.values()):
            self.screen.say(
                f"keepResults is {str(keep).lower()} and was deployed as {str(not keep).lower()}: "
                "`pulumi up` of the bucket first, for destroy goes by what is deployed"
            )
            self.engine.up(only=sorted(retained))

    def _say_left(self, left: Sequence[leftovers.Leftover]) -> None:
        for one in left:
            self.screen.say(f"still there: {one.name}: {one.why}")

    def ui(self, local_port: int | None = None) -> None:
        """Open the port-forward and keep it until Ctrl-C."""
        with self.port_forward("ui", local_port=local_port) as forward:
            self.screen.say(f"{forward.url}  (Ctrl-C ends it; the load goes on)")
            while not forward.ended():
                self.cloud.sleep(1)
        raise StepError("ui", forward.url, "the session ended", "the load goes on; run the same command again")
