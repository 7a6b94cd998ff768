"""What AWS counted during a run on AWS: CloudWatch's metrics by minute (metrics.jsonl), and what the run cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from contract.runread import Run, mapping, number
from report.measures import Floats

MINUTE_S = 60.0
FUNCTION, BALANCER, NODE = "AWS/Lambda", "AWS/ApplicationELB", "AWS/ElastiCache"
# CloudWatch writes these only for minutes in which there was one, and RequestCount for every minute: no value is none.
ONLY_WHEN_NOT_ZERO = ("HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count")


@dataclass(frozen=True)
class Minutes:
    """One metric of one function, balancer or node: `values[i]` is that of the minute that begins at `t_s[i]`."""

    t_s: Floats
    values: Floats

    @property
    def total(self) -> float | None:
        """The sum over the run; None when CloudWatch has no value."""
        return float(self.values.sum()) if len(self.values) else None

    @property
    def highest(self) -> float | None:
        """The highest minute; None when CloudWatch has no value."""
        return float(self.values.max()) if len(self.values) else None


class CloudWatch:
    """The metrics of a run, by namespace, thing and metric."""

    def __init__(self, run: Run) -> None:
        self._by_name: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
        for value in run.metrics:
            self._by_name.setdefault((value.namespace, value.thing, value.metric), []).append((value.t_s, value.value))

    def things(self, namespace: str) -> list[str]:
        """The functions, balancers or nodes that have metrics."""
        return sorted({thing for of, thing, _ in self._by_name if of == namespace})

    def minutes(self, namespace: str, thing: str, metric: str) -> Minutes:
        """One metric, minute by minute."""
        pairs = self._by_name.get((namespace, thing, metric), [])
        if metric in ONLY_WHEN_NOT_ZERO:
            counted = dict(pairs)
            every = {t_s for t_s, _ in self._by_name.get((namespace, thing, "RequestCount"), [])} | counted.keys()
            pairs = [(t_s, counted.get(t_s, 0.0)) for t_s in sorted(every)]
        table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return Minutes(table[:, 0], table[:, 1])


def as_json(run: Run) -> dict[str, Any] | None:
    """The section of report.json; None for a run without metrics and cost of AWS."""
    metrics = CloudWatch(run)
    cost = _cost(run.table("cost"))
    if not run.metrics and cost is None:
        return None
    return {
        "functions": [_function(metrics, thing) for thing in metrics.things(FUNCTION)],
        "balancers": [_balancer(metrics, thing) for thing in metrics.things(BALANCER)],
        "nodes": [_node(metrics, thing) for thing in metrics.things(NODE)],
        "cost": cost,
    }


def _function(metrics: CloudWatch, name: str) -> dict[str, Any]:
    invocations = metrics.minutes(FUNCTION, name, "Invocations").total
    duration_ms = metrics.minutes(FUNCTION, name, "Duration").total
    return {
        "name": name,
        "invocations": invocations,
        "errors": metrics.minutes(FUNCTION, name, "Errors").total,
        "throttles": metrics.minutes(FUNCTION, name, "Throttles").total,
        "concurrency_max": metrics.minutes(FUNCTION, name, "ConcurrentExecutions").highest,
        "duration_mean_ms": round(duration_ms / invocations, 3) if duration_ms is not None and invocations else None,
    }


def _balancer(metrics: CloudWatch, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "requests": metrics.minutes(BALANCER, name, "RequestCount").total,
        "new_connections": metrics.minutes(BALANCER, name, "NewConnectionCount").total,
        "balancer_5xx": metrics.minutes(BALANCER, name, "HTTPCode_ELB_5XX_Count").total,
        "target_5xx": metrics.minutes(BALANCER, name, "HTTPCode_Target_5XX_Count").total,
    }


def _node(metrics: CloudWatch, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "cpu_max_percent": metrics.minutes(NODE, name, "CPUUtilization").highest,
        "new_connections": metrics.minutes(NODE, name, "NewConnections").total,
        "evictions": metrics.minutes(NODE, name, "Evictions").total,
        "swap_max_bytes": metrics.minutes(NODE, name, "SwapUsage").highest,
    }


def _cost(cost: Mapping[str, Any]) -> dict[str, Any] | None:
    """run.json's estimate: prices of AWS's price list times hours and what CloudWatch counted."""
    if not cost:
        return None
    lines = [mapping(line) for line in _listed(cost.get("lines"))]
    return {
        "usd": _known(cost.get("usd")),
        "usd_per_hour": _known(cost.get("usd_per_hour")),
        "hours": _known(cost.get("hours")),
        "unknown": [str(item) for item in _listed(cost.get("unknown"))],
        "lines": [
            {
                "item": str(line.get("item")),
                "assumed": str(line.get("assumed") or ""),
                **{key: _known(line.get(key)) for key in ("price_usd", "per_hour", "per_run")},
            }
            for line in lines
        ],
    }


def _listed(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _known(value: object) -> float | None:
    """A finite number, or None."""
    as_number = number(value)
    return None if np.isnan(as_number) else as_number
