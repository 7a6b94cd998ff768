"""Runs that this machine did not start: a dead master's, a destroyed stack's, an older one."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import experiment.stack
from experiment.__main__ import main
from experiment.bucket import Progress
from experiment.cloud import Cloud
from experiment.screen import Screen
from experiment.stack import Wanted
from experiment.state import State
from experiment.steps import Experiment
from recorder.shipper import Shipper, put_json
from tests.experiment.conftest import BUCKET, REGION, in_turn, scripted
from tests.experiment.world import RUN, TASK
from tests.report.synthetic import Synthetic, write

CloudOf = Callable[..., Cloud]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("silent_s", "task", "gone"),
    [
        (30, "STOPPED", False),  # it may just have stopped: what it flushes is on its way
        (130, "RUNNING", False),  # slow, not dead
        (130, "STOPPED", True),
        (130, None, True),  # ECS has forgotten it
        (1000, "RUNNING", True),
    ],
)
def test_a_master_that_is_gone_is_noticed(
    silent_s: float, task: str | None, gone: bool, cloud_of: CloudOf, tmp_path: Path
) -> None:
    """`wait` must not wait for ever for a run that nobody writes any more, nor give up a slow one."""
    told = {"tasks": [{"taskArn": TASK, "lastStatus": task}] if task else []}
    cloud = cloud_of(ecs=scripted("ecs", describe_tasks=in_turn(told)))
    state = State.load(tmp_path, "dev")
    state.save(task=TASK, exports={"resultsBucket": BUCKET, "ecsCluster": "dev-load"})
    here = Experiment(Wanted("dev", ROOT, tmp_path, patience_s=0), state, Screen(), cloud=cloud)
    newest = datetime.fromtimestamp(cloud.now() - silent_s, UTC)
    seen = Progress({}, 5, 10, 10, newest, closed=False, abandoned=False)
    assert here._is_silent(seen) is gone


def test_a_run_of_a_destroyed_stack_is_collected_without_pulumi(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bucket outlives the stack; and a run that was only named is not taken for one that goes on here."""
    folder = write(tmp_path / "master" / RUN, Synthetic())
    shipper = Shipper(s3, BUCKET, folder)
    shipper.claim({"task": "t"})
    shipper.ship(last=True)
    put_json(s3, BUCKET, f"runs/{RUN}/evidence.json", {"files": shipper.sent, "whole": True})
    monkeypatch.setattr(experiment.stack, "Cloud", lambda region, _profile: Cloud(region, clients={"s3": s3}))
    runs = tmp_path / "runs"
    code = main(["collect", "--bucket", BUCKET, "--region", REGION, "--runs", str(runs)])
    assert code == 0, capsys.readouterr().err
    assert main(["report", "--run", RUN, "--runs", str(runs)]) == 0
    assert (runs / RUN / "report.html").exists()
    state = State.load(runs, "dev")
    assert (state.get("run_id"), state.done("collect")) == (None, False)
