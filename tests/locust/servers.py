"""Servers that misbehave in one way each, on a thread of their own, and a sender to send at them."""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field

from contract.profiles import parse
from contract.runfolder import TIMINGS
from contract.schedule import Schedule
from loadgen import outcomes
from loadgen.leases import Share
from loadgen.outcomes import Row, row_struct
from loadgen.resolver import Resolver, Target
from loadgen.sender import Limits, Sender

GOOD = (
    b'{"session":"5f0c7b0e-7b1c-4d3f-9c7d-2f1f5f0c7b0e","connection":0.003,"write":0.0002,"read":0.0001,'
    b'"redirects":1,"retries":2,"cold":true}'
)

Behaviour = Callable[["Received"], Awaitable[None]]


@dataclass
class Received:
    """One request, and the connection to misbehave on."""

    number: int
    keep_alive: bool
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    def reply(self, body: bytes = GOOD, status: str = "200 OK", *, close: bool | None = None) -> None:
        """A plain answer."""
        closing = (not self.keep_alive) if close is None else close
        connection = b"Connection: close\r\n" if closing else b""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        self.writer.write(head + connection + b"\r\n" + body)

    def reset(self) -> None:
        """Close with a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()


@dataclass
class Server:
    """A server that answers with a behaviour, and counts."""

    behaviour: Behaviour
    host: str = "127.0.0.1"
    port: int = 0
    backlog: int = 1024
    requests: int = 0
    connections: int = 0
    by_address: Counter[str] = field(default_factory=Counter[str])

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.by_address[writer.get_extra_info("sockname")[0]] += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                request = Received(self.requests, b"connection: keep-alive" in head.lower(), writer, reader)
                await self.behaviour(request)
                if not request.keep_alive or writer.is_closing():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    @contextlib.contextmanager
    def running(self) -> Generator["Server"]:
        """Serve from a thread until the block ends."""
        loop = asyncio.new_event_loop()
        started = threading.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self.handle, self.host, self.port, backlog=self.backlog)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await stop.wait()
            server.close()

        stop = asyncio.Event()
        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        assert started.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)


async def good(request: Received) -> None:
    """The function's answer."""
    request.reply()


async def never(request: Received) -> None:
    """No answer while anybody waits."""
    await request.reader.read()


@dataclass
class Sent:
    """What a sender did."""

    rows: list[Row]
    details: list[tuple[float, str, str]]
    sender: Sender
    start_monotonic_s: float

    @property
    def outcomes(self) -> Counter[str]:
        """Counts by name."""
        return Counter(outcomes.name(row.outcome) for row in self.rows)


def send(
    port: int,
    *,
    rate: int = 100,
    seconds: float = 0.3,
    host: str = "127.0.0.1",
    keep_alive: bool = False,
    limits: Limits | None = None,
    resolver: Resolver | None = None,
    within_s: float = 15.0,
    shares: list[Share] | None = None,
) -> Sent:
    """Send a schedule at a port, and wait for a row for each arrival."""
    schedule = Schedule(parse(f"phases:\n - duration: {seconds}\n   arrivalRate: {rate}"))
    target = Target(f"http://{host}:{port}/")
    if resolver is None:
        resolver = Resolver(target.host, port)
        resolver.resolve()
    start_monotonic_s = time.monotonic() + 0.05
    sender = Sender(
        schedule,
        resolver,
        target.request(keep_alive=keep_alive),
        keep_alive=keep_alive,
        timings=TIMINGS,
        limits=limits or Limits(time_limit_s=5.0, connect_limit_s=2.0),
        start_monotonic_s=start_monotonic_s,
    )
    sender.orders.append(shares or [Share(0, 0, schedule.total, 1, final=True)])
    sender.start()
    until = time.monotonic() + within_s
    while len(sender.rows) < schedule.total and time.monotonic() < until and not sender.crash:
        time.sleep(0.01)
    rows = [Row.of(row_struct(len(TIMINGS)).unpack(row)) for row in sender.rows]
    in_flight = sender.in_flight
    sender.quit()
    while not sender.stopped:
        time.sleep(0.01)
    assert sender.crash == ""
    assert len(rows) == schedule.total, f"{len(rows)} rows of {schedule.total}; {Counter(row.outcome for row in rows)}"
    assert sorted(row.k for row in rows) == list(range(schedule.total))
    assert in_flight == 0
    return Sent(rows, list(sender.details), sender, start_monotonic_s)
