"""Requests become the documented event, answers become responses, malformed ones 502."""

import base64
from typing import Any

import pytest

from rehearsal.balancer import HttpRequest, MalformedError, alb_event, parse_answer, response


def request(url: str, body: bytes = b"", **headers: str) -> HttpRequest:
    """A parsed GET."""
    made = HttpRequest()
    made.method, made.url, made.body, made.headers = "GET", url, body, headers
    return made


def test_the_event_is_the_documented_one() -> None:
    """Every field that the load balancer's documentation names, and no other."""
    event = alb_event(request("/path?a=1&b=", host="alb"), "arn:target")
    assert event["requestContext"] == {"elb": {"targetGroupArn": "arn:target"}}
    assert (event["httpMethod"], event["path"]) == ("GET", "/path")
    assert event["queryStringParameters"] == {"a": "1", "b": ""}
    assert event["headers"]["host"] == "alb"
    assert {"x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"} < set(event["headers"])
    assert (event["body"], event["isBase64Encoded"]) == ("", False)
    assert len(event) == 7


@pytest.mark.parametrize(
    ("kind", "body", "text", "encoded"),
    [
        ("application/json; charset=utf-8", b"{}", "{}", False),
        ("text/plain", b"\xff", "/w==", True),
        ("application/octet-stream", b"abc", "YWJj", True),
    ],
)
def test_bodies_that_are_not_text_are_encoded(kind: str, body: bytes, text: str, encoded: bool) -> None:
    """Binary bodies arrive in Base64, text as it is."""
    event = alb_event(request("/", body, **{"content-type": kind}), "arn")
    assert (event["body"], event["isBase64Encoded"]) == (text, encoded)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {},
        {"statusCode": "200"},
        {"statusCode": True},
        {"statusCode": 99},
        {"statusCode": 200, "body": 5},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
        {"statusCode": 200, "body": "x" * (1024 * 1024 + 1)},
    ],
)
def test_malformed_answers_are_refused(answer: Any) -> None:
    """What the real balancer answers with 502 is malformed here too."""
    with pytest.raises(MalformedError):
        parse_answer({"result": answer})


def test_an_error_of_the_function_is_malformed() -> None:
    """An invocation that raised or ran out of time has no result: 502."""
    with pytest.raises(MalformedError):
        parse_answer({"error": {"errorType": "Sandbox.Timedout"}})


def test_a_good_answer_becomes_a_response() -> None:
    """Status, headers and body as the function gave them, with a length of its own."""
    answer = {
        "statusCode": 503,
        "headers": {"Content-Type": "application/json", "Content-Length": "7"},
        "body": base64.b64encode(b"{}").decode(),
        "isBase64Encoded": True,
    }
    status, headers, body = parse_answer({"result": answer})
    data = response(status, headers, body, keep_alive=False)
    assert data.startswith(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n")
    assert b"content-type: application/json\r\nconnection: close\r\n\r\n{}" in data
