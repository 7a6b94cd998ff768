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
    """A started run."""

    run_id: str
    started_at_unix_s: float
    follow: str
    """Where a person can follow it."""


@dataclass(frozen=True)
class Progress:
    """The load's progress."""

    t_s: float
    duration_s: float
    ended: str
    """How the run ended (docs/run-folder.md); empty while it goes on."""
    cells: Mapping[str, str]
    """Values to show, by heading."""


class Place(Protocol):
    """One place, as the driver uses it. Methods raise ExperimentError when a step cannot be done."""

    name: str
    """`where` of run.json."""
    outlives_command: bool
    """Load and reshard continue when the command ends, and the same command resumes them."""
    poll_s: float
    """Seconds between two looks at the load."""

    def up(self, moves: Sequence[Move]) -> None:
        """Start everything that the program declares and `moves` need; the load generator waits."""
        ...

    def fill(self, as_at_s: float) -> None:
        """Give the sham's cluster as many keys as the application's will hold at `as_at_s`, in seconds of the run."""
        ...

    def start(self, emit: Emit) -> Started:
        """Start the load; `emit` receives events that the place notices by itself."""
        ...

    def progress(self) -> Progress:
        """How far the load is now."""
        ...

    def shards_before(self, move: Move) -> int | None:
        """How many shards own slots now; None when the cluster already is as `move` wants it."""
        ...

    def change(self, move: Move, emit: Emit, watch: Callable[[], Progress]) -> None:
        """Make one move, or resume one that was requested before; returns at its end.

        `emit` receives its events. `watch` shows the load and is called about every `poll_s` meanwhile.
        """
        ...

    def tell(self, event: str, fields: Mapping[str, object]) -> bool:
        """Pass an event to the master, which stamps it; False if the driver must write it after the run."""
        ...

    def note(self, notes: Mapping[str, object]) -> None:
        """Pass keys for run.json to the master, if it can be reached."""
        ...

    def facts(self, folder: Path) -> dict[str, object]:
        """Keys of the collected run's run.json that only the place knows (docs/run-folder.md)."""
        ...

    def collect(self) -> Path | None:
        """Bring the run folder here, complete; None when nothing was written."""
        ...

    def audit(self, sessions: Sequence[str]) -> Mapping[str, Any]:
        """Ask the declared audit function about sessions; returns its answer (docs/function.md)."""
        ...

    def census(self) -> Mapping[str, Any]:
        """Ask the declared audit function what each node holds; returns its answer (docs/function.md)."""
        ...

    def down(self) -> None:
        """Remove everything that `up` made; says what is left."""
        ...

    def standing(self) -> str:
        """What still runs or costs money, and how to resume or stop it; empty when nothing does."""
        ...

    def now(self) -> float:
        """Unix seconds by the master's clock."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
