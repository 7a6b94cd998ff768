"""What AWS says of its rules in prose only: a table, each line with its source.

"Model" is botocore's description of the parameter. A line is a rule for one parameter of some operations, for a whole
request, or (together.py) for requests that must fit one another. `refused` is a value that the rule must refuse: a test
asks it, so that no line holds everything to be right.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.aws.fits import (
    awslogs,
    bucket_name,
    cidr,
    cluster_mode,
    environment,
    fargate_container,
    fargate_size,
    fargate_task,
    health_check,
    idle_timeout,
    json_object,
    network,
    nodes,
    number,
    text,
    users_over_tls,
)
from tests.aws.requests import Request
from tests.aws.together import CACHE_GUIDE, FAMILIES, TOGETHER


@dataclass(frozen=True)
class Rule:
    """One line: which parameters it is for (`[]` stands for each item of a list, "" for the whole request)."""

    operations: tuple[str, ...]
    path: str
    holds: Callable[[Any], bool]
    allowed: str
    source: str
    refused: Any


_CREATE_GROUP = ("ec2:CreateSecurityGroup",)
_ALLOW = ("ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress")
_GROUP = ("elasticache:CreateReplicationGroup",)
_BALANCER = ("elbv2:CreateLoadBalancer",)
_TARGET = ("elbv2:CreateTargetGroup",)
_TASK = ("ecs:RegisterTaskDefinition",)
_FUNCTION = ("lambda:CreateFunction",)

_DESCRIPTION = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}"
_DESCRIBED = "at most 255 of a-z A-Z 0-9, space and ._-:/()#,@[]+=&;{}!$*"
_ECS_NAME = r"[A-Za-z0-9_-]{1,255}"
_ECS_NAMED = "up to 255 letters, numbers, underscores and hyphens"
_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

RULES = (
    Rule(_CREATE_GROUP, "Description", text(_DESCRIPTION), _DESCRIBED, "model", "AWS's own"),
    Rule(_CREATE_GROUP, "GroupName", text(rf"(?!sg-){_DESCRIPTION}"), f"{_DESCRIBED}; not sg-", "model", "sg-a"),
    Rule(
        _ALLOW,
        "IpPermissions[].UserIdGroupPairs[].Description",
        # The model leaves the ampersand out of this one alone.
        text(_DESCRIPTION.replace("&", "")),
        _DESCRIBED.replace("&", ""),
        "model",
        "From AWS's APIs",
    ),
    Rule(_ALLOW, "IpPermissions[].IpRanges[].Description", text(_DESCRIPTION), _DESCRIBED, "model", "a" * 256),
    Rule(_ALLOW, "IpPermissions[].IpRanges[].CidrIp", cidr, "a network", "model", "10.0.0.1/8"),
    *(
        Rule(_ALLOW, f"IpPermissions[].{port}", number(-1, 65535), "a port", "provider's validator", 65536)
        for port in ("FromPort", "ToPort")
    ),
    Rule(("ec2:CreateVpc",), "CidrBlock", network, "a network from /16 to /28", "VPC guide", "10.0.0.0/8"),
    Rule(("ec2:CreateSubnet",), "CidrBlock", network, "a network from /16 to /28", "model", "10.0.0.0/29"),
    Rule(("ec2:CreateRoute",), "DestinationCidrBlock", cidr, "a network", "model", "10.0.0.1/8"),
    Rule(
        _BALANCER,
        "Name",
        text(r"(?!internal-)(?!-)[A-Za-z0-9-]{1,32}(?<!-)"),
        'at most 32 letters, digits, hyphens; no hyphen at either end; not "internal-"',
        "model",
        "internal-alb",
    ),
    Rule(_BALANCER, "Subnets", lambda value: len(value) >= 2, "two zones' subnets", "model", ["subnet-0"]),
    Rule(
        _TARGET,
        "Name",
        text(r"(?!-)[A-Za-z0-9-]{1,32}(?<!-)"),
        "at most 32 letters, digits, hyphens; no hyphen at either end",
        "model",
        "-session",
    ),
    Rule(
        _TARGET,
        "",
        health_check,
        "the health check's interval is above its timeout",
        "hashicorp/terraform-provider-aws, issue 48070; defaults: model",
        {"TargetType": "lambda", "HealthCheckIntervalSeconds": 30},
    ),
    Rule(
        ("elbv2:ModifyLoadBalancerAttributes",),
        "Attributes[]",
        idle_timeout,
        "an idle timeout from 1 to 4000 s",
        "model",
        {"Key": "idle_timeout.timeout_seconds", "Value": "4001"},
    ),
    Rule(
        _GROUP,
        "ReplicationGroupId",
        text(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{0,39}(?<!-)"),
        "1 to 40 letters, digits, hyphens; begins with a letter; no two hyphens together, none at the end",
        "model",
        "a--b",
    ),
    Rule(_GROUP, "Engine", text("valkey|redis"), "valkey or redis", "model", "Valkey"),
    Rule(_GROUP, "ReplicasPerNodeGroup", number(0, 5), "0 to 5", "model", 6),
    Rule(_GROUP, "", nodes, "at most 500 nodes", f"{CACHE_GUIDE}, quotas", {"NumNodeGroups": 501}),
    Rule(
        _GROUP,
        "",
        cluster_mode,
        "cluster mode with failover, Multi-AZ with failover and a replica",
        f"model; {CACHE_GUIDE}, Multi-AZ",
        {"ClusterMode": "enabled", "AutomaticFailoverEnabled": False},
    ),
    Rule(_GROUP, "", users_over_tls, "users only over TLS", f"{CACHE_GUIDE}, RBAC", {"UserGroupIds": ["a"]}),
    Rule(
        ("elasticache:CreateCacheParameterGroup",),
        "CacheParameterGroupFamily",
        lambda value: value in FAMILIES.values(),
        ", ".join(sorted(set(FAMILIES.values()))),
        f"{CACHE_GUIDE}, engine specific parameters (the model's list ends with valkey8)",
        "valkey8.1",
    ),
    Rule(
        ("elasticache:CreateCacheParameterGroup", "elasticache:ModifyCacheParameterGroup"),
        "CacheParameterGroupName",
        text(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{0,254}(?<!-)"),
        "letters, digits, hyphens; begins with a letter; no two hyphens together, none at the end",
        f"{CACHE_GUIDE}, creating a parameter group",
        "1st",
    ),
    Rule(
        ("elasticache:CreateCacheSubnetGroup",),
        "CacheSubnetGroupName",
        text(r"[A-Za-z0-9-]{1,255}"),
        "at most 255 letters, digits, hyphens",
        "model",
        "my_group",
    ),
    Rule(
        ("elasticache:CreateCacheSubnetGroup",),
        "SubnetIds",
        lambda value: len(value) >= 1,
        "a subnet at least",
        f"{CACHE_GUIDE}, subnets and subnet groups",
        [],
    ),
    Rule(("elasticache:CreateUser",), "Passwords", lambda value: len(value) <= 2, "at most two", "model", ["a"] * 3),
    Rule(
        ("elasticache:CreateUser",),
        "Passwords[]",
        text(r'[^,"/@]{16,128}'),
        '16 to 128 characters without , " / @',
        f"{CACHE_GUIDE}, RBAC",
        "correct,horse/battery",
    ),
    Rule(
        ("elasticache:CreateUser", "elasticache:CreateUserGroup"),
        "Engine",
        text("(?i:valkey|redis)"),
        "valkey or redis",
        "model",
        "memcached",
    ),
    Rule(
        ("elasticache:CreateUser",),
        "AccessString",
        text("(on|off) .+"),
        "begins with on or off: without either the user is off",
        f"{CACHE_GUIDE}, RBAC",
        "~* +@all",
    ),
    Rule(_TASK, "family", text(_ECS_NAME), _ECS_NAMED, "model", "a.b"),
    Rule(_TASK, "containerDefinitions[].name", text(_ECS_NAME), _ECS_NAMED, "model", "a b"),
    Rule(("ecs:CreateCluster",), "clusterName", text(_ECS_NAME), _ECS_NAMED, "model", "a/b"),
    Rule(("ecs:CreateService",), "serviceName", text(_ECS_NAME), _ECS_NAMED, "model", ""),
    Rule(
        _TASK,
        "",
        fargate_size,
        "a size of Fargate's table (cpu, memory)",
        "model of memory",
        {"requiresCompatibilities": ["FARGATE"], "cpu": "1024", "memory": "1024"},
    ),
    Rule(
        _TASK,
        "",
        fargate_task,
        "on Fargate: network mode awsvpc, and an execution role",
        "model of networkMode; ECS guide, task execution role",
        {"requiresCompatibilities": ["FARGATE"], "networkMode": "bridge"},
    ),
    Rule(
        _TASK,
        "containerDefinitions[]",
        fargate_container,
        "on Fargate: initProcessEnabled, capabilities and nofile only; host ports as the container's",
        "model of ulimits; ECS guide, task definition differences for Fargate",
        {"ulimits": [{"name": "nproc"}]},
    ),
    Rule(_TASK, "containerDefinitions[].stopTimeout", number(1, 120), "at most 120 s on Fargate", "model", 121),
    Rule(
        _TASK,
        "containerDefinitions[].logConfiguration",
        awslogs,
        "awslogs with group, region and stream prefix",
        "ECS guide, awslogs (prefix: Fargate)",
        {"logDriver": "awslogs", "options": {"awslogs-group": "a"}},
    ),
    Rule(("logs:CreateLogGroup",), "logGroupName", text("(?!aws/).*"), "not aws/", "model", "aws/lambda"),
    Rule(
        ("logs:PutRetentionPolicy",),
        "retentionInDays",
        lambda value: value in _DAYS,
        f"one of {', '.join(map(str, _DAYS))}",
        "model",
        31,
    ),
    Rule(_FUNCTION, "FunctionName", text(r"[a-zA-Z0-9_-]{1,64}"), "at most 64 characters", "model", "a" * 65),
    Rule(_FUNCTION, "Timeout", number(1, 900), "1 to 900 s", "model", 901),
    Rule(_FUNCTION, "MemorySize", number(128, 10240), "128 to 10240 MB", "Lambda guide, quotas", 10241),
    Rule(
        _FUNCTION,
        "Runtime",
        text(r"python3\.1[1234]"),
        "a Python that Lambda still makes functions with",
        "Lambda guide, runtimes",
        "python3.8",
    ),
    Rule(
        _FUNCTION,
        "Environment.Variables",
        environment,
        "names of letters, digits, _; not AWS_...; 4 KB in all",
        "Lambda guide, environment variables and quotas",
        {"AWS_REGION": "eu-west-1"},
    ),
    Rule(
        ("s3:CreateBucket",),
        "Bucket",
        bucket_name,
        "3 to 63 of a-z 0-9 . -, letters or digits at both ends, no reserved beginning or end",
        "S3 guide, bucket naming rules",
        "sthree-results",
    ),
    Rule(
        ("s3:PutBucketLifecycleConfiguration",),
        "LifecycleConfiguration.Rules",
        lambda rules: len({rule["ID"] for rule in rules}) == len(rules),
        "no two rules with one id",
        "S3 guide, lifecycle configuration elements",
        [{"ID": "a"}, {"ID": "a"}],
    ),
    *(
        Rule((operation,), path, json_object, "JSON", source, "{")
        for operation, path, source in (
            ("cloudwatch:PutDashboard", "DashboardBody", "CloudWatch guide, dashboard body"),
            ("ecr:PutLifecyclePolicy", "lifecyclePolicyText", "model"),
            ("iam:CreateRole", "AssumeRolePolicyDocument", "model"),
            ("iam:PutRolePolicy", "PolicyDocument", "model"),
            ("s3:PutBucketPolicy", "Policy", "model"),
        )
    ),
    Rule(
        ("cloudwatch:PutDashboard",),
        "DashboardName",
        text(r"[A-Za-z0-9_-]{1,255}"),
        "at most 255 of A-Z a-z 0-9 - _",
        "model",
        "reshard 1",
    ),
    Rule(
        ("budgets:CreateBudget",),
        "Budget.BudgetLimit.Amount",
        text(r"\d+(\.\d+)?"),
        "a decimal number",
        "model",
        "100 USD",
    ),
)


def misfits(requests: Iterable[Request]) -> list[str]:
    """One line for each rule of this table that a request breaks: resource, operation, parameter, value, rule."""
    made = list(requests)
    lines = [
        f"{request}: {rule.path or 'the request'} = {value!r}: {rule.allowed} ({rule.source})"
        for request in made
        for rule in RULES
        if f"{request.service}:{request.operation}" in rule.operations
        for value in values(request.parameters, rule.path)
        if not rule.holds(value)
    ]
    return [*lines, *itertools.chain.from_iterable(check(made) for check in TOGETHER)]


def values(parameters: dict[str, Any], path: str) -> list[Any]:
    """What a request has at a path; nothing, if it does not send it."""
    found: list[Any] = [parameters]
    for step in path.split(".") if path else []:
        name, each = step.removesuffix("[]"), step.endswith("[]")
        inside = [item[name] for item in found if name in item]
        found = [item for items in inside for item in items] if each else inside
    return found
