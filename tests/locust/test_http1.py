"""Replies, whole or in pieces, and what is wrong with the others."""

import uuid

import pytest

from contract.runfolder import TIMINGS
from loadgen.http1 import Figures, Reply, ReplyError, figures, nothing, parse, told_cold
from loadgen.outcomes import GARBAGE, NO_SESSION, NOT_SAID, OVERSIZED

SESSION = uuid.UUID("5f0c7b0e-7b1c-4d3f-9c7d-2f1f5f0c7b0e")

WHOLE = {
    "content-length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    "told to close": (b"HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n", b"", False),
    "http 1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n",
        b"abc0123456789",
        True,
    ),
    "chunked with trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
        b"a",
        True,
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "interim first": (
        b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"x",
        True,
    ),
    "more than said": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxyz", b"x", False),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_reply_is_whole_at_its_last_byte_and_not_before(name: str) -> None:
    """Fed byte by byte, a reply comes out exactly when it is complete, whatever its framing."""
    data, body, reusable = WHOLE[name]
    reply = parse(data)
    assert reply is not None
    assert (reply.body, reply.reusable) == (body, reusable)
    if name == "more than said":
        return
    for cut in range(1, len(data)):
        assert parse(data[:cut]) is None


def test_a_body_without_length_ends_with_the_connection() -> None:
    """Close-delimited bodies are whole only when the connection closed."""
    data = b"HTTP/1.1 200 OK\r\n\r\npartial"
    assert parse(data) is None
    assert parse(data, closed=True) == Reply(200, b"partial", reusable=False)


def test_a_reply_cut_off_is_none_even_at_the_close() -> None:
    """A body shorter than its length is no reply."""
    assert parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", closed=True) is None


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", GARBAGE),
        (b"HTTP/2 200\r\n\r\n", GARBAGE),
        (b"HTTP/1.1 abc OK\r\n\r\n", GARBAGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", GARBAGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", GARBAGE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", GARBAGE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", GARBAGE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", OVERSIZED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", OVERSIZED),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, OVERSIZED),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 1_100_000, OVERSIZED),
    ],
)
def test_what_is_no_reply_has_a_name(data: bytes, outcome: int) -> None:
    """Garbage and oversized replies are told apart, and never waited for."""
    with pytest.raises(ReplyError) as error:
        parse(data)
    assert error.value.outcome == outcome


def test_the_functions_figures() -> None:
    """Seconds become microseconds, the session its 16 bytes; what is not there is said to be unknown."""
    body = f'{{"session":"{SESSION}","connection":0.0031,"write":1e-4,"read":0,"redirects":1,"retries":2}}'.encode()
    assert figures(body, TIMINGS) == Figures(NOT_SAID, 1, 2, SESSION.bytes, [3100, 100, 0])
    assert figures(b"plain text", TIMINGS) == nothing(TIMINGS)
    assert figures(b'{"write":0.25,"cold":true}', TIMINGS) == Figures(1, 0, 0, NO_SESSION, [-1, 250_000, -1])
    assert figures(b'{"render":0.5,"cold":false}', ("render",)) == Figures(0, 0, 0, NO_SESSION, [500_000])


@pytest.mark.parametrize(
    ("body", "cold"),
    [
        (b'{"error":"deadline","cold":true}', 1),
        (b'{"error":"deadline","cold":false}', 0),
        (b'{"error":"deadline"}', NOT_SAID),
        (b"<html>502 Bad Gateway</html>", NOT_SAID),
        (b'a "cold" day', NOT_SAID),
        (b'["cold"]', NOT_SAID),
        (b'{"cold":"yes"}', NOT_SAID),
        (b'{"cold":' + b"[" * 100_000, NOT_SAID),
        (b'{"cold":\xff}', NOT_SAID),
    ],
)
def test_a_failed_reply_may_say_that_it_was_cold(body: bytes, cold: int) -> None:
    """A cold start that ends in an error is a cold start; whatever else such a reply holds does no harm."""
    assert told_cold(body, TIMINGS) == nothing(TIMINGS)._replace(cold=cold)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"session":"x"}',
        b'{"write":"fast"}',
        b'{"write":-1}',
        b'{"write":NaN}',
        b'{"read":1e9}',
        b'{"retries":{}}',
        b'{"write":true',
        b'{"cold":"yes"}',
        b'{"cold":[]}',
        b'{"retries":-1}',
        b'{"cold":' + b"[" * 100_000,
    ],
)
def test_a_good_status_with_wrong_json_is_garbage(body: bytes) -> None:
    """A reply that cannot be the function's is not counted as a good one."""
    with pytest.raises(ReplyError) as error:
        figures(body, TIMINGS)
    assert error.value.outcome == GARBAGE
