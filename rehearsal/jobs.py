"""Atomic slot migration (Valkey 9): the source's jobs, followed to their end and tried again when they fail.

CLUSTER MIGRATESLOTS starts a job on the source. It sends a snapshot of the job's slots, then what changes in them, and
at last all slots of the job change their owner at once. Until then the source keeps their keys and serves them, so
clients meet no ASK.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

from redis.exceptions import RedisError, ResponseError

from experiment.errors import ExperimentError
from rehearsal.cluster import Node

_TRIES = 3
_JOB_LIMIT_S = 600.0
_POLL_S = 0.01
_END_STATES = ("success", "failed", "cancelled")
# GETSLOTMIGRATIONS tells of all jobs in the server's log, 1,000 by default: reading them at each poll would cost more
# than the move.
_LOG_LENGTH = 16


class MigrationError(ExperimentError):
    """Slots could not be moved by atomic migration; the message has what became of every try."""


@dataclass(frozen=True)
class FailedTry:
    """A job that did not move its slots and is started again."""

    attempt: int
    state: str
    """`failed` or `cancelled` as the server says it; `refused` when it did not start the job."""
    message: str
    slots: int
    ranges: str


def ranges_of(slots: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted slots as inclusive ranges."""
    ranges: list[tuple[int, int]] = []
    for _, group in groupby(enumerate(slots), key=lambda pair: pair[1] - pair[0]):
        run = [slot for _, slot in group]
        ranges.append((run[0], run[-1]))
    return ranges


def migrate(
    source: Node,
    target: Node,
    batches: Sequence[tuple[int, ...]],
    *,
    slots_per_s: float | None,
    on_retry: Callable[[FailedTry], None],
) -> Iterator[tuple[int, int]]:
    """Move slots by one job for each of `batches`; yields each batch's numbers of slots and keys once it has moved.

    One job at a time: the server takes one snapshot at a time anyway, and of several jobs that wait for theirs it takes
    the newest first, so that an old one may wait for seconds.

    Args:
        source: owns the slots now.
        target: owns them afterwards.
        batches: the slots of each job, sorted.
        slots_per_s: the mean rate at which jobs start; None: as fast as the server takes them.
        on_retry: called for each job that failed and is started again.

    Raises:
        MigrationError: a job failed too often or took too long, and was cancelled. Its slots and those of later jobs
            stay where they are.
    """
    due_s = time.monotonic()
    try:
        source.admin.config_set("cluster-slot-migration-log-max-len", _LOG_LENGTH)
        for slots in batches:
            time.sleep(max(0.0, due_s - time.monotonic()))
            due_s += 0.0 if slots_per_s is None else len(slots) / slots_per_s
            _move(source, target, slots, on_retry)
            yield len(slots), _count_keys(target, slots)
    except RedisError as error:
        raise MigrationError(f"{_between(source, target)}: {type(error).__name__}: {error}") from error


def _move(source: Node, target: Node, slots: tuple[int, ...], on_retry: Callable[[FailedTry], None]) -> None:
    ranges = ranges_of(slots)
    text = " ".join(f"{first}-{last}" for first, last in ranges)
    tries: list[str] = []
    for attempt in range(1, _TRIES + 1):
        try:
            source.cluster("MIGRATESLOTS", "SLOTSRANGE", *chain.from_iterable(ranges), "NODE", target.id)
        except ResponseError as error:
            state, message = "refused", str(error)
        else:
            state, message = _await(source, target, text)
        # A failed job's slots may have moved nevertheless, if only the target's last confirmation was lost.
        if state == "success" or (state == "failed" and set(slots) <= set(target.slots())):
            return
        tries.append(f"{state}: {message}" if message else state)
        if attempt < _TRIES:
            on_retry(FailedTry(attempt, state, message, len(slots), text))
            time.sleep(0.2 * attempt)
    raise MigrationError(f"{_between(source, target)}: {text} did not move in {_TRIES} tries ({'; '.join(tries)})")


def _await(source: Node, target: Node, ranges: str) -> tuple[str, str]:
    """How the newest job for these slots ended, and what the server says about it. Cancels it if nobody waits."""
    limit_s = time.monotonic() + _JOB_LIMIT_S
    state = "unknown"
    try:
        while time.monotonic() < limit_s:
            state, message = _newest(source, ranges)
            if state in _END_STATES:
                return state, message
            time.sleep(_POLL_S)
    finally:
        if state not in _END_STATES:
            with suppress(RedisError):
                source.cluster("CANCELSLOTMIGRATIONS")
    raise MigrationError(f"{_between(source, target)}: {ranges} is {state!r} after {_JOB_LIMIT_S:.0f} s: cancelled")


def _newest(source: Node, ranges: str) -> tuple[str, str]:
    """State and message of the newest export of these slots; GETSLOTMIGRATIONS lists the newest first."""
    for fields in source.cluster("GETSLOTMIGRATIONS"):
        job = {_text(name): _text(value) for name, value in zip(fields[::2], fields[1::2], strict=True)}
        if (job["operation"], job["slot_ranges"]) == ("EXPORT", ranges):
            return job["state"], job["message"]
    return "unknown", ""


def _count_keys(node: Node, slots: Sequence[int]) -> int:
    pipe = node.admin.pipeline(transaction=False)
    for slot in slots:
        pipe.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
    return sum(pipe.execute())


def _between(source: Node, target: Node) -> str:
    return f"slots from {source.name} ({source.address}) to {target.name} ({target.address})"


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
