"""Single arrivals are kept from ten seconds before an event opens a window to ten after it closes."""

import pytest

from loadgen.windows import Windows


@pytest.mark.parametrize(
    ("events", "kept"),
    [
        ([], []),
        ([(30.4, "phase.started"), (31.0, "run.started"), (32.0, "epoch.started")], []),
        ([(30.4, "worker.lost")], range(20, 41)),
        ([(30.4, "slots.started"), (50.2, "slots.finished")], range(20, 61)),
        ([(30.4, "reshard.requested"), (50.2, "slots.finished"), (55.0, "reshard.finished")], range(20, 65)),
        ([(30.4, "sham.slots.started"), (40.0, "sham.slots.finished")], range(20, 50)),
        ([(30.4, "reshard.requested"), (33.0, "reshard.failed")], range(20, 43)),
        ([(80.0, "reshard.requested")], range(70, 100)),
        ([(3.0, "slots.started"), (5.0, "slots.finished")], range(15)),
        ([(-1.0, "cycles.started"), (30.4, "slots.started"), (50.2, "slots.finished")], range(100)),
    ],
)
def test_what_is_kept(events: list[tuple[float, str]], kept: range) -> None:
    """Only events of the cluster and lost workers open windows, a second ending extends the last; cycles keep all."""
    windows = Windows()
    for t_s, event in events:
        windows.event(t_s, event)
    assert [second for second in range(100) if windows.covers(second)] == list(kept)


def test_seconds_wait_for_an_event_that_may_still_want_them() -> None:
    """A closed second is dropped only when no new event can reach back to it."""
    windows = Windows()
    assert windows.to_drop(range(20), 20.0) == [0, 1, 2, 3, 4, 5]
    windows.event(20.0, "slots.started")
    assert windows.to_write(range(5, 15)) == [10, 11, 12, 13, 14]
