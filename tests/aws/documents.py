"""Rules of AWS for the JSON documents that some parameters hold; each names its source and the place."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.aws.requests import Request

_DASHBOARD = "CloudWatch API reference, Dashboard Body Structure and Syntax"
_LIFECYCLE = "ECR guide, lifecycle policy properties"
_STATISTICS = r"SampleCount|Average|Sum|Minimum|Maximum|IQM|p\d{1,2}(\.\d+)?|p100"
# What CloudWatch shows in one chart, and in one dashboard (CloudWatch guide, quotas).
_IN_A_CHART, _IN_A_DASHBOARD = 500, 2500


def _document(text: str) -> dict[str, Any]:
    """The document; none if it is no JSON object, which prose.py tells."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def dashboards(requests: list[Request]) -> Iterator[str]:
    """A dashboard's widgets: how many, how large, of what."""
    for request in requests:
        if request.operation != "PutDashboard":
            continue
        body = _document(request.parameters["DashboardBody"])
        widgets = body.get("widgets")
        if not isinstance(widgets, list) or len(widgets) > 500:
            yield f"{request}: DashboardBody.widgets: a list of at most 500 ({_DASHBOARD})"
            continue
        for place, widget in enumerate(widgets):
            for wrong in _widget(widget):
                yield f"{request}: DashboardBody.widgets[{place}].{wrong} ({_DASHBOARD})"
        metrics = sum(len(widget.get("properties", {}).get("metrics", [])) for widget in widgets)
        if metrics > _IN_A_DASHBOARD:
            yield f"{request}: DashboardBody: {metrics} metrics: at most {_IN_A_DASHBOARD} (CloudWatch guide, quotas)"


def _widget(widget: dict[str, Any]) -> Iterator[str]:
    kind, properties = widget.get("type"), widget.get("properties", {})
    if kind not in ("metric", "text", "log", "alarm", "explorer"):
        yield f"type = {kind!r}: metric, text, log, alarm or explorer"
    for name, most in (("width", 24), ("height", 1000)):
        if not 1 <= widget.get(name, 6) <= most:
            yield f"{name} = {widget[name]!r}: from 1 to {most}"
    for name in {"metric": ("metrics", "region"), "log": ("query", "region")}.get(str(kind), ()):
        if not properties.get(name):
            yield f"properties.{name}: required, and missing"
    if kind == "metric":
        yield from _chart(properties)


def _chart(properties: dict[str, Any]) -> Iterator[str]:
    period, stat, metrics = properties.get("period"), properties.get("stat"), properties.get("metrics", [])
    if period not in (1, 5, 10, 20, 30) and (not isinstance(period, int) or period < 60 or period % 60):
        yield f"properties.period = {period!r}: 1, 5, 10, 20, 30 or a multiple of 60"
    if not re.fullmatch(_STATISTICS, str(stat)):
        yield f"properties.stat = {stat!r}: a statistic"
    if len(metrics) > _IN_A_CHART:
        yield f"properties.metrics: {len(metrics)}: at most {_IN_A_CHART}"
    for metric in metrics:
        # Namespace and name, then pairs of dimension and value; expressions and renderings are not used here.
        if not all(isinstance(word, str) for word in metric) or len(metric) < 2 or len(metric) % 2:
            yield f"properties.metrics = {metric!r}: namespace, name, and a value for each dimension"


def image_lifecycles(requests: list[Request]) -> Iterator[str]:
    """An image repository's rules: in an order, for whom, after what."""
    for request in requests:
        if request.operation != "PutLifecyclePolicy":
            continue
        rules = _document(request.parameters["lifecyclePolicyText"]).get("rules", [])
        order = [rule.get("rulePriority") for rule in rules]
        if not rules or len(set(order)) != len(order):
            yield f"{request}: lifecyclePolicyText.rules: one at least, each with another rulePriority ({_LIFECYCLE})"
        for place, rule in enumerate(rules):
            for wrong in _selection(rule.get("selection", {})):
                yield f"{request}: lifecyclePolicyText.rules[{place}].selection.{wrong} ({_LIFECYCLE})"


def _selection(selection: dict[str, Any]) -> Iterator[str]:
    status, kind, count = (selection.get(name) for name in ("tagStatus", "countType", "countNumber"))
    listed = {"tagPrefixList", "tagPatternList"} & set(selection)
    if status not in ("tagged", "untagged", "any") or bool(listed) != (status == "tagged"):
        yield f"tagStatus = {status!r}: tagged with a list of tags, untagged or any without"
    if kind not in ("imageCountMoreThan", "sinceImagePushed"):
        yield f"countType = {kind!r}: imageCountMoreThan or sinceImagePushed"
    if (selection.get("countUnit") == "days") != (kind == "sinceImagePushed"):
        yield f"countUnit = {selection.get('countUnit')!r}: days, and only with sinceImagePushed"
    if not isinstance(count, int) or count < 1:
        yield f"countNumber = {count!r}: a positive whole number"
