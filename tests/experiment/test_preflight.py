"""What is looked at before money is spent: quotas against the profile's peak, prices that are known or said unknown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiment.aws import demand, preflight, prices
from experiment.aws.cloud import Cloud
from experiment.aws.demand import LoadFacts
from infra import settings as stack_settings
from tests.experiment.conftest import in_turn, refuse, scripted

CloudOf = Callable[..., Cloud]
ROOT = Path(__file__).resolve().parents[2]
ORIGINAL = LoadFacts(927_000, 3000.0, 900.0)


@pytest.fixture
def settings() -> stack_settings.Settings:
    """Pulumi.yaml's defaults."""
    return stack_settings.check(stack_settings.defaults(ROOT), root=ROOT)


def quota(value: float) -> dict[str, Any]:
    """GetServiceQuota's answer."""
    return {"Quota": {"ServiceCode": "s", "QuotaCode": "c", "Value": value}}


def limits(cloud_of: CloudOf, *, concurrency: int = 1000, quotas: Any = None, nodes: int = 10) -> Cloud:
    """An account with these limits."""
    clusters = [{"CacheClusterId": f"n{n}", "NumCacheNodes": 1} for n in range(nodes)]
    pages = in_turn({"CacheClusters": clusters[:4], "Marker": "m"}, {"CacheClusters": clusters[4:]})
    account = {"AccountLimit": {"UnreservedConcurrentExecutions": concurrency}}
    return cloud_of(
        **{
            "service-quotas": quotas or scripted("service-quotas", get_service_quota=in_turn(quota(300.0))),
            "lambda": scripted("lambda", get_account_settings=in_turn(account)),
            "elasticache": scripted("elasticache", describe_cache_clusters=pages),
            "ec2": scripted(
                "ec2",
                describe_vpcs=in_turn({"Vpcs": [{"VpcId": "v"}]}),
                describe_addresses=in_turn({"Addresses": []}),
            ),
        }
    )


def states(cloud: Cloud, settings: stack_settings.Settings, shards: int = 2) -> dict[str, preflight.PreflightCheck]:
    """The checks by name."""
    wanted = preflight.needs(settings, ORIGINAL, shards, deployed_shards=0)
    return {check.name: check for check in preflight.quotas(cloud, wanted, ORIGINAL)}


def test_the_load_is_read_from_the_declared_profile(settings: stack_settings.Settings) -> None:
    """The original's three tasks: 927,000 arrivals in 50 minutes, 900 a second at most."""
    assert demand.facts(settings, ROOT) == ORIGINAL


def test_an_account_with_room_passes(cloud_of: CloudOf, settings: stack_settings.Settings) -> None:
    """Every quota is shown with its limit, what is in use and what is needed."""
    checks = states(limits(cloud_of), settings)
    assert {check.state for check in checks.values()} == {preflight.OK}
    assert checks["ElastiCache nodes in the region"].detail == "limit 300, 10 in use, needs 4"


@pytest.mark.parametrize(
    ("concurrency", "state"), [(10, "fail"), (89, "fail"), (90, "warn"), (899, "warn"), (900, "ok")]
)
def test_a_new_accounts_lambda_concurrency_stops_the_run(
    concurrency: int, state: str, cloud_of: CloudOf, settings: stack_settings.Settings
) -> None:
    """New accounts have 10: the load would be throttled, and the run would measure that."""
    check = states(limits(cloud_of, concurrency=concurrency), settings)["Lambda concurrency"]
    assert check.state == state
    assert (check.todo == "") == (state == "ok")


def test_too_many_nodes_stop_the_run(cloud_of: CloudOf, settings: stack_settings.Settings) -> None:
    """What is in use counts, over all pages, and so does the shard that is added."""
    check = states(limits(cloud_of, nodes=297), settings)["ElastiCache nodes in the region"]
    assert (check.state, check.detail) == ("fail", "limit 300, 297 in use, needs 4")
    assert "L-DFE45DF3" in check.todo


def test_a_quota_that_was_never_changed_is_aws_default(cloud_of: CloudOf, settings: stack_settings.Settings) -> None:
    """Service Quotas knows no value of the account's own then."""
    absent = refuse("NoSuchResourceException", operation="GetServiceQuota")
    client = scripted(
        "service-quotas",
        get_service_quota=in_turn(absent),
        get_aws_default_service_quota=in_turn(quota(6.0)),
    )
    check = states(limits(cloud_of, quotas=client), settings)["Fargate vCPU"]
    assert (check.state, check.detail) == ("ok", "limit 6, needs 4")


def test_a_quota_that_may_not_be_read_is_no_pass(cloud_of: CloudOf, settings: stack_settings.Settings) -> None:
    """Unknown is a warning with its reason."""
    client = scripted(
        "service-quotas", get_service_quota=in_turn(refuse("AccessDeniedException", "not authorized", status=403))
    )
    check = states(limits(cloud_of, quotas=client), settings)["Fargate vCPU"]
    assert check.state == "warn"
    assert "not authorized" in check.detail


def product(usage_type: str, *dimensions: tuple[str, str]) -> str:
    """A product of the price list, as the API gives it: JSON in a string."""
    terms = {
        str(place): {"unit": "Hrs", "beginRange": begin, "endRange": "Inf", "pricePerUnit": {"USD": usd}}
        for place, (begin, usd) in enumerate(dimensions)
    }
    on_demand = {"SKU.TERM": {"priceDimensions": terms}}
    return json.dumps({"product": {"attributes": {"usagetype": usage_type}}, "terms": {"OnDemand": on_demand}})


NODE = prices.Item("nodes", "AmazonElastiCache", "NodeUsage:cache.r7g.large", {"cacheEngine": "Valkey"}, per_hour=4)


def priced(cloud_of: CloudOf, *products: str) -> tuple[float | None, str]:
    """The price of the node with this price list."""
    client = scripted("pricing", get_products=in_turn({"FormatVersion": "aws_v1", "PriceList": list(products)}))
    return prices.price(cloud_of(pricing=client), NODE)


def test_a_price_is_the_first_tier_on_demand(cloud_of: CloudOf) -> None:
    """The list has a zero for reserved nodes beside the price, and dearer or cheaper things with longer names."""
    usd, _ = priced(
        cloud_of,
        product("EUW1-NodeUsage:cache.r7g.large", ("0", "0.0000000000"), ("0", "0.1948000000"), ("1000", "0.1")),
        product("EUW1-Extended-NodeUsage:cache.r7g.large", ("0", "9.0")),
        product("EUW1-NodeUsage:cache.r7g.xlarge", ("0", "0.39")),
    )
    assert usd == 0.1948


def test_no_price_and_two_prices_are_both_unknown(cloud_of: CloudOf) -> None:
    """Never a guess: the estimate says which item it lacks and why."""
    assert priced(cloud_of)[0] is None
    two = [product("NodeUsage:cache.r7g.large", ("0", price)) for price in ("0.2", "0.3")]
    usd, why_not = priced(cloud_of, *two)
    assert usd is None
    assert "2 prices" in why_not


def test_prices_over_several_pages(cloud_of: CloudOf) -> None:
    """The Price List API pages its answers."""
    answers = in_turn(
        {"FormatVersion": "aws_v1", "PriceList": [product("NodeUsage:cache.m7g.large", ("0", "1"))], "NextToken": "t"},
        {"FormatVersion": "aws_v1", "PriceList": [product("NodeUsage:cache.r7g.large", ("0", "0.219"))]},
    )
    client = scripted("pricing", get_products=answers)
    assert prices.price(cloud_of(pricing=client), NODE)[0] == 0.219
    filters = {entry["Field"]: entry["Value"] for entry in client.calls[0][1]["Filters"]}
    assert filters == {"regionCode": "eu-west-1", "cacheEngine": "Valkey"}


def test_an_estimate_says_what_is_not_in_it(cloud_of: CloudOf, settings: stack_settings.Settings) -> None:
    """A sum of the known prices that hid the unknown ones would look like the whole."""

    def only_nodes(**asked: Any) -> dict[str, Any]:
        products = [product("EUW1-NodeUsage:cache.r7g.large", ("0", "0.2"))] if "Elasti" in asked["ServiceCode"] else []
        return {"FormatVersion": "aws_v1", "PriceList": products}

    cloud = cloud_of(pricing=scripted("pricing", get_products=only_nodes))
    estimate = prices.estimate(cloud, prices.items(settings, ORIGINAL, shards=2), hours=2.0)
    assert estimate.usd_per_hour == pytest.approx(0.8)
    assert estimate.usd == pytest.approx(1.6)
    assert "not in it" in estimate.sentence()
    assert "NAT gateway" in estimate.sentence()


def test_prices_that_may_not_be_asked_cannot_be_known(cloud_of: CloudOf, settings: stack_settings.Settings) -> None:
    """One refusal is enough: the others are not asked, and the sentence says so."""
    client = scripted("pricing", get_products=in_turn(refuse("AccessDeniedException", "not authorized", status=403)))
    estimate = prices.estimate(cloud_of(pricing=client), prices.items(settings, ORIGINAL, 2), 1.0)
    assert estimate.sentence().startswith("cannot be known: ")
    assert "not authorized" in estimate.sentence()
    assert len(client.calls) == 1


def test_what_was_measured_replaces_what_was_assumed(settings: stack_settings.Settings) -> None:
    """After a run the estimate is of what CloudWatch counted."""
    measured = prices.Measured(calls=900_000, call_s_in_all=9_000, lcu_hours=11)
    items = {item.name: item for item in prices.items(settings, ORIGINAL, 2, measured)}
    assert items["function calls"].per_run == 900_000
    assert (items["function time (GB-s)"].per_run, items["function time (GB-s)"].assumed) == (9_000, "")
    assert items["load balancer capacity (LCU-hours)"].per_run == 11


def test_missing_programs_are_named_with_what_to_install() -> None:
    """The plugin is only needed where the load is started through it."""
    checks = {check.name: check for check in preflight.machine(port_forward=True, which=lambda _name: None)}
    assert (checks["Pulumi"].state, checks["session-manager-plugin"].state) == ("fail", "fail")
    relaxed = {check.name: check for check in preflight.machine(port_forward=False, which=lambda _name: None)}
    assert relaxed["session-manager-plugin"].state == "warn"
