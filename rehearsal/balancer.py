"""The declared listener as a port, and Lambda's Invoke API as another: HTTP in, invocations out.

A request becomes the event that an Application Load Balancer documents for Lambda targets; the function's answer
becomes the response. As with the real one, a malformed answer, an error or the time limit is a 502 for the caller.
"""

import asyncio
import base64
import json
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools

from rehearsal.invocations import HostedFunction

BODY_LIMIT = 1024 * 1024
_INVOKE = "/2015-03-31/functions/"
_BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


class MalformedError(Exception):
    """The function's answer is not what a load balancer accepts."""


class HttpRequest:
    """One parsed request."""

    def __init__(self) -> None:
        self.method = ""
        self.url = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.keep_alive = True


class HttpProtocol(asyncio.Protocol):
    """HTTP/1.1 on one connection, one request after the other, in order."""

    def __init__(self, handle: Callable[[HttpRequest, Callable[[bytes, bool], None]], None]) -> None:
        self._handle = handle
        self._parser = httptools.HttpRequestParser(self)
        self._request = HttpRequest()
        self._queue: deque[HttpRequest] = deque()
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._reply(response(HTTPStatus.BAD_REQUEST, {}, b"400 Bad Request", keep_alive=False), False)

    def on_message_begin(self) -> None:
        self._request = HttpRequest()

    def on_url(self, url: bytes) -> None:
        self._request.url += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        held = self._request.headers.get(key)
        self._request.headers[key] = text if held is None or key != "cookie" else f"{held}; {text}"

    def on_body(self, body: bytes) -> None:
        self._request.body += body

    def on_message_complete(self) -> None:
        self._request.method = self._parser.get_method().decode("latin-1")
        self._request.keep_alive = self._parser.should_keep_alive()
        self._queue.append(self._request)
        self._next()

    def _next(self) -> None:
        if self._busy or not self._queue:
            return
        self._busy = True
        self._handle(self._queue.popleft(), self._reply)

    def _reply(self, data: bytes, keep_alive: bool) -> None:
        self._busy = False
        if self._transport is None:
            return
        self._transport.write(data)
        if keep_alive:
            self._next()
        else:
            self._transport.close()


def balancer(function: HostedFunction, target_group_arn: str) -> Callable[[], HttpProtocol]:
    """A protocol factory for the listener whose default action forwards to `function`."""

    def handle(request: HttpRequest, reply: Callable[[bytes, bool], None]) -> None:
        if len(request.body) > BODY_LIMIT:
            reply(response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {}, b"", keep_alive=request.keep_alive), False)
            return

        def answer(result: dict[str, Any]) -> None:
            try:
                status, headers, body = parse_answer(result)
            except MalformedError:
                if "error" not in result:
                    function.second.malformed += 1
                status, headers, body = HTTPStatus.BAD_GATEWAY, {"content-type": "text/html"}, _BAD_GATEWAY
            reply(response(status, headers, body, keep_alive=request.keep_alive), request.keep_alive)

        function.invoke(alb_event(request, target_group_arn), answer)

    return lambda: HttpProtocol(handle)


def api(
    functions: Mapping[str, HostedFunction], control: Callable[[str, Any], dict[str, Any]]
) -> Callable[[], HttpProtocol]:
    """A protocol factory for Lambda's Invoke API; any other path is handed to `control` with its JSON body."""

    def handle(request: HttpRequest, reply: Callable[[bytes, bool], None]) -> None:
        def send(status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
            body = json.dumps(content).encode()
            reply(
                response(status, {"content-type": "application/json", **(headers or {})}, body, request.keep_alive),
                request.keep_alive,
            )

        path = unquote(urlsplit(request.url).path)
        try:
            payload = json.loads(request.body) if request.body else {}
        except ValueError as error:
            send(HTTPStatus.BAD_REQUEST, {"message": f"the body is not JSON: {error}"})
            return
        if not path.startswith(_INVOKE):
            send(HTTPStatus.OK, control(path, payload))
            return
        name = path.removeprefix(_INVOKE).removesuffix("/invocations")
        if name not in functions:
            send(HTTPStatus.NOT_FOUND, {"message": f"Function not found: {name}"})
            return

        def answer(result: dict[str, Any]) -> None:
            if "error" in result:
                send(HTTPStatus.OK, result["error"], {"x-amz-function-error": "Unhandled"})
            else:
                send(HTTPStatus.OK, result["result"])

        functions[name].invoke(payload, answer)

    return lambda: HttpProtocol(handle)


def alb_event(request: HttpRequest, target_group_arn: str) -> dict[str, Any]:
    """The event that an Application Load Balancer sends to a Lambda target.

    Source: Elastic Load Balancing, "Using AWS Lambda functions as targets", "Receive events from the load balancer".
    """
    parts = urlsplit(request.url)
    text, encoded = _body_of(request)
    return {
        "requestContext": {"elb": {"targetGroupArn": target_group_arn}},
        "httpMethod": request.method,
        "path": parts.path,
        "queryStringParameters": dict(parse_qsl(parts.query, keep_blank_values=True)),
        "headers": {
            **request.headers,
            "x-amzn-trace-id": f"Root=1-{uuid.uuid4().hex[:8]}-{uuid.uuid4().hex[:24]}",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": "80",
            "x-forwarded-proto": "http",
        },
        "body": text,
        "isBase64Encoded": encoded,
    }


def parse_answer(result: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a function's answer; raises MalformedError where the real balancer answers 502."""
    answer = result.get("result")
    if not isinstance(answer, dict):
        raise MalformedError("the answer is not an object")
    status = answer.get("statusCode")
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 999:
        raise MalformedError(f"statusCode is {status!r}")
    headers = answer.get("headers", {})
    headers = {} if headers is None else headers
    body = answer.get("body")
    if not isinstance(headers, dict) or not isinstance(body, str | None):
        raise MalformedError("headers must be an object and body a string")
    data = (body or "").encode()
    if answer.get("isBase64Encoded"):
        try:
            data = base64.b64decode(data, validate=True)
        except ValueError as error:
            raise MalformedError("the body is not Base64") from error
    if len(data) > BODY_LIMIT:
        raise MalformedError("the body is larger than 1 MB")
    return status, {str(name).lower(): str(value) for name, value in headers.items()}, data


def response(status: int, headers: Mapping[str, str], body: bytes, keep_alive: bool) -> bytes:
    """An HTTP/1.1 response with a Content-Length."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {int(status)} {phrase}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name not in ("content-length", "connection")]
    lines.append(f"connection: {'keep-alive' if keep_alive else 'close'}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def _body_of(request: HttpRequest) -> tuple[str, bool]:
    kind = request.headers.get("content-type", "")
    plain = kind.startswith("text/") or kind.split(";")[0] in (
        "",
        "application/json",
        "application/javascript",
        "application/xml",
    )
    if plain and "content-encoding" not in request.headers:
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True
