"""The sender: one event loop over plain non-blocking sockets, on a thread of its own.

A greenlet per arrival costs ten times as much and measures its own scheduling. Here an arrival is one small object
(`loadgen.exchange`), and a late or slow reply never delays the next arrival. The loop decides what is done when;
`connector` sends, `replies` reads, `timelimits` ends what takes too long. What comes out is one row per arrival
(`loadgen.outcomes`); counting and histograms happen elsewhere. All times are seconds of the run: the common start is 0.
"""

import time
import traceback
from collections import deque
from collections.abc import Sequence

from contract.schedule import Schedule
from loadgen import outcomes, plain
from loadgen.connections import Connections
from loadgen.connector import Connector
from loadgen.cursor import Cursor
from loadgen.exchange import AWAITING, Exchange, Exchanges
from loadgen.leases import Share
from loadgen.replies import ReplyReader
from loadgen.resolver import Resolver
from loadgen.rows import Rows
from loadgen.stamps import Stamps
from loadgen.timelimits import Limits, TimeLimits

MAX_OVERDUE_S = 5.0  # an arrival this late (a paused machine) is missed; sent, it would add to another second's load
BURST = 32  # sends in a row before replies are looked at
IDLE_WAKE_S = 0.05
TIDY_EVERY_S = 0.02
# With the next arrival due this soon, the loop waits for it and reads the replies then: the kernel stamped each with
# the time it came, so reading it later changes no figure and saves a waking.
SLEEP_THROUGH_S = 0.005


class Sender:
    """Sends the arrivals of the shares it is given, and writes a row for each."""

    def __init__(
        self,
        schedule: Schedule,
        resolver: Resolver,
        request: bytes,
        *,
        keep_alive: bool,
        timings: Sequence[str],
        limits: Limits,
        start_monotonic_s: float,
    ) -> None:
        monotonic = time.monotonic

        def now() -> float:
            return monotonic() - start_monotonic_s

        rows = Rows(now, timings)
        self.rows = rows.packed
        self.details = rows.details  # examples: (second, cause, detail)
        self.orders: deque[list[Share]] = deque()  # from the agent's thread: all that this sender may send now
        self.cpu_s = 0.0
        self.crash = ""
        self.stopped = False
        self._start = start_monotonic_s
        self._keep_alive = keep_alive
        self._max_in_flight = limits.max_in_flight
        self._quit = False
        self._cursor = Cursor(schedule)
        self._poller = plain.poller()
        self._stamps = Stamps(now)
        self._exchanges = Exchanges(rows)
        self._connections = Connections(self._poller, keep_alive=keep_alive, stamped=self._stamps.possible)
        self._time_limits = TimeLimits(limits, self._exchanges, resolver)
        self._connector = Connector(
            request,
            exchanges=self._exchanges,
            connections=self._connections,
            time_limits=self._time_limits,
            resolver=resolver,
            poller=self._poller,
            now=now,
        )
        self._replies = ReplyReader(
            exchanges=self._exchanges,
            connections=self._connections,
            poller=self._poller,
            stamps=self._stamps,
            timings=rows.timings,
            time_limit_s=limits.time_limit_s,
            now=now,
        )

    @property
    def in_flight(self) -> int:
        """How many arrivals are sent and still wait for their reply."""
        return self._exchanges.in_flight

    def start(self) -> None:
        """Begin, on a thread of its own."""
        plain.start_thread(self._run)

    def quit(self) -> None:
        """Stop at once; what is in flight stays undecided."""
        self._quit = True

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException:  # noqa: BLE001 - the thread ends; the agent reports the traceback to the master
            self.crash = traceback.format_exc()
        finally:
            self._exchanges.close()
            self._connections.close()
            self._poller.close()
            self._stamps.close()
            self.stopped = True

    def _loop(self) -> None:
        plain.fine_timers()
        monotonic, start = time.monotonic, self._start
        sleep, cursor, connecting = self._poller.sleep, self._cursor, self._time_limits.connecting
        tidy_at = 0.0
        while not self._quit:
            if self.orders:
                cursor.take(self.orders.popleft())
            due = cursor.next
            if self._keep_alive:
                self._collect()  # which connections have become idle, and which have died meanwhile
            now_s = monotonic() - start
            burst = BURST
            while due is not None and due[1] <= now_s and burst:
                cursor.advance()
                self._send(Exchange(*due), now_s)
                due = cursor.next
                now_s = monotonic() - start
                burst -= 1
            self._collect()
            now_s = monotonic() - start
            if now_s >= tidy_at:
                tidy_at = now_s + TIDY_EVERY_S
                self._tidy(now_s)
                now_s = monotonic() - start
            pause_s = IDLE_WAKE_S if due is None else min(IDLE_WAKE_S, due[1] - now_s)
            if pause_s > 0:
                replies = pause_s > SLEEP_THROUGH_S or not self._stamps.seen
                sleep(pause_s, replies=replies, connections=bool(connecting))
        self._replies.read_unread()

    def _send(self, exchange: Exchange, now_s: float) -> None:
        overdue_s = now_s - exchange.planned_s
        if overdue_s > MAX_OVERDUE_S:
            detail = f"{overdue_s:.1f} s after its time; was this machine paused?"
            self._exchanges.missed(exchange, outcomes.OVERDUE, detail)
        elif self._exchanges.in_flight >= self._max_in_flight:
            detail = f"{self._exchanges.in_flight} arrivals are in flight; the server is too slow for this rate"
            self._exchanges.missed(exchange, outcomes.IN_FLIGHT_CAP, detail)
        else:
            self._connector.send(exchange)

    def _collect(self) -> None:
        """Handle all events: replies, connections that are made, idle ones that died."""
        events = self._poller.ready()
        if not events:
            return
        self._stamps.mark()
        by_fd = self._exchanges.by_fd
        for fd, flags in events:
            exchange = by_fd.get(fd)
            if exchange is None:
                self._connections.told(fd)
            elif exchange.state == AWAITING:
                self._replies.readable(exchange, flags)
            else:
                self._connector.writable(exchange)

    def _tidy(self, now_s: float) -> None:
        """Do what is not needed each time the loop wakes up."""
        self._replies.read_unread()
        self._time_limits.expire(now_s)
        self._connections.tidy(now_s)
        self.cpu_s = time.thread_time()
