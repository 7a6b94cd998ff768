"""How others follow a run on the master as it goes: statistics, what is sent to S3."""

from collections.abc import Mapping
from pathlib import Path

from contract.runfolder import Second
from loadgen.books import Batch


class RunObserver:
    """Told what happens in every run; override what matters."""

    def started(self, folder: Path, run: Mapping[str, object]) -> None:
        """The run folder exists, with this run.json."""

    def reported(self, batch: Batch) -> None:
        """A worker reported."""

    def second_closed(self, second: Second) -> None:
        """A planned second was written into seconds.csv: all of its arrivals have their outcome."""

    def closed(self) -> None:
        """The run folder is complete."""
