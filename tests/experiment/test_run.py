"""The whole command: Pulumi's Automation API mocked at its outermost edge, AWS scripted, everything else real."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation

from contract.runfolder import read_lines
from experiment.__main__ import main
from experiment.state import State
from infra import settings as stack_settings
from recorder.shipper import put_json
from tests.experiment.conftest import BUCKET, REGION, SleepingClock
from tests.experiment.world import ROOT, RUN, World, failed_command, outside

MakeWorld = Callable[..., World]
EXPIRED = "error: updating ElastiCache Replication Group: api error ExpiredToken: The security token is expired"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where run folders and the state go."""
    return tmp_path / "runs"


@pytest.fixture
def make_world(s3: Any, tmp_path: Path, clock: SleepingClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorld]:
    """A world, put in the place of AWS, Docker, SSM and Pulumi; a later one takes an earlier one's place."""
    made = 0
    with ExitStack() as worlds:

        def make(**options: Any) -> World:
            nonlocal made
            made += 1
            world = World(s3, tmp_path / f"world-{made}", clock, **options)
            worlds.enter_context(outside(world, tmp_path / "bin", monkeypatch))
            return world

        yield make


def run(runs: Path, *options: str) -> int:
    """`python -m experiment run`, judged by no gate but the audit's."""
    return main(["run", "--runs", str(runs), *(options or ("--keep",))])


def test_all_of_it(make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Deploy, load, reshard at its place, collect, audit, report, destroy: one command and a valid report."""
    eni = {"NetworkInterfaceId": "eni-1", "Description": "AWS Lambda VPC ENI-dev", "Status": "available"}
    nat = "arn:aws:ec2:eu-west-1:1:natgateway/nat-1"
    world = make_world(left=["arn:aws:s3:::results", nat], interfaces=[eni])
    code = run(runs, "--destroy")
    said = capsys.readouterr()
    assert code == 0, said.err
    assert world.engine_calls == ["up", "set shardCount 2", "up", "destroy"]
    assert world.swarms == 1
    report = json.loads((runs / RUN / "report.json").read_text())
    assert (report["valid"], report["where"], report["exit_code"]) == (True, "aws", 0)
    assert (report["reshard"]["from"], report["reshard"]["to"]) == (1, 2)
    assert report["audit"] == {
        "complete": True, "acknowledged": world.sent, "expected": world.sent, "checked": world.sent,
        "missing": 0, "different": 0,
    }  # fmt: skip
    meta = json.loads((runs / RUN / "run.json").read_text())
    assert meta["settings"]["shardCount"] == 1
    assert "cachePassword" not in meta["settings"]
    assert meta["engine"] == {"name": "valkey", "version": "9.1"}
    # 65 % of 150 s; polling has its own grain.
    assert 97 <= meta["reshard"]["at_s"] <= 100
    assert "cannot be known: " in said.out  # the prices, and why
    assert "kept because keepResults is true" in said.out
    assert "still there: eni-1: AWS Lambda VPC ENI-dev (available): AWS removes" in said.out
    assert nat not in said.out  # it is deleted, and listed all the same
    assert json.loads((runs / RUN / "experiment.json").read_text())["run_id"] == RUN
    event = [json.loads(body) for path, body in world.requests if path == "/arrivals/events"]
    assert event == [{"event": "reshard.requested", "from": 1, "to": 2, "migration": "ElastiCache"}]


def test_a_rolled_back_reshard_fails_and_keeps_the_evidence(
    make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulumi called it a success; the group has one shard. The run is collected and the command says what happened."""
    make_world(rolls_back=True)
    code = run(runs)
    said = capsys.readouterr().err
    assert code == 2
    assert "it has 1 shard(s), not 2 (AWS ended or rolled back the change)" in said
    assert "reshard --to 2" in said
    events = [event["event"] for event in read_lines(runs / RUN, "events.jsonl")]
    assert "reshard.failed" in events
    assert "reshard.finished" not in events
    assert (runs / RUN / "report.html").exists()
    assert "costs money" in said


def test_credentials_that_expire_during_the_reshard_do_not_lose_the_run(
    make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulumi gives up, AWS goes on: the reshard is followed to its end and Pulumi's state is put right after it."""
    world = make_world(up_fails={2: failed_command(EXPIRED)})
    code = run(runs)
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "Pulumi ended early" in said.out
    assert world.engine_calls == ["up", "set shardCount 2", "up", "set shardCount 2", "refresh", "up"]
    assert json.loads((runs / RUN / "report.json").read_text())["valid"] is True


def test_ctrl_c_says_what_costs_money_and_the_same_command_goes_on(
    make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted under load and in the reshard: the load is not started a second time, nothing is lost."""
    world = make_world()
    for second in (40, 130):
        world.interrupt_at = world.clock.now + 30 + second if second == 40 else world.clock.now + 60
        assert run(runs) == 2
        said = capsys.readouterr().err
        assert "interrupted" in said
        assert "costs money" in said
        assert f"Run {RUN} continues by itself" in said
        assert "python -m experiment destroy" in said
    assert "The reshard from 1 to 2 shard(s) continues at AWS by itself" in said
    assert run(runs) == 0
    assert world.swarms == 1
    assert json.loads((runs / RUN / "report.json").read_text())["valid"] is True


def test_a_laptop_whose_clock_is_wrong_reshards_at_the_right_second(
    make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two minutes off: the reshard is at 65 % by the master's clock, and so are its events."""
    make_world(ahead_s=-120.0)
    code = run(runs)
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "corrected for" in said.out
    meta = json.loads((runs / RUN / "run.json").read_text())
    assert 96 <= meta["reshard"]["at_s"] <= 101
    assert -121 <= meta["experiment"]["clock_offset_s"] <= -119


def test_a_run_of_somebody_else_is_left_alone(
    make_world: MakeWorld, s3: Any, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs at once on one stack would spoil each other: the second command names the first and begins nothing."""
    world = make_world()
    other = {"run": "20261122T150000Z-dev", "task": "t", "started_at_unix_s": world.clock.now - 500, "ended": None}
    put_json(s3, BUCKET, "markers/current-dev.json", other)
    assert run(runs) == 64
    said = capsys.readouterr().err
    assert "run 20261122T150000Z-dev: a run is in progress" in said
    assert world.swarms == 0


def test_another_pulumi_update_is_named(make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pulumi locks its stack: the error says how to go on."""
    result = automation.CommandResult(stdout="", stderr="error: the stack is currently locked by 1 lock(s)", code=255)
    make_world(up_fails={1: automation.ConcurrentUpdateError(result)})
    assert run(runs) == 2
    assert "pulumi cancel" in capsys.readouterr().err


def test_destroy_refuses_while_a_run_is_not_collected(
    make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CloudWatch's metrics of the run are not asked for after it: without --yes nothing is destroyed."""
    world = make_world()
    world.interrupt_at = world.clock.now + 60
    assert run(runs) == 2
    assert main(["destroy", "--runs", str(runs)]) == 64
    assert "is not collected" in capsys.readouterr().err
    assert "destroy" not in world.engine_calls
    assert main(["destroy", "--runs", str(runs), "--yes"]) == 0
    assert "nothing is left" in capsys.readouterr().out


@pytest.mark.parametrize("keep", [True, False])
def test_destroy_goes_by_the_setting_of_now(
    keep: bool, make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pulumi's destroy keeps or removes the bucket as the last `up` declared; a change since then is deployed first."""
    world = make_world()
    setting = f"{stack_settings.project_name(ROOT)}:keepResults"
    world.config[setting] = str(not keep).lower()
    assert main(["up", "--runs", str(runs)]) == 0
    world.config[setting] = str(keep).lower()
    assert main(["destroy", "--runs", str(runs)]) == 0
    assert world.engine_calls == ["up", "up urn:bucket", "destroy"]
    assert f"keepResults is {str(keep).lower()} and was deployed as" in capsys.readouterr().out


def test_a_destroy_that_fails_names_what_holds_it_up(
    make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Subnets wait for network interfaces that no tag and no state of Pulumi's knows."""
    eni = {"NetworkInterfaceId": "eni-1", "Description": "AWS Lambda VPC ENI-dev", "Status": "in-use"}
    stuck = failed_command("error: deleting EC2 Subnet (subnet-1): DependencyViolation")
    world = make_world(interfaces=[eni], destroy_fails=stuck)
    assert main(["up", "--runs", str(runs)]) == 0
    assert main(["destroy", "--runs", str(runs)]) == 2
    said = capsys.readouterr()
    assert "eni-1: AWS Lambda VPC ENI-dev (in-use): AWS removes a function's network interfaces" in said.out
    assert "DependencyViolation" in said.err
    assert world.deployed


def by_hand(world: World) -> None:
    """`pulumi up`, Start in the web UI, at its place `pulumi config set shardCount 2` and `pulumi up`, the end."""
    stack = world.open_stack(stack_name="dev", work_dir=str(ROOT))
    stack.up()
    world.swarm()
    world.clock.sleep(130)
    stack.set_config("shardCount", automation.ConfigValue("2"))
    stack.up()
    world.clock.sleep(200)


def evidence(folder: Path) -> tuple[set[str], dict[str, Any]]:
    """The files of a collected run and its run.json."""
    made = {path.name for path in folder.iterdir()} - {"experiment.json"}  # the state of `run`
    return made, json.loads((folder / "run.json").read_text())


def test_a_run_by_hand_gives_the_same_evidence(
    make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`fetch` brings home what `run` does, audit included, of a run that this command neither started nor resharded."""
    by_hand(make_world())
    assert main(["fetch", "--runs", str(runs)]) == 0, capsys.readouterr().err
    files, meta = evidence(runs / RUN)
    automatic = runs.with_name("automatic")
    world = make_world()
    world.s3.delete_objects(
        Bucket=BUCKET,
        Delete={"Objects": [{"Key": entry["Key"]} for entry in world.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]},
    )
    assert run(automatic) == 0, capsys.readouterr().err
    files_of_run, meta_of_run = evidence(automatic / RUN)
    assert files == files_of_run
    assert set(meta) == set(meta_of_run) - {"keys_before"}  # nobody counted the keys before a load started by hand
    for same in ("settings", "engine", "function", "missing"):
        assert meta[same] == meta_of_run[same], same
    assert meta["settings"]["shardCount"] == 1
    assert {key: meta["reshard"][key] for key in ("from", "to", "migration")} == {
        "from": 1, "to": 2, "migration": "ElastiCache",
    }  # fmt: skip
    report = json.loads((runs / RUN / "report.json").read_text())
    assert (report["valid"], report["audit"]["complete"]) == (True, True)
    assert not (runs / "experiment-dev.json").exists()


def test_a_run_is_fetched_twice_at_no_cost(
    make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The evidence stays as it was; the bucket may be named beside its stack, which is used all the same."""
    by_hand(make_world())
    assert main(["fetch", "--runs", str(runs), "--bucket", BUCKET, "--region", REGION]) == 0, capsys.readouterr().err
    before = (runs / RUN / "run.json").read_bytes()
    assert json.loads((runs / RUN / "audit.json").read_text())["complete"] is True
    assert main(["fetch", "--runs", str(runs)]) == 0
    assert "audited already" in capsys.readouterr().out
    assert (runs / RUN / "run.json").read_bytes() == before


def test_a_named_run_keeps_its_own_reshard(make_world: MakeWorld, runs: Path) -> None:
    """What was noted of this stack's last reshard is no part of an older run, nor is that run's audit of this one."""
    world = make_world()
    by_hand(world)
    state = State.load(runs, "dev")
    asked = {"from": 2, "to": 3, "migration": "ElastiCache"}
    later = {"unix_s": world.clock.now + 5000, "event": "reshard.requested", "fields": asked}
    state.save(run_id="20261123T080000Z-dev", events=[later], plan={"reshard": asked})
    for step in ("collect", "audit", "report"):
        assert main([step, "--run", RUN, "--runs", str(runs)]) == 0
    assert json.loads((runs / RUN / "run.json").read_text())["reshard"]["to"] == 2
    state = State.load(runs, "dev")
    assert not any(state.done(step) for step in ("collect", "audit", "report"))


def test_the_ui_ends_when_its_session_does(
    make_world: MakeWorld, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SSM ends an idle session after 20 minutes: a command that still says where the UI is would lie."""
    make_world()
    plugin = tmp_path / "bin" / "session-manager-plugin"
    plugin.write_text(
        f"#!{sys.executable}\nimport json, socket, sys\n"
        "port = int(json.loads(sys.argv[5])['Parameters']['localPortNumber'][0])\n"
        "socket.create_server(('127.0.0.1', port)).accept()\n"
    )
    assert main(["up", "--runs", str(runs)]) == 0
    assert main(["ui", "--port", "0", "--runs", str(runs)]) == 2
    assert "the session ended" in capsys.readouterr().err


def test_steps_one_by_one(make_world: MakeWorld, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step alone, in the order that docs/aws.md gives, ends where `run` does."""
    make_world()
    for step in (["up"], ["start"], ["reshard", "--to", "2"], ["wait"], ["collect"], ["audit"]):
        assert main([*step, "--runs", str(runs)]) == 0, capsys.readouterr().err
    assert main(["report", "--runs", str(runs)]) == 0
    assert json.loads((runs / RUN / "report.json").read_text())["audit"]["complete"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--reshard-at", "165%"], "allowed is a share of the run"),
        (["run", "--destroy", "--keep"], "not allowed with argument"),
        (["run"], "--destroy removes it after the report, --keep leaves it standing"),
        (["run", "--to", "2"], "dollars in a forgotten month"),
        (["run", "--keep", "--reshard-at", "2"], "allowed is a share of the run"),
        (["reshard", "--to", "0"], "allowed is a number of shards"),
        (["reshard"], "--to"),
        (["run", "--keep", "--gate", "read.p99 ~ 5"], "read.p99 ~ 5"),
        (["report", "--gate", "failed < 1%"], "failed/offered < 1%"),
        (["everything"], "everything"),
    ],
)
def test_usage_errors_exit_64_and_begin_nothing(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the option and the value."""
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 64
    assert said in capsys.readouterr().err
