"""Watches the replication group while a run lasts: reshard events into events.jsonl, node metrics into server.jsonl.

AWS does not tell exactly when slots begin or stop moving. An event has the time of the first answer that showed it, and
`within_s`, the time since the answer before: the change happened between the two.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from recorder import cachegroup
from recorder.cachegroup import Group

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_elasticache import ElastiCacheClient

LOG = logging.getLogger(__name__)

Fields = dict[str, Any]
Named = tuple[str, Fields]
_QUERIES_PER_CALL = 500  # GetMetricData's limit
# Some of AWS's answers may be stale: the end of a change counts when so many successive answers agree.
STALE_ANSWERS = 3


class ReshardTracker:
    """Turns successive answers about a group into events. Has no clock and calls nothing."""

    def __init__(self) -> None:
        self._before: Group | None = None
        self._start: Group | None = None
        self._started_slots = False
        self._finished_slots = False
        self._last_percent = 0.0
        self._idle_answers = 0

    @property
    def resharding(self) -> bool:
        """Whether a reshard began and has not ended."""
        return self._start is not None

    def observe(self, group: Group, within_s: float) -> list[Named]:
        """The events that this answer shows; `within_s` is the time since the answer before it."""
        events: list[Named] = []
        before, self._before = self._before or group, group
        timed: Fields = {"within_s": round(within_s, 1)}
        if self._start is None:
            if group.percent is None and _owned(group) == _owned(before):
                return []
            self._start = before
            self._started_slots = self._finished_slots = False
            self._last_percent, self._idle_answers = 0.0, 0
            events.append(("reshard.requested", {"from": before.owners, **timed}))
        new = {shard.id for shard in group.shards} - {shard.id for shard in before.shards}
        joined = sorted(
            cachegroup.node_name(group.id, node) for shard in group.shards if shard.id in new for node in shard.nodes
        )
        if joined:
            events.append(("nodes.joined", {"nodes": joined, **timed}))
        events += self._slots(self._start, group, timed)
        events += self._end(self._start, group, timed)
        return events

    def _slots(self, start: Group, group: Group, timed: Fields) -> list[Named]:
        events: list[Named] = []
        moved_layout = _owned(group) != _owned(start)
        # While slots move, AWS may still show the old layout, so either sign counts.
        moving = (group.percent or 0.0) > 0 or moved_layout
        target = len(group.shards)
        total = cachegroup.slots_to_move(start.owners, target) if target != start.owners else None
        if moving and not self._started_slots:
            self._started_slots = True
            events.append(("slots.started", {"slots": total, "from": start.owners, "to": target, **timed}))
        if not self._started_slots or self._finished_slots:
            return events
        # Missing progress means the end only with a new, whole layout; a stale answer has the old one.
        done = group.percent is None and moved_layout and not cachegroup.layout_problems(group)
        percent = 100.0 if done else group.percent or 0.0
        if percent - self._last_percent >= 1 or percent >= 100:
            self._last_percent = percent
            moved = None if total is None else round(total * percent / 100)
            events.append(("slots.progress", {"moved": moved, "total": total, "percent": percent, **timed}))
        if percent >= 100:
            self._finished_slots = True
            events.append(("slots.finished", {"slots": total, **timed}))
        return events

    def _end(self, start: Group, group: Group, timed: Fields) -> list[Named]:
        if not group.available:
            self._idle_answers = 0
            return []
        problems = cachegroup.layout_problems(group)
        unchanged = _owned(group) == _owned(start)
        if unchanged:
            problems.insert(0, f"it has {group.owners} shard(s) and the same slots as before: AWS gave up the change")
        self._idle_answers += 1
        if problems and self._idle_answers < STALE_ANSWERS:
            return []
        self._start = None
        if problems:
            error = f"replication group {group.id} is available again, but " + "; ".join(problems)
            return [("reshard.failed", {"error": error, "to": len(group.shards), **timed})]
        return [("reshard.finished", {"from": start.owners, "to": len(group.shards), **timed})]


def _owned(group: Group) -> dict[str, cachegroup.Ranges]:
    """The layout without shards that own no slots."""
    return {shard: slots for shard, slots in group.layout.items() if slots}


def metric_results(
    cloudwatch: "CloudWatchClient", queries: Sequence[dict[str, Any]], start_unix_s: float, end_unix_s: float
) -> list[dict[str, Any]]:
    """GetMetricData over as many calls and pages as it takes; a query's values may be in several results."""
    results: list[dict[str, Any]] = []
    for at in range(0, len(queries), _QUERIES_PER_CALL):
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=list(queries[at : at + _QUERIES_PER_CALL]),  # type: ignore[arg-type] - plain dictionaries
            StartTime=datetime.fromtimestamp(start_unix_s, UTC),
            EndTime=datetime.fromtimestamp(end_unix_s, UTC),
            ScanBy="TimestampAscending",
        )
        for page in pages:
            results += page["MetricDataResults"]  # type: ignore[arg-type] - read as plain dictionaries
    return results


class CacheWatcher:
    """Polls AWS about one replication group for one run; the thread's owner calls `poll` every few seconds.

    `record(name, fields)` writes an event; `write_rows(rows)` appends to server.jsonl. An error of AWS (throttling,
    expired credentials, no permission) is logged once, and the next call tries again.
    """

    def __init__(
        self,
        clients: "tuple[ElastiCacheClient, CloudWatchClient]",
        group_id: str,
        started_at_unix_s: float,
        *,
        record: Callable[[str, Mapping[str, Any]], object],
        write_rows: Callable[[list[dict[str, Any]]], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._elasticache, self._cloudwatch = clients
        self._group_id = group_id
        self._started_at = started_at_unix_s
        self._record = record
        self._write_rows = write_rows
        self._clock = clock
        self._tracker = ReshardTracker()
        self._group: Group | None = None
        self._seen_messages: set[tuple[str, str]] = set()
        self._rows = cachegroup.ServerRows(started_at_unix_s)
        self._last_answer = started_at_unix_s
        self._next_events = self._next_metrics = started_at_unix_s
        self.problems: list[str] = []

    @property
    def resharding(self) -> bool:
        """Whether a reshard is in progress."""
        return self._tracker.resharding

    def poll(self) -> None:
        """Ask about the group; every 20 s also about its events, every minute also about its nodes' metrics."""
        now = self._clock()
        self._asking("DescribeReplicationGroups", self._ask_group)
        if now >= self._next_events:
            self._next_events = now + 20
            self._asking("DescribeEvents", self._ask_events)
        if now >= self._next_metrics:
            self._next_metrics = now + cachegroup.PERIOD_S
            self._asking("GetMetricData", self._ask_metrics)

    def _asking(self, action: str, ask: Callable[[], None]) -> None:
        try:
            ask()
        except (BotoCoreError, ClientError) as error:
            problem = f"{action}({self._group_id}): {error}"
            if problem not in self.problems:
                self.problems.append(problem)
                LOG.warning("the cache cannot be watched: %s; tried again every few seconds", problem)

    def _ask_group(self) -> None:
        answer = self._elasticache.describe_replication_groups(ReplicationGroupId=self._group_id)
        now = self._clock()
        self._group = cachegroup.read_group(answer["ReplicationGroups"][0])
        for name, fields in self._tracker.observe(self._group, now - self._last_answer):
            self._record(name, fields)
        self._last_answer = now

    def _ask_events(self) -> None:
        """Record AWS's own events of the group unchanged, because their wording is not documented."""
        pages = self._elasticache.get_paginator("describe_events").paginate(
            SourceIdentifier=self._group_id,
            SourceType="replication-group",
            StartTime=datetime.fromtimestamp(self._started_at, UTC),
        )
        for page in pages:
            for event in page["Events"]:
                when, message = event.get("Date"), event.get("Message", "")
                key = (str(when), message)
                if when is None or key in self._seen_messages:
                    continue
                self._seen_messages.add(key)
                at_s = round(when.timestamp() - self._started_at, 3)
                self._record("cache.event", {"message": message, "at_s": at_s})

    def _ask_metrics(self) -> None:
        if self._group is None:
            return
        nodes = [node for shard in self._group.shards for node in shard.nodes]
        queries = cachegroup.metric_queries(nodes)
        now = self._clock()
        names = [cachegroup.node_name(self._group_id, node) for node in nodes]
        start = max(self._rows.since(names), now // 60 * 60 - 3600)
        # The youngest minute may have some values and lack others, so it is not asked for yet.
        end = (now // 60 - 1) * 60
        if start >= end:
            return
        results = metric_results(self._cloudwatch, queries, start, end)
        rows = self._rows.take(self._group, cachegroup.metric_values(nodes, results), now)
        if rows:
            self._write_rows(rows)
