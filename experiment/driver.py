"""One experiment, in either place: every step in order; each resumes where an earlier command stopped.

up -> start -> the planned moves -> wait -> collect -> audit -> report -> down
"""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import report
from contract import runfolder
from contract.exits import INVALID, OK
from experiment import audit, census
from experiment.errors import ExperimentError, PassingError, UsageError
from experiment.events import Events
from experiment.moments import LateError, Moments
from experiment.place import Place, Progress
from experiment.plan import Move, Plan
from experiment.screen import Screen
from experiment.state import State
from report.stalls import SLOW_MS


class Experiment:
    """The steps of one experiment in one place.

    `state` remembers what was done. In a place that outlives the command it is a file, so the same command resumes
    after an interruption. `notes` are the keys of run.json that are known before anything starts.
    """

    def __init__(
        self, place: Place, state: State, screen: Screen, *, gates: Sequence[str], notes: Mapping[str, Any]
    ) -> None:
        self.place = place
        self.state = state
        self.screen = screen
        self._events = Events(place, state, self._show_event)
        self._moments = Moments(place, state)
        self._gates = list(gates)
        self._notes = dict(notes)

    def run(self, plan: Plan, *, down: bool) -> int:
        """Play the whole experiment and return its exit code.

        In a place that ends with the command, everything that was started is ended in any case, and the report covers
        what was written.
        """
        try:
            self._play(plan)
        except (KeyboardInterrupt, ExperimentError) as error:
            if self.place.outlives_command:
                raise
            self._problem(str(error) or "interrupted; every process was ended, and the report covers what was written")
            self.place.down()
            if self.collect() is None:
                return error.exit_code if isinstance(error, ExperimentError) else INVALID
        finally:
            if not self.place.outlives_command:
                self.place.down()
        code = max(self.report(), INVALID if self.problems else OK)
        folder = self.folder()
        if down:
            self.down()
        self.state.archive(folder)
        return code

    def _play(self, plan: Plan) -> None:
        self.state.save(plan=plan.as_json())
        if not self.state.done("start"):
            self.up(plan.moves)
        self.start()
        self._make_moves(plan)
        for step in (self.wait, self.collect, self.audit):
            if not self.state.done(step.__name__):
                step()

    # -- before the load

    def up(self, moves: Sequence[Move] = ()) -> None:
        """Start everything that the program declares, and fill what is to be filled before the load."""
        with self._step("up"):
            self.place.up(moves)
            self._moments.fill_before_the_load(moves)

    def start(self) -> None:
        """Start the load, unless it was started before."""
        if self.state.done("start"):
            return
        is_first_try = self.state.began_at("start") is None
        with self._step("start"):
            counted_unix_s = self.place.now()
            keys = census.keys_before(self.place.census) if is_first_try else self.state.get("keys_before")
            self.state.save(keys_before=keys)
            started = self.place.start(self._events)
            if started.started_at_unix_s < counted_unix_s:  # the load was running already
                self.state.save(keys_before=None)
            self.state.save(run_id=started.run_id, started_at_unix_s=started.started_at_unix_s)
            self.place.note(self._all_notes())
            if "cycles" in (self.state.get("plan") or {}):
                self._events("cycles.started")
            self.screen.say(started.follow)

    # -- under load

    def _make_moves(self, plan: Plan) -> None:
        """Make each move at its time. A failed move is evidence too: the run continues and is collected."""
        for number, move in enumerate(plan.moves):
            if number < self.state.get("moves_made", 0) or self.state.done("wait"):
                continue
            if self.state.get("move") is None and not self._comes_to(move):
                return
            try:
                self.change(move)
            except (PassingError, UsageError):
                raise  # the move continues, or never began
            except ExperimentError as error:
                self._problem(f"the {move.kind} move to {move.to} shard(s) failed: {error}")
                return
            finally:
                if self.state.get("move") is None:
                    self.state.save(moves_made=number + 1)

    def _comes_to(self, move: Move) -> bool:
        """Fill what the move needs and wait for its second; False when there can be no move then."""
        try:
            if (filling := move.filling) and not (filling.during and self.wait(until_s=filling.during[0]).ended):
                self._moments.fill(filling)
            over = self.wait(until_s=move.at_s).ended
            if not over:
                self._moments.request(move)
        except LateError as error:
            self._problem(f"the {move.kind} move to {move.to} shard(s) was not made: {error}")
            return False
        if over:
            self.screen.say(f"the load is over before the move to {move.to} shard(s): none is made")
        return not over

    def change(self, move: Move) -> None:
        """Make one move under load, or resume one that was requested before."""
        with self.screen.step("reshard" if move.kind == "real" else "sham"):
            request = self.state.get("move")
            if request is None:
                before = self.place.shards_before(move)
                if before is None:
                    self.screen.say(f"the cluster already has {move.to} shard(s) with every slot")
                    return
                request = {"from": before, "to": move.to, "requested_unix_s": self.place.now()}
                self.state.save(move=request)
                self._events(f"{move.prefix}.requested", **self._labels(move, before))
            labels = self._labels(move, int(request["from"]))

            def emit(event: str, /, **fields: Any) -> None:
                self._moments.reach(event, move)
                self._events(event, **{**({} if event.endswith("slots.progress") else labels), **fields})

            try:
                self.place.change(move, emit, self._look)
            except (PassingError, UsageError):
                raise
            except ExperimentError as error:
                emit(f"{move.prefix}.failed", error=str(error))
                self.state.save(move=None)
                raise
            emit(f"{move.prefix}.finished")
            self.state.save(move=None)
            self._moments.close_window(move)

    def _labels(self, move: Move, before: int) -> dict[str, Any]:
        reshard = (self.state.get("plan") or {}).get("reshard") or {}
        return move.labels(before) | {name: reshard[name] for name in ("migration",) if name in reshard}

    def wait(self, until_s: float | None = None) -> Progress:
        """Follow the run to its end, or to a planned second."""
        with self._step("wait") if until_s is None else contextlib.nullcontext():
            while True:
                progress = self._look()
                if progress.ended or (until_s is not None and progress.t_s >= until_s):
                    self.screen.end_live()
                    return progress
                rest_s = self.place.poll_s if until_s is None else min(self.place.poll_s, until_s - progress.t_s)
                self.place.sleep(max(0.0, rest_s))

    def _look(self) -> Progress:
        progress = self.place.progress()
        self.screen.load(progress)
        return progress

    def _show_event(self, event: str, fields: Mapping[str, Any]) -> None:
        if event.endswith("slots.progress"):
            sham = " (sham)" if event.startswith("sham.") else ""
            self.screen.slots = f"{fields['moved']}/{fields['total']}{sham}"
        elif event.endswith("slots.retried"):
            self.screen.say(f"{fields['slots']} slots {fields['state']}, tried again: {fields['message']}".rstrip(": "))
        elif event.endswith(("finished", "failed")):
            self.screen.slots = ""

    # -- after the load

    def collect(self) -> Path | None:
        """Bring the run folder here, and add what only this command and the place know."""
        with self._step("collect"):
            folder = self.place.collect()
            if folder is None:
                return None
            self._events.write(folder)
            run = runfolder.read_run(folder)
            unsaid = {name: value for name, value in self._all_notes().items() if name not in run}
            runfolder.update_run(folder, {**unsaid, "where": self.place.name})
            runfolder.update_run(folder, self.place.facts(folder))
            self.state.save(folder=str(folder))
        return folder

    def audit(self) -> None:
        """Read every acknowledged session back and compare it."""
        folder = self.folder()
        with self._step("audit"):
            result = audit.audit(
                folder,
                self.place.audit,
                lambda done, of: self.screen.progress(f"{done:,} of {of:,} sessions"),
                ask_nodes=self.place.census,
            )
            self.screen.say(
                f"{result['checked']:,} of {result['acknowledged']:,} sessions checked, "
                f"{result['missing']} missing, {result['different']} different"
            )
            for problem in (result.get("nodes") or {}).get("problems", []):
                self.screen.say(problem)

    def fetch(self) -> int:
        """Everything after the load, for a run that was started anywhere."""
        self.wait()
        folder = self.collect()
        if folder is not None and audit.is_complete(folder):
            self.screen.say("audited already")
        else:
            try:
                self.audit()
            except UsageError as error:  # the report says it too
                self.screen.say(f"not audited: {error.said}")
        return self.report()

    def report(self) -> int:
        """Make the report of the collected run; its exit code."""
        folder = self.folder()
        if self.problems:
            runfolder.update_run(folder, {"problems": self.problems})
        with self._step("report"):
            result = report.build(folder, added=self._gates)
            self.screen.say(f"{result.verdict}\n\nReport: {_as_typed(result.html)}")
        return result.exit_code

    def down(self) -> None:
        """Remove everything that `up` made."""
        with self.screen.step("destroy"):
            self.place.down()
        self.state.forget("up")

    # -- used by every step

    @property
    def problems(self) -> list[str]:
        """What went wrong beside the load; any makes the run INVALID."""
        return self.state.get("problems", [])

    def folder(self) -> Path:
        """The collected run folder."""
        folder = self.state.get("folder")
        if folder is None or not runfolder.holds_run(Path(folder)):
            raise UsageError("report", str(folder or "the run"), "it is not collected", "python -m experiment collect")
        return Path(folder)

    def _all_notes(self) -> dict[str, Any]:
        plan: dict[str, Any] = self.state.get("plan") or {}
        before = self.state.get("keys_before")
        held = {} if before is None else {"keys_before": before}
        return {"where": self.place.name, "gates": self._gates, "slow_ms": SLOW_MS, **held, **self._notes, **plan}

    def _problem(self, text: str) -> None:
        self.screen.problem(text)
        self.state.save(problems=[*self.problems, text])

    @contextlib.contextmanager
    def _step(self, name: str) -> Generator[None]:
        with self.screen.step(name):
            self.state.begin(name)
            yield
        self.state.finish(name)


def _as_typed(path: Path) -> Path:
    """A path as the user would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
