"""Where the rehearsal's events go: through the master while it writes the run folder, into the folder afterwards."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contract import runfolder
from rehearsal.load import Master, MasterError


class Recorder:
    """Records events of a running load; an `Emit`.

    Args:
        run_dir: the run folder.
        started_at_unix_s: the run's start.
        master: who stamps events while the load runs.
        watch: told of every event as well.
    """

    def __init__(
        self, run_dir: Path, started_at_unix_s: float, master: Master, watch: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self.run_dir = run_dir
        self.started_at_unix_s = started_at_unix_s
        self._master: Master | None = master
        self._watch = watch

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Record `event` now; an event that the master does not take is written by this process."""
        self._watch(event, fields)
        t_s = time.time() - self.started_at_unix_s
        if self._master is not None:
            try:
                self._master.event(event, fields)
            except MasterError:
                pass
            else:
                return
        runfolder.append_event(self.run_dir, t_s, event, **fields)

    def load_ended(self) -> None:
        """The master has closed the run folder: later events are appended to it here."""
        self._master = None
