"""What a worker and the master say to each other: a report a few times a second, and its answer, the orders."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from loadgen.leases import Share


class RunPlan(TypedDict):
    """A run, as a worker needs to know it."""

    profile: str
    scale: str
    compress: str
    host: str
    connection: str
    timings: Sequence[str]
    time_limit_s: float
    connect_limit_s: float
    max_in_flight: int
    start_unix_s: float
    warm: int


class Warmed(TypedDict):
    """What became of a worker's requests before second 0; `causes` of those without a good reply."""

    requests: int
    sessions: int
    said_cold: int
    cold: int
    causes: Mapping[str, int]


class Report(TypedDict):
    """A worker's message. `rows` and `details` are there only while the worker takes part in a run, `warmed` once."""

    name: str  # what Locust calls the process
    worker_id: str  # a new one when the process joins again after it was declared lost
    run: str | None
    leaving: bool
    sent: float
    offset_ms: float
    round_trip_ms: float
    cpu_s: float
    crash: str
    rows: NotRequired[bytes]
    details: NotRequired[Sequence[tuple[float, str, str]]]
    warmed: NotRequired[Warmed]


class Orders(TypedDict):
    """The master's answer. `plan` is there only for a worker that does not take part in the run yet."""

    worker_id: str
    sent: float  # copied from the report, so that the worker knows the round trip
    master: float
    run: str | None
    lost: bool
    shares: Sequence[Share]
    bye: bool
    plan: NotRequired[RunPlan]
