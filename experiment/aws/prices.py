"""The cost of a stack per hour and of a run, at the prices of AWS's Price List API; unknown prices are named.

Quantities come from the declared stack; a line says so when its quantity is assumed. Not included, because they are
below a cent or unpredictable: storage in S3 and ECR, S3 requests, traffic between zones, taxes, free tiers, discounts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from experiment.aws.asking import asking
from experiment.aws.cloud import Cloud
from experiment.aws.demand import LoadFacts
from experiment.errors import StepError
from infra.settings import Settings

HOURS_A_MONTH = 730
# Assumptions of the estimate before a run; `collect` replaces the first two by what CloudWatch measured.
CALL_S = 0.02
LOG_BYTES_A_CALL = 600  # the function's line, and Lambda's START, END and REPORT
NAT_GB = 1.0  # the image, pulled by each task, and the master's calls
TRACED_SHARE = 0.05  # X-Ray's default rule: one call a second and 5 % of the others
CALLS_PER_LCU_HOUR = 25 * 3600  # new connections that one LCU covers in an hour


@dataclass(frozen=True)
class Item:
    """One cost item: how to find its price, and the quantity."""

    name: str
    service: str
    usage_type: str
    """The usage type without its prefix, which is the region's."""
    filters: Mapping[str, str] = field(default_factory=dict[str, str])
    per_hour: float = 0.0
    per_run: float = 0.0
    assumed: str = ""


@dataclass(frozen=True)
class Line:
    """An item with its price, or why it is unknown."""

    item: Item
    usd: float | None
    why_not: str = ""

    @property
    def usd_per_hour(self) -> float:
        """Cost per hour."""
        return (self.usd or 0.0) * self.item.per_hour

    @property
    def usd_per_run(self) -> float:
        """Cost per run, beside the hours."""
        return (self.usd or 0.0) * self.item.per_run


@dataclass(frozen=True)
class Estimate:
    """What a stack and a run cost, as far as prices are known."""

    lines: Sequence[Line]
    hours: float

    @property
    def unknown(self) -> list[Line]:
        """Items without a price."""
        return [line for line in self.lines if line.usd is None]

    @property
    def usd_per_hour(self) -> float:
        """Cost per hour of the standing stack."""
        return sum(line.usd_per_hour for line in self.lines)

    @property
    def usd(self) -> float:
        """Total of the hours and the run."""
        return self.usd_per_hour * self.hours + sum(line.usd_per_run for line in self.lines)

    def sentence(self) -> str:
        """A sentence for the user; names items without a price."""
        if len(self.unknown) == len(self.lines):
            return f"cannot be known: {self.unknown[0].why_not}" if self.lines else "cannot be known"
        text = f"about ${self.usd_per_hour:.2f} an hour, ${self.usd:.2f} for {self.hours:.1f} h with one run"
        if self.unknown:
            text += "; not in it, for their prices could not be found: " + ", ".join(
                line.item.name for line in self.unknown
            )
        return text

    def as_json(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "usd": round(self.usd, 2),
            "usd_per_hour": round(self.usd_per_hour, 4),
            "hours": round(self.hours, 3),
            "unknown": [line.item.name for line in self.unknown],
            "lines": [
                {
                    "item": line.item.name,
                    "price_usd": line.usd,
                    "per_hour": line.item.per_hour,
                    "per_run": line.item.per_run,
                    "assumed": line.item.assumed,
                }
                for line in self.lines
            ],
        }


@dataclass(frozen=True)
class Measured:
    """CloudWatch's counts of a run; they replace the assumptions."""

    calls: float | None = None
    call_s_in_all: float | None = None
    lcu_hours: float | None = None


def items(settings: Settings, load: LoadFacts, shards: int, measured: Measured | None = None) -> list[Item]:
    """The stack's cost items; `shards` is the largest number of shards."""
    known = measured or Measured()
    engine = settings.cache_engine.split()[0].capitalize()
    calls = known.calls if known.calls is not None else float(load.arrivals)
    call_s = known.call_s_in_all if known.call_s_in_all is not None else calls * CALL_S
    guessed_s = "" if known.call_s_in_all is not None else f"{CALL_S * 1000:.0f} ms a call"
    lcu = known.lcu_hours if known.lcu_hours is not None else calls / CALLS_PER_LCU_HOUR
    tasks = settings.load_tasks
    return [
        Item(
            f"cache nodes ({settings.cache_node_type})",
            "AmazonElastiCache",
            f"NodeUsage:{settings.cache_node_type}",
            {"instanceType": settings.cache_node_type, "cacheEngine": engine},
            per_hour=shards * (1 + settings.replicas_per_shard),
        ),
        Item("Fargate vCPU", "AmazonECS", "Fargate-vCPU-Hours:perCPU", per_hour=1 + tasks),
        Item("Fargate memory (GB)", "AmazonECS", "Fargate-GB-Hours", per_hour=2 + 3 * tasks),
        Item("NAT gateway", "AmazonEC2", "NatGateway-Hours", {"productFamily": "NAT Gateway"}, per_hour=1),
        Item(
            "NAT traffic (GB)",
            "AmazonEC2",
            "NatGateway-Bytes",
            {"productFamily": "NAT Gateway"},
            per_run=NAT_GB,
            assumed=f"{NAT_GB:g} GB",
        ),
        Item("public address of the NAT", "AmazonVPC", "PublicIPv4:InUseAddress", per_hour=1),
        Item(
            "load balancer",
            "AWSELB",
            "LoadBalancerUsage",
            {"productFamily": "Load Balancer-Application"},
            per_hour=1,
        ),
        Item(
            "load balancer capacity (LCU-hours)",
            "AWSELB",
            "LCUUsage",
            {"productFamily": "Load Balancer-Application"},
            per_run=lcu,
            assumed="" if known.lcu_hours is not None else "a new connection per arrival is what counts",
        ),
        Item("function calls", "AWSLambda", "Request", {"group": "AWS-Lambda-Requests"}, per_run=calls),
        Item(
            "function time (GB-s)",
            "AWSLambda",
            "Lambda-GB-Second",
            {"group": "AWS-Lambda-Duration"},
            per_run=call_s * settings.function_memory / 1024,
            assumed=guessed_s,
        ),
        Item(
            "logs (GB)",
            "AmazonCloudWatch",
            "DataProcessing-Bytes",
            per_run=calls * LOG_BYTES_A_CALL / 1e9,
            assumed=f"{LOG_BYTES_A_CALL} bytes a call",
        ),
        Item("custom metrics", "AmazonCloudWatch", "CW:MetricMonitorUsage", per_hour=5 / HOURS_A_MONTH),
        Item("traces", "AWSXRay", "XRay-TracesStored", per_run=load.duration_s + TRACED_SHARE * calls),
    ]


def estimate(cloud: Cloud, priced: Sequence[Item], hours: float) -> Estimate:
    """Ask for each item's price. A price that cannot be found is named, never guessed."""
    lines: list[Line] = []
    refused = ""
    for item in priced:
        if refused:
            lines.append(Line(item, None, refused))
            continue
        try:
            usd, why_not = price(cloud, item)
        except StepError as error:  # no permission, no network: the same for every other item
            refused = error.said
            usd, why_not = None, refused
        lines.append(Line(item, usd, why_not))
    return Estimate(lines, hours)


def price(cloud: Cloud, item: Item) -> tuple[float | None, str]:
    """The on-demand price of one unit in this region, or None and why."""
    filters = {"regionCode": cloud.region or "", **item.filters}
    with asking("preflight", f"price of {item.name}", "pricing:GetProducts"):
        pages = cloud.pricing.get_paginator("get_products").paginate(
            ServiceCode=item.service,
            Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()],
            FormatVersion="aws_v1",
        )
        products = [json.loads(text) for page in pages for text in page["PriceList"]]
    prices = {
        usd
        for product in products
        if _usage_type(product).endswith(item.usage_type) and _is_regional(_usage_type(product), item.usage_type)
        for usd in _first_tier(product)
    }
    if not prices:
        return None, f"the price list has no {item.service} {item.usage_type} in {cloud.region}"
    if len(prices) > 1:
        return None, f"the price list has {len(prices)} prices for {item.service} {item.usage_type} in {cloud.region}"
    return prices.pop(), ""


def _usage_type(product: Mapping[str, Any]) -> str:
    return str(product.get("product", {}).get("attributes", {}).get("usagetype", ""))


def _is_regional(usage_type: str, ending: str) -> bool:
    """`EUW1-NatGateway-Hours` is the thing in a region, `NatGateway-Hours` in us-east-1; nothing else may precede."""
    prefix = usage_type[: len(usage_type) - len(ending)]
    return prefix == "" or (prefix.endswith("-") and prefix.count("-") == 1 and prefix[:-1].isalnum())


def _first_tier(product: Mapping[str, Any]) -> Iterator[float]:
    """Prices per unit from the first unit on, without zeros (reservations and free tiers)."""
    terms = cast("Mapping[str, Any]", product.get("terms", {})).get("OnDemand", {})
    for term in terms.values():
        for dimension in term.get("priceDimensions", {}).values():
            usd = float(dimension.get("pricePerUnit", {}).get("USD", 0))
            if usd > 0 and dimension.get("beginRange", "0") == "0":
                yield usd
