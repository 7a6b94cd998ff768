"""The place "this machine": local counterparts of what the program declares, as the driver uses them."""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contract import runfolder
from contract.master import MasterError
from experiment import program
from experiment.errors import ExperimentError
from experiment.place import Emit, Progress, Started
from experiment.plan import Move
from experiment.screen import Screen
from rehearsal import declared as declaration
from rehearsal.cluster import Cluster
from rehearsal.fill import fill
from rehearsal.load import LoadError
from rehearsal.observer import Observer
from rehearsal.options import Options
from rehearsal.reshard import ReshardError, reshard
from rehearsal.stack import LocalStack

_START_LIMIT_S = 30.0
# How long slots may still move after the load's end; the report tells that they did.
_MOVE_LIMIT_S = 600.0
_END_STATES = ("finished", "stopped", "interrupted")


class Here:
    """One rehearsal's processes and its run folder. No process outlives the command."""

    name = "rehearsal"
    outlives_command = False
    poll_s = 0.25

    def __init__(self, options: Options, run_dir: Path, screen: Screen) -> None:
        self._options = options
        self._run_dir = run_dir
        self._screen = screen
        self._declared: dict[int, list[program.Resource]] = {}
        """By number of shards."""
        self._started_at_unix_s: float | None = None
        self._stack: LocalStack | None = None
        self._observer: Observer | None = None
        self._emit: Emit | None = None
        self._limit_told = False
        self._state: dict[str, Any] = {}
        self._facts: dict[str, object] = {}

    @property
    def _running(self) -> LocalStack:
        if self._stack is None:
            raise ExperimentError("nothing runs: `up` comes first")
        return self._stack

    # -- before the load

    def up(self, moves: Sequence[Move]) -> None:
        """Start clusters, functions, master and workers as they are declared."""
        options = self._options
        # Both now: running the program takes a core for seconds, and moves are to start on time.
        for count in options.plan.shards:
            self._declared[count] = program.declare({**options.values, "shardCount": count}, options.stack)
        program.refuse_other_changes(self._changes(options.plan.shards[1]))
        declared = declaration.read(self._declared[options.plan.shards[0]])
        cache = declared.cache
        self._screen.say(
            f"starting {cache.shards} shard(s) x (1 + {cache.replicas}) nodes, the function and its listener, "
            f"{declared.worker.count} load workers"
        )
        self._stack = stack = LocalStack(declared, environments=options.environments, server=options.server)
        self._run_dir.mkdir(parents=True)
        stack.start_clusters(sham=any(move.kind == "sham" for move in moves))
        stack.start_functions(self._run_dir)
        stack.start_load(self._environment())
        function = declared.listener.function
        self._facts = {
            "engine": stack.cluster.engine(),
            "cluster_medium": stack.cluster.medium,
            "substitutions": stack.names.substitutions,
            "function": {
                "limit": options.environments,
                "memory_mb": function.memory_mb,
                "timeout_s": function.timeout_s,
            },
        }

    def _environment(self) -> dict[str, str]:
        """Variables that differ from the declared ones: AWS's without a local counterpart, and the rehearsal's own."""
        file = self._options.profile_file
        return {
            "LOAD_RUN_DIR": str(self._run_dir),
            "LOAD_RESULTS_BUCKET": "",
            "LOAD_CACHE_ID": "",
            "LOAD_AUTOSTART": "false",
            **({"LOAD_PROFILE": str(file)} if file else {}),
        }

    def fill(self, as_at_s: float) -> None:
        """Fill the sham's cluster: each arrival until then adds a key to those that the application's has now."""
        now_s = 0.0 if self._started_at_unix_s is None else self.now() - self._started_at_unix_s
        schedule = self._options.schedule
        coming = schedule.count_before(as_at_s) - schedule.count_before(now_s)
        fill(self._running.clusters["sham"], self._running.cluster.keys() + coming)

    def start(self, emit: Emit) -> Started:
        """Start the load and the sampling of nodes and machine."""
        self._emit = emit
        self._running.load.master.start(self._running.load.host)
        until = time.monotonic() + _START_LIMIT_S
        while self._state.get("state", "ready") == "ready" or not self._state.get("started_at_unix_s"):
            if time.monotonic() > until:
                raise LoadError(f"the load has not begun within {_START_LIMIT_S:.0f} s of its start")
            self.sleep(self.poll_s)
            self._state = self._running.load.live() or {}
        self._started_at_unix_s = started_at_unix_s = float(self._state["started_at_unix_s"])
        self._running.functions.run_starts(started_at_unix_s)
        self._observer = Observer(self._run_dir, started_at_unix_s, lambda: list(self._running.clusters.values()))
        self._observer.start()
        follow = f"Locust's web UI: {self._running.load.master.url}   run folder: {self._run_dir}"
        return Started(self._run_dir.name, started_at_unix_s, follow)

    # -- under load

    def progress(self) -> Progress:
        """The master's state now, or the last one that it sent."""
        self._state = state = self._running.load.live() or self._state
        if not self._limit_told and self._emit is not None and self._running.functions.limit_was_reached():
            self._limit_told = True
            self._emit("limit.reached", what=f"{self._options.environments} function environments")
        totals, recent = state.get("totals") or {}, state.get("last_10s") or {}
        p99 = ((recent.get("series") or {}).get("read") or {}).get("p99")
        return Progress(
            t_s=float(state.get("t_s") or 0.0),
            duration_s=float(state.get("duration_s") or 1.0),
            ended=state["state"] if state["state"] in _END_STATES else "",
            cells={
                "phase": str(state.get("phase") or "-"),
                "offered": f"{float(recent.get('offered_per_s') or 0):.1f}/s",
                "achieved": f"{float(recent.get('ok_per_s') or 0):.1f}/s",
                "not ok": str(sum(int(totals.get(name) or 0) for name in ("failed", "missed", "unknown"))),
                "read p99": "-" if p99 is None else f"{float(p99):.3f} ms",
            },
        )

    def shards_before(self, move: Move) -> int:
        """How many shards the cluster of this move has."""
        return len(self._cluster_of(move).shards)

    def _cluster_of(self, move: Move) -> Cluster:
        return self._running.clusters["application" if move.kind == "real" else "sham"]

    def change(self, move: Move, emit: Emit, watch: Callable[[], Progress]) -> None:
        """Run the program with the new shardCount, as `pulumi up` does, then reshard the cluster."""
        failure: list[Exception] = []

        def play() -> None:
            try:
                self._play(move, emit)
            except Exception as error:  # noqa: BLE001 - raised again below, in the thread that waits
                failure.append(error)

        thread = threading.Thread(target=play, name="move", daemon=True)
        thread.start()
        over_s: float | None = None
        while thread.is_alive():
            thread.join(self.poll_s)
            if watch().ended and over_s is None:
                over_s = time.monotonic()
            if over_s is not None and time.monotonic() - over_s > _MOVE_LIMIT_S:
                raise ReshardError(f"slots were still moving {_MOVE_LIMIT_S:.0f} s after the load's end")
        if failure:
            error = failure[0]
            if isinstance(error, ExperimentError):
                raise error
            raise ReshardError(f"{type(error).__name__}: {error}") from error
        if move.kind == "sham" and not self._later_shams(move):
            self._running.stop_sham()

    def _play(self, move: Move, emit: Emit) -> None:
        """Declare and move; a sham does the same work, so that it costs this machine the same."""
        options = self._options
        emit(f"{move.prefix}.declared", changed=sorted(self._changes(move.to)))

        def emit_move(event: str, /, **fields: Any) -> None:
            emit(event if move.kind == "real" else f"sham.{event}", **fields)

        reshard(self._cluster_of(move), move.to, options.migration, emit_move, slots_per_s=options.slots_per_s)

    def _changes(self, to: int) -> dict[str, list[str]]:
        before, after = self._options.plan.shards
        return program.changes(self._declared[before if to == after else after], self._declared[to])

    def _later_shams(self, move: Move) -> bool:
        return any(later.kind == "sham" and later.at_s > move.at_s for later in self._options.plan.moves)

    # -- what the driver records

    def tell(self, event: str, fields: Mapping[str, object]) -> bool:
        """Hand an event to the master, unless the run is over."""
        if self._state.get("state") in _END_STATES:
            return False
        try:
            self._running.load.master.event(event, fields)
        except MasterError:
            return False
        return True

    def note(self, notes: Mapping[str, object]) -> None:
        """Hand keys for run.json to the master."""
        self._running.load.master.notes(notes)

    def facts(self, folder: Path) -> dict[str, object]:
        """Engine, medium, function, and what replaced AWS."""
        del folder  # all of it is known since `up`
        return self._facts

    # -- after the load

    def collect(self) -> Path | None:
        """End the load; the run folder is here already."""
        self._end_load()
        if not runfolder.holds_run(self._run_dir):
            shutil.rmtree(self._run_dir, ignore_errors=True)  # it would look like a run without being one
            return None
        if runfolder.read_run(self._run_dir).get("ended") == "running":  # the master was lost before it wrote the end
            end = {"ended": "interrupted", "ended_at": runfolder.iso_utc(time.time())}
            runfolder.update_run(self._run_dir, end)
        return self._run_dir

    def audit(self, sessions: Sequence[str]) -> Mapping[str, Any]:
        """Invoke the declared audit function."""
        return self._running.functions.invoke_audit({"sessions": list(sessions)})

    def census(self) -> Mapping[str, Any]:
        """Invoke the declared audit function."""
        return self._running.functions.invoke_audit({"nodes": True})

    def _end_load(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer = None
        if self._stack is not None:
            self._stack.load.stop()

    def down(self) -> None:
        """End everything. A second Ctrl-C meanwhile is ignored, so that nothing is left behind."""
        with _signals_ignored():
            self._end_load()
            if self._stack is not None:
                self._stack.stop()

    def standing(self) -> str:
        """Nothing outlives the command."""
        return ""

    def now(self) -> float:
        """This machine's clock, which is the master's too."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


@contextmanager
def _signals_ignored() -> Generator[None]:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
