"""Answers to the load balancer and lines in the log."""

import json
from http import HTTPStatus
from typing import Any


def respond(event: dict[str, Any], status: HTTPStatus, body: dict[str, Any]) -> dict[str, Any]:
    """An answer for an Application Load Balancer, with single or multiple header values as its event has them."""
    answer: dict[str, Any] = {
        "statusCode": status.value,
        "statusDescription": f"{status.value} {status.phrase}",
        "isBase64Encoded": False,
        "body": json.dumps(body),
    }
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if "multiValueHeaders" in event:
        answer["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    else:
        answer["headers"] = headers
    return answer


def log(record: dict[str, Any]) -> None:
    """Print one line and flush it: Lambda may freeze or kill the process right after.

    Seconds are written as decimals to the nanosecond. json.dumps writes 0.00009 as 9e-05, and CloudWatch's documents do
    not say that Logs Insights reads that as a number; the dashboard's charts average these fields.
    """
    fields = (
        f"{json.dumps(name)}: {f'{value:.9f}' if isinstance(value, float) else json.dumps(value)}"
        for name, value in record.items()
    )
    print("{" + ", ".join(fields) + "}", flush=True)
