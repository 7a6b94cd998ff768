"""Reads replies: at once; those whose connection the server has closed already are collected and read together."""

from collections.abc import Callable, Sequence

from loadgen import http1, outcomes, plain
from loadgen.connections import Connections
from loadgen.exchange import Exchange, Exchanges
from loadgen.stamps import SPACE, Notes, Stamps

READ_BYTES = 16384


class ReplyReader:
    """Reads a connection's reply and ends its exchange."""

    def __init__(
        self,
        *,
        exchanges: Exchanges,
        connections: Connections,
        poller: plain.Poller,
        stamps: Stamps,
        timings: Sequence[str],
        time_limit_s: float,
        now: Callable[[], float],
    ) -> None:
        self._exchanges = exchanges
        self._connections = connections
        self._poller = poller
        self._stamps = stamps
        self._timings = timings
        self._time_limit_s = time_limit_s
        self._now = now
        self._unread: list[Exchange] = []

    def readable(self, exchange: Exchange, events: int) -> None:
        """There is something to read, or the connection is dead."""
        try:
            data, notes, _, _ = exchange.sock.recvmsg(READ_BYTES, SPACE)
        except BlockingIOError:
            self._poller.again_read(exchange.fd)
            return
        except OSError as error:
            detail = f"{exchange.where}: {error.strerror}"
            self._exchanges.failed(exchange, self._now(), outcomes.RESET, detail)
            return
        closed = not data
        if exchange.data:
            data = exchange.data + data
        if events == plain.LAST and not closed and len(data) < READ_BYTES:
            # The reply is whole. Parsing many together costs less CPU (docs/benchmarks.md), and its time is known.
            self._exchanges.unread(exchange, data, self._stamps.arrived_s(notes, exchange.sent_s))
            self._unread.append(exchange)
        else:
            self._read(exchange, data, notes, events, closed=closed)

    def read_unread(self) -> None:
        """Read the replies whose connections are closed already."""
        unread, self._unread = self._unread, []
        for exchange in unread:
            data, replied_s = exchange.data, exchange.replied_s
            try:
                reply = http1.parse(data, closed=True)
                if reply is None:
                    self._cut(exchange, data, replied_s)
                else:
                    self._replied(exchange, reply, replied_s)
            except http1.ReplyError as error:
                self._exchanges.failed(exchange, replied_s, error.outcome, str(error))

    def _read(self, exchange: Exchange, data: bytes, notes: Notes, events: int, *, closed: bool) -> None:
        try:
            reply = http1.parse(data, closed=closed)
            if reply is not None:
                replied_s = self._stamps.arrived_s(notes, exchange.sent_s)
                in_time = self._replied(exchange, reply, replied_s)
                self._connections.give_back(
                    self._exchanges.release(exchange),
                    exchange.address,
                    replied_s,
                    reusable=reply.reusable,
                    closed=closed or not in_time or bool(events & plain.EOF),
                )
            elif closed:
                self._cut(exchange, data, self._now())
            else:
                exchange.data = data
                self._poller.again_read(exchange.fd)
        except http1.ReplyError as error:
            self._exchanges.failed(exchange, self._now(), error.outcome, str(error))

    def _cut(self, exchange: Exchange, data: bytes, end_s: float) -> None:
        cut = f"the connection closed after {len(data)} bytes" if data else "the connection closed without a reply"
        self._exchanges.failed(exchange, end_s, outcomes.CLOSED, f"{exchange.where}: {cut}")

    def _replied(self, exchange: Exchange, reply: http1.Reply, replied_s: float) -> bool:
        """End the exchange with its whole reply; returns whether that came in time."""
        service_s = replied_s - exchange.sent_s
        if service_s > self._time_limit_s:
            detail = f"answered after {service_s:.3f} s, status {reply.status}"
            figures = http1.told_cold(reply.body, self._timings)
            self._exchanges.end(exchange, replied_s, outcomes.LATE_REPLY, figures, detail)
            return False
        if 200 <= reply.status < 300:
            self._exchanges.end(exchange, replied_s, outcomes.OK, http1.figures(reply.body, self._timings))
        else:
            detail = reply.body[:500].decode("utf-8", "replace") or "(no body)"
            figures = http1.told_cold(reply.body, self._timings)
            self._exchanges.end(exchange, replied_s, outcomes.HTTP + reply.status, figures, detail)
        return True
