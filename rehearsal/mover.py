"""Plays the planned moves at their times, in a thread beside the load."""

import threading
import time
from collections.abc import Mapping, Sequence

from rehearsal.cluster import ClusterError
from rehearsal.moves import PlannedMove, play
from rehearsal.program import ProgramError, Resource
from rehearsal.recorder import Recorder
from rehearsal.reshard import Migration, ReshardError
from rehearsal.stack import Stack


class Mover:
    """The moves of one run. `problems` says what went wrong, if anything did."""

    def __init__(
        self,
        moves: Sequence[PlannedMove],
        running: Stack,
        recorder: Recorder,
        *,
        before: list[Resource],
        values: Mapping[str, object],
        stack: str,
        migration: Migration,
        slots_per_s: float,
    ) -> None:
        self._moves = moves
        self._running = running
        self._recorder = recorder
        self._before = before
        self._values = values
        self._stack = stack
        self._migration: Migration = migration
        self._slots_per_s = slots_per_s
        self._load_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="moves", daemon=True)
        self.problems: list[str] = []

    def start(self) -> None:
        """Begin to wait for the first move's time."""
        self._thread.start()

    def finish(self, limit_s: float) -> None:
        """The load is over: drop moves whose time never came, wait for the one that has begun."""
        self._load_over.set()
        self._thread.join(limit_s)
        if self._thread.is_alive():
            self.problems.append(f"slots were still moving {limit_s:.0f} s after the load's end")

    def _run(self) -> None:
        last_sham = max((index for index, move in enumerate(self._moves) if move.kind == "sham"), default=-1)
        for index, move in enumerate(self._moves):
            if self._load_over.wait(max(0.0, self._recorder.started_at_unix_s + move.at_s - time.time())):
                return
            cluster = self._running.cluster if move.kind == "real" else self._running.sham
            if cluster is None:
                continue
            try:
                play(
                    move,
                    cluster,
                    before=self._before,
                    values=self._values,
                    stack=self._stack,
                    migration=self._migration,
                    slots_per_s=self._slots_per_s,
                    record=self._recorder,
                )
            except (ProgramError, ReshardError, ClusterError, OSError) as error:
                self.problems.append(f"the {move.kind} move to {move.to} shards failed: {error}")
                return
            except Exception as error:  # noqa: BLE001 - a thread that ended unseen would look like a run without a move
                self.problems.append(
                    f"the {move.kind} move to {move.to} shards failed: {type(error).__name__}: {error}"
                )
                return
            if index == last_sham:
                self._running.stop_sham()
