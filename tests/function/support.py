"""Lambda's side of an invocation, for the function's tests."""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest

from function import session
from function.cache_settings import CacheSettings
from function.handler import handler


@dataclass
class Invocation:
    """Lambda's context for one invocation with a time limit in seconds."""

    limit_s: float = 15.0
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """As Lambda's: what is left of the limit."""
        return int((self.limit_s - (time.monotonic() - self.started)) * 1000)


@dataclass
class Outcome:
    """What came of an invocation."""

    status: int
    body: dict[str, Any]
    log: dict[str, Any]
    seconds: float


@dataclass
class Function:
    """The handler, invoked in this process with the environment that a test gives it."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def configure(self, cache: CacheSettings) -> "Function":
        """Set the environment as the program would declare it for this cache."""
        for name, value in environment(cache).items():
            self.monkeypatch.setenv(name, value)
        return self

    def invoke(self, limit_s: float = 15.0, **event: Any) -> Outcome:
        """Invoke once; the time limit is Lambda's, so the answer must come before it."""
        self.capsys.readouterr()
        context = Invocation(limit_s)
        response = handler({"headers": {}, **event}, context)
        seconds = time.monotonic() - context.started
        lines = self.capsys.readouterr().out.splitlines()
        assert len(lines) == 1, lines
        return Outcome(response["statusCode"], json.loads(response["body"]), json.loads(lines[0]), seconds)


def environment(cache: CacheSettings) -> dict[str, str]:
    """Say the function's environment for a cache."""
    return {
        "CACHE_HOST": cache.host,
        "CACHE_PORT": str(cache.port),
        "CACHE_TLS": "true" if cache.tls else "false",
        "CACHE_CONNECTION": "reused" if cache.reused else "fresh",
        "CACHE_USERNAME": cache.username,
        "CACHE_PASSWORD": cache.password,
    }


def session_in(first: int, last: int) -> str:
    """Draw a session whose slot is within the bounds."""
    while not first <= session.slot(drawn := session.new_id()) <= last:
        pass
    return drawn


def told(done: Outcome, status: int, kind: str) -> None:
    """Check that a failure is told as it must be: its kind to the caller, its cause to the log alone."""
    assert (done.status, done.log["status"], done.log["error"]) == (status, status, kind), done
    assert done.body == {"error": kind, "requestId": done.log["requestId"], "cold": done.log["cold"]}
    assert done.log["detail"]
