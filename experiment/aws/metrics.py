"""A run's CloudWatch metrics: minutes that the master could not record any more, and the dashboard's."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from contract import runfolder
from experiment.aws.asking import asking
from experiment.aws.cloud import Cloud
from experiment.errors import StepError
from recorder.cachegroup import PERIOD_S, Group, ServerRows, metric_queries, metric_values
from recorder.cachewatch import metric_results

# A minute's values arrive one to three minutes later (recorder/cachegroup.py).
PUBLISHED_S = 180.0
METRICS_FILE = runfolder.METRICS
# What the original's dashboard showed and server.jsonl does not hold.
_FUNCTION = {
    "Invocations": "Sum",
    "Errors": "Sum",
    "Throttles": "Sum",
    "Duration": "Sum",
    "ConcurrentExecutions": "Maximum",
}
_BALANCER = {
    "RequestCount": "Sum",
    "NewConnectionCount": "Sum",
    "HTTPCode_ELB_5XX_Count": "Sum",
    "HTTPCode_Target_5XX_Count": "Sum",
    "ConsumedLCUs": "Sum",
}
_NODE = {
    "NewConnections": "Sum",
    "CPUUtilization": "Average",
    "Evictions": "Sum",
    "SwapUsage": "Average",
    "NetworkBytesIn": "Sum",
    "NetworkBytesOut": "Sum",
}


@dataclass(frozen=True)
class Metric:
    """One metric of one resource."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str

    def query(self, place: int) -> dict[str, Any]:
        """Its GetMetricData query."""
        metric = {
            "Namespace": self.namespace,
            "MetricName": self.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions],
        }
        return {"Id": f"q{place}", "MetricStat": {"Metric": metric, "Period": PERIOD_S, "Stat": self.statistic}}


def balancer_suffix(cloud: Cloud, dns_name: str) -> str | None:
    """The load balancer's name as CloudWatch knows it (`app/name/id`); None when it is gone.

    Does not look for its tags, because AWS also lists a stack's earlier balancers by them.
    """
    with asking("collect", f"load balancer {dns_name}", "elasticloadbalancing:DescribeLoadBalancers"):
        pages = cloud.balancers.get_paginator("describe_load_balancers").paginate()
        arns = [
            balancer.get("LoadBalancerArn", "")
            for page in pages
            for balancer in page["LoadBalancers"]
            if balancer.get("DNSName", "").lower() == dns_name.lower()
        ]
    return arns[0].partition(":loadbalancer/")[2] if arns else None


def of_stack(nodes: Iterable[str], functions: Iterable[str], balancer: str | None) -> list[Metric]:
    """Every metric that is kept beside server.jsonl."""
    metrics = [
        Metric("AWS/Lambda", name, (("FunctionName", function),), statistic)
        for function in functions
        for name, statistic in _FUNCTION.items()
    ]
    if balancer:
        metrics += [
            Metric("AWS/ApplicationELB", name, (("LoadBalancer", balancer),), statistic)
            for name, statistic in _BALANCER.items()
        ]
    metrics += [
        Metric("AWS/ElastiCache", name, (("CacheClusterId", node), ("CacheNodeId", "0001")), statistic)
        for node in nodes
        for name, statistic in _NODE.items()
    ]
    return metrics


def ask(cloud: Cloud, queries: Sequence[dict[str, Any]], start: float, end: float) -> list[dict[str, Any]]:
    """The queries' results; a query that CloudWatch could not answer is an error."""
    with asking("collect", "CloudWatch metrics", "cloudwatch:GetMetricData"):
        results = metric_results(cloud.cloudwatch, queries, start, end)
    failed = sorted({result["StatusCode"] for result in results} & {"InternalError", "Forbidden"})
    if failed:
        raise StepError("collect", "CloudWatch metrics", f"queries ended as {', '.join(failed)}", "collect once more")
    return results


def span(run: dict[str, Any], now: float) -> tuple[float, float]:
    """The minutes that a run touched plus one at its end, as Unix seconds."""
    started = float(run["started_at_unix_s"])
    return started // PERIOD_S * PERIOD_S, min((_end(run) // PERIOD_S + 2) * PERIOD_S, now // PERIOD_S * PERIOD_S)


def _end(run: dict[str, Any]) -> float:
    ended = run.get("ended_at")
    if ended:
        return datetime.fromisoformat(str(ended)).timestamp()
    return float(run["started_at_unix_s"]) + float(run.get("duration_s", 0))


def wait_until_published(cloud: Cloud, run: dict[str, Any], say: Callable[[str], None]) -> None:
    """Wait for the values of the run's last minute; collected earlier, they would be missing for ever."""
    rest = (_end(run) // PERIOD_S + 1) * PERIOD_S + PUBLISHED_S - cloud.now()
    if rest > 0:
        say(f"{rest:.0f} s until CloudWatch has the run's last minute")
        cloud.sleep(rest)


def complete_servers(cloud: Cloud, folder: Path, group: Group, run: dict[str, Any]) -> int:
    """Append the minutes missing from server.jsonl; returns the number of rows."""
    rows = ServerRows(float(run["started_at_unix_s"]))
    rows.resume(runfolder.read_lines(folder, runfolder.SERVER))
    nodes = [node for shard in group.shards for node in shard.nodes]
    start, end = span(run, cloud.now())
    if not nodes or start >= end:
        return 0
    values = metric_values(nodes, ask(cloud, metric_queries(nodes), start, end))
    # A time far in the future, so that no minute is held back for values that may still arrive.
    new = rows.take(group, values, end + 3600)
    for row in new:
        runfolder.append_line(folder, runfolder.SERVER, row)
    return len(new)


def keep(cloud: Cloud, folder: Path, metrics: Sequence[Metric], run: dict[str, Any]) -> list[dict[str, Any]]:
    """Write metrics.jsonl: a line per metric and minute."""
    start, end = span(run, cloud.now())
    lines: list[dict[str, Any]] = []
    if metrics and start < end:
        for result in ask(cloud, [metric.query(place) for place, metric in enumerate(metrics)], start, end):
            metric = metrics[int(result["Id"].removeprefix("q"))]
            lines += [
                {
                    "t_s": round(moment.timestamp() - float(run["started_at_unix_s"]), 3),
                    "namespace": metric.namespace,
                    "metric": metric.name,
                    "dimensions": dict(metric.dimensions),
                    "statistic": metric.statistic,
                    "value": value,
                }
                for moment, value in zip(result["Timestamps"], result["Values"], strict=True)
            ]
    lines.sort(key=lambda line: (line["t_s"], line["namespace"], line["metric"], str(line["dimensions"])))
    (folder / METRICS_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return lines


def total(lines: Iterable[dict[str, Any]], metric: str, dimension: str | None = None) -> float | None:
    """The sum of a metric over the run; None when CloudWatch has none of it."""
    values = [
        float(line["value"])
        for line in lines
        if line["metric"] == metric and (dimension is None or dimension in line["dimensions"].values())
    ]
    return sum(values) if values else None
