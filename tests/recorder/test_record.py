"""The master's recorder: a run reaches the bucket whole, a stopped task too, and a restarted master starts nothing."""

import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from contract.runfolder import Second
from recorder import record as evidence
from recorder.loadmetrics import LoadMetrics
from recorder.record import Recorder, Surroundings
from tests.experiment.answers import GROUP, ONE, TWO, group

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "results"
HEADER = "t_s,phase,offered,sent,ok,failed,missed,unknown,late,redirects,retries,causes\n"
TASK = {"task": "arn:aws:ecs:eu-west-1:1:task/dev/abc", "family": "dev-master", "revision": "3"}


def nothing(_name: str, _fields: Mapping[str, Any]) -> None:
    """A generator that takes no events."""


def read(s3: "S3Client", key: str) -> dict[str, Any]:
    """A JSON object of the bucket."""
    return json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


class Printed(io.StringIO):
    """A standard output that knows who wrote to it."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()

    def write(self, text: str) -> int:
        """Note the thread."""
        self.threads.add(threading.current_thread().name)
        return super().write(text)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for another thread, ten seconds at most."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "waited 10 s"
        time.sleep(0.01)


def begun(recorder: Recorder, folder: Path) -> None:
    """A run with its first seconds."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"id": folder.name, "ended": "running"}))
    (folder / "seconds.csv").write_text(HEADER + "0,0,5,5,5,0,0,0,0,0,0,\n")
    recorder.begin(folder, time.time(), nothing)


def joined(s3: "S3Client", run_id: str, name: str) -> bytes:
    """The segments of a file, in the order of their names."""
    segments = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"runs/{run_id}/{name}/").get("Contents", [])
    return b"".join(s3.get_object(Bucket=BUCKET, Key=item.get("Key", ""))["Body"].read() for item in segments)


def test_a_run_is_in_the_bucket_as_it_goes_and_whole_at_its_end(s3: "S3Client", tmp_path: Path) -> None:
    """Seconds of a run are lost with its task, never the run; and the bucket says when it has everything."""
    out = io.StringIO()
    recorder = Recorder(Surroundings("dev", TASK, bucket=BUCKET, s3=s3, every_s=0.02, out=out))
    folder = tmp_path / "20261122T151100Z-dev"
    begun(recorder, folder)
    eventually(lambda: joined(s3, folder.name, "seconds.csv").endswith(b"0,0,5,5,5,0,0,0,0,0,0,\n"))
    assert read(s3, "markers/current-dev.json")["run"] == folder.name
    assert read(s3, "markers/current-dev.json")["ended"] is None

    with (folder / "seconds.csv").open("a") as stream:
        stream.write("1,0,7,7,6,1,0,0,0,0,0,refused:1\n")
    (folder / "sessions.bin").write_bytes(bytes(32))
    (folder / "run.json").write_text(json.dumps({"id": folder.name, "ended": "finished"}))
    recorder.end()
    recorder.close()

    assert joined(s3, folder.name, "seconds.csv") == (folder / "seconds.csv").read_bytes()
    assert read(s3, f"runs/{folder.name}/run.json")["ended"] == "finished"
    said = read(s3, f"runs/{folder.name}/evidence.json")
    assert said["files"] == {"seconds.csv": len((folder / "seconds.csv").read_bytes()), "sessions.bin": 32}
    assert said["whole"] is True
    assert read(s3, "markers/current-dev.json")["ended"] == "closed"


def test_a_process_that_only_closes_still_ships_everything(s3: "S3Client", tmp_path: Path) -> None:
    """SIGTERM may come at any moment: `close` alone sends what is left."""
    recorder = Recorder(Surroundings("dev", TASK, bucket=BUCKET, s3=s3, every_s=60))
    folder = tmp_path / "20261122T151100Z-dev"
    begun(recorder, folder)
    eventually(lambda: joined(s3, folder.name, "seconds.csv") != b"")
    with (folder / "seconds.csv").open("a") as stream:
        stream.write("1,0,7,7,7,0,0,0,0,0,0,\n")
    recorder.close()
    assert joined(s3, folder.name, "seconds.csv") == (folder / "seconds.csv").read_bytes()


def test_a_process_that_closes_while_the_run_ends_waits_for_it(
    s3: "S3Client", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generator ends the run on one thread and SIGTERM closes the process on another: neither may be lost."""
    recorder = Recorder(Surroundings("dev", TASK, bucket=BUCKET, s3=s3, every_s=60))
    folder = tmp_path / "run"
    begun(recorder, folder)
    eventually(lambda: joined(s3, folder.name, "seconds.csv") != b"")
    real = s3.put_object

    def slow(**arguments: Any) -> Any:
        time.sleep(0.2)
        return real(**arguments)

    monkeypatch.setattr(s3, "put_object", slow)
    (folder / "sessions.bin").write_bytes(bytes(16))
    ending = threading.Thread(target=recorder.end)
    ending.start()
    eventually(lambda: recorder._run is None)
    recorder.close()
    assert read(s3, f"runs/{folder.name}/evidence.json")["whole"] is True
    ending.join()


def test_a_revision_starts_by_itself_once(s3: "S3Client") -> None:
    """ECS replaces a master that dies: the new one must not run the load a second time."""
    around = Surroundings("dev", TASK, bucket=BUCKET, s3=s3)
    assert Recorder(around).autostart_refusal() is None
    refused = Recorder(around).autostart_refusal()
    assert refused is not None
    assert "started by itself before" in refused
    next_revision = Surroundings("dev", {**TASK, "revision": "4"}, bucket=BUCKET, s3=s3)
    assert Recorder(next_revision).autostart_refusal() is None


def test_a_master_restarted_mid_run_leaves_the_run_as_it_was(s3: "S3Client", tmp_path: Path) -> None:
    """The half run stays readable, is marked as abandoned, and nothing starts silently."""
    folder = tmp_path / "20261122T151100Z-dev"
    first = Recorder(Surroundings("dev", TASK, bucket=BUCKET, s3=s3, every_s=0.02))
    begun(first, folder)
    eventually(lambda: joined(s3, folder.name, "seconds.csv") != b"")
    before = joined(s3, folder.name, "seconds.csv")
    # The first master is gone without a word: its recorder is simply never closed.
    another = {**TASK, "task": "arn:aws:ecs:eu-west-1:1:task/dev/def", "revision": "4"}
    second = Recorder(Surroundings("dev", another, bucket=BUCKET, s3=s3, every_s=0.02))
    refused = second.autostart_refusal()
    assert refused is not None
    assert folder.name in refused
    assert read(s3, f"runs/{folder.name}/abandoned.json")["by_task"] == another["task"]
    assert read(s3, "markers/current-dev.json")["ended"] == "abandoned"

    begun(second, tmp_path / "again" / folder.name)  # a person starts it, and the clock gives the same name
    eventually(lambda: joined(s3, folder.name + "-2", "seconds.csv") != b"")
    assert joined(s3, folder.name, "seconds.csv") == before
    second.close()
    first.close()


def test_when_s3_cannot_tell_nothing_starts(s3: "S3Client") -> None:
    """In doubt a person decides: a load that ran twice costs money and spoils the evidence."""
    refused = Recorder(Surroundings("dev", TASK, bucket="no-such-bucket", s3=s3)).autostart_refusal()
    assert refused is not None
    assert "does not tell" in refused


def test_a_bucket_that_is_away_does_not_stop_the_run(
    s3: "S3Client", tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The load goes on without its bucket; the log says so."""
    recorder = Recorder(Surroundings("dev", TASK, bucket="no-such-bucket", s3=s3, every_s=0.02))
    begun(recorder, tmp_path / "run")
    eventually(lambda: "cannot be claimed" in caplog.text)
    recorder.close()


def test_a_reshard_that_outlives_the_load_is_watched_to_its_end(s3: "S3Client", tmp_path: Path) -> None:
    """The run folder is closed when slots still move; the rest of the move is evidence all the same."""
    session = boto3.Session("a", "b", region_name="eu-west-1")
    cache, metrics = session.client("elasticache"), session.client("cloudwatch")
    answers = [group(*ONE), group(*ONE, "", status="modifying", percent=50.0), group(*TWO)]
    recorded: list[str] = []
    with Stubber(cache) as stubber:
        stubber.add_response("describe_replication_groups", answers[0])
        stubber.add_response("describe_events", {"Events": []})
        around = Surroundings(
            "dev", TASK, bucket=BUCKET, s3=s3, cache_id=GROUP, elasticache=cache, cloudwatch=metrics, every_s=0.05
        )
        recorder = Recorder(around)
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "events.jsonl").write_text("")
        stubber.add_response("describe_replication_groups", answers[1])
        recorder.begin(folder, time.time(), lambda name, _fields: recorded.append(name))
        eventually(lambda: "slots.progress" in recorded)
        recorder.end()
        stubber.add_response("describe_replication_groups", answers[2])
        eventually(lambda: b"reshard.finished" in joined(s3, "run", "events.jsonl"))
        eventually(lambda: read(s3, "markers/current-dev.json")["ended"] == "closed")
    assert recorded[0] == "reshard.requested"
    assert "reshard.finished" not in recorded
    assert b"slots.finished" in (folder / "events.jsonl").read_bytes()


def test_offered_and_achieved_are_printed_as_embedded_metrics() -> None:
    """CloudWatch makes metrics of these lines only in exactly this shape, with at most 100 values a metric."""
    out = io.StringIO()
    load = LoadMetrics("dev", 1000.0, out)
    load.publish(last=False)
    load.publish(last=True)
    assert out.getvalue() == ""
    for t_s in range(12):
        load.add(Second(t_s, 0, ok=t_s + 4, failed=1, late=2, causes={"refused": 1}))
    load.publish(last=False)
    (line,) = out.getvalue().splitlines()
    told = json.loads(line)
    (directive,) = told["_aws"]["CloudWatchMetrics"]
    assert told["_aws"]["Timestamp"] == 1_009_000
    assert (directive["Namespace"], directive["Dimensions"], told["Stack"]) == ("LoadGenerator", [["Stack"]], "dev")
    assert [metric["Name"] for metric in directive["Metrics"]] == ["Offered", "Achieved", "Failed", "Missed", "Late"]
    assert told["Offered"] == list(range(5, 15))
    assert told["Achieved"] == list(range(4, 14))
    assert told["Failed"] == [1] * 10
    load.publish(last=True)
    assert json.loads(out.getvalue().splitlines()[1])["Offered"] == [15, 16]


def test_a_closed_second_is_printed_by_the_runs_own_thread(tmp_path: Path) -> None:
    """The generator only hands a second over: printing must not hold it up, and nothing handed over is lost."""
    out = Printed()
    recorder = Recorder(Surroundings("dev", every_s=0.001, out=out))
    recorder.second_closed(Second(0, 0, ok=1))  # no run: nobody's second
    (tmp_path / "run").mkdir()
    recorder.begin(tmp_path / "run", 1000.0, nothing)
    for t_s in range(25):
        recorder.second_closed(Second(t_s, 0, ok=t_s))
    eventually(lambda: out.getvalue().count("\n") == 2)
    recorder.end()
    assert [count for line in out.getvalue().splitlines() for count in json.loads(line)["Achieved"]] == [*range(25)]
    assert out.threads == {"evidence-run"}
    recorder.close()


def test_without_bucket_and_cache_there_is_no_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a laptop and in a rehearsal the master talks to no AWS."""
    monkeypatch.delenv("LOAD_RESULTS_BUCKET", raising=False)
    monkeypatch.setenv("LOAD_CACHE_ID", "")
    assert evidence.from_environment("dev") is None


def test_a_missing_region_is_said_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence that was asked for and cannot be written stops the master before the load, not after it."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "ECS_CONTAINER_METADATA_URI_V4"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOAD_RESULTS_BUCKET", BUCKET)
    with pytest.raises(RuntimeError, match="set AWS_REGION"):
        evidence.from_environment("dev")
