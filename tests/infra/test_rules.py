"""Rules that every resource keeps, and the order in which they come and go; a failure names the URN."""

import ipaddress
import json
import re
import shlex
import subprocess
import sys
from typing import Any

import pulumi
import pytest

from infra import settings
from infra.dashboard import NODE_METRICS, nodes
from infra.naming import named
from infra.network import two_of
from tests.aws.configurations import CONFIGURATIONS
from tests.aws.together import FAMILIES
from tests.infra import program as program_module
from tests.infra.program import SUFFIX, Declared, declare
from tests.infra.standin import NAMED

# Types that AWS's provider has no tags for.
UNTAGGED = {
    "ec2.Route", "ec2.RouteTableAssociation", "iam.RolePolicy", "iam.RolePolicyAttachment", "lambda.Permission",
    "lb.TargetGroupAttachment", "cloudwatch.Dashboard", "ecr.LifecyclePolicy", "s3.BucketPolicy", "s3.BucketVersioning",
    "s3.BucketPublicAccessBlock", "s3.BucketServerSideEncryptionConfiguration", "s3.BucketLifecycleConfiguration",
    "index.Image",
}  # fmt: skip


def test_every_resource_is_tagged() -> None:
    """What a stack left behind can be found by its tags; a type without tags has to be listed here."""
    for resource in declare():
        if resource.short_type in UNTAGGED:
            assert "tags" not in resource.inputs, f"{resource.urn} takes tags after all"
        else:
            tags = resource.inputs.get("tags", {})
            expected = {"Project": settings.project_name(), "Stack": "dev", "Name": resource.name}
            assert tags == expected, resource.urn


def test_every_log_group_ends() -> None:
    """Logs are kept as long as the setting says and never for ever, and whatever writes logs has its own group."""
    program = declare(retentionDays=7)
    groups = program.of("cloudwatch.LogGroup")
    assert {group.name for group in groups} == {"dev-session", "dev-audit", "dev-load"}
    for group in groups:
        assert group.inputs["retentionInDays"] == 7, group.urn
    for function in program.of("lambda.Function"):
        assert function.inputs["loggingConfig"] == {"logFormat": "Text", "logGroup": function.name + SUFFIX}
    for task in program.of("ecs.TaskDefinition"):
        log = json.loads(task.inputs["containerDefinitions"])[0]["logConfiguration"]
        assert (log["logDriver"], log["options"]["awslogs-group"]) == ("awslogs", "dev-load" + SUFFIX)


LONG = "a-" + "very-" * 18 + "long-stack"


@pytest.mark.parametrize("stack", ["d", LONG, "9to5", "Team_A.prod", "x" * 100])
def test_names_fit(stack: str) -> None:
    """Whatever the stack is called, Pulumi's suffix counted, every name is within AWS's length and alphabet."""
    program = declare(stack)
    for resource in program:
        assert re.fullmatch(r"[a-z]([a-z0-9]|-(?!-))*[a-z0-9]", resource.name), resource.urn
        kind = resource.type
        if kind in NAMED:
            limit = NAMED[kind][1]
            assert len(resource.inputs.get(NAMED[kind][0], resource.name + "-1234567")) <= limit, resource.urn
    assert len(program.exports["cacheReplicationGroupId"]) <= 40
    assert len(program.exports["dashboardName"]) <= 255
    users = declare(stack, cacheUsername="app", cachePassword="correct-horse-battery", transitEncryption=True)
    for user in users.of("elasticache.User"):
        assert len(user.inputs["userId"]) <= 40, user.urn
        assert re.fullmatch(r"[a-z][a-z0-9-]*", user.inputs["userId"]), user.urn


def test_long_names_stay_apart() -> None:
    """Two long stack names that begin alike do not collide in one account."""
    assert named("alb", LONG + "-one") != named("alb", LONG + "-two")
    assert named("alb", "dev") == "dev-alb"


@pytest.mark.parametrize("stack", ["internal", "internal-x", "Internal_2", "sg", "sthree-x", "amzn-s3-demo"])
def test_names_do_not_begin_as_aws_reserves(stack: str) -> None:
    """ELB refuses a balancer `internal-...`, EC2 a group `sg-...`, S3 a bucket `sthree-...` or `amzn-s3-demo-...`."""
    for resource in declare(stack):
        assert resource.name.startswith("s-"), resource.urn
    assert (named("alb", "internals"), named("alb", "sgx-1")) == ("internals-alb", "sgx-1-alb")


def test_names_are_declared_once() -> None:
    """No two resources of a type share a name."""
    seen = [(resource.type, resource.name) for resource in declare()]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        # Tasks need a way to their image, their logs and each other before they start.
        (("ecs.Service", "master"), ("ec2.Route", "private-out")),
        (("ecs.Service", "worker"), ("ec2.Route", "private-out")),
        (("ecs.Service", "master"), ("ec2.RouteTableAssociation", "private-1")),
        (("ecs.Service", "master"), ("ec2.VpcEndpoint", "s3")),
        (("ecs.Service", "master"), ("iam.RolePolicy", "pull")),
        (("ecs.Service", "master"), ("iam.RolePolicy", "master")),
        (("ecs.Service", "worker"), ("iam.RolePolicy", "pull")),
        (("ecs.Service", "master"), ("vpc.SecurityGroupEgressRule", "master-to-aws")),
        (("ecs.Service", "worker"), ("vpc.SecurityGroupIngressRule", "master-of-worker")),
        (("ecs.Service", "worker"), ("ecs.Service", "master")),
        (("ecs.Service", "worker"), ("lb.Listener", "http")),
        (("ecs.Service", "master"), ("index.Image", "load")),
        (("ecs.Service", "master"), ("servicediscovery.Service", "master")),
        # The functions' network interfaces are made and removed by their role.
        (("lambda.Function", "session"), ("iam.RolePolicyAttachment", "interfaces")),
        (("lambda.Function", "audit"), ("iam.RolePolicyAttachment", "interfaces")),
        (("lambda.Function", "session"), ("iam.RolePolicy", "function")),
        # A late log line must not find its group gone.
        (("lambda.Function", "session"), ("cloudwatch.LogGroup", "session")),
        (("ecs.Service", "worker"), ("cloudwatch.LogGroup", "load")),
        # The balancer may call the function before it is told to.
        (("lb.TargetGroupAttachment", "session"), ("lambda.Permission", "invoke")),
        (("lb.Listener", "http"), ("lb.TargetGroupAttachment", "session")),
        (("ec2.NatGateway", "nat"), ("ec2.Route", "public-out")),
        (("ec2.Eip", "nat"), ("ec2.InternetGateway", "igw")),
    ],
)
def test_order(later: tuple[str, str], earlier: tuple[str, str]) -> None:
    """The first is created after the second and destroyed before it."""
    program = declare()
    assert program.one(*earlier).urn in program.after(program.one(*later).urn)


def test_destroy_can_finish() -> None:
    """What has contents of its own is destroyed with them, and what Lambda holds on to is waited for."""
    program = declare()
    assert program.one("ecr.Repository").inputs["forceDelete"] is True
    assert program.one("servicediscovery.Service").inputs["forceDestroy"] is True
    held = [*program.of("ec2.SecurityGroup"), *program.of("ec2.Subnet")]
    assert {resource.timeouts["delete"] for resource in held} == {"60m"}


@pytest.mark.parametrize("keep", [True, False])
def test_results_outlive_the_stack_if_asked(*, keep: bool) -> None:
    """With keepResults the bucket stays, with what makes it private and nothing else; without, all goes."""
    program = declare(keepResults=keep)
    kept = {resource.short_type for resource in program if resource.retain_on_delete}
    everything = {resource.short_type for resource in program if resource.short_type.startswith("s3.")}
    assert kept == (everything if keep else set())
    assert program.one("s3.Bucket").inputs["forceDestroy"] is not keep


def test_zones() -> None:
    """The region's first two zones, or the ones named; once chosen they stay, or subnets would be replaced."""
    for zones, expected in (([], ["eu-west-1a", "eu-west-1b"]), (["eu-west-1c", "eu-west-1a"],) * 2):
        subnets = declare(availabilityZones=zones).of("ec2.Subnet")
        assert {subnet.inputs["availabilityZone"] for subnet in subnets} == set(expected)
        for subnet in subnets:
            assert subnet.ignore_changes == ("availabilityZone",), subnet.urn
        cidrs = [subnet.inputs["cidrBlock"] for subnet in subnets]
        assert len(cidrs) == len(set(cidrs))


@pytest.mark.parametrize("lacking", ["use1-az3", "usw1-az2", "apne1-az3"])
def test_zones_without_fargate_or_graviton_are_passed_over(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    """The region's first zone may be one where cache nodes or tasks cannot be placed; the next ones are taken."""
    monkeypatch.setattr(program_module, "ZONES", {"xx-east-1a": lacking, "xx-east-1b": "id2", "xx-east-1c": "id3"})
    subnets = program_module.run(settings.as_config(settings.defaults())).of("ec2.Subnet")
    assert {subnet.inputs["availabilityZone"] for subnet in subnets} == {"xx-east-1b", "xx-east-1c"}


def test_a_region_with_one_zone_is_refused() -> None:
    """Where fewer than two zones are left, the message names the setting and the way out."""
    assert two_of(["a", "b", "c"]) == ["a", "b"]
    with pytest.raises(pulumi.RunError, match=r"availabilityZones: the region has 1 zone\(s\)"):
        two_of(["us-west-1b"])


def test_a_run_is_not_disturbed() -> None:
    """One master at most, no more workers than declared, no rebalancing, time to flush, a breaker on bad images."""
    program = declare()
    for service in program.of("ecs.Service"):
        inputs = service.inputs
        assert inputs["availabilityZoneRebalancing"] == "DISABLED", service.urn
        assert (inputs["deploymentMinimumHealthyPercent"], inputs["deploymentMaximumPercent"]) == (0, 100), service.urn
        assert inputs["deploymentCircuitBreaker"]["enable"] is True, service.urn
        assert "forceNewDeployment" not in inputs, service.urn
    assert program.one("ecs.Service", "master").inputs["desiredCount"] == 1
    for task in program.of("ecs.TaskDefinition"):
        container = json.loads(task.inputs["containerDefinitions"])[0]
        assert container["stopTimeout"] == 120, task.urn
        assert "@sha256:" in container["image"], task.urn
        assert "--autoquit" not in container["command"], task.urn


def test_no_health_check() -> None:
    """A health check would invoke the function, and its block, even disabled, is refused for a lambda target."""
    target = declare().one("lb.TargetGroup")
    assert target.inputs["targetType"] == "lambda"
    assert "healthCheck" not in target.inputs, target.urn


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_descriptions_are_plain(configuration: str) -> None:
    """EC2 refuses an apostrophe in a description; its rule is the narrowest, and every description keeps it."""
    described = [resource for resource in CONFIGURATIONS[configuration].declare() if "description" in resource.inputs]
    assert len(described) > 10
    for resource in described:
        text = resource.inputs["description"]
        assert re.fullmatch(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}", text), f"{resource.urn}: {text}"


def test_the_function_ends_before_the_balancer_gives_up() -> None:
    """A function that runs out of time is told as 502, for every functionTimeout that is allowed."""
    program = declare(functionTimeout=50)
    function = program.one("lambda.Function", "session").inputs
    assert function["timeout"] == 50
    assert function["timeout"] < program.one("lb.LoadBalancer").inputs["idleTimeout"]
    assert function["tracingConfig"] == {"mode": "Active"}


# The provider refuses what these do not match (terraform-provider-aws, internal/service/elasticache/engine_version.go).
PROVIDER_TAKES = {"valkey": r"[7-9]\.[0-9]+", "redis": r"[1-5](\.[0-9]+){2}|6\.x|[6-9]\.[0-9]+"}


def test_every_engine_has_its_family() -> None:
    """An engine that is offered has a line in the table of families."""
    assert set(settings.ENGINES) == set(FAMILIES)
    assert settings.defaults()["cacheEngine"] == settings.ENGINES[-1]


@pytest.mark.parametrize("offered", settings.ENGINES)
def test_engines(offered: str) -> None:
    """The engine, its version as AWS writes it, and a parameter group of its family with cluster mode on."""
    engine, version = offered.split()
    assert re.fullmatch(PROVIDER_TAKES[engine], version)
    expected = (engine, version, FAMILIES[offered])
    program = declare(cacheEngine=offered)
    group, parameters = program.one("elasticache.ReplicationGroup"), program.one("elasticache.ParameterGroup")
    assert (group.inputs["engine"], group.inputs["engineVersion"], parameters.inputs["family"]) == expected
    assert parameters.inputs["parameters"] == [{"name": "cluster-enabled", "value": "yes"}]
    assert group.inputs["clusterMode"] == "enabled"
    assert group.inputs["automaticFailoverEnabled"] is True
    assert group.inputs["atRestEncryptionEnabled"] is True


def body(dashboard: Declared) -> list[dict[str, Any]]:
    """A dashboard's widgets' properties."""
    return [widget["properties"] for widget in json.loads(dashboard.inputs["dashboardBody"])["widgets"]]


@pytest.mark.parametrize(
    ("shards", "replicas"),
    [(1, 1), (2, 1), (45, 1), (15, 5), (120, 1), (156, 1), (157, 1), (250, 1), (125, 3), (83, 5)],
)
def test_the_dashboard_shows_every_shard_within_cloudwatchs_limits(shards: int, replicas: int) -> None:
    """Every node where that fits, at least every shard where not: 500 metrics a chart, 2,500 a dashboard."""
    program = declare(shardCount=shards, replicasPerShard=replicas, nodeQuota=500)
    charts = [properties for properties in body(program.one("cloudwatch.Dashboard")) if "metrics" in properties]
    assert max(len(properties["metrics"]) for properties in charts) <= 500
    assert sum(len(properties["metrics"]) for properties in charts) <= 2500
    every = nodes(program.exports["cacheReplicationGroupId"], shards, replicas)
    whole = 0
    for name, _, _ in NODE_METRICS:
        (shown,) = [[m[3] for m in p["metrics"]] for p in charts if p["metrics"][0][:2] == ["AWS/ElastiCache", name]]
        whole += shown == every
        assert {node.rsplit("-", 1)[0] for node in shown} == {node.rsplit("-", 1)[0] for node in every}, name
    assert whole >= 1
    assert whole == len(NODE_METRICS) or shards * (1 + replicas) > 300


def test_each_timing_plots_its_own_field() -> None:
    """The original's connection table plotted the read latency."""
    queries = [p["query"] for p in body(declare().one("cloudwatch.Dashboard")) if "query" in p]
    for field, query in zip(("connection", "write", "read"), queries, strict=True):
        assert f"avg({field} * 1000)" in query
        assert not [other for other in ("connection", "write", "read") if other != field and f"({other}" in query]


def test_exports() -> None:
    """What a user and the experiment need next, by the names that docs/reference.md lists."""
    text = (settings.ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    listed = text.split("\n## Exports\n")[1].split("\n## ")[0]
    exports = declare().exports
    assert set(exports) == set(re.findall(r"`(\w+)`", listed))
    assert all(exports.values()), exports


def test_subnets_have_room() -> None:
    """500 nodes, the largest cluster there is, and 101 tasks fit the private subnets; ranges do not overlap."""
    subnets = {s.name: ipaddress.ip_network(s.inputs["cidrBlock"]) for s in declare().of("ec2.Subnet")}
    vpc = ipaddress.ip_network(declare().one("ec2.Vpc").inputs["cidrBlock"])
    assert all(network.subnet_of(vpc) for network in subnets.values())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - both are IPv4
    assert not [(a, b) for a in subnets for b in subnets if a < b and subnets[a].overlaps(subnets[b])]
    kept_by_aws = 5
    private = [network for name, network in subnets.items() if "private" in name]
    assert all(network.num_addresses - kept_by_aws >= 250 + 51 for network in private)


def test_results_are_fetched_by_a_command_that_exists() -> None:
    """The exported command makes the evidence of `experiment run`: without --bucket, which leaves most of it out."""
    words = shlex.split(declare("o'clock").exports["fetchResults"])
    assert words == [".venv/bin/python", "-m", "experiment", "fetch", "--stack", "o'clock"]
    asked = subprocess.run(
        [sys.executable, "-m", "experiment", "fetch", "--help"],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--stack" in asked.stdout


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "about $0.7 an hour, $500 a month (2 nodes of cache.r7g.large, 4 load tasks,"),
        ({"shardCount": 2}, "about $1.1 an hour, $800 a month (4 nodes of cache.r7g.large, 4 load tasks,"),
        (
            {"loadTasks": 9, "cacheNodeType": "cache.m7g.large"},
            "(10 load tasks, NAT gateway, load balancer), plus 2 nodes of cache.m7g.large",
        ),
    ],
)
def test_what_it_costs_to_leave_the_stack_standing(changed: dict[str, Any], expected: str) -> None:
    """`pulumi up` by hand says what a forgotten stack costs, how sure that is, and how to end it."""
    text = declare(**changed).exports["costsWhileStanding"]
    assert expected in text
    for word in ("from memory", "November 2026", "experiment preflight --stack dev", "pulumi destroy"):
        assert word in text


def test_a_budget_on_both_tags() -> None:
    """With an amount and an address a month's costs are watched, of this stack alone; without them there is none."""
    assert not declare().of("budgets.Budget")
    program = declare("Team_A.prod", budgetUsd=120, budgetEmail="me@example.com")
    budget = program.one("budgets.Budget").inputs
    assert (budget["budgetType"], budget["timeUnit"]) == ("COST", "MONTHLY")
    assert (budget["limitAmount"], budget["limitUnit"]) == ("120", "USD")
    tags = {part["tags"]["key"]: part["tags"]["values"] for part in budget["filterExpression"]["ands"]}
    for resource in program:
        if resource.short_type not in UNTAGGED:
            assert [resource.inputs["tags"][key] for key in tags] == [value for (value,) in tags.values()], resource.urn
    assert set(tags) == {"Project", "Stack"}
    assert "costFilters" not in budget, "AWS takes one kind of filter or the other"
    assert [note["threshold"] for note in budget["notifications"]] == [50, 80, 100]
    for note in budget["notifications"]:
        assert note["subscriberEmailAddresses"] == ["me@example.com"]
        assert (note["notificationType"], note["thresholdType"]) == ("ACTUAL", "PERCENTAGE")


def test_the_ui_command_is_shell() -> None:
    """The exported command parses, and stops at the step that fails."""
    command = declare().exports["openUi"]
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
    nothing = {"PATH": "/nonexistent"}
    done = subprocess.run(["/bin/sh", "-c", command], env=nothing, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert done.stderr.count("not found") == 1
