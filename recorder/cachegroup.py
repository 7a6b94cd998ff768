"""Turns AWS's answers about a replication group into rows of a run folder: pure functions, no AWS library.

The Locust master reads these answers during a run; the experiment's collect step adds what the master could not. Both
pass plain dictionaries as boto3 returns them, so tests are tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SLOTS = 16384
PERIOD_S = 60  # ElastiCache publishes a value per metric and minute

# CloudWatch metric of namespace AWS/ElastiCache -> statistic.
# The two command counts are sums over the minute, of reading and of writing commands; engine CPU is per cent of the
# one core that runs commands; IsMaster is 1 on a primary. (Amazon ElastiCache User Guide, "Metrics for Valkey and
# Redis OSS", checked November 2026.)
METRICS = {
    "CurrItems": "Average",
    "BytesUsedForCache": "Average",
    "CurrConnections": "Average",
    "EngineCPUUtilization": "Average",
    "GetTypeCmds": "Sum",
    "SetTypeCmds": "Sum",
    "IsMaster": "Maximum",
}
# A minute waits for these; the others may be absent on a node that had nothing to count.
_NEEDED = ("CurrItems", "BytesUsedForCache", "EngineCPUUtilization")
_GIVE_UP_S = (
    300  # values arrive one to three minutes late; after five minutes the row is written without the missing ones
)

Ranges = tuple[tuple[int, int], ...]
Json = Mapping[str, Any]


@dataclass(frozen=True)
class NodeGroup:
    """One node group: its slots as inclusive ranges, its nodes' cache cluster ids."""

    id: str
    status: str
    slots: Ranges
    nodes: tuple[str, ...]

    @property
    def slot_count(self) -> int:
        """How many slots it owns."""
        return sum(high - low + 1 for low, high in self.slots)


@dataclass(frozen=True)
class Group:
    """A replication group, from DescribeReplicationGroups."""

    id: str
    status: str
    shards: tuple[NodeGroup, ...]
    percent: float | None
    """Progress of a slot migration in per cent, 0 while nodes are being created; None without a resharding."""

    @property
    def available(self) -> bool:
        """Whether nothing is being changed."""
        return self.status == "available" and self.percent is None

    @property
    def owners(self) -> int:
        """Shards that own slots: those that the application sees."""
        return sum(1 for shard in self.shards if shard.slots)

    @property
    def layout(self) -> dict[str, Ranges]:
        """Shard id -> slots."""
        return {shard.id: shard.slots for shard in self.shards}


def read_group(answer: Json) -> Group:
    """One entry of DescribeReplicationGroups' `ReplicationGroups`."""
    resharding = (answer.get("PendingModifiedValues") or {}).get("Resharding")
    percent: float | None = None
    if resharding is not None:
        percent = float((resharding.get("SlotMigration") or {}).get("ProgressPercentage") or 0.0)
    shards = tuple(
        NodeGroup(
            id=str(node_group.get("NodeGroupId", "")),
            status=str(node_group.get("Status", "")),
            slots=parse_slots(str(node_group.get("Slots") or "")),
            nodes=tuple(str(member["CacheClusterId"]) for member in node_group.get("NodeGroupMembers") or ()),
        )
        for node_group in answer.get("NodeGroups") or ()
    )
    return Group(str(answer.get("ReplicationGroupId", "")), str(answer.get("Status", "")), shards, percent)


def parse_slots(text: str) -> Ranges:
    """`"0-5461,10923-16383"` as inclusive ranges; a single number is a range of one."""
    ranges: list[tuple[int, int]] = []
    for part in text.replace(" ", "").split(","):
        if part:
            low, _, high = part.partition("-")
            ranges.append((int(low), int(high or low)))
    return tuple(sorted(ranges))


def layout_problems(group: Group, shards: int | None = None) -> list[str]:
    """How the group differs from `shards` shards that own every slot exactly once; empty when it does not."""
    problems: list[str] = []
    if shards is not None and len(group.shards) != shards:
        problems.append(f"it has {len(group.shards)} shard(s), not {shards}")
    expected = 0
    for low, high, owner in sorted((low, high, shard.id) for shard in group.shards for low, high in shard.slots):
        if low > expected:
            problems.append(f"slots {expected}-{low - 1} belong to no shard")
        elif low < expected:
            problems.append(f"slots {low}-{min(high, expected - 1)} belong to shard {owner} and to another shard")
        expected = max(expected, high + 1)
    if expected < SLOTS:
        problems.append(f"slots {expected}-{SLOTS - 1} belong to no shard")
    problems += [f"shard {shard.id} owns no slot" for shard in group.shards if not shard.slots]
    return problems


def slots_to_move(before: int, after: int) -> int:
    """How many slots change owner when an evenly spread group goes from `before` to `after` shards."""
    return SLOTS - SLOTS * min(before, after) // max(before, after)


def node_name(group_id: str, cluster_id: str) -> str:
    """A node's name in a run folder: its cache cluster id without the group's, such as 0001-001."""
    return cluster_id.removeprefix(group_id + "-")


def metric_queries(nodes: Sequence[str]) -> list[dict[str, Any]]:
    """GetMetricData's queries for these cache clusters; `metric_values` reads the answers."""
    return [
        {
            "Id": f"m{place}_{metric.lower()}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/ElastiCache",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "CacheClusterId", "Value": node}, {"Name": "CacheNodeId", "Value": "0001"}],
                },
                "Period": PERIOD_S,
                "Stat": statistic,
            },
        }
        for place, node in enumerate(nodes)
        for metric, statistic in METRICS.items()
    ]


def metric_values(nodes: Sequence[str], results: Iterable[Json]) -> dict[str, dict[int, dict[str, float]]]:
    """Node -> start of the minute (Unix seconds) -> metric -> value, from GetMetricData's `MetricDataResults`.

    A query's values may be spread over several pages.
    """
    names = {metric.lower(): metric for metric in METRICS}
    values: dict[str, dict[int, dict[str, float]]] = {node: {} for node in nodes}
    for result in results:
        place, _, metric = str(result["Id"]).removeprefix("m").partition("_")
        node = values[nodes[int(place)]]
        for moment, value in zip(result["Timestamps"], result["Values"], strict=True):
            node.setdefault(int(moment.timestamp()), {})[names[metric]] = float(value)
    return values


@dataclass
class _Node:
    written_until: int
    commands: float = 0.0
    cpu_s: float = 0.0


@dataclass
class ServerRows:
    """Turns minutes of metrics into server.jsonl's rows, each minute once and in order.

    CloudWatch gives commands and CPU per minute; a run folder holds them cumulative, so this sums them from the run's
    start. A row's `t_s` is the end of its minute.
    """

    started_at_unix_s: float
    _nodes: dict[str, _Node] = field(default_factory=dict[str, _Node])

    def resume(self, rows: Iterable[Json]) -> None:
        """Continue after the rows that server.jsonl has already."""
        for row in rows:
            if row.get("node") == "machine":
                continue
            end = round(float(row["t_s"]) + self.started_at_unix_s)
            self._nodes[str(row["node"])] = _Node(end, float(row.get("commands") or 0), float(row.get("cpu_s") or 0))

    def since(self, nodes: Iterable[str] = ()) -> int:
        """The earliest minute that one of the nodes lacks, in Unix seconds."""
        begin = self._first_minute()
        known = [self._nodes[node].written_until if node in self._nodes else begin for node in nodes]
        return min(known, default=begin)

    def take(
        self, group: Group, values: Mapping[str, Mapping[int, Mapping[str, float]]], now_unix_s: float
    ) -> list[dict[str, Any]]:
        """The rows to write now. A minute that may still get values waits, and so do later ones."""
        rows: list[dict[str, Any]] = []
        for shard in group.shards:
            for cluster_id in shard.nodes:
                name = node_name(group.id, cluster_id)
                node = self._nodes.setdefault(name, _Node(self._first_minute()))
                for minute in sorted(values.get(cluster_id, {})):
                    if minute < node.written_until:
                        continue
                    metrics = values[cluster_id][minute]
                    if any(metric not in metrics for metric in _NEEDED) and now_unix_s - minute < _GIVE_UP_S:
                        break
                    rows.append(self._row(name, shard, node, minute, metrics))
        return rows

    def _first_minute(self) -> int:
        return int(self.started_at_unix_s // PERIOD_S * PERIOD_S)

    def _row(
        self, name: str, shard: NodeGroup, node: _Node, minute: int, metrics: Mapping[str, float]
    ) -> dict[str, Any]:
        node.written_until = minute + PERIOD_S
        node.commands += metrics.get("GetTypeCmds", 0.0) + metrics.get("SetTypeCmds", 0.0)
        node.cpu_s += metrics.get("EngineCPUUtilization", 0.0) / 100 * PERIOD_S
        row: dict[str, Any] = {
            "t_s": round(minute + PERIOD_S - self.started_at_unix_s, 3),
            "node": name,
            "shard": int(shard.id) if shard.id.isdigit() else shard.id,
            "group": "application",
            "commands": round(node.commands),
            "cpu_s": round(node.cpu_s, 3),
            "slots": shard.slot_count,
        }
        if "IsMaster" in metrics:
            row["role"] = "primary" if metrics["IsMaster"] >= 1 else "replica"
        for metric, key in (
            ("CurrItems", "keys"),
            ("BytesUsedForCache", "memory_bytes"),
            ("CurrConnections", "connections"),
        ):
            if metric in metrics:
                row[key] = round(metrics[metric])
        return row
