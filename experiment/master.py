"""The Locust master's web port, reached through an SSM port-forward: nothing of the stack listens to the internet."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from experiment import agent
from experiment.cloud import Cloud
from experiment.errors import StepError, asking

UI_PORT = 8089
PLUGIN_S = 30.0
# The environment variable that the plugin reads the session from: on the command line everybody could read its token.
_RESPONSE = "AWS_SSM_START_SESSION_RESPONSE"


def task_runs(cloud: Cloud, task_arn: str) -> bool:
    """Whether an ECS task is still there. One that ended is forgotten after an hour, and goes with its cluster."""
    cluster = task_arn.rpartition("/")[0].rpartition("/")[2]  # arn:...:task/CLUSTER/ID
    with asking("wait", f"task {task_arn}", "ecs:DescribeTasks"):
        try:
            told = cloud.ecs.describe_tasks(cluster=cluster, tasks=[task_arn])["tasks"]
        except cloud.ecs.exceptions.ClusterNotFoundException:
            return False
    return any(task.get("lastStatus") not in ("STOPPED", "DEPROVISIONING") for task in told)


@dataclass(frozen=True)
class PortForward:
    """A way to the master's web port."""

    url: str
    """The base URL under which the port answers on this machine."""
    ended: Callable[[], bool]
    """SSM ends a session that nobody used for a while (20 min unless the account says otherwise), or at its limit."""


@contextlib.contextmanager
def port_forward(
    cloud: Cloud,
    cluster: str,
    service: str,
    *,
    step: str,
    say: Callable[[str], None],
    local_port: int | None = None,
    agent_limit_s: float = agent.LIMIT_S,
) -> Generator[PortForward]:
    """A way to the master's web port for as long as the block lasts."""
    port = local_port or _free_port()
    ports = {"portNumber": [str(UI_PORT)], "localPortNumber": [str(port)]}
    session = agent.session(cloud, cluster, service, step=step, ports=ports, say=say, limit_s=agent_limit_s)
    name = session.target
    request = {"Target": name, "DocumentName": "AWS-StartPortForwardingSession", "Parameters": ports}
    endpoint = cloud.ssm.meta.endpoint_url
    command = [
        "session-manager-plugin", _RESPONSE, cloud.region or "", "StartSession", "", json.dumps(request), endpoint,
    ]  # fmt: skip
    try:
        # A group of its own: Ctrl-C is for this program, which then ends the session in order.
        plugin = subprocess.Popen(
            command,
            env={**os.environ, _RESPONSE: json.dumps(session.answer)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise StepError(
            step,
            name,
            "there is no session-manager-plugin on PATH",
            "install AWS's session-manager-plugin, or `pulumi config set loadAutostart true` and deploy",
        ) from None
    try:
        _wait_for(plugin, port, step, name)
        yield PortForward(f"http://127.0.0.1:{port}", lambda: plugin.poll() is not None)
    finally:
        plugin.send_signal(signal.SIGINT)
        try:
            plugin.wait(5)
        except subprocess.TimeoutExpired:
            plugin.kill()
            plugin.wait()
        if plugin.stderr is not None:
            plugin.stderr.close()


def _wait_for(plugin: subprocess.Popen[bytes], port: int, step: str, name: str) -> None:
    until = time.monotonic() + PLUGIN_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if plugin.poll() is not None:
            said = plugin.stderr.read().decode(errors="replace").strip() if plugin.stderr else ""
            raise StepError(step, name, f"the port-forward ended: {said[-500:] or plugin.returncode}", "try again")
        if time.monotonic() > until:
            raise StepError(step, name, f"the port-forward did not answer within {PLUGIN_S:.0f} s", "try again")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Master:
    """What the master's web port offers (docs/architecture.md)."""

    def __init__(self, url: str, step: str, timeout_s: float = 15.0) -> None:
        self._url = url
        self._step = step
        self._timeout_s = timeout_s

    def live(self) -> dict[str, Any]:
        """`GET /arrivals/live`."""
        return self._call("GET", "/arrivals/live")

    def workers(self) -> int:
        """How many workers are connected, by Locust's own `GET /stats/requests`."""
        told = self._call("GET", "/stats/requests").get("workers")
        return sum(1 for worker in told if worker.get("state") != "missing") if isinstance(told, list) else 0

    def start(self) -> dict[str, Any]:
        """`POST /swarm`: run the load as declared; the shape decides on users."""
        return self._call("POST", "/swarm", form={"user_count": "1", "spawn_rate": "1"})

    def event(self, event: str, **fields: object) -> dict[str, Any]:
        """`POST /arrivals/events`."""
        return self._call("POST", "/arrivals/events", body={"event": event, **fields})

    def notes(self, notes: Mapping[str, object]) -> dict[str, Any]:
        """`POST /arrivals/notes`."""
        return self._call("POST", "/arrivals/notes", body=notes)

    def _call(
        self, method: str, path: str, *, body: Mapping[str, object] | None = None, form: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        data, kind = None, ""
        if form is not None:
            data, kind = urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded"
        elif body is not None:
            data, kind = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(self._url + path, data=data, method=method)  # noqa: S310 - always http to this machine
        if kind:
            request.add_header("Content-Type", kind)
        resource = f"the master's {method} {path}"
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310 - as above
                text = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read()[:500].decode(errors="replace")
            raise StepError(
                self._step, resource, f"status {error.code}: {said}", "see the log group of the load"
            ) from None
        except (OSError, http.client.HTTPException) as error:  # the second: an answer that was cut off
            raise StepError(self._step, resource, str(error), "run the same command again: it goes on") from None
        try:
            told: Any = json.loads(text)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise StepError(self._step, resource, f"no JSON: {text[:200]!r}", "see the log group of the load")
        return told
