"""Reaches the Locust master's web port through an SSM port-forward; the stack accepts nothing from the internet."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from contract.master import Master
from experiment.aws import agent
from experiment.aws.asking import asking
from experiment.aws.cloud import Cloud
from experiment.errors import StepError

UI_PORT = 8089
PLUGIN_S = 30.0
# The plugin reads the session from this variable: on a command line everybody could read the token.
_RESPONSE = "AWS_SSM_START_SESSION_RESPONSE"


def task_runs(cloud: Cloud, task_arn: str) -> bool:
    """Whether an ECS task still runs. AWS forgets ended tasks after an hour, or with their cluster."""
    cluster = task_arn.rpartition("/")[0].rpartition("/")[2]  # arn:...:task/CLUSTER/ID
    with asking("wait", f"task {task_arn}", "ecs:DescribeTasks"):
        try:
            described = cloud.ecs.describe_tasks(cluster=cluster, tasks=[task_arn])["tasks"]
        except cloud.ecs.exceptions.ClusterNotFoundException:
            return False
    return any(task.get("lastStatus") not in ("STOPPED", "DEPROVISIONING") for task in described)


@dataclass(frozen=True)
class PortForward:
    """A way to the master's web port."""

    url: str
    """The base URL under which the port answers on this machine."""
    master: Master
    ended: Callable[[], bool]
    """Whether SSM ended the session: unused (20 min by default), or at its time limit."""


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
        # A session of its own, so Ctrl-C reaches only this program, which then ends the plugin in order.
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
        url = f"http://127.0.0.1:{port}"
        yield PortForward(url, Master(url), lambda: plugin.poll() is not None)
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
            message = plugin.stderr.read().decode(errors="replace").strip() if plugin.stderr else ""
            raise StepError(step, name, f"the port-forward ended: {message[-500:] or plugin.returncode}", "try again")
        if time.monotonic() > until:
            raise StepError(step, name, f"the port-forward did not answer within {PLUGIN_S:.0f} s", "try again")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
