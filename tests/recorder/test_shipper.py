"""The run folder in the bucket: whole records, no gap, nothing overwritten, whatever S3 answers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from recorder.shipper import Shipper, segment_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "results"
WHO = {"task": "arn:aws:ecs:eu-west-1:1:task/a", "started_at_unix_s": 1.5}


def keys(s3: "S3Client") -> list[str]:
    """Every key in the bucket."""
    return [item.get("Key", "") for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def body(s3: "S3Client", key: str) -> bytes:
    """What a key holds."""
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def append(path: Path, data: bytes) -> None:
    """Add to a file as the generator does."""
    with path.open("ab") as stream:
        stream.write(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty run folder."""
    path = tmp_path / "20261122T151100Z-dev"
    path.mkdir()
    return path


def test_only_whole_records_are_sent_until_the_end(s3: "S3Client", folder: Path) -> None:
    """What is in the bucket can be read at any moment, also when the master dies before the next segment."""
    shipper = Shipper(s3, BUCKET, folder)
    append(folder / "seconds.csv", b"t_s,offered\n0,5\n1,")
    append(folder / "sessions.bin", bytes(range(16)) + b"half")

    shipper.ship()
    first = segment_key(folder.name, "seconds.csv", 0, 16)
    session = segment_key(folder.name, "sessions.bin", 0, 16)
    assert sorted(keys(s3)) == sorted([first, session])
    assert body(s3, first) == b"t_s,offered\n0,5\n"

    append(folder / "seconds.csv", b"6")
    shipper.ship(last=True)
    assert body(s3, segment_key(folder.name, "seconds.csv", 16, 19)) == b"1,6"
    assert body(s3, segment_key(folder.name, "sessions.bin", 16, 20)) == b"half"
    assert shipper.unsent() == []


def test_nothing_new_sends_nothing(s3: "S3Client", folder: Path) -> None:
    """An idle master writes no objects."""
    shipper = Shipper(s3, BUCKET, folder)
    append(folder / "events.jsonl", b"{}\n")
    (folder / "run.json").write_text("{}")
    shipper.ship()
    versions = {key: s3.head_object(Bucket=BUCKET, Key=key)["LastModified"] for key in keys(s3)}
    shipper.ship()
    assert set(versions) == set(keys(s3))
    assert len(versions) == 2


def test_a_changed_run_json_is_sent_again(s3: "S3Client", folder: Path) -> None:
    """run.json is replaced when the run ends, and the bucket must say so."""
    shipper = Shipper(s3, BUCKET, folder)
    (folder / "run.json").write_text('{"ended": "running"}')
    shipper.ship()
    (folder / "run.json").write_text('{"ended": "finished"}')
    shipper.ship()
    assert json.loads(body(s3, f"runs/{folder.name}/run.json")) == {"ended": "finished"}


def test_a_failed_put_is_made_up_for(s3: "S3Client", folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttling leaves no gap: what was not sent goes with the next segment, and the problem is said once."""
    shipper = Shipper(s3, BUCKET, folder)
    real = s3.put_object
    failures = 2

    def throttled(**arguments: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "Reduce your request rate"}}, "PutObject")
        return real(**arguments)

    monkeypatch.setattr(s3, "put_object", throttled)
    append(folder / "seconds.csv", b"a\n")
    shipper.ship()
    append(folder / "seconds.csv", b"b\n")
    shipper.ship()
    assert keys(s3) == []
    shipper.ship()
    assert keys(s3) == [segment_key(folder.name, "seconds.csv", 0, 4)]
    assert len(shipper.problems) == 1
    assert "SlowDown" in shipper.problems[0]


def test_two_masters_never_share_a_prefix(s3: "S3Client", folder: Path) -> None:
    """A second master with the same folder name writes beside the first one's run, not into it."""
    first, second, third = (Shipper(s3, BUCKET, folder) for _ in range(3))
    first.claim(WHO)
    second.claim({**WHO, "task": "another"})
    third.claim({**WHO, "task": "a third"})
    assert [first.run_id, second.run_id, third.run_id] == [folder.name, f"{folder.name}-2", f"{folder.name}-3"]


def test_a_claim_whose_answer_was_lost_is_recognised(s3: "S3Client", folder: Path) -> None:
    """The AWS library repeats a request whose answer never came; S3 then says that the key exists, and it is ours."""
    s3.put_object(Bucket=BUCKET, Key=f"runs/{folder.name}/claim.json", Body=json.dumps(WHO).encode())
    shipper = Shipper(s3, BUCKET, folder)
    shipper.claim(WHO)
    assert shipper.run_id == folder.name


def test_a_file_that_shrank_is_said_and_left_alone(s3: "S3Client", folder: Path) -> None:
    """Segments name bytes: a rewritten file cannot be joined, so it must not look as if it could."""
    shipper = Shipper(s3, BUCKET, folder)
    append(folder / "seconds.csv", b"0123456789\n")
    shipper.ship()
    (folder / "seconds.csv").write_bytes(b"short\n")
    shipper.ship()
    assert shipper.problems == ["seconds.csv shrank from 11 to 6 bytes; nothing more of it is sent"]
    assert shipper.unsent() == ["seconds.csv"]
