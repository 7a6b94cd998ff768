"""Records a run on AWS from inside the Locust master, so that the run outlives its task and its stack.

During a run a thread ships the run folder to S3 every few seconds, watches the replication group, and prints offered
and achieved load in CloudWatch's Embedded Metric Format. docs/reference.md lists what is stored. Nothing here imports
Locust; in a Locust process the thread is a greenlet, because gevent has patched `threading` and `socket` by then.
"""

import json
import logging
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contract import runfolder
from recorder.cachewatch import CacheWatcher
from recorder.loadmetrics import LoadMetrics
from recorder.shipper import Shipper, get_json, put_json

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_elasticache import ElastiCacheClient
    from mypy_boto3_s3 import S3Client

LOG = logging.getLogger(__name__)

Record = Callable[[str, Mapping[str, Any]], object]

SHIP_EVERY_S = 5.0
# A reshard may outlive the load. It is watched to its end, at most for its time limit in infra/cache.py (2 h).
LINGER_S = 2 * 3600.0
# ECS gives a stopped task 120 s; the generator needs up to 100 of them for outstanding replies.
CLOSE_S = 18.0
# A call that hangs must not use them up.
_AWS = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})


@dataclass(frozen=True)
class Surroundings:
    """A master's surroundings: its task, and the AWS resources that the task definition names."""

    stack: str
    task: Mapping[str, str] = field(default_factory=dict[str, str])
    bucket: str = ""
    cache_id: str = ""
    s3: "S3Client | None" = None
    elasticache: "ElastiCacheClient | None" = None
    cloudwatch: "CloudWatchClient | None" = None
    out: TextIO | None = None
    every_s: float = SHIP_EVERY_S

    @property
    def current_key(self) -> str:
        """The key of the marker for the run in progress."""
        return f"markers/current-{self.stack}.json"

    @property
    def task_arn(self) -> str:
        """The ECS task; empty elsewhere."""
        return self.task.get("task", "")


class Recorder:
    """One per master process: `begin` and `end` around every run, `close` at the end of the process."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._run: _Run | None = None
        self._earlier_runs: list[_Run] = []

    def autostart_refusal(self) -> str | None:
        """Claim the one autostart of this task revision, or return why this master must not start by itself.

        ECS starts a new master when one dies. The new one would find all workers waiting and run the load again.
        """
        around = self._around
        if around.s3 is None:
            return None
        revision = "-".join(around.task[key] for key in ("family", "revision") if around.task.get(key)) or "local"
        key = f"markers/autostart-{around.stack}-{revision}.json"
        go_on = "to run again, start it in the UI or with `python -m experiment start`"
        try:
            current = get_json(around.s3, around.bucket, around.current_key)
            if current and not current.get("ended"):
                self._abandon(around.s3, current)
                return (
                    f"an earlier master (task {current.get('task') or 'unknown'}) ended without closing its run; "
                    f"what it recorded is in s3://{around.bucket}/runs/{current.get('run')}/. "
                    f"Nothing starts by itself; {go_on}"
                )
            mine = {"task": around.task_arn, "at": _now_text()}
            if not put_json(around.s3, around.bucket, key, mine, only_if_absent=True):
                first = get_json(around.s3, around.bucket, key) or {}
                return (
                    f"this revision started by itself before, at {first.get('at', 'an unknown time')} "
                    f"(s3://{around.bucket}/{key}); {go_on}"
                )
        except (BotoCoreError, ClientError) as error:
            return f"s3://{around.bucket}/{key} does not tell whether the load already ran: {error}; {go_on}"
        return None

    def begin(self, run_dir: Path, started_at_unix_s: float, record: Record) -> None:
        """Ship, watch and publish the run until `end`; called when its folder exists and its load starts."""
        if self._run is not None:
            self.end()
        run = _Run(self._around, run_dir, started_at_unix_s, record)
        self._run = run
        run.thread.start()

    def second_closed(self, second: runfolder.Second) -> None:
        """Add a complete planned second; the run's thread prints it."""
        run = self._run
        if run is not None:
            run.metrics.add(second)

    def end(self) -> None:
        """Send the rest of the closed run folder; a reshard in progress is watched to its end."""
        run, self._run = self._run, None
        if run is not None:
            # First, because `close` may be called while this waits, and must not miss the run.
            self._earlier_runs.append(run)
            run.ended.set()
            run.wake.set()
            run.shipped.wait(10.0)

    def close(self, within_s: float = CLOSE_S) -> None:
        """Stop watching, send what is left, and write to the bucket how the run ended; called when the process ends."""
        self.end()
        until = time.monotonic() + within_s
        for run in self._earlier_runs:
            run.closing.set()
            run.wake.set()
        for run in self._earlier_runs:
            run.thread.join(max(0.0, until - time.monotonic()))
            if run.thread.is_alive():
                LOG.error("run %s: not everything could be sent within %.0f s", run.folder.name, within_s)
        self._earlier_runs.clear()

    def _abandon(self, s3: "S3Client", current: Mapping[str, Any]) -> None:
        """Mark an unclosed run as abandoned, so that the collect step does not wait for more."""
        around = self._around
        if isinstance(current.get("run"), str):
            note = {"noticed_at": _now_text(), "by_task": around.task_arn}
            put_json(s3, around.bucket, f"runs/{current['run']}/abandoned.json", note, only_if_absent=True)
        put_json(s3, around.bucket, around.current_key, {**current, "ended": "abandoned"})


class _Run:
    """One run's thread and its work."""

    def __init__(self, around: Surroundings, folder: Path, started_at_unix_s: float, record: Record) -> None:
        self._around = around
        self.folder = folder
        self._started_at = started_at_unix_s
        self._record = record
        self.metrics = LoadMetrics(around.stack, started_at_unix_s, around.out)
        self._shipper = Shipper(around.s3, around.bucket, folder) if around.s3 is not None else None
        self._watcher = None
        if around.elasticache is not None and around.cloudwatch is not None:
            clients = (around.elasticache, around.cloudwatch)
            self._watcher = CacheWatcher(
                clients, around.cache_id, started_at_unix_s, record=self.record, write_rows=self.write_rows
            )
        self._marked = False
        self.ended = threading.Event()
        self.closing = threading.Event()
        self.shipped = threading.Event()  # everything in the folder at the run's end
        self.wake = threading.Event()
        self.thread = threading.Thread(target=self._work, name=f"evidence-{folder.name}", daemon=True)

    @property
    def _resharding(self) -> bool:
        return self._watcher is not None and self._watcher.resharding

    def record(self, name: str, fields: Mapping[str, Any]) -> None:
        """Record an event of the cache, through the generator while it runs: it then keeps single arrivals."""
        if name == "reshard.requested" and self._already_requested():
            return
        if not self.ended.is_set():
            try:
                self._record(name, fields)
            except Exception:
                LOG.exception("the generator did not take event %s; it goes straight into the file", name)
            else:
                return
        runfolder.append_event(self.folder, time.time() - self._started_at, name, **fields)

    def write_rows(self, rows: list[dict[str, Any]]) -> None:
        """Append node metrics."""
        for row in rows:
            runfolder.append_line(self.folder, runfolder.SERVER, row)

    def _already_requested(self) -> bool:
        """Whether a request for a reshard was recorded already, through the master's HTTP interface."""
        open_request = False
        for line in runfolder.read_lines(self.folder, runfolder.EVENTS):
            name = line.get("event")
            if name == "reshard.requested":
                open_request = True
            elif name in ("reshard.finished", "reshard.failed"):
                open_request = False
        return open_request

    def _work(self) -> None:
        deadline = float("inf")
        while True:
            ended, closing = self.ended.is_set(), self.closing.is_set()
            self.wake.clear()
            self._turn(last=ended, watch=not closing)
            if ended:
                self.shipped.set()
                deadline = min(deadline, time.monotonic() + LINGER_S)
                if closing or not self._resharding or time.monotonic() > deadline:
                    break
            self.wake.wait(self._around.every_s)
        self._finish()

    def _turn(self, *, last: bool, watch: bool) -> None:
        """Do everything once; logs any error and lets the next turn try again, because a run needs its evidence."""
        try:
            if self._watcher is not None and watch:
                self._watcher.poll()
            self.metrics.publish(last=last)
            if self._shipper is not None and self._claim(self._shipper):
                self._shipper.ship(last=last)
        except Exception:
            LOG.exception("evidence of run %s; tried again in %.0f s", self.folder.name, self._around.every_s)

    def _claim(self, shipper: Shipper) -> bool:
        try:
            if not shipper.claimed:
                shipper.claim({"task": self._around.task_arn, "started_at_unix_s": self._started_at})
            if not self._marked:
                self._mark(shipper, None)
                self._marked = True
        except (BotoCoreError, ClientError):
            LOG.exception("s3://%s/runs/%s cannot be claimed; tried again", self._around.bucket, shipper.run_id)
        return shipper.claimed

    def _mark(self, shipper: Shipper, ended: str | None) -> None:
        marker = {
            "run": shipper.run_id,
            "task": self._around.task_arn,
            "started_at_unix_s": self._started_at,
            "ended": ended,
        }
        if self._around.s3 is not None:
            put_json(self._around.s3, self._around.bucket, self._around.current_key, marker)

    def _finish(self) -> None:
        """Write what the bucket should hold, so that the collect step can tell whether the run is whole."""
        shipper, around = self._shipper, self._around
        if shipper is None or around.s3 is None or not shipper.claimed:
            return
        closing = {
            "run": shipper.run_id,
            "closed_at": _now_text(),
            "files": shipper.sent,
            "whole": shipper.unsent() == [],
            "resharding": self._resharding,
            "problems": shipper.problems + (self._watcher.problems if self._watcher else []),
        }
        try:
            put_json(around.s3, around.bucket, f"runs/{shipper.run_id}/{runfolder.EVIDENCE}", closing)
            self._mark(shipper, "closed")
        except (BotoCoreError, ClientError):
            LOG.exception("run %s was sent, but not the confirmation that it is whole", shipper.run_id)


def from_environment(stack: str) -> Recorder | None:
    """The recorder for this task definition's variables; None when they name neither bucket nor cache."""
    bucket, cache_id = os.environ.get("LOAD_RESULTS_BUCKET", ""), os.environ.get("LOAD_CACHE_ID", "")
    if not bucket and not cache_id:
        return None
    task = _task()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or task.get("region")
    if not region:
        raise RuntimeError(
            f"LOAD_RESULTS_BUCKET={bucket!r} and LOAD_CACHE_ID={cache_id!r} ask for evidence on AWS, "
            "but no region is known; set AWS_REGION, or empty both variables"
        )
    session = boto3.Session(region_name=region)
    return Recorder(
        Surroundings(
            stack,
            task,
            bucket=bucket,
            cache_id=cache_id,
            s3=session.client("s3", config=_AWS) if bucket else None,
            elasticache=session.client("elasticache", config=_AWS) if cache_id else None,
            cloudwatch=session.client("cloudwatch", config=_AWS) if cache_id else None,
        )
    )


def _task() -> dict[str, str]:
    """This task's identity from ECS's metadata endpoint; empty outside ECS."""
    endpoint = os.environ.get("ECS_CONTAINER_METADATA_URI_V4", "")
    if not endpoint.startswith("http"):
        return {}
    try:
        with urllib.request.urlopen(f"{endpoint}/task", timeout=3) as answer:  # noqa: S310 - ECS's own address; http is checked above
            metadata = cast("dict[str, Any]", json.load(answer))
    except (OSError, ValueError) as error:
        LOG.warning("ECS's task metadata at %s: %s; revisions cannot be told apart by an autostart", endpoint, error)
        return {}
    arn = str(metadata.get("TaskARN", ""))
    return {
        "task": arn,
        "family": str(metadata.get("Family", "")),
        "revision": str(metadata.get("Revision", "")),
        "region": arn.split(":")[3] if arn.count(":") >= 5 else "",
    }


def _now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
