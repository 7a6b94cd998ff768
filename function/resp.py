"""Packing and parsing for redis-py's Connection, several times cheaper than its own pure-Python ones.

A reply is parsed where it lies in the buffer instead of line by line through a BytesIO. What that saves would be
counted as the cache's: in `read` for HGETALL's array, in `connection` for CLUSTER SLOTS's, which grows with the nodes.
"""

import socket
from typing import Any

from function.redispy import BaseParser, Connection, InvalidResponse, LostError

_READ_SIZE = 65536
_ERROR, _STATUS, _INTEGER, _BULK, _ARRAY = b"-+:$*"


class Packer:
    """Commands to bytes."""

    @staticmethod
    def pack(*words: str | bytes) -> list[bytes]:
        """Pack one command."""
        coded = [word.encode() if isinstance(word, str) else word for word in words]
        parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in coded]
        return [b"*%d\r\n%b" % (len(parts), b"".join(parts))]


class _IncompleteError(Exception):
    """The reply goes on in what has not been received yet."""


class Parser(BaseParser):
    """Bytes to replies: bytes, int, None, lists of these; an error reply is an exception of redis-py's, returned."""

    def __init__(self, socket_read_size: int = _READ_SIZE) -> None:
        self._size = max(socket_read_size, _READ_SIZE)
        self._sock: socket.socket | None = None
        self._buffer = b""
        self._at = 0

    def on_connect(self, connection: Connection) -> None:
        """Read from this connection's socket."""
        self._sock = connection._sock  # noqa: SLF001 - as redis-py's own parsers do
        self._buffer, self._at = b"", 0

    def on_disconnect(self) -> None:
        """Forget the socket and what came from it."""
        self._sock = None
        self._buffer, self._at = b"", 0

    def can_read(self, timeout: float = 0) -> bool:  # noqa: ARG002 - the signature is redis-py's
        """Say whether something is left in the buffer."""
        return self._at < len(self._buffer)

    def read_response(self, disable_decoding: bool = False, timeout: object = None) -> Any:  # noqa: ARG002 - as above
        """Return the next reply, receiving as much as it takes."""
        while True:
            if self._at < len(self._buffer):
                try:
                    reply, self._at = self._parse(self._buffer, self._at)
                except _IncompleteError:
                    pass
                else:
                    if isinstance(reply, LostError):  # LOADING, too many clients: redis-py counts these as lost
                        raise reply
                    return reply
            if self._sock is None:
                raise LostError("the connection was closed before")
            data = self._sock.recv(self._size)
            if not data:
                cut = "in the middle of a reply" if self._at < len(self._buffer) else "without a reply"
                raise LostError(f"the server closed the connection {cut}")
            self._buffer, self._at = self._buffer[self._at :] + data, 0

    def _parse(self, buffer: bytes, at: int) -> tuple[Any, int]:
        """Return the reply that starts at `at` and where it ends."""
        end = buffer.find(b"\r\n", at)
        if end < 0:
            raise _IncompleteError
        kind, text, at = buffer[at], buffer[at + 1 : end], end + 2
        if kind == _BULK:
            stop = at + int(text)
            if stop < at:
                return None, at
            if stop + 2 > len(buffer):
                raise _IncompleteError
            return buffer[at:stop], stop + 2
        if kind == _ARRAY:
            items: list[Any] = []
            for _ in range(int(text)):
                item, at = self._parse(buffer, at)
                items.append(item)
            return items, at
        return self._parse_line(kind, text), at

    def _parse_line(self, kind: int, text: bytes) -> Any:
        if kind == _INTEGER:
            return int(text)
        if kind == _STATUS:
            return text
        if kind == _ERROR:
            return self.parse_error(text.decode(errors="replace"))
        raise InvalidResponse(f"a reply cannot start with {bytes([kind]) + text[:20]!r}")
