"""An exchange: one arrival's request and reply. Its states, and the only moves between them.

    planned      nothing is sent yet
    connecting   in flight: it has a connection, which may still have to be made; the request is not out yet
    awaiting     in flight: the request is out, the reply is not whole
    unread       the reply is whole and its connection closed; nobody has looked into the reply yet
    ended        its row is written

`MOVES` is the whole state machine; a move that it does not list ends the sender. An exchange gets its row by going to
`ended`, from where nothing leads on: so every arrival ends in exactly one row.
"""

import math
from collections import deque
from typing import Any, Final

from loadgen import http1
from loadgen.outcomes import ONLY_SCENARIO
from loadgen.resolver import Address
from loadgen.rows import Rows

PLANNED: Final = "planned"
CONNECTING: Final = "connecting"
AWAITING: Final = "awaiting"
UNREAD: Final = "unread"
ENDED: Final = "ended"

IN_FLIGHT = frozenset({CONNECTING, AWAITING})

MOVES = {
    (PLANNED, CONNECTING): "a connection is begun, or an idle one taken; from here on the arrival counts as sent",
    (PLANNED, ENDED): "missed: nothing was sent (too late, too many in flight, no address, no file descriptor)",
    (CONNECTING, CONNECTING): "the address refused, and another address of the name is tried",
    (CONNECTING, AWAITING): "the connection is made and the request is out",
    (CONNECTING, ENDED): "no connection: refused, or the time limit is over; missed if this machine has no port left",
    (AWAITING, UNREAD): "the reply came together with the end of its connection; it is read later, many in one go",
    (AWAITING, ENDED): "the reply is read, the connection failed, or the time limit is over",
    (UNREAD, ENDED): "the reply is read",
}


def _before(to: str) -> frozenset[str]:
    return frozenset(state for state, target in MOVES if target == to)


# Each arrival passes through these checks: a look into a set of its own costs less than a call that all of them share.
_BEFORE_CONNECTING, _BEFORE_AWAITING = _before(CONNECTING), _before(AWAITING)
_BEFORE_UNREAD, _BEFORE_ENDED = _before(UNREAD), _before(ENDED)


class MoveError(RuntimeError):
    """A move that is not in `MOVES`: a defect of the sender, which stops before it writes wrong figures."""

    def __init__(self, exchange: "Exchange", to: str) -> None:
        super().__init__(f"arrival {exchange.k} cannot go from {exchange.state} to {to}; see loadgen.exchange.MOVES")


class Exchange:
    """One arrival on its way, and the connection that carries it."""

    __slots__ = ("address", "data", "fd", "k", "planned_s", "replied_s", "sent_s", "sock", "state", "tries")

    # Not set until the move to connecting; `replied_s` not until the move to unread.
    address: Any
    sock: Any
    fd: int
    replied_s: float  # when an unread reply came

    def __init__(self, k: int, planned_s: float) -> None:
        self.k = k
        self.planned_s = planned_s
        self.state = PLANNED
        self.sent_s = math.nan
        self.tries = 0  # addresses tried so far
        self.data = b""  # of the reply so far

    @property
    def where(self) -> str:
        """The address of its connection, for people."""
        host, port = self.address[1][:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Exchanges:
    """Makes the moves; knows which exchanges are in flight and on which descriptor, and writes their rows."""

    def __init__(self, rows: Rows) -> None:
        self.in_flight = 0
        self.by_fd: dict[int, Exchange] = {}
        self.in_order: deque[Exchange] = deque()  # as sent: their time limits end in this order too
        self._rows = rows
        self._pack = rows.pack
        self._nothing = http1.nothing(rows.timings)

    def connecting(self, exchange: Exchange, sock: Any, address: Address, now_s: float) -> None:
        """Begin a connection for it. One to another address, after a refusal, keeps the first time of sending."""
        if exchange.state not in _BEFORE_CONNECTING:
            raise MoveError(exchange, CONNECTING)
        exchange.state = CONNECTING
        if not exchange.tries:
            exchange.sent_s = now_s
            self.in_flight += 1
            self.in_order.append(exchange)
        exchange.tries += 1
        fd = sock.fileno()
        exchange.sock, exchange.address, exchange.fd = sock, address, fd
        self.by_fd[fd] = exchange

    def requested(self, exchange: Exchange) -> None:
        """The request is out."""
        if exchange.state not in _BEFORE_AWAITING:
            raise MoveError(exchange, AWAITING)
        exchange.state = AWAITING

    def unread(self, exchange: Exchange, data: bytes, replied_s: float) -> None:
        """All of the reply is there, and the server has closed the connection."""
        if exchange.state not in _BEFORE_UNREAD:
            raise MoveError(exchange, UNREAD)
        exchange.state = UNREAD
        self.in_flight -= 1
        self.disconnect(exchange)
        exchange.data, exchange.replied_s = data, replied_s

    def end(
        self, exchange: Exchange, end_s: float, outcome: int, figures: http1.Figures | None = None, detail: str = ""
    ) -> None:
        """Write the row. The caller also calls `release` or `disconnect`, for the connection."""
        if exchange.state not in _BEFORE_ENDED:
            raise MoveError(exchange, ENDED)
        if exchange.state in IN_FLIGHT:
            self.in_flight -= 1
        exchange.state = ENDED
        cold, redirects, retries, session, timings_us = figures or self._nothing
        row = self._pack(
            exchange.k, exchange.planned_s, exchange.sent_s, end_s, outcome, ONLY_SCENARIO, cold, redirects, retries,
            session, *timings_us,
        )  # fmt: skip
        self._rows.packed.append(row)
        if detail:
            self._rows.example(outcome, detail)

    def missed(self, exchange: Exchange, outcome: int, detail: str) -> None:
        """Nothing was sent, and no connection is held."""
        exchange.sent_s = math.nan
        self.end(exchange, math.nan, outcome, detail=detail)

    def failed(self, exchange: Exchange, end_s: float, outcome: int, detail: str) -> None:
        """No good reply; an exchange in flight gives its connection up."""
        if exchange.state in IN_FLIGHT:
            self.disconnect(exchange)
        self.end(exchange, end_s, outcome, detail=detail)

    def example(self, outcome: int, detail: str) -> None:
        """Keep a detail of an exchange that goes on."""
        self._rows.example(outcome, detail)

    def release(self, exchange: Exchange) -> Any:
        """Take its connection away, open."""
        del self.by_fd[exchange.fd]
        return exchange.sock

    def disconnect(self, exchange: Exchange) -> None:
        """Take its connection away, closed."""
        del self.by_fd[exchange.fd]
        exchange.sock.close()

    def close(self) -> None:
        """Close what is in flight, which stays undecided."""
        for exchange in self.by_fd.values():
            exchange.sock.close()
