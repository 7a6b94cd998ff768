"""What each place promises of a run. A promised fact that is missing makes the run INVALID; any other is a limit.

The table is the one in docs/report.md; a test holds them equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from contract.runfolder import TIMINGS
from contract.runread import Run
from report.checks.check import FAIL, PASS, UNKNOWN, RunCheck

REHEARSAL, AWS, GENERATOR, OWN = "rehearsal", "AWS", "generator alone", "application of one's own"
PLACES = (REHEARSAL, AWS, GENERATOR, OWN)
_PLACE_OF = {"rehearsal": REHEARSAL, "aws": AWS, "generator": GENERATOR}


@dataclass(frozen=True)
class Promise:
    """One fact. For each place: None where it is promised, else why it is not."""

    key: str
    says: str
    unpromised: tuple[str | None, str | None, str | None, str | None] = (None, None, None, None)

    def limit(self, place: str) -> str | None:
        """Why a place does not promise it; None if it does."""
        return self.unpromised[PLACES.index(place)]


_NO_SERVER = "nothing is known of the servers"
_NO_MOVE = "nothing is resharded"
_NO_BUCKET = "there is no bucket"
_MINUTES = "by minute from CloudWatch"
_SAYS_NOTHING = "its replies say nothing of themselves"
PROMISES = (
    Promise("ledger", "every planned second with the outcome of each arrival, as the profile plans it"),
    Promise("latencies", "response, service and lag of each arrival, second by second"),
    Promise("workers", "CPU and clock of each worker that took part"),
    Promise("single", "each single arrival around a move", (None, None, _NO_MOVE, _NO_MOVE)),
    Promise("timings", "the application's timings with each good reply", (None, None, None, _SAYS_NOTHING)),
    Promise("cold", "whether the environment of a good reply was cold", (None, None, None, _SAYS_NOTHING)),
    Promise("sessions", "the session of each good reply", (None, None, None, "it has no sessions")),
    Promise("audit", "each session read back after the load", (None, None, "nobody reads them back", "nobody can")),
    Promise("held", "what each node holds after the load", (
        None, "as far as the audit function reaches the nodes", "nobody asks them", "nobody can")),
    Promise("described", "settings, engine, and what was warmed before second 0", (None, None, _NO_SERVER, _NO_SERVER)),
    Promise("exact", "the moment at which slots start and stop moving", (
        None, "known within the seconds between two answers of AWS", _NO_MOVE, _NO_MOVE)),
    Promise("sham", "a sham beside each move", (None, "there is no sham", _NO_MOVE, _NO_MOVE)),
    Promise("machine", "the machine's CPU each second, and what of it the rehearsal used", (
        None, "Lambda and ElastiCache do not tell it", _NO_SERVER, _NO_SERVER)),
    Promise("nodes", "figures of each node each second", (None, _MINUTES, _NO_SERVER, _NO_SERVER)),
    Promise("environments", "the function's environments each second", (None, _MINUTES, _NO_SERVER, _NO_SERVER)),
    Promise("evidence", "the master's list of the bytes that it sent to the bucket", (
        _NO_BUCKET, None, _NO_BUCKET, _NO_BUCKET)),
)  # fmt: skip
_OF_THE_APPLICATION = ("timings", "cold", "sessions", "audit", "held")
_BY_KEY = {promise.key: promise for promise in PROMISES}


def place_of(run: Run) -> str | None:
    """The column of the run; None if run.json names no known place."""
    return _PLACE_OF.get(run.text("where"))


def limit_of(run: Run, key: str) -> str | None:
    """Why a fact is not promised of this run; None if it is. An unknown place promises everything."""
    place = place_of(run)
    if place is None:
        return None
    limit = _BY_KEY[key].limit(place)
    if limit is None and key in _OF_THE_APPLICATION and not is_ours(run):
        return _BY_KEY[key].limit(OWN)
    return limit


def is_ours(run: Run) -> bool:
    """Whether our function answered. The generator alone learns it only from the replies."""
    if tuple(run.timings) != TIMINGS:
        return False
    return place_of(run) != GENERATOR or any(int(run.latency[timing].totals.sum()) for timing in run.timings)


def absent(run: Run, key: str) -> str:
    """The state of a check whose fact the run folder does not hold."""
    return FAIL if limit_of(run, key) is None else UNKNOWN


def promises(run: Run) -> Iterator[RunCheck]:
    """The place is known, and what it does not promise is named."""
    place = place_of(run)
    limits = {promise.says: limit_of(run, promise.key) for promise in PROMISES}
    unpromised = [f"{says} ({limit})" for says, limit in limits.items() if limit not in (None, _NO_BUCKET)]
    yield RunCheck(
        "Place known",
        FAIL if place is None else PASS,
        f"where is {run.meta.get('where')!r}" if place is None else f"{place}; not known here: "
        + ("; ".join(unpromised) or "nothing"),
        f"one of {', '.join(_PLACE_OF)}",
        "What a run must hold depends on where it ran.",
    )  # fmt: skip


def table() -> str:
    """The table of docs/report.md."""
    rows = [["a run holds", *PLACES], ["---"] * 5]
    rows += [
        [promise.says, *("yes" if limit is None else limit for limit in promise.unpromised)] for promise in PROMISES
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
