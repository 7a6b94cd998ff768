"""What differs between the places where an experiment can run: this machine (rehearsal/) and AWS (experiment/aws/).

Everything that is not named here is written once, in `experiment.driver`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from experiment.plan import Move


class Emit(Protocol):
    """Receives events of a move: a name of docs/run-folder.md and the event's fields."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Record it."""
        ...


@dataclass(frozen=True)
class Started:
    """A run that has begun."""

    run_id: str
    started_at_unix_s: float
    follow: str
    """Where a person can follow it."""


@dataclass(frozen=True)
class Progress:
    """How far the load is."""

    t_s: float
    duration_s: float
    ended: str
    """How the run ended (docs/run-folder.md); empty while it goes on."""
    cells: Mapping[str, str]
    """What to show of it, by heading."""


class Place(Protocol):
    """One place, as the driver uses it. Methods raise ExperimentError when a step cannot be done."""

    name: str
    """`where` of run.json."""
    outlives_command: bool
    """Load and reshard go on when the command ends, and the same command goes on with them."""
    poll_s: float
    """How often the load is looked at, seconds."""

    def up(self, moves: Sequence[Move]) -> None:
        """Make everything stand that the program declares, and what `moves` need; the load generator waits."""
        ...

    def fill(self, moves: Sequence[Move]) -> None:
        """Write the data that must be there before the load, `moves` included."""
        ...

    def start(self, emit: Emit) -> Started:
        """Start the load; `emit` takes what the place notices by itself during the run."""
        ...

    def progress(self) -> Progress:
        """How far the load is now."""
        ...

    def shards_before(self, move: Move) -> int | None:
        """How many shards own slots now; None when the cluster is already as `move` wants it."""
        ...

    def change(self, move: Move, emit: Emit, watch: Callable[[], Progress]) -> None:
        """Play one move to its end, or go on with the one that was asked for before.

        `emit` takes what happens meanwhile. `watch` draws the load, called every `poll_s` or so while the move lasts.
        """
        ...

    def tell(self, event: str, fields: Mapping[str, object]) -> bool:
        """Hand an event to the master, which stamps it; False if the driver has to write it when the run is over."""
        ...

    def note(self, notes: Mapping[str, object]) -> None:
        """Hand keys for run.json to the master, as far as it can be reached now."""
        ...

    def facts(self, folder: Path) -> dict[str, object]:
        """Keys of run.json that only the place knows of the collected run (docs/run-folder.md)."""
        ...

    def collect(self) -> Path | None:
        """Bring the run folder here, complete; None when nothing was written."""
        ...

    def audit(self, sessions: Sequence[str]) -> Mapping[str, Any]:
        """Ask the declared audit function about some sessions; returns its answer (docs/function.md)."""
        ...

    def down(self) -> None:
        """Remove everything that `up` made; says what is left."""
        ...

    def standing(self) -> str:
        """What still runs or costs money, and how to go on or stop it; empty when nothing does."""
        ...

    def now(self) -> float:
        """Unix seconds by the clock that the master has."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...
