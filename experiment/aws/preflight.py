"""Checks tools, credentials and quotas before anything is created."""

import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from experiment.aws import demand, prices
from experiment.aws.asking import asking, code_of
from experiment.aws.cloud import Cloud
from experiment.aws.demand import LoadFacts
from experiment.aws.durations import stack_hours
from experiment.aws.stack import Stack
from experiment.errors import StepError, UsageError
from experiment.state import State
from infra.preflight import DEFAULT_DOCKER_HOST, docker_problem
from infra.settings import Settings

OK, WARN, FAIL = "ok", "warn", "fail"
# Seconds: an invocation on a new connection takes some milliseconds, several times that while environments start.
CALL_S = 0.1
# A stall during a reshard, in seconds: each of its arrivals needs an environment of its own.
STALL_S = 1.0


@dataclass(frozen=True)
class PreflightCheck:
    """The result of one check."""

    name: str
    state: str
    detail: str
    todo: str = ""


@dataclass(frozen=True)
class Quota:
    """A limit of the account, its present use, and what this stack adds."""

    name: str
    service: str
    code: str
    needs: float
    used: Callable[[Cloud], float | None] = lambda _cloud: None
    default: str = ""


def look(stack: Stack, state: State, shards: int | None = None) -> None:
    """Show the checks and the cost of a run with up to `shards` shards (None: one more than now).

    Raises:
        UsageError: a check failed.
    """
    tools = machine(port_forward=True)
    if any(check.name == "Pulumi" and check.state == FAIL for check in tools):
        _show(stack, tools)
    settings = stack.settings
    load = demand.facts(settings, stack.root)
    most = max(shards or settings.shard_count + 1, settings.shard_count)
    hours = stack_hours(load.duration_s)
    checks = machine(port_forward=not settings.load_autostart)
    checks += account(stack.cloud, hours)
    if not any(check.state == FAIL for check in checks):
        deployed = settings.shard_count if "resultsBucket" in stack.engine.exports() else 0
        checks += quotas(stack.cloud, needs(settings, load, most, deployed), load)
    _show(stack, checks)
    stack.screen.say(
        f"load: {load.arrivals:,} arrivals in {load.duration_s / 60:.1f} min, {load.peak_per_s:g}/s at most"
    )
    cost = prices.estimate(stack.cloud, prices.items(settings, load, most), hours)
    stack.screen.say("cost: " + cost.sentence())
    state.save(usd_per_hour=cost.usd_per_hour if len(cost.unknown) < len(cost.lines) else None)


def _show(stack: Stack, checks: Sequence[PreflightCheck]) -> None:
    stack.screen.table(
        [
            (
                check.state,
                check.name,
                check.detail + (f"\n-> {check.todo}" if check.todo and check.state != OK else ""),
            )
            for check in checks
        ]
    )
    failed = [check for check in checks if check.state == FAIL]
    if failed:
        raise UsageError(
            "preflight",
            ", ".join(check.name for check in failed),
            "; ".join(check.detail for check in failed),
            "; ".join(check.todo for check in failed),
        )


def machine(*, port_forward: bool, which: Callable[[str], str | None] = shutil.which) -> list[PreflightCheck]:
    """The programs that a run needs on this machine."""
    checks = [
        PreflightCheck("Pulumi", OK, which("pulumi") or "")
        if which("pulumi")
        else PreflightCheck("Pulumi", FAIL, "no `pulumi` on PATH", "install the Pulumi CLI (docs/aws.md)")
    ]
    docker = docker_problem(os.environ.get("DOCKER_HOST") or DEFAULT_DOCKER_HOST)
    checks.append(
        PreflightCheck("Docker", FAIL, docker, "start it") if docker else PreflightCheck("Docker", OK, "answers")
    )
    if which("session-manager-plugin"):
        checks.append(PreflightCheck("session-manager-plugin", OK, which("session-manager-plugin") or ""))
    elif port_forward:
        todo = "install AWS's session-manager-plugin, or `pulumi config set loadAutostart true`"
        checks.append(
            PreflightCheck("session-manager-plugin", FAIL, "not on PATH; the load is started through it", todo)
        )
    else:
        todo = "install it to open the web UI"
        checks.append(
            PreflightCheck("session-manager-plugin", WARN, "not on PATH; loadAutostart starts the load", todo)
        )
    return checks


def account(cloud: Cloud, hours: float) -> list[PreflightCheck]:
    """Identity, region, remaining time of the credentials, and clock difference."""
    if not (cloud.region or cloud.session.region_name):
        return [PreflightCheck("region", FAIL, "none is set", "pulumi config set aws:region eu-west-1")]
    with asking("preflight", "credentials", "sts:GetCallerIdentity"):
        who = cloud.sts.get_caller_identity()
    checks = [
        PreflightCheck("region", OK, cloud.region or cloud.session.region_name or ""),
        PreflightCheck("credentials", OK, f"{who['Arn']} in account {who['Account']}"),
    ]
    left = credentials_last(cloud)
    if left is not None and left < hours * 3600:
        checks.append(
            PreflightCheck(
                "credentials' end",
                WARN,
                f"they end in {left / 60:.0f} min, a run takes about {hours * 60:.0f} min",
                "renew them when asked: AWS continues meanwhile, and the same command resumes",
            )
        )
    offset = cloud.measure_clock()
    text = f"AWS's is {offset.seconds:+.1f} s (give or take {offset.uncertainty_s:.1f} s)"
    if abs(offset.seconds) > 240:
        checks.append(PreflightCheck("clock", FAIL, text, "set this machine's clock: AWS refuses signatures 5 min off"))
    elif offset.known_wrong:
        checks.append(PreflightCheck("clock", WARN, text, "corrected for; better to set this machine's clock"))
    else:
        checks.append(PreflightCheck("clock", OK, text))
    return checks


def credentials_last(cloud: Cloud) -> float | None:
    """Seconds until the credentials end; None when they do not, or do not say."""
    credentials = cloud.session.get_credentials()
    end = getattr(credentials, "_expiry_time", None)  # botocore has no public name for it
    return (end - datetime.now(UTC)).total_seconds() if isinstance(end, datetime) else None


def needs(settings: Settings, load: LoadFacts, shards: int, deployed_shards: int) -> list[Quota]:
    """What the stack will add to the account, as quotas count it. `deployed_shards` is 0 before the first `up`."""
    nodes_a_shard = 1 + settings.replicas_per_shard
    fresh = deployed_shards == 0
    vcpu = 1 + settings.load_tasks
    quotas = [
        Quota("ElastiCache nodes in one cluster", "elasticache", "L-AF354865", shards * nodes_a_shard),
        Quota(
            "ElastiCache nodes in the region",
            "elasticache",
            "L-DFE45DF3",
            max(0, shards - deployed_shards) * nodes_a_shard,
            _cache_nodes,
        ),
    ]
    if fresh:
        quotas += [
            Quota("Fargate vCPU", "fargate", "L-3032A538", vcpu),
            Quota("VPCs in the region", "vpc", "L-F678F1CE", 1, _vpcs),
            Quota("elastic addresses", "ec2", "L-0263D0A3", 1, _addresses),
        ]
    quotas.append(
        Quota(
            "Lambda concurrency",
            "lambda",
            "L-B99A9384",
            math.ceil(load.peak_per_s * CALL_S),
            default=f"{load.peak_per_s:g} arrivals/s at {CALL_S:g} s a call",
        )
    )
    return quotas


def quotas(cloud: Cloud, needed: list[Quota], load: LoadFacts) -> Iterator[PreflightCheck]:
    """Each quota against what is needed; a quota that cannot be read is a warning, never a pass."""
    for quota in needed:
        try:
            limit = _limit(cloud, quota)
            used = quota.used(cloud)
        except StepError as error:
            yield PreflightCheck(quota.name, WARN, f"unknown: {error.said}", "see Service Quotas in the console")
            continue
        if limit is None:
            yield PreflightCheck(quota.name, WARN, f"needs {quota.needs:g}; the limit is unknown", "see Service Quotas")
            continue
        total = quota.needs + (used or 0)
        in_use = "" if used is None else f", {used:g} in use"
        figures = f"limit {limit:g}{in_use}, needs {quota.needs:g}{f' ({quota.default})' if quota.default else ''}"
        raise_it = f"ask for more: Service Quotas, {quota.service}, {quota.code}"
        if total > limit:
            yield PreflightCheck(quota.name, FAIL, figures, raise_it)
        elif quota.service == "lambda" and limit < load.peak_per_s * STALL_S:
            stall = (
                f"a stall of {STALL_S:g} s wants {load.peak_per_s * STALL_S:.0f} environments, the rest is throttled"
            )
            yield PreflightCheck(quota.name, WARN, f"{figures}; {stall}", raise_it)
        else:
            yield PreflightCheck(quota.name, OK, figures)


def _limit(cloud: Cloud, quota: Quota) -> float | None:
    """The account's value, else AWS's default. Lambda says itself what is free to use."""
    if quota.service == "lambda":
        with asking("preflight", quota.name, "lambda:GetAccountSettings"):
            limits = cloud.functions.get_account_settings()["AccountLimit"]
        return limits.get("UnreservedConcurrentExecutions")
    with asking("preflight", quota.name, "servicequotas:GetServiceQuota"):
        try:
            answer = cloud.quotas.get_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)
        except ClientError as error:
            if code_of(error) != "NoSuchResourceException":
                raise
            try:
                answer = cloud.quotas.get_aws_default_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)
            except ClientError as second:
                if code_of(second) != "NoSuchResourceException":
                    raise
                return None
    return answer["Quota"].get("Value")


def _cache_nodes(cloud: Cloud) -> float:
    with asking("preflight", "ElastiCache nodes", "elasticache:DescribeCacheClusters"):
        pages = cloud.elasticache.get_paginator("describe_cache_clusters").paginate()
        return float(sum(cluster.get("NumCacheNodes", 1) for page in pages for cluster in page["CacheClusters"]))


def _vpcs(cloud: Cloud) -> float:
    with asking("preflight", "VPCs", "ec2:DescribeVpcs"):
        pages = cloud.ec2.get_paginator("describe_vpcs").paginate()
        return float(sum(len(page["Vpcs"]) for page in pages))


def _addresses(cloud: Cloud) -> float:
    with asking("preflight", "elastic addresses", "ec2:DescribeAddresses"):
        return float(len(cloud.ec2.describe_addresses()["Addresses"]))
