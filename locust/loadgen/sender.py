"""The sender: one event loop over plain non-blocking sockets, on a thread of its own.

A greenlet per arrival costs ten times as much and measures its own scheduling. Here an arrival is one small object, and
a late or slow reply never delays the next arrival. What comes out is one row per arrival (`loadgen.outcomes`); counting
and histograms happen elsewhere. All times are seconds of the run: the common start is 0.
"""

import errno
import math
import os
import socket
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contract.schedule import Schedule
from loadgen import http1, outcomes, plain
from loadgen.closing import Closing
from loadgen.cursor import Cursor
from loadgen.leases import Piece
from loadgen.outcomes import ROW
from loadgen.resolver import Resolver
from loadgen.stamps import SPACE, Notes, Stamps, stamp

LATE_REPLY_WAIT_S = 1.0  # how long an answer after the time limit is still waited for, to be named as such
MAX_OVERDUE_S = 5.0  # an arrival that could not be sent for this long (a paused machine) is missed, not sent at random
BURST = 32  # sends in a row before replies are looked at
IDLE_WAKE_S = 0.05
TIDY_EVERY_S = 0.02
READ_BYTES = 16384
# A reply that the kernel has stamped may be read later: with the next arrival due this soon, one waking serves both.
SLEEP_THROUGH_S = 0.005

_NAN = math.nan
_MADE_NONBLOCKING = getattr(socket, "SOCK_NONBLOCK", 0)  # a system call less, where the system has it
_STREAM = socket.SOCK_STREAM | _MADE_NONBLOCKING
_CONNECTING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, 0})
_OUTCOME_OF_ERRNO = {
    errno.ECONNREFUSED: outcomes.REFUSED,
    errno.ECONNRESET: outcomes.RESET,
    errno.EPIPE: outcomes.RESET,
    errno.ECONNABORTED: outcomes.RESET,
    errno.ETIMEDOUT: outcomes.CONNECT_TIMEOUT,
}
_NO_CONNECTION = frozenset({outcomes.REFUSED, outcomes.UNREACHABLE, outcomes.CONNECT_TIMEOUT})


@dataclass(frozen=True)
class Limits:
    """What one sender allows itself."""

    time_limit_s: float = 20.0
    connect_limit_s: float = 5.0
    max_in_flight: int = 8192


class _Exchange:
    """One arrival on its way, and the connection that carries it."""

    __slots__ = ("address", "data", "done", "k", "planned", "sent", "sock", "state", "tries")

    def __init__(self, k: int, planned: float) -> None:
        self.k = k
        self.planned = planned
        self.sent = _NAN
        self.done = False  # nothing more is waited for
        self.tries = 0
        self.sock: Any = None
        self.address: Any = None
        self.data = b""
        self.state = 0


_CONNECT, _REPLY, _IDLE, _READ = range(4)


class Sender:
    """Sends the arrivals of the pieces it is given, and writes a row for each."""

    def __init__(
        self,
        schedule: Schedule,
        resolver: Resolver,
        request: bytes,
        *,
        keep_alive: bool,
        limits: Limits,
        start_monotonic_s: float,
    ) -> None:
        self.rows: deque[bytes] = deque()
        self.details: deque[tuple[float, str, str]] = deque()  # examples: (second, cause, detail)
        self.orders: deque[list[Piece]] = deque()  # from the agent's thread: all that this sender may send now
        self.in_flight = 0
        self.cpu_s = 0.0
        self.crash = ""
        self.stopped = False
        self._resolver = resolver
        self._request = request
        self._keep_alive = keep_alive
        self._limits = limits
        self._start = start_monotonic_s
        self._now: Callable[[], float] = lambda: time.monotonic() - start_monotonic_s
        self._quit = False
        self._socket = plain.plain_socket()
        self._stamps = Stamps(self._now)
        self._poller = plain.poller()
        self._by_fd: dict[int, _Exchange] = {}
        self._waiting: deque[_Exchange] = deque()  # in the order sent, so deadlines come in order too
        self._connecting: deque[_Exchange] = deque()
        self._overtime: deque[tuple[float, _Exchange]] = deque()
        self._closing = Closing()
        self._idle: list[_Exchange] = []
        self._unread: list[tuple[_Exchange, bytes, float]] = []  # replies on closed connections, and when they came
        self._cursor = Cursor(schedule)
        self._examples: dict[int, int] = {}

    def start(self) -> None:
        """Begin, on a thread of its own."""
        plain.start_thread(self._run)

    def quit(self) -> None:
        """Stop at once; what is in flight stays undecided."""
        self._quit = True

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException:  # noqa: BLE001 - a thread's last words; the agent raises them where they are seen
            self.crash = traceback.format_exc()
        finally:
            for exchange in list(self._by_fd.values()):
                exchange.sock.close()
            self._poller.close()
            self._closing.close()
            self._stamps.close()
            self.stopped = True

    def _loop(self) -> None:
        plain.fine_timers()
        monotonic, start = time.monotonic, self._start
        sleep, cursor, connecting = self._poller.sleep, self._cursor, self._connecting
        tidy_at = 0.0
        while not self._quit:
            if self.orders:
                cursor.take(self.orders.popleft())
            due = cursor.next
            if self._keep_alive:
                self._collect()  # which connections have become idle, and which have died meanwhile
            now = monotonic() - start
            burst = BURST
            while due is not None and due[1] <= now and burst:
                cursor.advance()
                self._send(_Exchange(*due), now)
                due = cursor.next
                now = monotonic() - start
                burst -= 1
            self._collect()
            now = monotonic() - start
            if now >= tidy_at:
                tidy_at = now + TIDY_EVERY_S
                self._read_closed()
                self._expire(now)
                self._closing.tidy(now)
                self.cpu_s = time.thread_time()
                now = monotonic() - start
            pause = IDLE_WAKE_S if due is None else min(IDLE_WAKE_S, due[1] - now)
            if pause > 0:
                replies = pause > SLEEP_THROUGH_S or not self._stamps.seen
                sleep(pause, replies=replies, connections=bool(connecting))
        self._read_closed()

    def _collect(self) -> None:
        """All replies and connections that are there."""
        events = self._poller.ready()
        if not events:
            return
        self._stamps.mark()
        by_fd = self._by_fd
        for fd, flags in events:
            exchange = by_fd.get(fd)
            if exchange is None:
                continue
            if exchange.state == _REPLY:
                self._readable(fd, exchange, flags)
            elif exchange.state == _CONNECT:
                self._writable(fd, exchange)
            else:  # idle: the server closed it, or said something nobody asked for
                self._drop(exchange)

    # -- sending
    # ----------------------------------------------------------------------------------------------------------

    def _send(self, exchange: _Exchange, now: float) -> None:
        if now - exchange.planned > MAX_OVERDUE_S:
            self._missed(
                exchange, outcomes.OVERDUE, f"{now - exchange.planned:.1f} s after its time; was this machine paused?"
            )
            return
        if self.in_flight >= self._limits.max_in_flight:
            self._missed(
                exchange,
                outcomes.IN_FLIGHT_CAP,
                f"{self.in_flight} arrivals are in flight; the server is too slow for this rate",
            )
            return
        while self._idle:
            carrier = self._idle.pop()
            if carrier.sock is not None:
                self._send_again(carrier, exchange)
                return
        self._connect(exchange)

    def _connect(self, exchange: _Exchange) -> None:
        address = self._resolver.next()
        if address is None:
            self._missed(exchange, outcomes.UNRESOLVED, self._resolver.problem)
            return
        family, where = exchange.address = address
        try:
            sock = self._socket(family, _STREAM)
        except OSError as error:
            self._missed(
                exchange,
                outcomes.NO_DESCRIPTORS,
                f"{error.strerror}; raise the limit of open files (ulimit -n), or lower the rate",
            )
            return
        if not _MADE_NONBLOCKING:
            sock.setblocking(False)
        if self._stamps.possible:
            stamp(sock)
        exchange.sock = sock
        if not exchange.tries:
            exchange.sent = self._now()
            self.in_flight += 1
            self._waiting.append(exchange)
        exchange.tries += 1
        try:
            code = sock.connect_ex(where)
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code not in _CONNECTING:
            self._refused(exchange, code)
            return
        fd = sock.fileno()
        self._by_fd[fd] = exchange
        try:
            sock.send(self._request)  # on loopback the connection is there already; elsewhere this says EAGAIN
        except (BlockingIOError, OSError) as error:
            if error.errno not in (errno.EAGAIN, errno.ENOTCONN):
                self._refused(exchange, error.errno or errno.EIO)
                return
            exchange.state = _CONNECT
            self._connecting.append(exchange)
            self._poller.watch_write(fd)
            return
        exchange.state = _REPLY
        self._poller.watch_read(fd)

    def _send_again(self, carrier: _Exchange, exchange: _Exchange) -> None:
        """Another request on an idle connection; if that dies now, the arrival failed: it may have been served."""
        exchange.sock, exchange.address, exchange.state = carrier.sock, carrier.address, _REPLY
        carrier.sock = None
        self._by_fd[exchange.sock.fileno()] = exchange
        exchange.sent = self._now()
        self.in_flight += 1
        self._waiting.append(exchange)
        try:
            exchange.sock.send(self._request)
        except OSError as error:
            self._failed(
                exchange,
                _OUTCOME_OF_ERRNO.get(error.errno or 0, outcomes.RESET),
                f"on an idle connection: {error.strerror}",
            )

    def _refused(self, exchange: _Exchange, code: int) -> None:
        """No connection could be made: try the name's other addresses, since nothing was sent yet."""
        self._drop(exchange)
        detail = f"{self._where(exchange)}: {os.strerror(code)}"
        if code in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
            self.in_flight -= 1
            exchange.sent = _NAN
            self._missed(
                exchange,
                outcomes.NO_PORTS,
                f"{detail}: this machine's local ports are used up (a closed connection blocks one for a minute); use "
                "more load tasks, "
                "keep-alive connections, or widen net.ipv4.ip_local_port_range",
            )
            return
        outcome = _OUTCOME_OF_ERRNO.get(code, outcomes.UNREACHABLE)
        if outcome in _NO_CONNECTION:
            self._resolver.down(exchange.address)
            if exchange.tries < self._resolver.count and self._resolver.any_up():
                self._example(outcome, f"{detail}; trying another address of the name")
                self._connect(exchange)
                return
        self._failed(exchange, outcome, detail)

    # -- replies
    # ----------------------------------------------------------------------------------------------------------

    def _writable(self, fd: int, exchange: _Exchange) -> None:
        try:
            exchange.sock.send(self._request)
        except BlockingIOError:
            return
        except OSError as error:
            code = exchange.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or error.errno or errno.EIO
            self._refused(exchange, code)
            return
        exchange.state = _REPLY
        self._poller.connected(fd)

    def _readable(self, fd: int, exchange: _Exchange, events: int) -> None:
        try:
            data, notes, _, _ = exchange.sock.recvmsg(READ_BYTES, SPACE)
        except BlockingIOError:
            self._poller.again_read(fd)
            return
        except OSError as error:
            self._failed(exchange, outcomes.RESET, f"{self._where(exchange)}: {error.strerror}")
            return
        closed = not data
        if exchange.data:
            data = exchange.data + data
        if events == plain.LAST and not closed and len(data) < READ_BYTES:
            # All there is: what it says can wait until many are read in one go (docs/benchmarks.md).
            self._unread.append((exchange, data, self._stamps.arrived_s(notes, exchange.sent)))
            self._drop(exchange)
            self.in_flight -= 1
            exchange.state, exchange.done = _READ, True
            return
        self._read(exchange, data, notes, events, closed=closed)

    def _read_closed(self) -> None:
        """What the replies say whose connections are closed already."""
        unread, self._unread = self._unread, []
        for exchange, data, done in unread:
            try:
                reply = http1.parse(data, closed=True)
                if reply is None:
                    self._cut(exchange, data, done)
                else:
                    self._replied(exchange, reply, done, closed=True)
            except http1.ReplyError as error:
                self._failed(exchange, error.outcome, str(error), done)

    def _read(self, exchange: _Exchange, data: bytes, notes: Notes, events: int, *, closed: bool) -> None:
        try:
            reply = http1.parse(data, closed=closed)
            if reply is not None:
                done = self._stamps.arrived_s(notes, exchange.sent)
                self._replied(exchange, reply, done, closed=closed or bool(events & plain.EOF))
            elif closed:
                self._cut(exchange, data, self._now())
            else:
                exchange.data = data
                self._poller.again_read(exchange.sock.fileno())
        except http1.ReplyError as error:
            self._failed(exchange, error.outcome, str(error))

    def _cut(self, exchange: _Exchange, data: bytes, done: float) -> None:
        cut = f"the connection closed after {len(data)} bytes" if data else "the connection closed without a reply"
        self._failed(exchange, outcomes.CLOSED, f"{self._where(exchange)}: {cut}", done)

    def _replied(self, exchange: _Exchange, reply: http1.Reply, done: float, *, closed: bool) -> None:
        if done - exchange.sent > self._limits.time_limit_s:
            detail = f"answered after {done - exchange.sent:.3f} s, status {reply.status}"
            self._failed(exchange, outcomes.LATE_REPLY, detail, done)
            return
        if 200 <= reply.status < 300:
            self._row(exchange, done, outcomes.OK, http1.figures(reply.body))
        else:
            outcome = outcomes.HTTP + reply.status
            self._row(exchange, done, outcome, http1.NOTHING)
            self._example(outcome, reply.body[:500].decode("utf-8", "replace") or "(no body)")
        if exchange.state == _READ:
            return
        self.in_flight -= 1
        if closed or self._quit:
            self._drop(exchange)
        elif self._keep_alive and reply.reusable:
            exchange.state, exchange.data = _IDLE, b""
            self._idle.append(exchange)
            self._poller.again_read(exchange.sock.fileno())  # so that a connection which dies while idle is noticed
        else:
            del self._by_fd[exchange.sock.fileno()]
            self._closing.add(exchange.sock, done)

    # -- time
    # ---------------------------------------------------------------------------------------------------------------

    def _expire(self, now: float) -> None:
        limits = self._limits
        waiting = self._waiting
        while waiting and (waiting[0].done or now - waiting[0].sent > limits.time_limit_s):
            exchange = waiting.popleft()
            if exchange.done:
                continue
            if exchange.state == _CONNECT:
                self._failed(
                    exchange,
                    outcomes.CONNECT_TIMEOUT,
                    f"{self._where(exchange)}: no connection in {limits.time_limit_s:g} s",
                )
            else:
                self._overtime.append((exchange.sent + limits.time_limit_s + LATE_REPLY_WAIT_S, exchange))
        if self._connecting:
            self._expire_connecting(now)
        while self._overtime and (self._overtime[0][1].done or now > self._overtime[0][0]):
            exchange = self._overtime.popleft()[1]
            if not exchange.done:
                self._failed(
                    exchange, outcomes.TIMEOUT, f"{self._where(exchange)}: no reply in {limits.time_limit_s:g} s"
                )

    def _expire_connecting(self, now: float) -> None:
        limits = self._limits
        connecting = self._connecting
        while connecting:
            exchange = connecting[0]
            if not exchange.done and exchange.state == _CONNECT:
                if now - exchange.sent <= limits.connect_limit_s:
                    break
                self._resolver.down(exchange.address)
                self._failed(
                    exchange,
                    outcomes.CONNECT_TIMEOUT,
                    f"{self._where(exchange)}: no connection in {limits.connect_limit_s:g} s",
                )
            connecting.popleft()

    # -- rows
    # ---------------------------------------------------------------------------------------------------------------

    def _row(self, exchange: _Exchange, done: float, outcome: int, figures: http1.Figures) -> None:
        exchange.done = True
        connection, write, read, redirects, retries, session = figures
        times = exchange.k, exchange.planned, exchange.sent, done
        self.rows.append(ROW.pack(*times, outcome, connection, write, read, redirects, retries, session))

    def _missed(self, exchange: _Exchange, outcome: int, detail: str) -> None:
        self._row(exchange, _NAN, outcome, http1.NOTHING)
        self._example(outcome, detail)

    def _failed(self, exchange: _Exchange, outcome: int, detail: str, done: float | None = None) -> None:
        self._row(exchange, self._now() if done is None else done, outcome, http1.NOTHING)
        self._example(outcome, detail)
        if exchange.state != _READ:
            self.in_flight -= 1
            self._drop(exchange)

    def _drop(self, exchange: _Exchange) -> None:
        sock = exchange.sock
        if sock is not None:
            exchange.sock = None
            self._by_fd.pop(sock.fileno(), None)
            sock.close()

    def _example(self, outcome: int, detail: str) -> None:
        seen = self._examples.get(outcome, 0)
        if seen < 20:
            self._examples[outcome] = seen + 1
            self.details.append((self._now(), outcomes.name(outcome), detail))

    @staticmethod
    def _where(exchange: _Exchange) -> str:
        if exchange.address is None:
            return "(no address)"
        host, port = exchange.address[1][:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
