"""Waits until Systems Manager reaches the master's container, and opens a session to it.

ECS starts the SSM agent some seconds after the container, and restarts it when it ends. So a steady service may have a
master that no session reaches yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from experiment.aws.asking import asking, code_of
from experiment.aws.cloud import Cloud
from experiment.errors import StepError

EVERY_S = 5.0
LIMIT_S = 5 * 60.0
_AGENT = "ExecuteCommandAgent"
# The error codes of SSM and of ECS ExecuteCommand.
_NOT_CONNECTED = frozenset({"TargetNotConnected", "TargetNotConnectedException"})


@dataclass(frozen=True)
class MasterSession:
    """An SSM session: its target, and the answer that the session-manager-plugin needs."""

    target: str
    answer: dict[str, Any]


def session(
    cloud: Cloud,
    cluster: str,
    service: str,
    *,
    step: str,
    ports: dict[str, list[str]],
    say: Callable[[str], None],
    limit_s: float = LIMIT_S,
) -> MasterSession:
    """A port-forwarding session to the master, once its task runs and its agent is connected."""
    until = cloud.clock() + limit_s
    while True:
        target, instead = _look(cloud, cluster, service, step)
        if target:
            answer = _start(cloud, target, step, ports)
            if answer is not None:
                return MasterSession(target, answer)
            instead = f"its {_AGENT} is RUNNING, but SSM says that {target} is not connected"
        if cloud.clock() >= until:
            raise StepError(
                step,
                f"service {service}",
                f"no session to its master within {limit_s:.0f} s: {instead}",
                "see the service's events in the ECS console, and whether the tasks reach the internet (NAT gateway); "
                "then run the same command again",
            )
        say(f"waiting for the master: {instead}")
        cloud.sleep(EVERY_S)


def _look(cloud: Cloud, cluster: str, service: str, step: str) -> tuple[str, str]:
    """SSM's name of the container once its agent runs, and before that what keeps it from running.

    Ids change with every task, so each look begins with the list of tasks.
    """
    resource = f"service {service}"
    with asking(step, resource, "ecs:ListTasks"):
        tasks = cloud.ecs.list_tasks(cluster=cluster, serviceName=service, desiredStatus="RUNNING")["taskArns"]
    if not tasks:
        return "", "no task is running"
    with asking(step, resource, "ecs:DescribeTasks"):
        described = cloud.ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"]
    instead = "ECS does not know its task yet"
    for task in described:
        status = task.get("lastStatus", "unknown")
        masters = [container for container in task.get("containers", []) if container.get("name") == "master"]
        if status != "RUNNING" or not masters or not masters[0].get("runtimeId"):
            instead = f"its task is {status}" + ("" if masters else " and has no container named master")
            continue
        if task.get("enableExecuteCommand") is False:
            raise StepError(
                step, resource, "its task has no SSM agent (enableExecuteCommand is false)", "deploy: pulumi up"
            )
        agents = [agent for agent in masters[0].get("managedAgents", []) if agent.get("name") == _AGENT]
        if agents and agents[0].get("lastStatus") == "RUNNING":
            arn = task.get("taskArn", "")
            return f"ecs:{cluster}_{arn.rsplit('/', 1)[-1]}_{masters[0].get('runtimeId')}", ""
        reason = agents[0].get("reason") if agents else None
        state = agents[0].get("lastStatus", "unknown") if agents else "not listed"
        instead = f"its {_AGENT} is {state}" + (f" ({reason})" if reason else "")
    return "", instead


def _start(cloud: Cloud, target: str, step: str, ports: dict[str, list[str]]) -> dict[str, Any] | None:
    """A new session; None while SSM does not see the agent, which ECS reports as running some seconds earlier."""
    with asking(step, target, "ssm:StartSession"):
        try:
            answer = cloud.ssm.start_session(
                Target=target, DocumentName="AWS-StartPortForwardingSession", Parameters=ports
            )
        except ClientError as error:
            if code_of(error) not in _NOT_CONNECTED:
                raise
            return None
    return {key: answer.get(key, "") for key in ("SessionId", "TokenValue", "StreamUrl")}
