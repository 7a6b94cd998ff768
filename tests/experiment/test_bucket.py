"""Run folders in the bucket: joined whole, and half of one never passes for the whole."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from experiment.aws.bucket import RunBucket, Segment, covered
from experiment.aws.cloud import Cloud
from experiment.errors import StepError, UsageError
from tests.experiment.conftest import BUCKET, in_turn, refuse, scripted

RUN = "20261122T151100Z-dev"
HEADER = "t_s,phase,offered,sent,ok,failed,missed,unknown,late,redirects,retries,causes\n"
CloudOf = Callable[..., Cloud]


def put(s3: Any, name: str, start: int, data: bytes, run: str = RUN) -> None:
    """A segment as the master sends it."""
    key = f"runs/{run}/{name}/{start:016d}-{start + len(data):016d}"
    s3.put_object(Bucket=BUCKET, Key=key, Body=data)


def put_json(s3: Any, name: str, value: dict[str, Any], run: str = RUN) -> None:
    """A small file of the run."""
    s3.put_object(Bucket=BUCKET, Key=f"runs/{run}/{name}", Body=json.dumps(value).encode())


@pytest.fixture
def bucket(s3: Any, cloud_of: CloudOf) -> RunBucket:
    """A bucket with a whole, small run in it."""
    put_json(s3, "run.json", {"id": RUN, "ended": "finished", "started_at_unix_s": 5.0, "duration_s": 2})
    put(s3, "seconds.csv", 0, HEADER.encode() + b"0,0,3,3,3,0,0,0,0,0,0,\n")
    first = len(HEADER) + 23
    put(s3, "seconds.csv", first, b"1,0,4,4,2,2,0,0,0,0,0,refused:2\n")
    put(s3, "sessions.bin", 0, bytes(48))
    put_json(s3, "evidence.json", {"files": {"seconds.csv": first + 32, "sessions.bin": 48}, "whole": True})
    return RunBucket(cloud_of(s3=s3), BUCKET)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([], []),
        ([(0, 5), (5, 9)], [(0, 5), (5, 9)]),
        ([(5, 9), (0, 5)], [(0, 5), (5, 9)]),
        ([(0, 5), (0, 9)], [(0, 9)]),  # a try whose answer was lost, then a longer one
        ([(0, 9), (3, 5), (5, 12)], [(0, 9), (5, 12)]),
        ([(0, 5), (6, 9)], [(0, 5)]),  # a gap ends what is known
        ([(4, 9)], []),
    ],
)
def test_segments_cover_a_file_up_to_its_first_gap(
    segments: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    """Overlaps come of repeated tries; nothing behind a gap may be joined to what is before it."""
    chosen = covered([Segment("k", start, end, end - start) for start, end in segments])
    assert [(segment.start, segment.end) for segment in chosen] == expected


def test_a_whole_run_is_joined_and_nothing_is_missing(bucket: RunBucket, tmp_path: Path) -> None:
    """Byte for byte what the master wrote."""
    assert bucket.fetch(RUN, tmp_path / "run") == []
    lines = (tmp_path / "run" / "seconds.csv").read_text().splitlines()
    assert lines[1:] == ["0,0,3,3,3,0,0,0,0,0,0,", "1,0,4,4,2,2,0,0,0,0,0,refused:2"]
    assert (tmp_path / "run" / "sessions.bin").stat().st_size == 48


def test_an_interrupted_fetch_goes_on(bucket: RunBucket, tmp_path: Path) -> None:
    """What is here is not fetched again, and a segment of which half was written is completed."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "seconds.csv").write_bytes((HEADER + "0,0,3").encode())
    bucket.fetch(RUN, tmp_path / "run")
    assert len((tmp_path / "run" / "seconds.csv").read_text().splitlines()) == 3


def test_half_a_run_is_fetched_and_said_to_be_half(s3: Any, cloud_of: CloudOf, tmp_path: Path) -> None:
    """A master that died: what it sent is worth having, and nobody may take it for the whole."""
    put(s3, "seconds.csv", 0, HEADER.encode())
    put(s3, "seconds.csv", 500, b"9,0,1,1,1,0,0,0,0,0,0,\n")
    missing = RunBucket(cloud_of(s3=s3), BUCKET).fetch(RUN, tmp_path / "run")
    assert missing == [
        f"seconds.csv: bytes {len(HEADER)} to 500 are missing",
        "run.json is missing: the master ended within seconds of the start",
        "evidence.json is missing: the master did not confirm that everything was sent",
    ]
    assert (tmp_path / "run" / "seconds.csv").read_text() == HEADER


def test_the_masters_word_is_held_against_the_bucket(bucket: RunBucket, s3: Any, tmp_path: Path) -> None:
    """A segment that was lost at the very end leaves no gap; only the master knows that it was there."""
    put_json(s3, "evidence.json", {"files": {"sessions.bin": 64}, "whole": False, "problems": ["AccessDenied"]})
    assert bucket.fetch(RUN, tmp_path / "run") == [
        "sessions.bin: 48 of 64 bytes",
        "the master could not send everything: AccessDenied",
    ]


def test_two_runs_at_once_stay_apart(bucket: RunBucket, s3: Any, tmp_path: Path) -> None:
    """A run whose name begins like another's is not mixed into it."""
    put(s3, "seconds.csv", 0, b"other\n", run=RUN + "-2")
    put_json(s3, "run.json", {"id": RUN + "-2", "ended": "running"}, run=RUN + "-2")
    assert bucket.fetch(RUN, tmp_path / "run") == []
    assert b"other" not in (tmp_path / "run" / "seconds.csv").read_bytes()
    assert bucket.runs() == [RUN, RUN + "-2"]


def test_progress_is_read_from_the_last_segment(bucket: RunBucket) -> None:
    """Following a run costs two small reads, however long it is."""
    seen = bucket.progress(RUN)
    assert (seen.t_s, seen.offered, seen.ok, seen.ended, seen.closed) == (1, 4, 2, "finished", True)


def test_an_abandoned_run_counts_as_interrupted(bucket: RunBucket, s3: Any) -> None:
    """Its run.json still says `running`; the next master left a note."""
    put_json(s3, "run.json", {"id": RUN, "ended": "running"})
    put_json(s3, "abandoned.json", {"by_task": "x"})
    assert bucket.progress(RUN).ended == "interrupted"


def test_a_run_that_is_not_there_names_those_that_are(bucket: RunBucket, tmp_path: Path) -> None:
    """A typing error costs one look."""
    with pytest.raises(UsageError, match=RUN):
        bucket.fetch("20200101T000000Z-dev", tmp_path / "run")


def test_every_page_of_a_listing_is_read(cloud_of: CloudOf) -> None:
    """S3 lists a thousand keys at a time; a 50-minute run has several thousand."""
    moment = datetime(2026, 11, 22, tzinfo=UTC)

    def entry(number: int) -> dict[str, Any]:
        key = f"runs/{RUN}/seconds.csv/{number * 10:016d}-{number * 10 + 10:016d}"
        return {"Key": key, "Size": 10, "LastModified": moment}

    def page(**asked: Any) -> dict[str, Any]:
        if "ContinuationToken" not in asked:
            contents = [entry(number) for number in range(1000)]
            return {"Contents": contents, "IsTruncated": True, "NextContinuationToken": "more"}
        return {"Contents": [entry(number) for number in range(1000, 1500)], "IsTruncated": False}

    s3 = scripted("s3", list_objects_v2=page)
    assert RunBucket(cloud_of(s3=s3), BUCKET).listing(RUN).joined_size("seconds.csv") == 15_000


def test_a_bucket_that_may_not_be_read_says_what_to_allow(cloud_of: CloudOf) -> None:
    """The error names the step, the bucket, what AWS said, the action."""
    s3 = scripted("s3", list_objects_v2=in_turn(refuse("AccessDenied", "no", "ListObjectsV2", 403)))
    with pytest.raises(StepError, match=r"collect: s3://results/runs/: .*AccessDenied(.|\n)*allow s3:ListBucket"):
        RunBucket(cloud_of(s3=s3), BUCKET).runs()


def test_a_segment_that_lies_about_its_length_is_refused(s3: Any, cloud_of: CloudOf, tmp_path: Path) -> None:
    """Somebody else writes into the bucket: better no run folder than a wrong one."""
    s3.put_object(Bucket=BUCKET, Key=f"runs/{RUN}/seconds.csv/{0:016d}-{99:016d}", Body=b"short")
    with pytest.raises(StepError, match="holds 5 bytes, its name says 99"):
        RunBucket(cloud_of(s3=s3), BUCKET).fetch(RUN, tmp_path / "run")
