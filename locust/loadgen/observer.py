"""How Locust's statistics and the recorder follow a run on the master."""

from collections.abc import Mapping
from pathlib import Path

from contract.runfolder import Second
from loadgen.books import Batch


class RunObserver:
    """Called at what happens in a run; each method does nothing until it is overridden."""

    def started(self, folder: Path, run: Mapping[str, object]) -> None:
        """The run folder exists, with this run.json."""

    def reported(self, batch: Batch) -> None:
        """A worker reported."""

    def second_closed(self, second: Second) -> None:
        """A planned second was written into seconds.csv: all of its arrivals have their outcome."""

    def closed(self) -> None:
        """The run folder is complete."""
