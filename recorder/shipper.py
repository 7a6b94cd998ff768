"""Ships a growing run folder to S3. S3 cannot append, so each file becomes segments named by the bytes they hold.

A segment's key says where its bytes belong (`seconds.csv/0000000000000000-0000000000001374`). So a reader can tell a
gap from the end, a segment that is sent twice changes nothing, and no counter must survive a crash. Text is cut after
whole lines, sessions.bin after whole sessions, so every prefix in the bucket can be read.
"""

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOG = logging.getLogger(__name__)

# Files that only grow (docs/run-folder.md). The others are small and sent whole after each change.
GROWING = (
    "seconds.csv",
    "latency.hlog",
    "arrivals.csv",
    "events.jsonl",
    "failures.jsonl",
    "server.jsonl",
    "function.jsonl",
    "sessions.bin",
)
SESSION_BYTES = 16
SEGMENT_LIMIT = 16 * 1024 * 1024  # held in memory while it is sent
_WHOLE_LIMIT = 4 * 1024 * 1024


def segment_key(run_id: str, name: str, start: int, end: int) -> str:
    """The key of the segment that holds bytes [start, end) of a file."""
    return f"runs/{run_id}/{name}/{start:016d}-{end:016d}"


def put_json(s3: "S3Client", bucket: str, key: str, value: Mapping[str, Any], *, only_if_absent: bool = False) -> bool:
    """Write a small JSON object; False when `only_if_absent` and it is there already."""
    body = json.dumps(value, indent=1).encode()
    try:
        if only_if_absent:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    except ClientError as error:
        # 409: another conditional write of the same key is in progress.
        if only_if_absent and _status(error) in (409, 412):
            return False
        raise
    return True


def get_json(s3: "S3Client", bucket: str, key: str) -> dict[str, Any] | None:
    """Read a small JSON object; None when there is none."""
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if _status(error) == 404:
            return None
        raise
    value = json.loads(body)
    return value if isinstance(value, dict) else None


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


class Shipper:
    """Sends what one run folder has gained to `runs/<run id>/` in a bucket.

    `ship` may be called from any thread and any number of times; a failure leaves the rest for the next call.
    """

    def __init__(self, s3: "S3Client", bucket: str, folder: Path) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._folder = folder
        self._lock = threading.Lock()
        self._sent: dict[str, int] = {}
        self._whole: dict[str, bytes] = {}
        self.run_id = folder.name
        self.claimed = False
        self.problems: list[str] = []

    @property
    def sent(self) -> dict[str, int]:
        """Bytes of each growing file that are in the bucket."""
        return dict(self._sent)

    def unsent(self) -> list[str]:
        """Growing files that are not completely in the bucket."""
        paths = [self._folder / name for name in GROWING]
        return [path.name for path in paths if path.exists() and path.stat().st_size != self._sent.get(path.name, 0)]

    def claim(self, who: Mapping[str, Any]) -> None:
        """Claim a run id that nobody else writes to: the folder's name, or that with `-2`, `-3` ... appended."""
        number = 1
        while not self.claimed:
            run_id = self._folder.name if number == 1 else f"{self._folder.name}-{number}"
            key = f"runs/{run_id}/claim.json"
            mine = put_json(self._s3, self._bucket, key, who, only_if_absent=True)
            # An earlier try may have succeeded although its answer was lost.
            if mine or get_json(self._s3, self._bucket, key) == dict(who):
                self.run_id = run_id
                self.claimed = True
            number += 1

    def ship(self, *, last: bool = False) -> None:
        """Send everything new; with `last` also an incomplete last line. Errors of AWS are noted, not raised."""
        with self._lock:
            try:
                for name in GROWING:
                    self._ship_growing(name, last=last)
                for path in sorted(self._folder.glob("*.json")):
                    self._ship_whole(path)
            except (BotoCoreError, ClientError) as error:
                self._note(f"s3://{self._bucket}/runs/{self.run_id}/: {error}")
            except OSError as error:
                self._note(f"{self._folder}: {error}")

    def _ship_growing(self, name: str, *, last: bool) -> None:
        path = self._folder / name
        if not path.exists():
            return
        while True:
            start = self._sent.get(name, 0)
            with path.open("rb") as stream:
                size = stream.seek(0, 2)
                if size < start:
                    self._note(f"{name} shrank from {start} to {size} bytes; nothing more of it is sent")
                    return
                stream.seek(start)
                body = stream.read(SEGMENT_LIMIT)
            whole = body if last and start + len(body) == size else _whole_records(name, body)
            if not whole:
                return
            end = start + len(whole)
            self._s3.put_object(Bucket=self._bucket, Key=segment_key(self.run_id, name, start, end), Body=whole)
            self._sent[name] = end

    def _ship_whole(self, path: Path) -> None:
        if path.stat().st_size > _WHOLE_LIMIT:
            self._note(f"{path.name} is {path.stat().st_size} bytes, too many for a file that is sent whole")
            return
        body = path.read_bytes()
        if self._whole.get(path.name) != body:
            self._s3.put_object(Bucket=self._bucket, Key=f"runs/{self.run_id}/{path.name}", Body=body)
            self._whole[path.name] = body

    def _note(self, problem: str) -> None:
        """Log each problem once: the same one returns every few seconds."""
        if problem not in self.problems:
            self.problems.append(problem)
            LOG.error("run folder not completely shipped: %s", problem)


def _whole_records(name: str, body: bytes) -> bytes:
    if name == "sessions.bin":
        return body[: len(body) // SESSION_BYTES * SESSION_BYTES]
    return body[: body.rfind(b"\n") + 1]
