"""HTTP/1.1 replies, whole or in pieces (Content-Length, chunked, until the close), and the function's JSON in them."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from loadgen.outcomes import GARBAGE, NO_SESSION, NOT_SAID, OVERSIZED

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 1024 * 1024  # the load balancer's own limit for a function's reply


class ReplyError(ValueError):
    """A reply that cannot be used; `outcome` says how it is counted."""

    def __init__(self, outcome: int, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome


class Reply(NamedTuple):
    """A whole reply; `reusable`: the connection may carry another request."""

    status: int
    body: bytes
    reusable: bool


class Figures(NamedTuple):
    """What the application said of its work: `loadgen.outcomes.Row` has the meaning of each."""

    cold: int
    redirects: int
    retries: int
    session: bytes
    timings_us: Sequence[int]


def nothing(timings: Sequence[str]) -> Figures:
    """The figures of a reply that has none."""
    return Figures(NOT_SAID, 0, 0, NO_SESSION, (-1,) * len(timings))


_COLD: dict[object, int] = {None: NOT_SAID, False: 0, True: 1}
_scan: Any = vars(json.JSONDecoder())["scan_once"]


def parse(data: bytes, *, closed: bool = False) -> Reply | None:
    """The reply in `data`, or None while more has to come; with `closed`, None means that it was cut off."""
    while True:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if data[:7] != b"HTTP/1."[: len(data)]:
                raise ReplyError(GARBAGE, f"not HTTP/1.x: {data[:60]!r}")
            if len(data) > MAX_HEADER_BYTES:
                raise ReplyError(OVERSIZED, f"the reply's header is longer than {MAX_HEADER_BYTES} bytes")
            return None
        if data[:7] != b"HTTP/1." or data[8:9] != b" " or not data[9:12].isdigit():
            raise ReplyError(GARBAGE, f"not a status line: {data[:60]!r}")
        status = int(data[9:12])
        if 100 <= status < 200:  # an interim reply; the real one follows
            data = data[end + 4 :]
            continue
        return _body(data, end, status, closed=closed)


def _body(data: bytes, end: int, status: int, *, closed: bool) -> Reply | None:
    header = data[:end].lower()
    at = end + 4
    reusable = data[7:8] == b"1" and b"\r\nconnection: close" not in header
    if b"\r\ntransfer-encoding:" in header and b"chunked" in header:
        body = _chunked(data, at)
        return None if body is None else Reply(status, body, reusable)
    if status in (204, 304):
        return Reply(status, b"", reusable)
    start = header.find(b"\r\ncontent-length:")
    if start >= 0:
        value = header[start + 17 :].partition(b"\r\n")[0].strip()
        if not value.isdigit() or len(value) > 15:
            raise ReplyError(GARBAGE, f"Content-Length is not a number: {value[:40]!r}")
        length = int(value)
        if length > MAX_BODY_BYTES:
            raise ReplyError(OVERSIZED, f"the reply's body is {length} bytes; at most {MAX_BODY_BYTES}")
        if len(data) - at < length:
            return None
        return Reply(status, data[at : at + length], reusable and len(data) - at == length)
    if len(data) - at > MAX_BODY_BYTES:
        raise ReplyError(OVERSIZED, f"the reply's body is over {MAX_BODY_BYTES} bytes")
    return Reply(status, data[at:], reusable=False) if closed else None


def _chunked(data: bytes, at: int) -> bytes | None:
    body = bytearray()
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size_text = data[at:end].partition(b";")[0].strip()
        try:
            size = int(size_text, 16)
        except ValueError:
            raise ReplyError(GARBAGE, f"not a chunk size: {size_text[:40]!r}") from None
        if size < 0 or len(body) + size > MAX_BODY_BYTES:
            raise ReplyError(OVERSIZED, f"the reply's chunks are over {MAX_BODY_BYTES} bytes")
        at = end + 2
        if size == 0:  # trailers, if any, end with an empty line
            return bytes(body) if data.find(b"\r\n\r\n", end) == end or data.find(b"\r\n\r\n", at) >= 0 else None
        if len(data) < at + size + 2:
            return None
        if data[at + size : at + size + 2] != b"\r\n":
            raise ReplyError(GARBAGE, "a chunk does not end where it should")
        body += data[at : at + size]
        at += size + 2


def figures(body: bytes, timings: Sequence[str]) -> Figures:
    """The function's figures out of a good reply's JSON; a body that is no JSON object says nothing."""
    if body[:1] != b"{":
        return nothing(timings)
    try:
        reply, _ = _scan(body.decode(), 0)  # what json.loads calls in the end, and faster
        get = reply.get
        session = get("session")
        return Figures(
            _COLD[get("cold")],
            _count(get("redirects", 0)),
            _count(get("retries", 0)),
            NO_SESSION if session is None else _uuid(session),
            [_microseconds(get(name)) for name in timings],
        )
    except StopIteration:
        raise ReplyError(GARBAGE, f"a good status, but not JSON: {body[:200]!r}") from None
    except KeyError as error:
        raise ReplyError(
            GARBAGE, f"a good status, but cold is {error}, neither true nor false: {body[:200]!r}"
        ) from None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ReplyError(
            GARBAGE, f"a good status, but the JSON is not the function's: {error}: {body[:200]!r}"
        ) from None


def told_cold(body: bytes, timings: Sequence[str]) -> Figures:
    """The figures of a failed reply: only whether its environment was cold."""
    said = nothing(timings)
    if b'"cold"' not in body:
        return said
    try:
        reply, _ = _scan(body.decode(), 0)
        return said._replace(cold=_COLD[reply.get("cold")])
    except (StopIteration, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return said


def _count(value: Any) -> int:
    count = int(value)
    if count < 0:
        raise ValueError(f"{count} is below 0")
    return min(count, 65535)


def _microseconds(value: object) -> int:
    if value is None:
        return -1
    if not isinstance(value, (int, float)) or not 0 <= value < 2000:
        raise ValueError(f"{value!r} is not a number of seconds")
    return int(value * 1e6 + 0.5)


def _uuid(text: str) -> bytes:
    session = bytes.fromhex(text.replace("-", ""))
    if len(session) != 16:
        raise ValueError(f"session {text!r} is not a UUID")
    return session
