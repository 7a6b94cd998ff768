"""The states of an exchange: which moves there are, that each of them happens, and one row for every arrival."""

import asyncio
import math
import socket
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import outcomes, plain, sender
from loadgen.exchange import (
    AWAITING,
    CONNECTING,
    ENDED,
    IN_FLIGHT,
    MOVES,
    PLANNED,
    UNREAD,
    Exchange,
    Exchanges,
    MoveError,
)
from loadgen.outcomes import Row, row_struct
from loadgen.resolver import Resolver
from loadgen.rows import EXAMPLES, Rows
from loadgen.timelimits import Limits
from tests.locust.servers import Received, Server, send

STATES = (PLANNED, CONNECTING, AWAITING, UNREAD, ENDED)
PATHS = {  # how an exchange gets into each state
    PLANNED: (),
    CONNECTING: ("connecting",),
    AWAITING: ("connecting", "requested"),
    UNREAD: ("connecting", "requested", "unread"),
    ENDED: ("connecting", "requested", "replied"),
}
ADDRESS = (socket.AF_INET, ("127.0.0.1", 80))


class _Socket(SimpleNamespace):
    """As much of a socket as the state machine touches."""

    def fileno(self) -> int:
        """Its descriptor."""
        return int(self.number)

    def close(self) -> None:
        """Once."""
        assert not self.closed, "closed twice"
        self.closed = True


def _step(exchanges: Exchanges, exchange: Exchange, step: str, sockets: list[_Socket]) -> None:
    """What the sender does in one of its steps, in whatever state the exchange is."""
    state = exchange.state
    if step == "connecting":
        if state == CONNECTING:
            exchanges.disconnect(exchange)  # as before another address is tried
        sockets.append(_Socket(number=len(sockets), closed=False))
        exchanges.connecting(exchange, sockets[-1], ADDRESS, 1.0)
    elif step == "requested":
        exchanges.requested(exchange)
    elif step == "unread":
        exchanges.unread(exchange, b"reply", 2.0)
    elif step == "failed":
        exchanges.failed(exchange, 2.0, outcomes.RESET, "reset")
    else:
        exchanges.end(exchange, 2.0, outcomes.OK)
        if state in IN_FLIGHT:
            exchanges.release(exchange).close()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("step", "to"),
    [("connecting", CONNECTING), ("requested", AWAITING), ("unread", UNREAD), ("replied", ENDED), ("failed", ENDED)],
)
def test_only_the_moves_of_the_table_are_made(state: str, step: str, to: str) -> None:
    """Each move of the table works; every other one is refused, without a row and with the state as it was."""
    rows = Rows(lambda: 0.0, ())
    exchanges = Exchanges(rows)
    exchange = Exchange(7, 1.0)
    for earlier in PATHS[state]:
        _step(exchanges, exchange, earlier, [])
    assert exchange.state == state
    written = len(rows.packed)
    if (state, to) in MOVES:
        _step(exchanges, exchange, step, [])
        assert exchange.state == to
        assert len(rows.packed) - written == (to == ENDED)
    else:
        with pytest.raises(MoveError, match=f"arrival 7 cannot go from {state} to {to}"):
            _step(exchanges, exchange, step, [])
        assert exchange.state == state
        assert len(rows.packed) == written


def test_nothing_leads_out_of_the_end_and_all_leads_there() -> None:
    """A row is final, and no state is a dead end without one."""
    assert not [move for move in MOVES if move[0] == ENDED]
    assert {state for state, to in MOVES if to == ENDED} == set(STATES) - {ENDED}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["connecting", "requested", "unread", "failed", "replied"]),
        ),
        max_size=60,
    )
)
def test_in_any_order_of_steps_an_arrival_has_one_row_at_most(asked: list[tuple[int, str]]) -> None:
    """Sensible steps or not: a row at the end, none before, no second one; no connection lost or closed twice."""
    rows = Rows(lambda: 0.0, ())
    exchanges = Exchanges(rows)
    arrivals = [Exchange(k, float(k)) for k in range(3)]
    sockets: list[_Socket] = []
    for k, step in asked:
        state = arrivals[k].state
        try:
            _step(exchanges, arrivals[k], step, sockets)
        except MoveError:
            assert arrivals[k].state == state, "a refused move changes nothing"
            if step == "connecting":
                sockets.pop()  # nobody holds it
        held = [exchange for exchange in arrivals if exchange.state in IN_FLIGHT]
        assert exchanges.in_flight == len(held)
        assert {exchange.k for exchange in exchanges.by_fd.values()} == {exchange.k for exchange in held}
        with_row = sorted(Row.of(row_struct(0).unpack(row)).k for row in rows.packed)
        assert with_row == [exchange.k for exchange in arrivals if exchange.state == ENDED]
    exchanges.close()
    assert all(sock.closed for sock in sockets)


def test_an_arrival_that_was_never_sent_has_no_time_of_sending() -> None:
    """A connection that no port is left for was begun, but counts as missed, and no longer as in flight."""
    rows = Rows(lambda: 0.0, ())
    exchanges = Exchanges(rows)
    exchange = Exchange(0, 0.0)
    exchanges.connecting(exchange, _Socket(number=3, closed=False), ADDRESS, 1.0)
    exchanges.disconnect(exchange)
    exchanges.missed(exchange, outcomes.NO_PORTS, "no port")
    row = Row.of(row_struct(0).unpack(rows.packed[0]))
    assert math.isnan(row.sent_s)
    assert exchanges.in_flight == 0


def test_few_examples_are_kept_of_each_outcome() -> None:
    """A server that is down says the same thing thousands of times; other outcomes still get their examples."""
    rows = Rows(lambda: 3.0, ())
    for _ in range(EXAMPLES + 5):
        rows.example(outcomes.REFUSED, "nobody listens")
    rows.example(outcomes.RESET, "reset")
    assert [cause for _, cause, _ in rows.details] == ["refused"] * EXAMPLES + ["reset"]


async def answers(request: Received) -> None:
    """Good, and closes the connection only if asked to."""
    request.reply()


async def anything(request: Received) -> None:
    """One after the other of all that can go wrong, and good answers in between."""
    kind = request.number % 9
    if kind < 3:
        request.reply(close=kind == 0)
    elif kind == 3:
        request.reset()
    elif kind == 4:
        request.keep_alive = False
    elif kind == 5:
        request.reply(b"{")
    elif kind == 6:
        request.reply(b"", "503 Service Unavailable")
    elif kind == 7:
        request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
        request.keep_alive = False
    elif request.number % 27 == 8:
        await request.reader.read()  # no answer while anybody waits
    else:
        await asyncio.sleep(0.1 if request.number % 27 == 17 else 0.6)  # within the time limit, and late
        request.reply()


def _two_addresses(monkeypatch: pytest.MonkeyPatch, port: int) -> Resolver:
    """A name with two addresses, of which 127.0.0.9 refuses."""
    monkeypatch.setattr(plain, "resolve", lambda _, port: [(socket.AF_INET, (f"127.0.0.{n}", port)) for n in (1, 9)])
    resolver = Resolver("balancer.test", port)
    resolver.resolve()
    return resolver


@pytest.mark.parametrize("keep_alive", [False, True])
def test_each_arrival_ends_in_one_row_whatever_happens(monkeypatch: pytest.MonkeyPatch, *, keep_alive: bool) -> None:
    """A server that does anything at random, an address that refuses, a cap: one row for each arrival, nothing left."""
    with Server(anything).running() as server:
        resolver = _two_addresses(monkeypatch, server.port)
        limits = Limits(time_limit_s=0.3, connect_limit_s=0.3, max_in_flight=10)
        sent = send(server.port, rate=600, keep_alive=keep_alive, limits=limits, resolver=resolver)
    expected = {"ok", "reset", "closed", "garbage", "http_503", "timeout", "late_reply", "in_flight_cap"}
    assert set(sent.outcomes) >= expected


def test_each_move_of_the_table_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has no move that the sender never makes."""
    made: set[tuple[str, str]] = set()

    class Noted(Exchange):
        """Notes its moves."""

        def __setattr__(self, name: str, value: object) -> None:
            if name == "state" and hasattr(self, "state"):
                made.add((self.state, str(value)))
            super().__setattr__(name, value)

    monkeypatch.setattr(sender, "Exchange", Noted)
    with socket.socket() as unused:  # bound, so that nobody listens there
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setattr(
            plain, "resolve", lambda _, port: [(socket.AF_INET, (f"127.0.0.{n}", port)) for n in (1, 9)]
        )
        resolver = Resolver("balancer.test", port)
        resolver.resolve()
        assert send(port, resolver=resolver).outcomes == {"refused": 30}
    with Server(answers).running() as server:
        send(server.port, rate=400)  # the next arrival is so near that a reply is read when the server has closed too
        send(server.port, keep_alive=True)
        send(server.port, limits=Limits(max_in_flight=0))
    assert made == set(MOVES)
