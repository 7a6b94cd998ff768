"""Runs that this machine did not start: a dead master's, a destroyed stack's, an older one."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi import automation

from experiment.__main__ import main
from experiment.aws import stack as aws_stack
from experiment.aws.bucket import Shipped
from experiment.aws.cloud import Cloud
from experiment.aws.place import Aws
from experiment.aws.stack import Stack
from experiment.screen import Screen
from experiment.state import State
from recorder.shipper import Shipper, put_json
from tests.experiment.conftest import BUCKET, REGION, in_turn, refuse, scripted
from tests.experiment.world import RUN, TASK
from tools.synthetic import Synthetic, write

CloudOf = Callable[..., Cloud]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("silent_s", "task", "gone"),
    [
        (30, "STOPPED", False),  # it may just have stopped: what it flushes is on its way
        (130, "RUNNING", False),  # slow, not dead
        (130, "STOPPED", True),
        (130, None, True),  # ECS has forgotten it
        (130, "no cluster", True),  # the stack was destroyed, or deployed anew
        (1000, "RUNNING", True),
    ],
)
def test_a_master_that_is_gone_is_noticed(
    silent_s: float, task: str | None, gone: bool, *, s3: Any, cloud_of: CloudOf, tmp_path: Path
) -> None:
    """`wait` must not wait for ever for a run that nobody writes any more, nor give up a slow one."""
    told = {"tasks": [{"taskArn": TASK, "lastStatus": task}] if task else []}
    put_json(s3, BUCKET, f"runs/{RUN}/claim.json", {"task": TASK})
    ecs = scripted("ecs", describe_tasks=in_turn(told))
    if task == "no cluster":
        response = refuse("ClusterNotFoundException").response
        refused = ecs.exceptions.ClusterNotFoundException(response, "DescribeTasks")
        ecs = scripted("ecs", describe_tasks=in_turn(refused))
    cloud = cloud_of(ecs=ecs, s3=s3)
    engine: Any = SimpleNamespace(region=lambda: (REGION, None), exports=lambda: {"resultsBucket": BUCKET})
    stack = Stack("dev", Screen(), root=ROOT, runs=tmp_path, patience_s=0, engine=engine, cloud=cloud)
    place = Aws(stack, State.load(tmp_path, "dev"))
    newest = datetime.fromtimestamp(cloud.now() - silent_s, UTC)
    shipped = Shipped({}, 5, 10, 10, newest, closed=False, abandoned=False)
    assert place._is_silent(RUN, shipped) is gone


@pytest.fixture
def elsewhere(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run in a bucket, on a machine whose Pulumi knows nothing of it; the folder for runs."""
    folder = write(tmp_path / "master" / RUN, Synthetic())
    (folder / "audit.json").unlink()
    shipper = Shipper(s3, BUCKET, folder)
    shipper.claim({"task": "t"})
    shipper.ship(last=True)
    put_json(s3, BUCKET, f"runs/{RUN}/evidence.json", {"files": shipper.sent, "whole": True})
    identity = {"UserId": "u", "Account": "1", "Arn": "arn:aws:iam::1:user/me"}
    clients = {"s3": s3, "sts": scripted("sts", get_caller_identity=in_turn(identity))}
    monkeypatch.setattr(aws_stack, "Cloud", lambda region, _profile: Cloud(region, clients=clients))
    nothing = automation.CommandResult(stdout="", stderr="error: no stack named 'dev' found", code=255)

    def unknown(**_: Any) -> None:
        raise automation.StackNotFoundError(nothing)

    monkeypatch.setattr(automation, "select_stack", unknown)
    return tmp_path / "runs"


def test_a_run_of_a_destroyed_stack_is_collected_without_pulumi(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bucket outlives the stack; and a run that was only named is not taken for one that goes on here."""
    code = main(["collect", "--bucket", BUCKET, "--region", REGION, "--runs", str(elsewhere)])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "missing: settings, metrics.jsonl: stack dev: Pulumi knows no such stack" in said.out
    assert main(["report", "--run", RUN, "--runs", str(elsewhere)]) == 2  # nobody audited it
    assert (elsewhere / RUN / "report.html").exists()
    state = State.load(elsewhere, "dev")
    assert (state.get("run_id"), state.done("collect"), state.done("report")) == (None, False, False)


def test_without_its_stack_a_run_is_fetched_but_not_audited(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The audit needs the function in the VPC: fetch says so and reports what there is; audit is refused in words."""
    where = ["--bucket", BUCKET, "--region", REGION, "--runs", str(elsewhere)]
    assert main(["fetch", *where]) == 2
    said = capsys.readouterr()
    assert said.err == ""
    assert "Audit complete: no audit was made" in said.out
    assert "not audited: its function cannot be asked: stack dev: Pulumi knows no such stack" in said.out
    assert (elsewhere / RUN / "report.html").exists()
    assert main(["audit", *where]) == 64
    assert "its function cannot be asked: stack dev: Pulumi knows no such stack" in capsys.readouterr().err


def test_a_stack_that_is_unknown_is_an_error_where_no_bucket_was_named(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without either there is nothing to look in."""
    assert main(["fetch", "--runs", str(elsewhere)]) == 64
    assert "pulumi stack init dev" in capsys.readouterr().err
