"""A connection to one node, on redis-py's own Connection and SSLConnection.

They connect, verify and close. Commands and replies do not pass through them: resp.py packs and parses.
What else differs from redis-py, and why:

- Protocol 2 and no client information: `HELLO` and two `CLIENT SETINFO` would be three more round trips in the
  figure `connection`.
- The caller chooses the address, so one dead address of several uses only a part of the time.
- A time limit holds for a whole exchange. A socket's own time-out restarts with each `recv`, so a node that sends a
  byte now and then would keep an invocation for ever.
- A process makes each Connection object and the TLS context once and reuses them: making a Connection takes as long as
  connecting, and loading the system's certificate authorities takes longer than the handshake.
- Connections are closed by a reset, after all replies were read. An orderly close keeps the local port in TIME_WAIT for
  a minute (30 s on macOS), so ports would run out at a few hundred new connections a second to one address, which is
  below the load's peak.
"""

import contextlib
import errno
import functools
import math
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections import defaultdict
from typing import cast

from function.cache_settings import CacheSettings
from function.redispy import (
    AuthenticationError,
    Connection,
    EventDispatcher,
    InvalidResponse,
    LostError,
    ResponseError,
    SilentError,
    SSLConnection,
)
from function.resolve import Address, SocketAddress
from function.resp import Replies, RespReply, pack

_EVENTS = EventDispatcher()  # nobody listens, so all connections share one
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _PlainSocket(socket.socket):
    """A blocking socket with the kernel's time-outs: Python's own add a poll() before each send and receive."""

    armed = math.inf

    def arm(self, seconds: float) -> None:
        """Set the kernel's time-out for each send and receive."""
        self.armed = seconds
        whole = int(seconds)
        interval = struct.pack("ll", whole, max(1000, int((seconds - whole) * 1e6)))
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)

    def receive(self, size: int, until: float, /) -> bytes:
        """Receive until a moment on the monotonic clock."""
        while True:
            self._rearm(until)
            try:
                return self.recv(size)
            except BlockingIOError:  # the kernel's time-out, perhaps shorter than `until`
                continue

    def send_all(self, data: bytes, until: float) -> None:
        """Send until a moment on the monotonic clock, or until nothing was sent for the kernel's time-out."""
        self._rearm(until)
        try:
            self.sendall(data)
        except BlockingIOError as error:
            raise TimeoutError from error

    def open(self, sockaddr: SocketAddress, until: float) -> None:
        """Connect until a moment on the monotonic clock."""
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if sys.platform == "linux":  # SO_SNDTIMEO limits connecting too
            self.arm(left)
            try:
                self.connect(sockaddr)
            except BlockingIOError as error:
                raise TimeoutError(errno.ETIMEDOUT, "no answer to the connection") from error
        else:
            self.settimeout(left)
            self.connect(sockaddr)
            self.settimeout(None)
            self.arm(left)

    def _rearm(self, until: float) -> None:
        left = until - time.monotonic()
        if left < self.armed:
            if left <= 0:
                raise TimeoutError
            self.arm(left)


class _TlsSocket(ssl.SSLSocket):
    """Uses Python's time-outs: the ssl module takes a kernel time-out for "try again" and goes on waiting."""

    def receive(self, size: int, until: float, /) -> bytes:
        """Receive until a moment on the monotonic clock."""
        _limit(self, until)
        return self.recv(size)

    def send_all(self, data: bytes, until: float) -> None:
        """Send until a moment on the monotonic clock."""
        _limit(self, until)
        self.sendall(data)


def _limit(sock: socket.socket, until: float) -> None:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)


def _open(address: Address, until: float) -> _PlainSocket:
    made = _PlainSocket(address.family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.open(address.sockaddr, until)
    except BaseException:
        made.close()
        raise
    return made


class _Plain(Connection):
    """Connection to an address that the caller has chosen."""

    address: Address
    until: float

    def _connect(self) -> socket.socket:
        return _open(self.address, self.until)


class _Tls(SSLConnection):
    """The same over TLS."""

    address: Address
    until: float

    def _connect(self) -> ssl.SSLSocket:
        made = _open(self.address, self.until)
        try:
            _limit(made, self.until)
            context = _tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
            return context.wrap_socket(made, server_hostname=self.host)
        except ssl.SSLCertVerificationError as error:
            made.close()
            raise AuthenticationError(f"the certificate of {self.host} is not valid: {error}") from error
        except BaseException:
            made.close()
            raise


@functools.cache
def _tls_context(_cert_file: str | None, _cert_dir: str | None) -> ssl.SSLContext:
    """Trust the system's authorities and verify names; made again only if OpenSSL's own variables change."""
    context = ssl.create_default_context()
    context.sslsocket_class = _TlsSocket
    return context


# Pool of closed Connection objects, for the next connection to the same node.
_shells: defaultdict[tuple[str, int, bool], list[_Plain | _Tls]] = defaultdict(list)


class Link:
    """An open connection to one node. A failure closes it and raises LostError or SilentError."""

    def __init__(self, name: str, address: Address, cache: CacheSettings, until: float) -> None:
        self.name = name
        self.place = address.place
        shells = _shells[name, self.place[1], cache.tls]
        made = shells.pop() if shells else _make(name, self.place[1], tls=cache.tls)
        made.address, made.until = address, until
        made.connect()
        self._shells = shells
        self._connection = made
        sock = cast("_PlainSocket | _TlsSocket", made._sock)  # noqa: SLF001 - redis-py has no public way to its socket
        self._sock: _PlainSocket | _TlsSocket | None = sock
        self._replies = Replies(sock)
        if cache.password:
            self.call("AUTH", *([cache.username] if cache.username else []), cache.password, until=until)

    def call(self, *command: str, until: float) -> RespReply:
        """Send a command and return its reply; an error reply is raised."""
        reply = self.exchange(pack(command), 1, until)[0]
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def exchange(self, packed: bytes, count: int, until: float) -> list[RespReply]:
        """Send packed commands at once and return their `count` replies; error replies are returned."""
        sock = self._sock
        if sock is None:
            raise LostError(f"the connection to {self.name} was closed before")
        try:
            sock.send_all(packed, until)
            following = self._replies.next
            return [following(until)] if count == 1 else [following(until) for _ in range(count)]
        except TimeoutError as error:
            self.close()
            raise SilentError(f"no reply from {self.name} ({self.place[0]}:{self.place[1]}) in time") from error
        except (InvalidResponse, ValueError, OSError) as error:
            self.close()
            raise LostError(f"{self.name} ({self.place[0]}:{self.place[1]}): {error}") from error
        except LostError:
            self.close()
            raise

    def idle(self) -> bool:
        """Return whether the connection is open and nothing arrived since the last reply."""
        if self._sock is None:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._sock = None
            self._connection.disconnect()
            self._shells.append(self._connection)


def _make(name: str, port: int, *, tls: bool) -> _Plain | _Tls:
    return (_Tls if tls else _Plain)(
        host=name, port=port, protocol=2, driver_info=None, event_dispatcher=_EVENTS, redis_connect_func=_no_handshake
    )


def _no_handshake(_: Connection) -> None:
    """Send nothing of redis-py's on a new connection."""
