"""The declared task definitions as Locust processes, and the master's HTTP interface (docs/architecture.md)."""

import http.client
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rehearsal.declared import Container
from rehearsal.processes import Process, Processes
from rehearsal.program import ROOT, ProgramError

_CALL_LIMIT_S = 10.0


class MasterError(Exception):
    """The Locust master does not answer as its interface says; the message names the call and the answer."""


def entry_point(dockerfile: Path = ROOT / "locust" / "Dockerfile") -> list[str]:
    """The load image's entry point, as its Dockerfile declares it.

    Raises:
        ProgramError: there is none of the exec form.
    """
    found = re.findall(r"^ENTRYPOINT\s+(\[.*\])\s*$", dockerfile.read_text(), re.MULTILINE)
    if not found:
        raise ProgramError(
            f"{dockerfile.name} declares no ENTRYPOINT [...]: the rehearsal starts what the image starts"
        )
    return [str(word) for word in json.loads(found[-1])]


def start_container(
    processes: Processes,
    name: str,
    container: Container,
    *,
    local_names: Mapping[str, str],
    environment: Mapping[str, str],
    extra: Sequence[str] = (),
) -> Process:
    """Start one task of a declared container as a process.

    Args:
        processes: who ends it.
        name: the process's name, for its output file.
        container: what is declared.
        local_names: declared host names (with their ports, if any) and what stands for them here.
        environment: variables that differ from the declared ones here.
        extra: words after the declared command.
    """
    program, *words = entry_point()
    command = [str(Path(sys.executable).with_name(program)), *words]
    command += [local(word, local_names) for word in container.command]
    declared = {key: local(value, local_names) for key, value in container.environment.items()}
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ}
    return processes.start(
        name, [*command, *extra], env={**inherited, "PYTHONPATH": str(ROOT), **declared, **environment}, cwd=ROOT
    )


def local(text: str, names: Mapping[str, str]) -> str:
    """`text` with declared names replaced by their local counterparts, longest names first."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    return text


class Master:
    """The Locust master's HTTP interface."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def live(self) -> dict[str, Any]:
        """What GET /arrivals/live says."""
        return self._call("GET", "/arrivals/live")

    def swarm(self, host: str) -> None:
        """Start the load as Locust's start form does."""
        form = urllib.parse.urlencode({"user_count": 1, "spawn_rate": 1, "host": host}).encode()
        answer = self._call("POST", "/swarm", form, "application/x-www-form-urlencoded")
        if not answer.get("success"):
            raise MasterError(f"POST /swarm: {answer.get('message', answer)}")

    def event(self, name: str, fields: Mapping[str, Any]) -> float:
        """Record an event; returns its time in seconds since the run's start."""
        return float(self._call("POST", "/arrivals/events", json.dumps({"event": name, **fields}).encode())["t_s"])

    def notes(self, notes: Mapping[str, Any]) -> None:
        """Merge `notes` into run.json."""
        self._call("POST", "/arrivals/notes", json.dumps(notes).encode())

    def _call(
        self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the address is the master's own on loopback
            self.url + path, data=body, method=method, headers={"content-type": content_type} if body else {}
        )
        try:
            with urllib.request.urlopen(request, timeout=_CALL_LIMIT_S) as answer:  # noqa: S310 - see above
                content: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise MasterError(f"{method} {path}: {error.code} {said}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MasterError(f"{method} {path}: {error}") from error
        return content
