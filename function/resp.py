"""Commands to bytes and bytes to replies, protocol 2.

redis-py's own parser reads a reply line by line through a BytesIO. Its cost would be counted as the cache's: in `read`
for HGETALL's array (as much as the round trip on loopback), in `connection` for CLUSTER SLOTS, which grows with the
number of nodes.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from function.redispy import BaseParser, InvalidResponse, LostError

# bytes, an int, None, a list of these, or a ResponseError; errors that redis-py counts as a lost connection are raised.
RespReply = Any

_READ_SIZE = 65536
_SMALL = 4096
_LENGTHS = [b"$%d" % length for length in range(_SMALL)]
_ERROR, _STATUS, _INTEGER, _BULK, _ARRAY = b"-+:$*"


def pack(words: Sequence[str | bytes]) -> bytes:
    """Pack one command."""
    coded = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n%b" % (len(coded), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in coded]))


class LimitedSocket(Protocol):
    """A socket that can receive until a moment on the monotonic clock."""

    def receive(self, size: int, until: float, /) -> bytes:
        """Return what has come, b"" at the end; raise TimeoutError past the limit."""
        ...


class _IncompleteError(Exception):
    """The rest of the reply has not been received yet."""


class Replies:
    """The replies that arrive on a socket, in order."""

    def __init__(self, sock: LimitedSocket) -> None:
        self._sock = sock
        self._buffer = b""
        self._at = 0

    def next(self, until: float) -> RespReply:
        """Return the next reply; `until` limits the whole reply, in however many pieces it arrives."""
        while True:
            if self._at < len(self._buffer):
                try:
                    reply, self._at = _parse(self._buffer, self._at)
                except _IncompleteError:
                    pass
                else:
                    if isinstance(reply, LostError):  # redis-py's class for LOADING, WRONGPASS and too many clients
                        raise reply
                    return reply
            data = self._sock.receive(_READ_SIZE, until)
            if not data:
                cut = "in the middle of a reply" if self._at < len(self._buffer) else "without a reply"
                raise LostError(f"the server closed the connection {cut}")
            if self._at < len(self._buffer):
                data = self._buffer[self._at :] + data
            elif len(data) < _SMALL and (strings := _strings(data)) is not None:
                return strings
            self._buffer, self._at = data, 0


def _strings(data: bytes) -> list[RespReply] | None:
    """Parse an array of strings that arrived in one piece, as HGETALL's does; None for anything else.

    Splits at line ends and accepts the result if every announced length agrees. A value that contains a line end, an
    element of another kind or a missing end changes the lengths or their number.
    """
    lines = data.split(b"\r\n")
    values = lines[2::2]
    if len(lines) % 2 or lines[-1] or not values or lines[0] != b"*%d" % len(values):
        return None
    return values if lines[1:-1:2] == [_LENGTHS[len(value)] for value in values] else None


def _parse(buffer: bytes, at: int) -> tuple[RespReply, int]:
    """Return the reply that starts at `at` and where it ends."""
    end = buffer.find(b"\r\n", at)
    if end < 0:
        raise _IncompleteError
    kind = buffer[at]
    if kind == _STATUS:
        return buffer[at + 1 : end], end + 2
    if kind == _BULK:
        start = end + 2
        stop = start + int(buffer[at + 1 : end])
        if stop < start:
            return None, start
        if stop + 2 > len(buffer):
            raise _IncompleteError
        return buffer[start:stop], stop + 2
    if kind == _ARRAY:
        return _parse_array(buffer, at + 1, end)
    if kind == _INTEGER:
        return int(buffer[at + 1 : end]), end + 2
    if kind == _ERROR:
        return BaseParser.parse_error(buffer[at + 1 : end].decode(errors="replace")), end + 2
    raise InvalidResponse(f"a reply cannot start with {buffer[at : at + 20]!r}")


def _parse_array(buffer: bytes, start: int, end: int) -> tuple[RespReply, int]:
    items: list[RespReply] = []
    at = end + 2
    for _ in range(int(buffer[start:end])):
        item, at = _parse(buffer, at)
        items.append(item)
    return items, at
