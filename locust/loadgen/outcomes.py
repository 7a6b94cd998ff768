"""What can become of an arrival, and the row that says so: the one format between the sender and the books.

Every arrival that a worker was given becomes exactly one row.
"""

import struct
from typing import Any, NamedTuple

OK = 0
# Failed: the connection was attempted, so the arrival counts as sent.
REFUSED, RESET, CONNECT_TIMEOUT, TIMEOUT, LATE_REPLY, GARBAGE, OVERSIZED, CLOSED, UNREACHABLE = range(1, 10)
# Missed: nothing was sent.
IN_FLIGHT_CAP, NO_PORTS, NO_DESCRIPTORS, UNRESOLVED, OVERDUE, WORKER_LOST, NO_WORKER = range(100, 107)
HTTP = 1000  # + the status of a reply that is not 2xx

NAMES = {
    OK: "ok",
    REFUSED: "refused",
    RESET: "reset",
    CONNECT_TIMEOUT: "connect_timeout",
    TIMEOUT: "timeout",
    LATE_REPLY: "late_reply",
    GARBAGE: "garbage",
    OVERSIZED: "oversized",
    CLOSED: "closed",
    UNREACHABLE: "unreachable",
    IN_FLIGHT_CAP: "in_flight_cap",
    NO_PORTS: "no_ports",
    NO_DESCRIPTORS: "no_descriptors",
    UNRESOLVED: "unresolved",
    OVERDUE: "overdue",
    WORKER_LOST: "worker_lost",
    NO_WORKER: "no_worker",
}
UNKNOWN = "unknown"  # a lost worker's last arrivals: perhaps sent


def name(outcome: int) -> str:
    """The outcome's name in seconds.csv, arrivals.csv and failures.jsonl."""
    return NAMES[outcome] if outcome < HTTP else f"http_{outcome - HTTP}"


def is_missed(outcome: int) -> bool:
    """Whether nothing was sent."""
    return 100 <= outcome < HTTP


class Row(NamedTuple):
    """One arrival: seconds from the common start (nan: it did not happen), and what the application said of it.

    `cold`: whether the reply's environment was cold, `NOT_SAID` if it did not say. `timings_us` are in the order of
    run.json's `timings`, -1 where the reply has none.
    """

    k: int
    planned_s: float
    sent_s: float
    done_s: float
    outcome: int
    scenario: int
    cold: int
    redirects: int
    retries: int
    session: bytes
    timings_us: tuple[int, ...]

    @classmethod
    def of(cls, fields: tuple[Any, ...]) -> "Row":
        """From what `row_struct` unpacks: the timings last, each a field of its own."""
        return cls._make((*fields[:TIMINGS_AT], fields[TIMINGS_AT:]))


TIMINGS_AT = 10  # the place of the first timing among a packed row's fields
NO_SESSION = bytes(16)
NOT_SAID = -1
ONLY_SCENARIO = 0


def row_struct(timings: int) -> struct.Struct:
    """How a row travels from a worker to the master in a run with so many timings."""
    return struct.Struct(f"<qdddHBbHH16s{timings}i")
