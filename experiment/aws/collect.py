"""Copies a run from the bucket and CloudWatch into a run folder on this machine."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import runfolder
from experiment.aws import metrics
from experiment.aws.bucket import RunBucket
from experiment.aws.cloud import Cloud
from experiment.aws.reshard import describe
from experiment.errors import PassingError, StepError


@dataclass(frozen=True)
class Collected:
    """The folder, and what is missing in it."""

    folder: Path
    missing: list[str]


def collect(
    cloud: Cloud,
    run_id: str,
    exports: Mapping[str, Any],
    runs: Path,
    *,
    why_no_stack: str,
    say: Callable[[str], None],
) -> Collected:
    """Fetch a run into `runs/<run id>`; an interrupted fetch resumes where it stopped.

    Only the bucket is required. `missing` names everything else that could not be fetched, because an action is not
    allowed or the stack is gone (`why_no_stack`).
    """
    folder = runs / run_id
    if runfolder.holds_run(folder):
        say(f"{folder} exists already; remove it to collect it again")
        missing: Any = runfolder.read_run(folder).get("missing", [])
        return Collected(folder, list(missing))
    runs.mkdir(parents=True, exist_ok=True)
    partial = runs / f".collecting-{run_id}"
    bucket = RunBucket(cloud, str(exports["resultsBucket"]))
    say(f"s3://{bucket.bucket}/runs/{run_id}/")
    missing = _joined(bucket, run_id, partial)
    if not (partial / runfolder.RUN).exists():
        raise StepError(
            "collect",
            f"s3://{bucket.bucket}/runs/{run_id}/",
            "there is no run.json: the master ended before it wrote anything",
            f"look at the log group of the load; what there is lies in {partial}",
        )
    if runfolder.read_run(partial).get("ended") == "running":
        missing.append("run.json still has ended = running: its master ended without closing it")
        runfolder.update_run(partial, {"ended": "interrupted"})
    if why_no_stack:
        missing.append(f"settings, {metrics.METRICS_FILE}: {why_no_stack}")
    else:
        _from_cloudwatch(cloud, exports, partial, missing, say)
    (partial / ".joined.json").unlink()
    partial.replace(folder)
    return Collected(folder, missing)


def _joined(bucket: RunBucket, run_id: str, partial: Path) -> list[str]:
    """Join the bucket's files once; later steps append lines to them."""
    mark = partial / ".joined.json"
    try:
        return list(json.loads(mark.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        missing = bucket.fetch(run_id, partial)
        mark.write_text(json.dumps(missing), encoding="utf-8")
        return missing


def _from_cloudwatch(
    cloud: Cloud, exports: Mapping[str, Any], folder: Path, missing: list[str], say: Callable[[str], None]
) -> None:
    """Add node metrics that the master could not write any more, and the dashboard's metrics."""

    def lack(name: str, error: StepError) -> None:
        """Continue without this part, unless credentials or network failed: a later try can still get it."""
        if isinstance(error, PassingError):
            raise error
        missing.append(f"{name}: {error.resource}: {error.said}")
        say(missing[-1])

    run = runfolder.read_run(folder)
    nodes: list[str] = []
    if exports.get("cacheReplicationGroupId"):
        try:
            group = describe(cloud, str(exports["cacheReplicationGroupId"]), "collect")
            nodes = [node for shard in group.shards for node in shard.nodes]
            metrics.wait_until_published(cloud, run, say)
            rows = metrics.complete_servers(cloud, folder, group, run)
            say(f"{rows} node minutes from CloudWatch")
        except StepError as error:
            lack(runfolder.SERVER, error)
    functions = [str(exports[name]) for name in ("functionName", "auditFunctionName") if exports.get(name)]
    try:
        dns_name = exports.get("albDnsName")
        balancer = metrics.balancer_suffix(cloud, str(dns_name)) if dns_name else None
        metrics.keep(cloud, folder, metrics.of_stack(nodes, functions, balancer), run)
    except StepError as error:
        lack(metrics.METRICS_FILE, error)
