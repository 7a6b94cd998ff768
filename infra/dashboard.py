"""The dashboard: the cluster node by node, the function, the balancer, the load, and the function's own timings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.load import METRICS_NAMESPACE
from infra.naming import COMPONENT, named

# CloudWatch's quota for all charts of one dashboard together. That of one chart, 500, is ElastiCache's of nodes, too.
METRICS_PER_DASHBOARD = 2500
# Kept free for the charts that do not show nodes; they use fewer.
RESERVED = 50

# Name, statistic, unit. On a large cluster the last ones show only one node of each shard.
NODE_METRICS = (
    ("EngineCPUUtilization", "Maximum", "%"),
    ("CurrItems", "Average", "keys"),
    ("NewConnections", "Sum", "per minute"),
    ("CPUUtilization", "Maximum", "%"),
    ("BytesUsedForCache", "Average", "bytes"),
    ("CurrConnections", "Average", "connections"),
    ("Evictions", "Sum", "per minute"),
    ("SwapUsage", "Maximum", "bytes"),
)

MetricSpec = list[str]


@dataclass(frozen=True)
class DashboardArgs:
    """What is drawn."""

    region: pulumi.Input[str]
    cache_id: pulumi.Input[str]
    shards: int
    replicas_per_shard: int
    function_name: pulumi.Input[str]
    function_logs: pulumi.Input[str]
    balancer_suffix: pulumi.Input[str]
    stack: str


class Dashboard(pulumi.ComponentResource):
    """One CloudWatch dashboard. A changed shardCount changes only this and the replication group."""

    def __init__(self, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Dashboard", named("dashboard"), None, opts)
        body = pulumi.Output.all(
            region=args.region,
            cache_id=args.cache_id,
            function=args.function_name,
            logs=args.function_logs,
            balancer=args.balancer_suffix,
        ).apply(lambda known: json.dumps({"widgets": _widgets(args, **known)}))
        # Dashboard names are unique in an account; the cluster's id already has a random suffix.
        self.dashboard = aws.cloudwatch.Dashboard(
            named("dashboard"),
            dashboard_name=pulumi.Output.from_input(args.cache_id).apply(lambda cache_id: f"{cache_id}-reshard"),
            dashboard_body=body,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = self.dashboard.dashboard_name
        self.url = pulumi.Output.all(region=args.region, name=self.name).apply(
            lambda known: (
                f"https://{known['region']}.console.aws.amazon.com/cloudwatch/home"
                f"?region={known['region']}#dashboards/dashboard/{known['name']}"
            )
        )
        self.register_outputs({"url": self.url})


def nodes(cache_id: str, shards: int, replicas_per_shard: int) -> list[str]:
    """The names that ElastiCache will give the nodes; computed, so that nothing depends on member_clusters."""
    return [
        f"{cache_id}-{shard:04d}-{node:03d}"
        for shard in range(1, shards + 1)
        for node in range(1, replicas_per_shard + 2)
    ]


def charted_whole(shards: int, replicas_per_shard: int) -> int:
    """How many of NODE_METRICS can show every node; the others show the first node of each shard.

    With 500 nodes all eight would be 4,000 metrics; a dashboard holds at most 2,500.
    """
    every = shards * (1 + replicas_per_shard)
    room = METRICS_PER_DASHBOARD - RESERVED - len(NODE_METRICS) * shards
    return min(len(NODE_METRICS), room // (every - shards))


def _chart(title: str, region: str, metrics: Sequence[MetricSpec], stat: str) -> dict[str, object]:
    properties = {"title": title, "region": region, "stat": stat, "period": 60, "metrics": metrics}
    return {"type": "metric", "width": 8, "height": 6, "properties": properties}


def _insights(field: str, region: str, logs: str) -> dict[str, object]:
    """A chart of one of the function's own timings, in milliseconds, from its log lines."""
    ms = f"{field} * 1000"
    query = (
        f"SOURCE '{logs}' | filter type = 'ECL' | stats count(*) as invocations, avg({ms}) as average, "
        f"max({ms}) as maximum, min({ms}) as minimum, pct({ms}, 50) as p50, pct({ms}, 90) as p90, "
        f"pct({ms}, 95) as p95 by bin(30s)"
    )
    properties = {"title": f"{field}: ms by 30 s", "region": region, "view": "table", "query": query}
    return {"type": "log", "width": 8, "height": 8, "properties": properties}


def _widgets(
    args: DashboardArgs, *, region: str, cache_id: str, function: str, logs: str, balancer: str
) -> list[dict[str, object]]:
    names = nodes(cache_id, args.shards, args.replicas_per_shard)
    firsts = [name for name in names if name.endswith("-001")]
    whole = charted_whole(args.shards, args.replicas_per_shard)

    def per_node(place: int) -> dict[str, object]:
        metric, stat, unit = NODE_METRICS[place]
        shown = names if place < whole else firsts
        title = f"{metric} ({unit})" + ("" if place < whole else ", first node of each shard")
        return _chart(title, region, [["AWS/ElastiCache", metric, "CacheClusterId", name] for name in shown], stat)

    load = ("Offered", "Achieved", "Failed", "Missed", "Late")
    http = ("RequestCount", "NewConnectionCount", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count")
    return [
        _chart(
            "Load: offered and achieved (per second)",
            region,
            [[METRICS_NAMESPACE, name, "Stack", args.stack] for name in load],
            "Average",
        ),
        _chart(
            "Function (per minute)",
            region,
            [["AWS/Lambda", name, "FunctionName", function] for name in ("Invocations", "Throttles", "Errors")],
            "Sum",
        ),
        _chart(
            "Balancer (per minute)",
            region,
            [["AWS/ApplicationELB", name, "LoadBalancer", balancer] for name in http],
            "Sum",
        ),
        *[_insights(field, region, logs) for field in ("connection", "write", "read")],
        *[per_node(place) for place in range(len(NODE_METRICS))],
    ]
