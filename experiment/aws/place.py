"""The place "AWS": the deployed stack, its load and its reshard.

What was started there continues without this machine, so every step first checks what is done already.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from contract import runfolder
from contract.master import MasterError
from experiment.aws import collect, costs, leftovers, notes, tunnel
from experiment.aws.asking import asking
from experiment.aws.bucket import RunBucket, Shipped
from experiment.aws.reshard import Resharder
from experiment.aws.stack import Stack
from experiment.aws.starter import Starter
from experiment.errors import StepError, UsageError
from experiment.place import Emit, Progress, Started
from experiment.plan import Move
from experiment.state import State

T = TypeVar("T")

# The master sends every five seconds; a master that is silent for so long may be gone.
SILENT_S = 120.0
GIVE_UP_S = 15 * 60.0
CLOSING_S = 180.0
# The reshard has its planned time: it does not wait longer for an unreachable master.
TELL_S = 15.0


class Aws:
    """One stack on AWS. `sure`: remove it even if a run is not collected."""

    name = "aws"
    outlives_command = True
    poll_s = 10.0

    def __init__(self, stack: Stack, state: State, *, sure: bool = False) -> None:
        self._stack = stack
        self._state = state
        self._sure = sure
        self._screen = stack.screen
        self._clock_measured = False
        self._missing: list[str] = []

    # -- before the load

    def up(self, moves: Sequence[Move]) -> None:
        """Deploy what the program declares."""
        del moves  # AWS moves slots by itself
        stack = self._stack
        if self._state.get("destroyed_unix_s"):
            self._state.renew()  # the saved state belongs to a destroyed stack
            self._state.begin("up")
        stack.engine.open(create=True)
        changes = stack.engine.up()
        self._screen.say(", ".join(f"{count} {kind}" for kind, count in sorted(changes.items())) or "no change")
        stack.look_again()

    def fill(self, as_at_s: float) -> None:
        """Nothing: there is no sham on AWS."""

    def start(self, emit: Emit) -> Started:
        """Start the load, or find the run that has begun."""
        del emit  # the master records what it notices
        self._measure_clock()
        marker = Starter(self._stack, self._state).start()
        run_id = str(marker["run"])
        return Started(run_id, float(marker["started_at_unix_s"]), f"run {run_id} began")

    # -- under load

    def progress(self) -> Progress:
        """The run's progress according to its bucket; at its end, waits until the master has sent everything."""
        self._measure_clock()
        run_id, bucket = str(self._state.get("run_id")), self._stack.bucket("wait")
        shipped = self._ask(lambda: bucket.progress(run_id))
        ended = "" if shipped.ended == "running" else shipped.ended
        if not ended and self._is_silent(run_id, shipped):
            self._screen.say("the master is gone and did not finish writing the run; collect what there is")
            ended = "interrupted"
        elif ended:
            self._wait_until_closed(bucket, run_id)
        started = float(shipped.run.get("started_at_unix_s") or self._state.get("started_at_unix_s") or 0)
        return Progress(
            t_s=self.now() - started,
            duration_s=float(shipped.run.get("duration_s") or 0),
            ended=ended,
            cells={
                "in the bucket": f"{shipped.t_s + 1} s",
                "offered": f"{shipped.offered}/s",
                "achieved": f"{shipped.ok}/s",
            },
        )

    def _is_silent(self, run_id: str, shipped: Shipped) -> bool:
        """Whether nothing arrived for a while and the task that wrote has ended."""
        if shipped.newest is None:
            return False
        silent_s = self.now() - shipped.newest.timestamp()
        if silent_s < SILENT_S:
            return False
        # With access to the bucket only, the task cannot be checked: wait longer.
        writer = "" if self._stack.deployed.why_not else self._ask(lambda: self._stack.bucket("wait").writer(run_id))
        if writer and not self._ask(lambda: tunnel.task_runs(self._stack.cloud, writer)):
            return True
        return silent_s > GIVE_UP_S

    def _wait_until_closed(self, bucket: RunBucket, run_id: str) -> None:
        """Wait for the master's last object: seconds after the run's end, or at the end of a reshard in progress."""
        until = self._stack.cloud.clock() + CLOSING_S
        while True:
            shipped = self._ask(lambda: bucket.progress(run_id))
            over = shipped.closed or shipped.abandoned or self._is_silent(run_id, shipped)
            if over or self._stack.cloud.clock() > until:
                return
            self._screen.progress("the load is over; the master sends the rest")
            self.sleep(self.poll_s)

    def shards_before(self, move: Move) -> int | None:
        """How many shards own slots, according to the replication group."""
        self._measure_clock()
        return Resharder(self._stack).shards_before(move.to)

    def change(self, move: Move, emit: Emit, watch: Callable[[], Progress]) -> None:
        """Ask Pulumi for the change; only the replication group's own state counts as success."""
        del watch  # Resharder shows its own progress
        self._measure_clock()
        reshard = self._state.get("move") or {}
        if reshard.get("to", move.to) != move.to:
            problem = f"a reshard to {reshard['to']} shard(s) is still in progress"
            raise UsageError("reshard", "the replication group", problem, f"--to {reshard['to']}")
        Resharder(self._stack).change(move.to, emit)

    def tell(self, event: str, fields: Mapping[str, object]) -> bool:
        """Tell the master of the request for a reshard: it then keeps single arrivals.

        The master sees other events by itself, and a port-forward takes seconds.
        """
        if event != "reshard.requested":
            return False
        try:
            with self._stack.port_forward("reshard", agent_limit_s=TELL_S) as forward:
                if forward.master.live().get("state") != "running":
                    return False
                forward.master.event(event, fields)
        except (StepError, MasterError) as error:
            note = f"the master was not told ({error}); it watches the cache itself"
            self._screen.say(note.replace("\n", " "))
            return False
        return True

    def note(self, notes: Mapping[str, object]) -> None:
        """Nothing: the state on disk keeps the notes until the run is collected."""

    # -- after the load

    def collect(self) -> Path:
        """Fetch the run folder, and CloudWatch's data of the run."""
        stack, run_id = self._stack, str(self._state.get("run_id"))
        shipped = self._ask(lambda: stack.bucket("collect").progress(run_id))
        if shipped.run and shipped.ended == "running" and not self._is_silent(run_id, shipped):
            raise UsageError("collect", f"run {run_id}", "it is still running", "python -m experiment wait")
        collected = self._ask(
            lambda: collect.collect(
                stack.cloud,
                run_id,
                stack.exports("collect"),
                stack.runs,
                why_no_stack=stack.deployed.why_not,
                say=self._screen.say,
            )
        )
        self._missing = collected.missing
        for lack in collected.missing:
            self._screen.say(f"missing: {lack}")
        return collected.folder

    def facts(self, folder: Path) -> dict[str, object]:
        """Settings, engine, function, the actual reshard and the cost; empty if the folder has them already."""
        stack = self._stack
        if "experiment" in runfolder.read_run(folder):
            return {}
        reshard = notes.reshard_of(list(runfolder.read_lines(folder, runfolder.EVENTS)))
        facts: dict[str, object] = {"missing": self._missing, **({"reshard": reshard} if reshard else {})}
        if stack.deployed.why_not:
            return facts
        began = (reshard or {}).get("from")
        facts |= notes.of_settings(stack.settings, shards_at_start=began)
        facts["experiment"] = {
            "steps": self._state.get("steps"),
            "clock_offset_s": round(stack.cloud.clock_offset.seconds, 3),
            "region": stack.cloud.region,
        }
        # For a stack that was deployed by hand, only the run's own hours are known.
        since = self._state.began_at("up")
        cost = costs.of_run(stack, folder, since, shards=int((reshard or {}).get("to") or 0))
        self._screen.say("cost so far and of the destroy: " + cost.sentence())
        return {**facts, "cost": cost.as_json()}

    def audit(self, sessions: Sequence[str]) -> Mapping[str, Any]:
        """Invoke the audit function, inside the VPC."""
        return self._invoke_audit({"sessions": list(sessions)})

    def census(self) -> Mapping[str, Any]:
        """Invoke the audit function, inside the VPC."""
        return self._invoke_audit({"nodes": True})

    def _invoke_audit(self, event: Mapping[str, object]) -> Mapping[str, Any]:
        function = self._stack.exports("audit").get("auditFunctionName")
        resource = f"function {function}"
        if not function:
            problem = f"its function cannot be asked: {self._stack.deployed.why_not}"
            raise UsageError("audit", f"stack {self._stack.name}", problem, "audit a run before its stack is destroyed")

        def invoke() -> dict[str, Any]:
            with asking("audit", resource, "lambda:InvokeFunction"):
                payload = json.dumps(event).encode()
                answer = self._stack.cloud.functions.invoke(FunctionName=str(function), Payload=payload)
                body = answer["Payload"].read()
            again = "see its log group, then run `python -m experiment audit` again: it resumes"
            if answer.get("FunctionError"):
                raise StepError("audit", resource, f"it failed: {body[:500].decode(errors='replace')}", again)
            try:
                audited: Any = json.loads(body)
            except ValueError:
                audited = None
            if not isinstance(audited, dict):
                raise StepError("audit", resource, f"an answer that is no audit: {body[:200]!r}", again)
            return audited

        return self._ask(invoke)

    def down(self) -> None:
        """Remove the stack, then list what still exists."""
        stack, settings = self._stack, self._stack.settings
        run_id = self._state.get("run_id")
        if run_id and not self._state.done("collect") and not self._sure:
            kept = "the bucket is kept, but not CloudWatch's metrics" if settings.keep_results else "nothing is kept"
            problem = f"it is not collected ({kept})"
            raise UsageError("destroy", f"run {run_id}", problem, "python -m experiment collect; or --yes")
        leftovers.destroy(stack, keep=settings.keep_results)
        self._state.save(destroyed_unix_s=self._stack.cloud.clock())

    def standing(self) -> str:
        """What runs and costs money, and how to resume or stop it; empty when nothing does."""
        state = self._state
        if not state.began_at("up") or (state.get("destroyed_unix_s") and not state.done("up")):
            return ""
        price = state.get("usd_per_hour")
        costs_text = f"about ${price:.2f} an hour" if price else "at an unknown price"
        lines = [f"Stack {self._stack.name} is up, at least partly, and costs money: {costs_text}."]
        if state.get("run_id") and not state.done("wait"):
            lines.append(f"Run {state.get('run_id')} continues by itself and is written to the bucket.")
        if reshard := state.get("move"):
            lines.append(f"The reshard from {reshard['from']} to {reshard['to']} shard(s) continues at AWS by itself.")
        lines.append("To resume: the same command again. To stop everything: python -m experiment destroy")
        return "\n".join(lines)

    # -- used by every step

    def now(self) -> float:
        """AWS's clock, which is the masters' too."""
        return self._stack.cloud.now()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._stack.cloud.sleep(seconds)

    def _ask(self, ask: Callable[[], T]) -> T:
        return self._stack.patiently(ask)

    def _measure_clock(self) -> None:
        if not self._clock_measured:
            self._ask(self._stack.cloud.measure_clock)
            self._clock_measured = True
