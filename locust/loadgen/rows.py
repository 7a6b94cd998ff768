"""The sender's results: a row for each arrival (`loadgen.outcomes`), and examples of failures."""

from collections import deque
from collections.abc import Callable, Sequence

from loadgen import outcomes

EXAMPLES = 20  # per outcome; a server that is down gives the same error thousands of times


class Rows:
    """Filled by the sender's thread, emptied by the agent's: a deque needs no lock for that."""

    def __init__(self, now: Callable[[], float], timings: Sequence[str]) -> None:
        self.timings = tuple(timings)
        self.pack = outcomes.row_struct(len(timings)).pack
        self.packed: deque[bytes] = deque()  # written where an exchange ends
        self.details: deque[tuple[float, str, str]] = deque()  # (second of the run, outcome, detail)
        self._now = now
        self._examples: dict[int, int] = {}  # kept so far, by outcome

    def example(self, outcome: int, detail: str) -> None:
        """Keep a detail, if there are few of its outcome so far."""
        kept = self._examples.get(outcome, 0)
        if kept < EXAMPLES:
            self._examples[outcome] = kept + 1
            self.details.append((self._now(), outcomes.name(outcome), detail))
