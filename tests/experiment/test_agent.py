"""A session to the master is opened when there can be one, not when ECS first says that the service is steady."""

from collections.abc import Callable
from typing import Any

import pytest

from experiment.aws import agent
from experiment.aws.cloud import Cloud
from experiment.errors import StepError
from tests.experiment.conftest import SleepingClock, in_turn, refuse, scripted

CloudOf = Callable[..., Cloud]
TASK = "arn:aws:ecs:eu-west-1:123456789012:task/dev-load/0123456789abcdef"
TARGET = "ecs:dev-load_0123456789abcdef_0123-456"
PORTS = {"portNumber": ["8089"], "localPortNumber": ["8089"]}
ANSWER = {"SessionId": "s", "TokenValue": "t", "StreamUrl": "wss://x"}


def task(agent_status: str | None, status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """DescribeTasks' answer about the master's task."""
    agents = [{"name": "ExecuteCommandAgent", "lastStatus": agent_status}] if agent_status else []
    container = {"name": "master", "runtimeId": "0123-456", "managedAgents": agents}
    return {"tasks": [{"taskArn": TASK, "lastStatus": status, "containers": [container], **more}]}


def ecs(*tasks: dict[str, Any]) -> Any:
    """An ECS whose answers about the master's task follow each other."""
    return scripted("ecs", list_tasks=in_turn({"taskArns": [TASK]}), describe_tasks=in_turn(*tasks))


def ask(cloud: Cloud, say: Callable[[str], None] = lambda _text: None) -> agent.MasterSession:
    """What `start` asks for."""
    return agent.session(cloud, "dev-load", "dev-master", step="start", ports=PORTS, say=say)


def test_a_session_waits_for_the_ssm_agent(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """A running container whose agent is still starting refuses every session."""
    client = ecs(task(None, "PENDING"), task(None), task("PENDING"), task("RUNNING"))
    ssm = scripted("ssm", start_session=in_turn(ANSWER))
    said: list[str] = []
    session = ask(cloud_of(ecs=client, ssm=ssm), said.append)
    assert (session.target, session.answer) == (TARGET, ANSWER)
    assert [text.removeprefix("waiting for the master: ") for text in said] == [
        "its task is PENDING",
        "its ExecuteCommandAgent is not listed",
        "its ExecuteCommandAgent is PENDING",
    ]
    assert len(ssm.calls) == 1
    assert clock.slept == 15


@pytest.mark.parametrize("code", ["TargetNotConnected", "TargetNotConnectedException"])
def test_a_target_that_is_not_connected_yet_is_asked_again(code: str, cloud_of: CloudOf) -> None:
    """ECS calls the agent running some seconds before SSM sees it."""
    ssm = scripted("ssm", start_session=in_turn(refuse(code), refuse(code), ANSWER))
    assert ask(cloud_of(ecs=ecs(task("RUNNING")), ssm=ssm)).answer == ANSWER
    assert len(ssm.calls) == 3


def test_a_master_that_was_replaced_meanwhile_is_found(cloud_of: CloudOf) -> None:
    """The ids change with every task: each try looks them up."""
    other = task("RUNNING")
    other["tasks"][0]["containers"][0]["runtimeId"] = "new"
    ssm = scripted("ssm", start_session=in_turn(refuse("TargetNotConnected"), ANSWER))
    assert ask(cloud_of(ecs=ecs(task("RUNNING"), other), ssm=ssm)).target.endswith("_new")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([task("STOPPED")], "its ExecuteCommandAgent is STOPPED"),
        ([task("RUNNING")], f"SSM says that {TARGET} is not connected"),
        ([task(None, "PROVISIONING")], "its task is PROVISIONING"),
        ([{"tasks": []}], "ECS does not know its task yet"),
    ],
)
def test_the_wait_ends_and_says_what_was_seen_last(
    answers: list[dict[str, Any]], said: str, cloud_of: CloudOf, clock: SleepingClock
) -> None:
    """Not for ever, and not as `try again` without a cause."""
    ssm = scripted("ssm", start_session=in_turn(refuse("TargetNotConnected")))
    with pytest.raises(StepError, match="no session to its master within 300 s") as caught:
        ask(cloud_of(ecs=ecs(*answers), ssm=ssm))
    assert said in caught.value.said
    assert "NAT gateway" in caught.value.todo
    assert 300 <= clock.slept <= 310


def test_a_task_without_an_agent_is_not_waited_for(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """Deployed without enableExecuteCommand it never gets one."""
    with pytest.raises(StepError, match="enableExecuteCommand is false"):
        ask(cloud_of(ecs=ecs(task(None, enableExecuteCommand=False)), ssm=scripted("ssm")))
    assert clock.slept == 0


def test_a_refused_session_is_an_error_at_once(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """Only a target that is not connected yet is waited for: a missing permission stays missing."""
    ssm = scripted("ssm", start_session=in_turn(refuse("AccessDeniedException", status=403)))
    with pytest.raises(StepError, match="allow ssm:StartSession"):
        ask(cloud_of(ecs=ecs(task("RUNNING")), ssm=ssm))
    assert clock.slept == 0
