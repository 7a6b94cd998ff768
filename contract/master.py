"""The Locust master's HTTP interface, as whoever drives an experiment asks it (docs/reference.md)."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, cast

_CALL_LIMIT_S = 15.0


class MasterError(Exception):
    """The master does not answer as its interface says; the message names the call and the answer."""


class Master:
    """The master whose web port answers at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def live(self) -> dict[str, Any]:
        """`GET /arrivals/live`: state, books and the last ten seconds."""
        return self._call("GET", "/arrivals/live")

    def workers(self) -> int:
        """How many workers are connected, by Locust's own `GET /stats/requests`."""
        listed = self._call("GET", "/stats/requests").get("workers")
        return sum(1 for worker in listed if worker.get("state") != "missing") if isinstance(listed, list) else 0

    def start(self, host: str = "") -> None:
        """`POST /swarm`: run the load as Locust's start form does; an empty `host` leaves the declared one.

        Raises:
            MasterError: the master refuses, in its own words.
        """
        form = {"user_count": "1", "spawn_rate": "1", **({"host": host} if host else {})}
        body = urllib.parse.urlencode(form).encode()
        answer = self._call("POST", "/swarm", body, "application/x-www-form-urlencoded")
        if not answer.get("success"):
            raise MasterError(f"POST /swarm: {answer.get('message', answer)}")

    def event(self, event: str, fields: Mapping[str, object]) -> None:
        """`POST /arrivals/events`: the master stamps the event and writes it."""
        self._call("POST", "/arrivals/events", json.dumps({"event": event, **fields}).encode())

    def notes(self, notes: Mapping[str, object]) -> None:
        """`POST /arrivals/notes`: keys for run.json."""
        self._call("POST", "/arrivals/notes", json.dumps(notes).encode())

    def _call(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the address is on this machine, always http
            self.url + path, data=body, method=method, headers={"Content-Type": content_type} if body else {}
        )
        try:
            with urllib.request.urlopen(request, timeout=_CALL_LIMIT_S) as answer:  # noqa: S310 - as above
                content: Any = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            said = error.read()[:500].decode(errors="replace")
            raise MasterError(f"{method} {path}: status {error.code}: {said}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MasterError(f"{method} {path}: {error}") from error
        if not isinstance(content, dict):
            raise MasterError(f"{method} {path}: an answer that is no JSON object: {content!r:.200}")
        return cast("dict[str, Any]", content)
