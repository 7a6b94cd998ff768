"""Packing and parsing, over a real pair of sockets."""

import math
import socket
import threading
from typing import Any

import pytest

from function.redispy import InvalidResponse, LostError, MovedError, ResponseError
from function.resp import Replies, pack

_NESTED = b"*2\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*0\r\n$-1\r\n"
_REPLIES: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", b"OK"),
    (b":-7\r\n", -7),
    (b"$5\r\nab\r\nc\r\n", b"ab\r\nc"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"*0\r\n", []),
    (b"*2\r\n$4\r\nname\r\n$3\r\nAda\r\n", [b"name", b"Ada"]),
    (b"*1\r\n$0\r\n\r\n", [b""]),
    (b"*2\r\n$8\r\nab\r\ncdef\r\n$-1\r\n", [b"ab\r\ncdef", None]),
    (b"*3\r\n$2\r\n\r\n\r\n:5\r\n$-1\r\n", [b"\r\n", 5, None]),
    (b"*1\r\n$4100\r\n" + b"x" * 4100 + b"\r\n", [b"x" * 4100]),
    (_NESTED, [[0, 16383, [b"127.0.0.1", 7000, b"id", []]], None]),
]


def _read(*pieces: bytes, count: int = 1) -> list[Any]:
    """Parse `count` replies that arrive in pieces, each received on its own, after which the server closes."""
    near, far = socket.socketpair()
    arrived = threading.Semaphore(0)

    class OnePiece:
        """A socket that is given a piece only when the last has been read."""

        def receive(self, size: int, _: float, /) -> bytes:
            arrived.release()
            return near.recv(size)

    def send() -> None:
        for piece in pieces:
            arrived.acquire(timeout=5)
            far.sendall(piece)
        arrived.acquire(timeout=5)
        far.close()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        replies = Replies(OnePiece())
        return [replies.next(math.inf) for _ in range(count)]
    finally:
        arrived.release(len(pieces) + 1)
        sender.join()
        near.close()


@pytest.mark.parametrize(("raw", "reply"), _REPLIES)
def test_a_reply_is_the_same_wherever_the_network_cuts_it(raw: bytes, reply: Any) -> None:
    """TCP cuts where it likes, between CR and LF too."""
    for cut in range(1, len(raw), 1 + len(raw) // 100):
        assert _read(raw[:cut], raw[cut:], b"+NEXT\r\n", count=2) == [reply, b"NEXT"], cut


def test_replies_in_one_piece_are_told_apart() -> None:
    """A pipeline's replies arrive together."""
    together = b"".join(raw for raw, _ in _REPLIES)
    assert _read(together, count=len(_REPLIES)) == [reply for _, reply in _REPLIES]


def test_error_replies_are_redis_pys_own_exceptions() -> None:
    """The client decides by their type, and inside a pipeline an error must not end the other replies."""
    moved, other, fine = _read(b"-MOVED 3999 127.0.0.1:6381\r\n-ERR unknown command\r\n+OK\r\n", count=3)
    assert isinstance(moved, MovedError)
    assert (moved.slot_id, moved.node_addr) == (3999, ("127.0.0.1", 6381))
    assert isinstance(other, ResponseError)
    assert fine == b"OK"


@pytest.mark.parametrize("cut", [b"$10\r\nabc", b"*2\r\n:1\r\n", b"+O", b"-MOV"])
def test_a_reply_cut_in_half_is_a_lost_connection(cut: bytes) -> None:
    """Half a reply must never be taken for a whole one."""
    with pytest.raises(LostError, match="in the middle of a reply"):
        _read(cut)


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n", b"$abc\r\n", b"*x\r\n", b"\0\0\0\r\n", b"\r\n"])
def test_garbage_is_refused(garbage: bytes) -> None:
    """Some other server may listen at the endpoint's address; what it says must not be taken for a value."""
    with pytest.raises((InvalidResponse, ValueError)):
        _read(garbage)


@pytest.mark.parametrize(
    ("words", "packed"),
    [
        (("GET", "k"), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
        (("SET", "é", b"\xff\r\n", ""), b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$3\r\n\xff\r\n\r\n$0\r\n\r\n"),
    ],
)
def test_commands_are_packed_by_bytes_not_characters(words: tuple[str | bytes, ...], packed: bytes) -> None:
    """A length in characters would leave the rest of the word to be read as the next command."""
    assert pack(words) == packed
