"""A worker's side of the conversation, as far as it needs no sender: who it is, and how far its clock is off."""

import pytest

from loadgen.agent import Agent
from loadgen.messages import Orders, Report
from tests.locust.master import ClockByHand


def answer(report: Report, master: float, *, lost: bool = False) -> Orders:
    """Orders without a run."""
    return {
        "worker_id": report["worker_id"], "sent": report["sent"], "master": master,
        "run": None, "lost": lost, "shares": [], "bye": False,
    }  # fmt: skip


def test_a_lost_worker_joins_under_a_new_id() -> None:
    """Under the old id it would never get a lease again, and what was ordered for that id is not its business."""
    agent = Agent("host", ClockByHand())
    before = agent.report()
    agent.take(answer(before, 1000.0, lost=True))
    after = agent.report()
    assert after["worker_id"] != before["worker_id"]
    assert after["name"] == before["name"] == "host"
    agent.take(answer(before, 1000.0, lost=True))  # one that was under way
    assert agent.report()["worker_id"] == after["worker_id"]


def test_the_clocks_difference_comes_from_the_fastest_round_trip() -> None:
    """The master's time lies somewhere within the round trip: the shorter that is, the better it is known."""
    clock = ClockByHand()
    agent = Agent("host", clock)
    assert (agent.report()["offset_ms"], agent.report()["round_trip_ms"]) == (0, 0)
    for round_trip_s, master_ahead_s in ((0.5, 0.125), (0.0625, 0.25), (1.0, 0.5)):
        report = agent.report()
        clock.now_unix_s += round_trip_s
        agent.take(answer(report, report["sent"] + round_trip_s / 2 + master_ahead_s))
    assert agent.report()["offset_ms"] == pytest.approx(250)
    assert agent.report()["round_trip_ms"] == pytest.approx(62.5)
