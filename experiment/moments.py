"""The planned moments of a run of cycles: the driver waits for each, and refuses to go on when one is missed.

Going on would take from a flank or from a window. A single reshard has no such moments.
"""

from collections.abc import Sequence

from experiment.errors import ExperimentError
from experiment.place import Place
from experiment.plan import LATE_S, Filling, Move
from experiment.state import State

# Before second 0 the warming is over for at least so long.
WARMED_S = 0.8
_TO_DO = "the machine is too busy: end other programs, or lower --load-scale"


class LateError(ExperimentError):
    """A moment was missed."""


class Moments:
    """Moments of the run that `state` knows, by the clock of `place`."""

    def __init__(self, place: Place, state: State) -> None:
        self._place = place
        self._state = state

    def fill_before_the_load(self, moves: Sequence[Move]) -> None:
        """Fill the sham's cluster if the plan has no time for it under load."""
        for filling in (move.filling for move in moves):
            if filling is not None and filling.during is None:
                self._place.fill(filling.as_at_s)

    def fill(self, filling: Filling) -> None:
        """Fill the sham's cluster in the time that there is for it.

        Where that was before the load, add what the warming has written since to the application's cluster.
        """
        if filling.during is None:
            self._place.sleep(max(0.0, -WARMED_S - self._now_s()))
        self._place.fill(filling.as_at_s)
        if filling.during is not None:
            self._wait_for(filling.during[1], "the idle time after filling the sham's cluster")

    def request(self, move: Move) -> None:
        """Return when the move is to be requested."""
        if move.window is not None:
            self._wait_for(move.at_s, "its request")

    def reach(self, event: str, move: Move) -> None:
        """Return when an event may come: the first slot moves equally long after each move's request."""
        if move.window is not None and event.endswith("slots.started"):
            self._wait_for(move.window[0], "its first slot")

    def close_window(self, move: Move) -> None:
        """Refuse a move that lasted longer than its window."""
        if move.window is None:
            return
        first_s, last_s = move.window
        now_s = self._now_s()
        if now_s > last_s:
            raise LateError(
                f"it lasted {now_s - first_s:.1f} s from its first slot to its last node, longer than the window of "
                f"{last_s - first_s:.1f} s; {_TO_DO}"
            )

    def _now_s(self) -> float:
        return self._place.now() - float(self._state.get("started_at_unix_s"))

    def _wait_for(self, at_s: float, what: str) -> None:
        early_s = at_s - self._now_s()
        if early_s < -LATE_S:
            raise LateError(f"{what} was due at {at_s:.1f} s and came {-early_s:.1f} s late; {_TO_DO}")
        self._place.sleep(max(0.0, early_s))
