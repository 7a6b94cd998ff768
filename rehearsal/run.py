"""One rehearsal from declaration to report."""

import shutil
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import report
from contract import runfolder
from function import session
from infra.settings import PRIVATE
from rehearsal import program, stack
from rehearsal.audit import audit
from rehearsal.cluster import ClusterError
from rehearsal.load import MasterError
from rehearsal.mover import Mover
from rehearsal.moves import expected_keys, fill
from rehearsal.observer import Observer
from rehearsal.options import USAGE, Options, default_out
from rehearsal.processes import ProcessError
from rehearsal.program import ProgramError
from rehearsal.recorder import Recorder
from rehearsal.stack import Stack, StackError
from rehearsal.view import View
from report.assemble import DEFAULT_GATES
from report.gates import read_gates

_INVALID = 2
_POLL_S = 0.25
_SILENT_LIMIT_S = 30.0
# After the load's end slots may still be moving (the report says so), but not for ever.
_MOVE_LIMIT_S = 600.0
_END_STATES = ("finished", "stopped", "interrupted")


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM."""


class Rehearsal:
    """Declare, start, load, reshard, audit, report."""

    def __init__(self, options: Options, view: View) -> None:
        self._options = options
        self._view = view
        self._run_dir = (options.out or default_out(options.stack, time.time())).resolve()
        self._problems: list[str] = []

    def run(self) -> int:
        """Run it and return the exit code. Whatever happens, every process that was started is ended."""
        with _signals_raise():
            try:
                self._rehearse()
            except Interrupted:
                self._problem("interrupted; every process was ended, and the report is of what was written")
            except ProgramError as error:
                self._problem(f"the declared program cannot be rehearsed: {error}")
                if not runfolder.holds_run(self._run_dir):
                    self._remove_empty()
                    return USAGE
            except (StackError, ProcessError, ClusterError, MasterError) as error:
                self._problem(str(error))
        if not runfolder.holds_run(self._run_dir):
            self._remove_empty()
            return _INVALID
        return self._report()

    def _problem(self, text: str) -> None:
        self._view.end_live()
        self._view.step(f"Problem: {text}")
        self._problems.append(text)

    def _rehearse(self) -> None:
        options, view = self._options, self._view
        view.step("Declaring: running __main__.py under Pulumi's mocks ...")
        resources = program.declare(options.values, options.stack)
        declared = stack.read(resources)
        self._run_dir.mkdir(parents=True)
        running = Stack(declared, environments=options.environments, server=options.server)
        try:
            view.step(
                f"Starting what {len(resources)} resources declare: {declared.cache.shards} shard(s) x "
                f"(1 + {declared.cache.replicas}) nodes, the function behind its listener, "
                f"{declared.worker.count} Locust workers ..."
            )
            sham = any(move.kind == "sham" for move in options.moves)
            running.start_clusters(sham=sham)
            if running.sham is not None:
                moment_s = next(move.at_s for move in options.moves if move.kind == "real")
                fill(running.sham, expected_keys(options.schedule, moment_s), _sessions)
            running.start_functions(self._run_dir)
            environment = {"LOAD_PROFILE": str(options.profile_file)} if options.profile_file else {}
            running.start_load(self._run_dir, environment)
            self._load(running, resources)
            view.step("Audit: reading every acknowledged session back ...")
            found = audit(self._run_dir, running.invoke_audit)
            view.step(
                f"Audit: {found['checked']} of {found['acknowledged']} sessions checked, "
                f"{found['missing']} missing, {found['different']} different"
            )
        finally:
            with _signals_ignored():
                running.stop()

    def _load(self, running: Stack, resources: list[program.Resource]) -> None:
        options, view = self._options, self._view
        running.master.swarm(running.host)
        state = _await(running, lambda state: state["state"] != "ready" and bool(state.get("started_at_unix_s")))
        started_at_unix_s = float(state["started_at_unix_s"])
        view.step(f"Load runs; Locust's web UI: {running.master.url}   run folder: {_shown(self._run_dir)}")
        running.tell_start(started_at_unix_s)
        running.master.notes(self._notes(running))
        recorder = Recorder(self._run_dir, started_at_unix_s, running.master, self._show_slots)
        observer = Observer(self._run_dir, started_at_unix_s, running.clusters)
        mover = Mover(
            options.moves,
            running,
            recorder,
            before=resources,
            values=options.values,
            stack=options.stack,
            migration=options.migration,
            slots_per_s=options.slots_per_s,
        )
        observer.start()
        mover.start()
        exhausted = False

        def watch(state: dict[str, Any]) -> bool:
            nonlocal exhausted
            if not exhausted and running.limit_was_reached():
                exhausted = True
                recorder("limit.reached", what=f"{running.environments} function environments")
            return self._show_load(state)

        try:
            _await(running, watch)
            recorder.load_ended()
            view.end_live()
            mover.finish(_MOVE_LIMIT_S)
        finally:
            observer.stop()
        self._problems += mover.problems
        running.stop_load()

    def _show_load(self, state: dict[str, Any]) -> bool:
        """Draw the load's progress; True once the master has closed the run folder."""
        series = (state.get("last_10s") or {}).get("series") or {}
        p99 = (series.get("read") or {}).get("p99")
        self._view.live(state, None if p99 is None else float(p99))
        return state["state"] in _END_STATES

    def _show_slots(self, event: str, fields: dict[str, Any]) -> None:
        if event.endswith("slots.progress"):
            self._view.slots = f"{fields['moved']}/{fields['total']}" + (" (sham)" if "sham" in event else "")

    def _notes(self, running: Stack) -> dict[str, Any]:
        options = self._options
        function = running.declared.listener.function
        real = [move for move in options.moves if move.kind == "real"]
        return {
            "where": "rehearsal",
            "stack": options.stack,
            "settings": {name: value for name, value in asdict(options.settings).items() if name not in PRIVATE},
            "engine": running.cluster.engine(),
            "cluster_medium": running.cluster.medium,
            "reshard": {
                "from": options.shards[0],
                "to": options.shards[1],
                "at_s": real[0].at_s,
                "migration": options.migration,
                **({"slots_per_s": options.slots_per_s} if options.migration == "slots" else {}),
            },
            **({"cycles": {"count": options.cycles, "seed": options.seed}} if options.cycles else {}),
            "command": options.command,
            "substitutions": running.substitutions,
            "function": {
                "limit": running.environments,
                "memory_mb": function.memory_mb,
                "timeout_s": function.timeout_s,
            },
        }

    def _report(self) -> int:
        run = runfolder.read_run(self._run_dir)
        if run.get("ended") == "running":  # the master was lost before it could say so
            end = {"ended": "interrupted", "ended_at": runfolder.iso_utc(time.time())}
            runfolder.update_run(self._run_dir, end)
        if self._problems:
            runfolder.update_run(self._run_dir, {"problems": self._problems})
        self._view.step("Report ...")
        gates = [*read_gates(DEFAULT_GATES), *self._options.gates]
        result = report.build(self._run_dir, gates)
        self._view.step(f"\n{result.verdict}\n\nReport: {_shown(result.html)}")
        return max(result.exit_code, _INVALID if self._problems else 0)

    def _remove_empty(self) -> None:
        """Leave no folder behind that looks like a run and holds none."""
        if self._run_dir.is_dir():
            shutil.rmtree(self._run_dir)


def _await(running: Stack, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask the master until `done` says so.

    Raises:
        ProcessError: the master or a worker has ended.
        StackError: the master has not answered for 30 s.
    """
    answered_s = time.monotonic()
    while True:
        running.check_load()
        try:
            state = running.master.live()
        except MasterError as error:
            if time.monotonic() - answered_s > _SILENT_LIMIT_S:
                raise StackError(f"the Locust master has not answered for {_SILENT_LIMIT_S:.0f} s: {error}") from error
        else:
            answered_s = time.monotonic()
            if done(state):
                return state
        time.sleep(_POLL_S)


@contextmanager
def _signals_raise() -> Generator[None]:
    """Ctrl-C and SIGTERM raise Interrupted in the main thread."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise Interrupted

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _signals_ignored() -> Generator[None]:
    """While processes are being ended, a second Ctrl-C must not leave some of them behind."""
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _sessions(count: int) -> list[tuple[str, dict[str, str]]]:
    """Keys and fields of sessions that nobody acknowledged, for the sham."""
    drawn = [session.new_id() for _ in range(count)]
    return [(session.key(each), session.fields(each)) for each in drawn]


def _shown(path: Path) -> Path:
    """A path as the user would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
