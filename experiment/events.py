"""Events of a run: the master stamps and writes them; those that it did not take are written after the run."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contract import runfolder
from experiment.place import Place
from experiment.state import State

# A move ends once: where the master saw it fail, the driver's "finished" is dropped, and the other way round.
_OTHER_END = {"finished": "failed", "failed": "finished"}


class Events:
    """The events of one run; an `Emit`. `seen` is called for each."""

    def __init__(self, place: Place, state: State, seen: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._place = place
        self._state = state
        self._seen = seen
        self._one_at_a_time = threading.Lock()  # the move and the load each have a thread that emits

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Record `event` now."""
        self._seen(event, fields)
        unix_s = self._place.now()
        with self._one_at_a_time:
            if not self._place.tell(event, fields):
                waiting = self._state.get("events", [])
                self._state.save(events=[*waiting, {"unix_s": unix_s, "event": event, "fields": fields}])

    def write(self, folder: Path) -> None:
        """Append the events that the master did not take, except those that it recorded by itself."""
        run = runfolder.read_run(folder)
        started_at_unix_s = float(str(run["started_at_unix_s"]))
        have = {_of(str(event.get("event")), event) for event in runfolder.read_lines(folder, runfolder.EVENTS)}
        of_this_run = True
        for note in self._state.get("events", []):
            name, fields = str(note["event"]), dict(note["fields"])
            t_s = float(note["unix_s"]) - started_at_unix_s
            if name.endswith(
                ".requested"
            ):  # a stack may have several runs: a move belongs to the one in progress at its time
                of_this_run = 0 <= t_s <= float(str(run["duration_s"]))
            head, _, end = name.rpartition(".")
            if {_of(name, fields), _of(f"{head}.{_OTHER_END.get(end, end)}", fields)} & have:
                continue
            if of_this_run:
                runfolder.append_event(folder, t_s, name, **fields)
        self._state.save(events=[])


def _of(name: str, fields: Mapping[str, Any]) -> tuple[object, ...]:
    """Identifies an event: each happens once per move; progress and failed tries many times."""
    return name, fields.get("cycle"), *(fields.get(key) for key in ("moved", "ranges", "attempt"))
