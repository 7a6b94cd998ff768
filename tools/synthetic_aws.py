"""A run folder as a run on AWS leaves it: no sham, and what CloudWatch counted (docs/run-folder.md)."""

from collections.abc import Mapping
from pathlib import Path

from contract.runfolder import append_line
from tools.synthetic import Planted, Synthetic

ON_AWS = Synthetic(
    phases=(("Warm up", 180, 20, 60), ("Higher load", 60, 40, 120), ("Cool down", 180, 20, 60)),
    moves=(Planted("real", 300, 45, 140),),
    run={
        "where": "aws",
        "host": "http://dev-alb.eu-central-1.elb.amazonaws.com",
        "substitutions": [],
        "cost": {
            "usd": 1.234,
            "usd_per_hour": 1.1042,
            "hours": 1.05,
            "unknown": ["X-Ray"],
            "lines": [
                {"item": "cache nodes", "price_usd": 0.219, "per_hour": 4.0, "per_run": 0.0, "assumed": ""},
                {"item": "traces", "price_usd": None, "per_hour": 0.0, "per_run": 2000.0, "assumed": "5 % traced"},
            ],
        },
    },
)
"""A run on AWS: no sham, and what CloudWatch counted is added by `write_metrics`."""


def write_metrics(folder: Path, minutes: int = 8) -> None:
    """metrics.jsonl as the experiment collects it, the first minute begun before the run.

    Minute 6 has 12 throttles, 3 errors, 5 replies of the balancer's own with a 502 and 40 evictions on one node;
    CloudWatch writes the balancer's 5xx for that minute only.
    """
    function, balancer = {"FunctionName": "dev-session"}, {"LoadBalancer": "app/dev-alb/50dc6c495c0c9188"}
    for minute in range(minutes):
        at_6 = minute == 6
        lines: list[tuple[str, Mapping[str, str], str, float]] = [
            ("AWS/Lambda", function, "Invocations", 3000.0),
            ("AWS/Lambda", function, "Duration", 3000 * 4.5),
            ("AWS/Lambda", function, "ConcurrentExecutions", 4.0 + minute),
            ("AWS/Lambda", function, "Errors", 3.0 if at_6 else 0.0),
            ("AWS/Lambda", function, "Throttles", 12.0 if at_6 else 0.0),
            ("AWS/ApplicationELB", balancer, "RequestCount", 3000.0),
            ("AWS/ApplicationELB", balancer, "NewConnectionCount", 3000.0),
            *([("AWS/ApplicationELB", balancer, "HTTPCode_ELB_5XX_Count", 5.0)] if at_6 else []),
        ]
        for node in ("dev-0001-001", "dev-0001-002", "dev-0002-001", "dev-0002-002"):
            about = {"CacheClusterId": node, "CacheNodeId": "0001"}
            busy = node.endswith("-001") and (node.startswith("dev-0001") or minute > 5)
            lines += [
                ("AWS/ElastiCache", about, "CPUUtilization", 30.0 + minute if busy else 3.0),
                ("AWS/ElastiCache", about, "NewConnections", 3000.0 if busy else 10.0),
                ("AWS/ElastiCache", about, "Evictions", 40.0 if at_6 and node == "dev-0001-001" else 0.0),
                ("AWS/ElastiCache", about, "SwapUsage", 0.0),
            ]
        for namespace, dimensions, metric, value in lines:
            line = {"t_s": 60.0 * minute - 21.5, "namespace": namespace, "metric": metric, "dimensions": dimensions}
            append_line(folder, "metrics.jsonl", {**line, "statistic": "Sum", "value": value})
