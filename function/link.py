"""A connection to one node, on redis-py's own Connection and SSLConnection.

What is changed, and why:

- Protocol 2 and no client information: `HELLO` and two `CLIENT SETINFO` would be three more round trips in the
  figure `connection`.
- The caller chooses the address, so that a dead one of several costs a part of the time and not all of it.
- A time limit holds for a whole exchange. A socket's own time-out holds for each `recv`, so a node that sends a byte
  now and then would keep an invocation for ever.
- The TLS context is made once in a process: loading the system's authorities takes longer than the handshake.
- A connection is closed by a reset. All replies have been read by then, and an orderly close would leave each local
  port waiting for a minute (half of that on macOS), which ends at a few hundred new connections a second to one
  address: fewer than the load's peak.
"""

import functools
import math
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from typing import Any, cast

from function.environment import Cache
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
from function.resolve import Address
from function.resp import Packer, Parser

Command = tuple[str, ...]
Reply = Any  # bytes, an int, None, a list of these, or a ResponseError

_PACKER = Packer()
_EVENTS = EventDispatcher()  # nobody listens: one for all saves making one for each connection
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Limited(socket.socket):
    """A socket whose sends and receives all end by one moment on the monotonic clock."""

    until = math.inf

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive within the limit."""
        _arm(self, self.until)
        return super().recv(bufsize, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send within the limit."""
        _arm(self, self.until)
        super().sendall(data, flags)


class _LimitedTls(ssl.SSLSocket):
    """The same over TLS."""

    until = math.inf

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive within the limit."""
        _arm(self, self.until)
        return super().recv(buflen, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send within the limit."""
        _arm(self, self.until)
        super().sendall(data, flags)


def _arm(sock: socket.socket, until: float) -> None:
    """Give the socket's next operation the time that is left."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time limit of the exchange has passed")
    sock.settimeout(min(left, 3600.0))


@functools.cache
def _tls_context(_cert_file: str | None, _cert_dir: str | None) -> ssl.SSLContext:
    """Trust the system's authorities and verify names; made again only if OpenSSL's own variables change."""
    context = ssl.create_default_context()
    context.sslsocket_class = _LimitedTls
    return context


def _open(address: Address, until: float) -> _Limited:
    made = _Limited(address.family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        made.until = until
        _arm(made, until)
        made.connect(address.sockaddr)
    except BaseException:
        made.close()
        raise
    return made


class _Plain(Connection):
    def __init__(self, address: Address, until: float, **options: Any) -> None:
        self.address = address
        self.until = until
        super().__init__(**options)

    def _connect(self) -> socket.socket:
        return _open(self.address, self.until)


class _Tls(SSLConnection):
    def __init__(self, address: Address, until: float, **options: Any) -> None:
        self.address = address
        self.until = until
        super().__init__(**options)

    def _connect(self) -> ssl.SSLSocket:
        made = _open(self.address, self.until)
        try:
            context = _tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
            wrapped = cast("_LimitedTls", context.wrap_socket(made, server_hostname=self.host))
        except ssl.SSLCertVerificationError as error:
            made.close()
            raise AuthenticationError(f"the certificate of {self.host} is not good: {error}") from error
        except BaseException:
            made.close()
            raise
        wrapped.until = self.until
        return wrapped


class Link:
    """An open connection to one node. What goes wrong is a LostError or a SilentError, after which it is closed."""

    def __init__(self, name: str, address: Address, cache: Cache, until: float) -> None:
        self.name = name
        self.place = address.place
        made = (_Tls if cache.tls else _Plain)(
            address,
            until,
            host=name,
            port=self.place[1],
            username=cache.username or None,
            password=cache.password or None,
            protocol=2,
            driver_info=None,
            parser_class=Parser,
            command_packer=_PACKER,
            event_dispatcher=_EVENTS,
        )
        try:
            made.connect()
        except (LostError, SilentError, ResponseError):
            raise
        except (InvalidResponse, ValueError, OSError) as error:
            raise LostError(f"{name} ({self.place[0]}:{self.place[1]}): {error}") from error
        self._connection = made

    def call(self, *command: str, until: float) -> Reply:
        """Send a command and return its reply; an error reply is raised."""
        (reply,) = self.exchange([command], until)
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def exchange(self, commands: Sequence[Command], until: float) -> list[Reply]:
        """Send commands at once and return their replies, an error reply in its place."""
        made = self._connection
        sock = made._sock  # noqa: SLF001 - redis-py has no public way to its socket
        if sock is None:
            raise LostError(f"the connection to {self.name} was closed before")
        sock.until = until
        replies: list[Reply] = []
        try:
            packed = b"".join(_PACKER.pack(*command)[0] for command in commands)
            made.send_packed_command([packed], check_health=False)
            for _ in commands:
                try:
                    replies.append(made.read_response())
                except ResponseError as error:
                    replies.append(error)
        except (LostError, SilentError):
            self.close()
            raise
        except (InvalidResponse, ValueError, OSError) as error:
            self.close()
            raise LostError(f"{self.name} sent something that is not a reply: {error}") from error
        return replies

    def idle(self) -> bool:
        """Say whether the connection is open and nothing has come in on it since the last reply."""
        sock = self._connection._sock  # noqa: SLF001 - as above
        if sock is None:
            return False
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()
