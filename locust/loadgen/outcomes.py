"""What can become of an arrival, and the row that says so: the one format between the sender and the books.

Every arrival that a worker was given becomes exactly one row.
"""

import struct
from typing import NamedTuple

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
    """One arrival: seconds from the common start (nan: it did not happen), the function's figures in us (-1: none)."""

    k: int
    planned_s: float
    sent_s: float
    done_s: float
    outcome: int
    connection_us: int
    write_us: int
    read_us: int
    redirects: int
    retries: int
    session: bytes


ROW = struct.Struct("<qdddHiiiHH16s")
NO_SESSION = bytes(16)
