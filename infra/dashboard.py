"""The dashboard: the cluster node by node, the function, the balancer, the load, and the function's own timings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.load import METRICS_NAMESPACE
from infra.naming import COMPONENT, named

Metric = list[str | dict[str, str]]


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


def nodes(cache_id: str, shards: int, replicas_per_shard: int) -> list[str]:
    """The names that ElastiCache gives the nodes: known beforehand, so that nothing depends on member_clusters."""
    return [
        f"{cache_id}-{shard:04d}-{node:03d}"
        for shard in range(1, shards + 1)
        for node in range(1, replicas_per_shard + 2)
    ]


class Dashboard(pulumi.ComponentResource):
    """One CloudWatch dashboard. Beside the replication group it is all that a changed shardCount changes."""

    def __init__(self, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Dashboard", named("dashboard"), None, opts)
        body = pulumi.Output.all(
            region=args.region,
            cache_id=args.cache_id,
            function=args.function_name,
            logs=args.function_logs,
            balancer=args.balancer_suffix,
        ).apply(lambda known: json.dumps({"widgets": _widgets(args, **known)}))
        # Dashboards are named for the whole account; the cluster's id has a random suffix to borrow.
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


def _widgets(
    args: DashboardArgs, *, region: str, cache_id: str, function: str, logs: str, balancer: str
) -> list[dict[str, object]]:
    names = nodes(cache_id, args.shards, args.replicas_per_shard)

    def chart(title: str, metrics: Sequence[Metric], stat: str = "Average") -> dict[str, object]:
        return {
            "type": "metric",
            "width": 8,
            "height": 6,
            "properties": {"title": title, "region": region, "stat": stat, "period": 60, "metrics": metrics},
        }

    def per_node(metric: str, stat: str = "Average") -> dict[str, object]:
        return chart(metric, [["AWS/ElastiCache", metric, "CacheClusterId", node] for node in names], stat)

    def insights(field: str) -> dict[str, object]:
        query = (
            f"SOURCE '{logs}' | filter type = 'ECL' | stats count(*) as n, avg({field}), max({field}), min({field}), "
            f"pct({field}, 50) as p50, pct({field}, 90) as p90, pct({field}, 95) as p95 by bin(30s)"
        )
        return {
            "type": "log",
            "width": 8,
            "height": 6,
            "properties": {"title": f"{field} (s)", "region": region, "view": "timeSeries", "query": query},
        }

    return [
        *[insights(field) for field in ("connection", "write", "read")],
        chart(
            "Load: offered and achieved per second",
            [[METRICS_NAMESPACE, name, "Stack", args.stack] for name in ("Offered", "Achieved")],
        ),
        per_node("BytesUsedForCache"),
        per_node("NewConnections", "Sum"),
        per_node("CurrConnections"),
        per_node("CurrItems"),
        per_node("CPUUtilization"),
        per_node("Evictions", "Sum"),
        per_node("SwapUsage"),
        chart(
            "Function",
            [["AWS/Lambda", m, "FunctionName", function] for m in ("Invocations", "Throttles", "Errors")],
            "Sum",
        ),
        chart(
            "Balancer",
            [
                ["AWS/ApplicationELB", m, "LoadBalancer", balancer]
                for m in ("NewConnectionCount", "RequestCount", "HTTPCode_ELB_5XX_Count")
            ],
            "Sum",
        ),
    ]
