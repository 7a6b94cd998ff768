"""The whole experiment: every step in order, from where an earlier command stopped."""

from collections.abc import Mapping
from typing import Any

from experiment.deploying import Deploying
from experiment.errors import PassingError, StepError, UsageError
from experiment.gathering import Gathering
from experiment.resharding import Resharding


class Experiment(Deploying, Resharding, Gathering):
    """All steps of one stack."""

    def run(self, *, to: int | None, reshard_at: float | None, destroy: bool) -> int:
        """Everything, from where an earlier command stopped. `reshard_at`: share of the run; None for no reshard."""
        plan: dict[str, Any] | None = self.state.get("run")
        if plan is None:
            plan = {"to": to or self.settings.shard_count + 1, "reshard_at": reshard_at}
        if to is not None and to != plan["to"]:
            raise UsageError("run", "--to", f"{to}, and the run that is to go on has {plan['to']}", "leave it out")
        self.state.save(run=plan)
        if not self.state.done("start"):
            if not self.state.done("up"):
                self.preflight(plan["to"])
            self.up()
        self.start()
        failed = self._reshard_in_time(plan)
        for step in (self.wait, self.collect, self.audit):
            if not self.state.done(step.__name__):
                step()
        code = self.report()
        if destroy:
            self.destroy(sure=False)
        self.state.archive(self.folder("report"))
        if failed is not None:
            raise failed
        return code

    def _reshard_in_time(self, plan: Mapping[str, Any]) -> StepError | None:
        """Reshard at its place in the run. That it failed is evidence too: the run goes on and is collected."""
        if plan["reshard_at"] is None or self.state.done("reshard") or self.state.done("wait"):
            return None
        if not self.state.get("reshard"):
            seen = self.patiently(lambda: self._bucket("wait").progress(self.run_id("wait")))
            at_s = float(plan["reshard_at"]) * float(seen.run.get("duration_s") or 0)
            seen = self.wait(until_s=at_s)
            if seen.ended != "running":
                self.screen.say("the load is over before the reshard: none is made")
                return None
        try:
            self.reshard(int(plan["to"]))
        except (PassingError, UsageError):
            raise
        except StepError as error:
            self.screen.say(str(error))
            return error
        return None

    def standing(self) -> str:
        """What is running and costs money, and how to go on or stop it; empty when nothing is."""
        if not self.state.began_at("up") or (self.state.get("destroyed_unix_s") and not self.state.done("up")):
            return ""
        price = self.state.get("usd_per_hour")
        costs = f"about ${price:.2f} an hour" if price else "at a price that could not be found out"
        lines = [f"Stack {self.wanted.stack} is up, or partly so, and costs money: {costs}."]
        run_id = self.state.get("run_id")
        if run_id and not self.state.done("wait"):
            lines.append(f"Run {run_id} goes on by itself, and is written to the bucket.")
        info = self.state.get("reshard")
        if info and "finished_unix_s" not in info and "error" not in info:
            lines.append(f"The reshard from {info['from']} to {info['to']} shard(s) goes on at AWS by itself.")
        lines.append("To go on: the same command again. To stop it all: python -m experiment destroy")
        return "\n".join(lines)
