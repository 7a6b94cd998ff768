"""From the bucket and CloudWatch to a run folder on this machine, complete enough to outlive the stack."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract import runfolder
from experiment import functionlog, metrics, notes
from experiment.bucket import RunBucket, read_jsonl
from experiment.cloud import Cloud
from experiment.errors import PassingError, StepError
from experiment.reshard import describe

_LAST_S = 60  # the run's last seconds, whose log lines come last


@dataclass(frozen=True)
class Wanted:
    """What is collected, and what only this machine knows of the run."""

    run_id: str
    exports: Mapping[str, Any]
    function_log: bool = True
    notes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Keys for run.json: settings, engine, reshard, command, experiment."""
    reshard: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the reshard step noted: from, to, requested_unix_s, declared_unix_s, finished_unix_s, changed, error."""
    why_no_stack: str = ""
    """Why only the bucket can be asked; empty while the stack stands."""


@dataclass(frozen=True)
class Collected:
    """The folder, what it lacks, and CloudWatch's metrics of the run."""

    folder: Path
    missing: list[str]
    metrics: list[dict[str, Any]]


def collect(cloud: Cloud, wanted: Wanted, runs: Path, say: Callable[[str], None]) -> Collected:
    """Fetch a run into `runs/<run id>`; an interrupted fetch goes on where it stopped.

    Only the bucket is indispensable. What else cannot be had (a log group that is gone, an action that is not
    allowed) is named in `missing` and in run.json.
    """
    folder = runs / wanted.run_id
    if runfolder.holds_run(folder):
        say(f"{folder} is there already; remove it to collect it anew")
        return Collected(folder, list(runfolder.read_run(folder).get("missing", [])), _kept_metrics(folder))  # type: ignore[call-overload] - a list in every run.json that has it
    runs.mkdir(parents=True, exist_ok=True)
    partial = runs / f".collecting-{wanted.run_id}"
    bucket = RunBucket(cloud, str(wanted.exports["resultsBucket"]))
    say(f"s3://{bucket.bucket}/runs/{wanted.run_id}/")
    missing = _joined(bucket, wanted.run_id, partial)
    if not (partial / runfolder.RUN).exists():
        raise StepError(
            "collect",
            f"s3://{bucket.bucket}/runs/{wanted.run_id}/",
            "there is no run.json: the master ended before it wrote anything",
            f"look at the log group of the load; what there is lies in {partial}",
        )
    run = runfolder.read_run(partial)
    if run.get("ended") == "running":
        missing.append("run.json still says that the run goes on: its master ended without closing it")
        runfolder.update_run(partial, {"ended": "interrupted"})
        run = runfolder.read_run(partial)
    _add_events(partial, wanted.reshard, float(str(run["started_at_unix_s"])))
    extras = _Extras(cloud, wanted, partial, missing, say)
    kept: list[dict[str, Any]] = []
    if wanted.why_no_stack:
        missing.append(f"settings, {runfolder.FUNCTION}, {metrics.METRICS_FILE}: {wanted.why_no_stack}")
    else:
        extras.from_the_function()
        kept = extras.from_cloudwatch()  # last: CloudWatch has a minute's values some minutes after it
    runfolder.update_run(partial, {"where": "aws", **wanted.notes, "missing": missing})
    _add_reshard(partial, wanted.reshard, run)
    (partial / ".joined.json").unlink()
    partial.replace(folder)
    return Collected(folder, missing, kept)


def _joined(bucket: RunBucket, run_id: str, partial: Path) -> list[str]:
    """The run's files as the bucket has them, once: from here on lines of this machine are added to them."""
    mark = partial / ".joined.json"
    try:
        return list(json.loads(mark.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        missing = bucket.fetch(run_id, partial)
        mark.write_text(json.dumps(missing), encoding="utf-8")
        return missing


def _kept_metrics(folder: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(folder / metrics.METRICS_FILE))


def _add_events(folder: Path, reshard: Mapping[str, Any], started_at_unix_s: float) -> None:
    """What only this machine knows of the reshard, unless the master heard of it."""
    have = {str(event.get("event")) for event in read_jsonl(folder / runfolder.EVENTS)}
    about = {"from": reshard.get("from"), "to": reshard.get("to"), "source": "experiment"}
    told: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("reshard.requested", "requested_unix_s", about),
        ("reshard.declared", "declared_unix_s", {"changed": reshard.get("changed"), "source": "experiment"}),
        ("reshard.finished", "finished_unix_s", about),
    )
    for name, key, fields in told:
        # A failed reshard that the master saw is not finished by anything that was noted here.
        if name in have or key not in reshard or (name == "reshard.finished" and "reshard.failed" in have):
            continue
        runfolder.append_event(folder, float(reshard[key]) - started_at_unix_s, name, **fields)
    if "error" in reshard and "reshard.failed" not in have and "reshard.finished" not in have:
        t_s = float(reshard.get("failed_unix_s", reshard["requested_unix_s"])) - started_at_unix_s
        runfolder.append_event(folder, t_s, "reshard.failed", error=str(reshard["error"]), source="experiment")


def _add_reshard(folder: Path, noted: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """The reshard in run.json, and the shards that the run began with, whatever was set since."""
    events = read_jsonl(folder / runfolder.EVENTS)
    reshard = notes.reshard_of(events, noted, float(str(run["started_at_unix_s"])))
    if reshard and not run.get("reshard"):
        runfolder.update_run(folder, {"reshard": reshard})
        if "settings" in runfolder.read_run(folder) and reshard["from"]:
            runfolder.update_run(folder, {"settings": {"shardCount": reshard["from"]}})


class _Extras:
    """What is worth having beside the bucket."""

    def __init__(
        self,
        cloud: Cloud,
        wanted: Wanted,
        folder: Path,
        missing: list[str],
        say: Callable[[str], None],
    ) -> None:
        self._cloud = cloud
        self._wanted = wanted
        self._folder = folder
        self._run = runfolder.read_run(folder)
        self._missing = missing
        self._say = say

    def from_cloudwatch(self) -> list[dict[str, Any]]:
        """Node metrics that the master could no longer write, and the dashboard's."""
        exports = self._wanted.exports
        nodes: list[str] = []
        kept: list[dict[str, Any]] = []
        if exports.get("cacheReplicationGroupId"):
            try:
                group = describe(self._cloud, str(exports["cacheReplicationGroupId"]), "collect")
                nodes = [node for shard in group.shards for node in shard.nodes]
                metrics.wait_until_published(self._cloud, self._run, self._say)
                rows = metrics.complete_servers(self._cloud, self._folder, group, self._run)
                self._say(f"{rows} node minutes from CloudWatch")
            except StepError as error:
                self._lack("server.jsonl", error)
        functions = [str(exports[name]) for name in ("functionName", "auditFunctionName") if exports.get(name)]
        try:
            balancer = (
                metrics.balancer_suffix(self._cloud, str(exports["albDnsName"])) if exports.get("albDnsName") else None
            )
            kept = metrics.keep(self._cloud, self._folder, metrics.wanted(nodes, functions, balancer), self._run)
        except StepError as error:
            self._lack(metrics.METRICS_FILE, error)
        return kept

    def from_the_function(self) -> None:
        """The function's log lines."""
        group = self._wanted.exports.get("functionLogGroup")
        path = self._folder / runfolder.FUNCTION
        if not self._wanted.function_log:
            self._missing.append(f"{runfolder.FUNCTION}: not asked for")
            return
        sent = functionlog.sent_per_second(self._folder / runfolder.SECONDS)
        if not sum(sent):
            return
        beside = path.with_name(f".{path.name}.partial")
        beside.unlink(missing_ok=True)
        log = functionlog.FunctionLog(self._cloud, str(group))
        try:
            started = float(str(self._run["started_at_unix_s"]))
            end = int(started) + len(sent)
            log.wait_until_settled(functionlog.Window(end - _LAST_S, end + 30), sum(sent[-_LAST_S:]))
            windows = functionlog.windows(started, sent)
            lines = log.collect(windows, beside, lambda done, of: self._say(f"log queries: {done} of {of}"))
        except StepError as error:
            beside.unlink(missing_ok=True)
            self._lack(runfolder.FUNCTION, error)
            return
        beside.replace(path)
        self._say(f"{lines} log lines for {sum(sent)} arrivals sent")
        if lines < sum(sent):
            self._missing.append(f"{runfolder.FUNCTION}: {lines} lines for {sum(sent)} arrivals sent")
        if log.truncated:
            self._missing.append(
                f"{runfolder.FUNCTION}: {len(log.truncated)} second(s) have more lines than a query returns"
            )

    def _lack(self, what: str, error: StepError) -> None:
        """Go on without it, but not for want of credentials or network: they come back, and then it can be had."""
        if isinstance(error, PassingError):
            raise error
        self._missing.append(f"{what}: {error.resource}: {error.said}")
        self._say(self._missing[-1])
