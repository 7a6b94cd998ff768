"""What run.json says of a run that nobody here started: the master's events tell its reshard."""

from typing import Any

import pytest

from experiment.aws.notes import reshard_of


def event(name: str, t_s: float, **fields: Any) -> dict[str, Any]:
    """A line of events.jsonl, as the master on AWS writes it."""
    return {"t_s": t_s, "event": name, **fields}


REQUESTED = event("reshard.requested", 1950.0, **{"from": 1, "within_s": 5.0})  # the target is not known yet
STARTED = event("slots.started", 2400.0, slots=8192, to=2)
FINISHED = event("reshard.finished", 2700.0, to=2)
FAILED = event("reshard.failed", 2700.0, error="rolled back", to=1)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([event("run.started", 0.0)], None),
        ([REQUESTED, STARTED, FINISHED], {"from": 1, "to": 2, "at_s": 1950.0, "migration": "ElastiCache"}),
        ([REQUESTED, FINISHED], {"from": 1, "to": 2, "at_s": 1950.0, "migration": "ElastiCache"}),
        # AWS tells the shards of before once it has given up: nobody knows what was asked for.
        ([REQUESTED, FAILED], {"from": 1, "at_s": 1950.0, "migration": "ElastiCache"}),
    ],
)
def test_a_reshard_by_hand_is_read_from_the_events(
    events: list[dict[str, Any]], expected: dict[str, Any] | None
) -> None:
    """Without it in run.json a report says neither from how many shards to how many, nor when it was asked for."""
    assert reshard_of(events) == expected
