"""The reshard step."""

from collections.abc import Mapping
from typing import Any

from experiment import master, reshard
from experiment.errors import StepError, UsageError
from experiment.stack import Stack
from recorder.cachegroup import Group, layout_problems

# The reshard has its place in the run: it does not wait for a master that cannot be told.
TELL_S = 15.0


class Resharding(Stack):
    """The step that changes the number of shards."""

    def reshard(self, to: int) -> None:
        """Change the number of shards, and believe only what the replication group then is."""
        with self.screen.step("reshard"):
            self.state.begin("reshard")
            self.patiently(self.cloud.measure_clock)
            group_id = str(self.exports("reshard")["cacheReplicationGroupId"])
            before = self.patiently(lambda: reshard.describe(self.cloud, group_id))
            info: dict[str, Any] | None = self.state.get("reshard")
            if info and info["to"] != to and "finished_unix_s" not in info and "error" not in info:
                raise UsageError(
                    "reshard", group_id, f"a reshard to {info['to']} shard(s) is not over", f"--to {info['to']}"
                )
            if info is None or "finished_unix_s" in info or "error" in info:
                if before.available and not layout_problems(before, to):
                    self.screen.say(f"{group_id} has {to} shard(s) with every slot already")
                    self._reconcile(to)
                    self.state.finish("reshard")
                    return
                if not before.available:
                    raise StepError(
                        "reshard", group_id, f"it is being changed ({before.status})", "wait for it, then try again"
                    )
                info = {"from": before.owners, "to": to, "requested_unix_s": self.cloud.now()}
                self.state.save(reshard=info)
                self._tell_master(info)
            error = None
            if before.available and layout_problems(before, to):
                error = self._ask_pulumi(to, info)
            elif not before.available:
                self.screen.say("AWS is still at it; waiting for its end")
            self._settle(group_id, to, info, error, reconcile=error is not None or not before.available)
        self.state.finish("reshard")

    def _ask_pulumi(self, to: int, info: dict[str, Any]) -> StepError | None:
        """`config set shardCount` and `up`; what the CLI says of its success is not what counts."""
        try:
            self.engine.set("shardCount", to)
            info["changed"] = dict(self.engine.up())
            info["declared_unix_s"] = self.cloud.now()
            self.state.save(reshard=info)
        except UsageError:
            raise
        except StepError as error:
            self.screen.say(f"Pulumi ended early: {error.said}")
            return error
        return None

    def _settle(
        self, group_id: str, to: int, info: dict[str, Any], error: StepError | None, *, reconcile: bool
    ) -> None:
        outcome = reshard.wait_until_settled(self.cloud, group_id, to, seen=self._seen, ask=self.patiently)
        if outcome.problems:
            said = "; ".join(outcome.problems)
            info.update(error=said, failed_unix_s=self.cloud.now())
            self.state.save(reshard=info)
            # Asked for anew, it is another reshard: this one is over.
            pulumi = f" Pulumi said: {error.said}" if error else ""
            rolled_back = " (AWS ended or rolled back the change)" if outcome.changed else " (AWS was never asked)"
            raise StepError(
                "reshard",
                f"replication group {group_id}",
                f"it is available, but {said}{rolled_back}.{pulumi}",
                f"read its events in the ElastiCache console; `python -m experiment reshard --to {to}` tries again",
            )
        info.pop("error", None)
        info["finished_unix_s"] = self.cloud.now()
        self.state.save(reshard=info)
        self.screen.say(f"{group_id} has {to} shard(s); all 16,384 slots have an owner")
        if reconcile:
            self._reconcile(to)

    def _reconcile(self, to: int) -> None:
        """Pulumi ended before AWS did: let its state and the stack's setting agree with what there is."""
        self.engine.set("shardCount", to)
        self.engine.refresh()
        self.engine.up()

    def _seen(self, group: Group) -> None:
        percent = "" if group.percent is None else f", {group.percent:.0f} % of the slots moved"
        self.screen.progress(f"{group.status}, {len(group.shards)} shard(s){percent}")

    def _tell_master(self, info: Mapping[str, Any]) -> None:
        """Let the run folder say when the reshard was asked for; without it the master sees it some seconds later."""
        try:
            with self.port_forward("reshard", agent_limit_s=TELL_S) as forward:
                port = master.Master(forward.url, "reshard")
                if port.live().get("state") == "running":
                    port.event("reshard.requested", **{"from": info["from"], "to": info["to"]})
        except (StepError, KeyError) as error:
            self.screen.say(f"the master was not told ({error}); it watches the cache itself".replace("\n", " "))
