"""The sender against servers that misbehave, each failure under its own name, and every arrival in exactly one row."""

import asyncio
import math
import sys
import time

import pytest

from loadgen import plain
from loadgen.leases import Share
from loadgen.outcomes import NO_SESSION, NOT_SAID
from loadgen.resolver import Resolver
from loadgen.sender import Limits
from tests.locust.servers import GOOD, Behaviour, Received, Server, good, never, send

SHORT = Limits(time_limit_s=0.3, connect_limit_s=0.3)


async def pieces(request: Received) -> None:
    """A few bytes at a time."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(GOOD) + GOOD
    for at in range(0, len(whole), 40):
        request.writer.write(whole[at : at + 40])
        await asyncio.sleep(0.002)


async def chunked(request: Received) -> None:
    """Chunked, cut inside a chunk."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(GOOD) + GOOD[:50])
    await asyncio.sleep(0.01)
    request.writer.write(GOOD[50:] + b"\r\n0\r\n\r\n")


async def close_delimited(request: Received) -> None:
    """No length: the end is the end."""
    request.writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD)
    request.keep_alive = False


async def never_closes(request: Received) -> None:
    """Answers, and leaves the connection open although it was asked to close it."""
    request.reply(close=False)
    await asyncio.sleep(3)


async def reset(request: Received) -> None:
    """A reset instead of an answer."""
    request.reset()


async def reset_halfway(request: Received) -> None:
    """A reset in the middle of an answer."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
    await request.writer.drain()
    await asyncio.sleep(0.02)
    request.reset()


async def close_without_reply(request: Received) -> None:
    """Nothing at all."""
    request.keep_alive = False


async def cut(request: Received) -> None:
    """Half an answer."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
    request.keep_alive = False


async def garbage(request: Received) -> None:
    """Something else than HTTP."""
    request.writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    request.keep_alive = False


async def wrong_json(request: Received) -> None:
    """A good status with a broken body."""
    request.reply(b'{"session": "nobody"}')


async def oversized(request: Received) -> None:
    """More than a load balancer lets through."""
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")


async def unavailable(request: Received) -> None:
    """The function's own refusal."""
    request.reply(b'{"error":"CLUSTERDOWN","cold":true}', "503 Service Unavailable")


async def bad_gateway(request: Received) -> None:
    """The balancer's."""
    request.reply(b"<html>502</html>", "502 Bad Gateway")


async def late(request: Received) -> None:
    """An answer after the time limit of 0.3 s."""
    await asyncio.sleep(0.6)
    request.reply()


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (good, "ok"),
        (pieces, "ok"),
        (chunked, "ok"),
        (close_delimited, "ok"),
        (never_closes, "ok"),
        (reset, "reset"),
        (reset_halfway, "reset"),
        (close_without_reply, "closed"),
        (cut, "closed"),
        (garbage, "garbage"),
        (wrong_json, "garbage"),
        (oversized, "oversized"),
        (unavailable, "http_503"),
        (bad_gateway, "http_502"),
    ],
)
@pytest.mark.usefixtures("kernel")
def test_each_way_to_answer_has_its_name(behaviour: Behaviour, outcome: str) -> None:
    """Whatever the server does, every arrival gets a row, under the name of what happened."""
    with Server(behaviour).running() as server:
        sent = send(server.port)
    assert sent.outcomes == {outcome: 30}
    assert server.requests == 30
    assert all(row.sent_s >= row.planned_s and row.done_s > row.sent_s for row in sent.rows)
    if outcome == "ok":
        assert {(row.timings_us, row.redirects, row.retries, row.cold) for row in sent.rows} == {
            ((3000, 200, 100), 1, 2, 1)
        }
    else:
        assert {cause for _, cause, _ in sent.details} == {outcome}
        nothing_else = ((-1, -1, -1), 0, 0, NO_SESSION)
        assert {(row.timings_us, row.redirects, row.retries, row.session) for row in sent.rows} == {nothing_else}
        assert {row.cold for row in sent.rows} == {1 if behaviour is unavailable else NOT_SAID}


@pytest.mark.parametrize(("behaviour", "outcome"), [(never, "timeout"), (late, "late_reply")])
def test_no_answer_and_an_answer_too_late_are_told_apart(behaviour: Behaviour, outcome: str) -> None:
    """After the time limit an answer is waited for a little longer, only to be named; it is a failure either way."""
    with Server(behaviour).running() as server:
        sent = send(server.port, limits=SHORT)
    assert sent.outcomes == {outcome: 30}
    assert {row.cold for row in sent.rows} == {1 if behaviour is late else NOT_SAID}


@pytest.mark.alone
def test_a_late_reply_delays_nobody() -> None:
    """Open model: with every answer 0.6 s late, arrivals still leave at their planned times."""
    with Server(late).running() as server:
        sent = send(server.port, rate=200, limits=Limits(time_limit_s=2.0))
    assert sent.outcomes == {"ok": 60}
    lags = sorted(row.sent_s - row.planned_s for row in sent.rows)
    assert lags[len(lags) // 2] < 0.02
    assert all(row.done_s - row.planned_s > 0.59 for row in sent.rows)


def test_the_cap_on_arrivals_in_flight() -> None:
    """Over the cap an arrival is counted missed at once, never queued and never dropped silently."""
    with Server(never).running() as server:
        sent = send(server.port, limits=Limits(time_limit_s=0.5, max_in_flight=7))
    assert sent.outcomes == {"timeout": 7, "in_flight_cap": 23}
    assert all(math.isnan(row.sent_s) for row in sent.rows if row.k >= 7)


@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps replies")
def test_a_reply_is_timed_when_it_came_not_when_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender reads a reply at its next send; the kernel's stamp says when that reply really came."""
    wakings: list[bool] = []
    sleep = plain.EpollPoller.sleep

    def counted(poller: plain.EpollPoller, timeout_s: float, *, replies: bool, connections: bool) -> None:
        sleep(poller, timeout_s, replies=replies, connections=connections)
        wakings.append(replies)

    monkeypatch.setattr(plain.EpollPoller, "sleep", counted)

    replied_s: list[float] = []

    async def soon(request: Received) -> None:
        await asyncio.sleep(0.001)
        replied_s.append(time.monotonic())
        request.reply()

    with Server(soon).running() as server:
        sent = send(server.port, rate=250, seconds=1)
    assert sent.outcomes == {"ok": 250}
    assert wakings.count(False) > 0.8 * len(wakings), "slept through the replies"
    assert len(wakings) < 400, "not woken twice an arrival"
    done_s = sorted(sent.start_monotonic_s + row.done_s for row in sent.rows)
    after_ms = sorted((done - replied) * 1000 for done, replied in zip(done_s, sorted(replied_s), strict=True))
    assert -0.1 <= after_ms[125] < 1.0, "when it came, not when the next arrival left, up to 4 ms later"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps replies")
def test_a_clock_that_was_set_does_not_reach_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps are in the system's time: one that jumps makes them unbelievable, and the time of reading is taken."""
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time_ns", lambda: next(jumps) * 10**10)
    with Server(good).running() as server:
        sent = send(server.port)
    assert sent.outcomes == {"ok": 30}
    assert all(0 < row.done_s - row.sent_s < 1 for row in sent.rows)


def test_arrivals_overdue_for_long_are_missed_not_sent_at_random() -> None:
    """A machine that slept for seconds does not send its backlog into another second's load."""
    with Server(good).running() as server:
        resolver = Resolver("127.0.0.1", server.port)
        resolver.resolve()
        sent = send(server.port, resolver=resolver, shares=[Share(0, 0, 30, 1, final=True)])
        assert sent.outcomes == {"ok": 30}
        before = server.requests
        from loadgen import sender as module  # noqa: PLC0415 - the limit of this one module is turned here

        limit = module.MAX_OVERDUE_S
        module.MAX_OVERDUE_S = -1.0
        try:
            sent = send(server.port)
        finally:
            module.MAX_OVERDUE_S = limit
    assert sent.outcomes == {"overdue": 30}
    assert server.requests == before
